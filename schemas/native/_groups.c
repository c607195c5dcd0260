/* Rows grouped: texts as whole numbers, sums of floats per group, and the order of whole numbers. `schemas/native/
   grouping.py` says what each function does; without this module its callers do the same with Arrow and NumPy. */

#define PY_SSIZE_T_CLEAN
#include "_native.h"
#include <string.h>

#define LIMB 32
#define LEAST_BIT (-1074)
#define TOGETHER 64
#define DIGIT 11
#define DIGITS 6

typedef struct {
    const uint8_t *at;
    int64_t size;
} Text;

/* Texts by their hash: `slot` has the number of a text, plus one, beside the half of its hash. */
typedef struct {
    uint64_t *slots;
    uint64_t mask;
    Text *texts;
    int64_t *after; /* the number of the text that last came after this one */
    int64_t count, room;
} Known;

static uint64_t hash_of(const uint8_t *at, int64_t size) {
    uint64_t hash = (uint64_t)size * 0x9E3779B97F4A7C15u, word;
    for (; size >= 8; at += 8, size -= 8) {
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, at, (size_t)size);
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
    return hash * 0x9E3779B97F4A7C15u;
}

static int equal(const Text *one, const uint8_t *at, int64_t size) {
    return one->size == size && !memcmp(one->at, at, (size_t)size);
}

static int grow(Known *known) {
    uint64_t size = known->mask ? (known->mask + 1) * 4 : 4096;
    uint64_t *slots = PyMem_RawCalloc(size, sizeof *slots);
    if (!slots) return -1;
    for (uint64_t old = 0; known->mask && old <= known->mask; old++) {
        if (!known->slots[old]) continue;
        uint64_t slot = known->slots[old] >> 32 & (size - 1);
        while (slots[slot]) slot = (slot + 1) & (size - 1);
        slots[slot] = known->slots[old];
    }
    PyMem_RawFree(known->slots);
    known->slots = slots;
    known->mask = size - 1;
    known->room = (int64_t)(size / 2);
    Text *texts = PyMem_RawRealloc(known->texts, (size_t)known->room * sizeof *texts);
    if (texts) known->texts = texts;
    int64_t *after = PyMem_RawRealloc(known->after, (size_t)known->room * sizeof *after);
    if (after) known->after = after;
    return texts && after ? 0 : -1;
}

static int64_t number_of(Known *known, const uint8_t *at, int64_t size, uint64_t hash) {
    uint64_t slot = hash & known->mask;
    for (; known->slots[slot]; slot = (slot + 1) & known->mask) {
        int64_t number = (int64_t)(known->slots[slot] & 0xFFFFFFFFu) - 1;
        if (known->slots[slot] >> 32 == hash && equal(&known->texts[number], at, size)) return number;
    }
    known->slots[slot] = hash << 32 | (uint64_t)(known->count + 1);
    known->texts[known->count] = (Text){at, size};
    known->after[known->count] = -1;
    return known->count++;
}

/* Asks for the memory that looking up these hashes will read: first all slots, then what they name. */
static void foresee(const Known *known, const uint64_t *hashes, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) __builtin_prefetch(&known->slots[hashes[i] & known->mask]);
    for (Py_ssize_t i = 0; i < count; i++) {
        uint64_t slot = known->slots[hashes[i] & known->mask];
        if (slot >> 32 == hashes[i]) __builtin_prefetch(&known->texts[(slot & 0xFFFFFFFFu) - 1]);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        uint64_t slot = known->slots[hashes[i] & known->mask];
        if (slot >> 32 == hashes[i]) __builtin_prefetch(known->texts[(slot & 0xFFFFFFFFu) - 1].at);
    }
}

/* The texts of one column. Where most of the last ones came after the text that they came after before, as in another
   column of the same events, that is looked at first. */
static int code_column(Known *known, const uint8_t *data, const int32_t *ends, Py_ssize_t count, int64_t *codes) {
    uint64_t hashes[TOGETHER];
    int64_t before = -1;
    int likely = 0;
    for (Py_ssize_t first = 0; first < count; first += TOGETHER) {
        Py_ssize_t end = first + TOGETHER < count ? first + TOGETHER : count, found = 0;
        while (known->count + TOGETHER > known->room)
            if (grow(known) < 0) return -1;
        for (Py_ssize_t i = first; !likely && i < end; i++)
            hashes[i - first] = hash_of(data + ends[i], ends[i + 1] - ends[i]) >> 32;
        if (!likely) foresee(known, hashes, end - first);
        for (Py_ssize_t i = first; i < end; i++) {
            const uint8_t *at = data + ends[i];
            int64_t size = ends[i + 1] - ends[i], code = before < 0 ? -1 : known->after[before];
            if (likely && code >= 0 && equal(&known->texts[code], at, size)) {
                found++;
            } else {
                int64_t own = number_of(known, at, size, likely ? hash_of(at, size) >> 32 : hashes[i - first]);
                found += own == code;
                if (before >= 0) known->after[before] = own;
                code = own;
            }
            codes[i] = before = code;
        }
        likely = 2 * found > end - first;
    }
    return 0;
}

static int within(const Py_buffer *data, const Py_buffer *offsets) {
    const int32_t *ends = offsets->buf;
    Py_ssize_t count = offsets->len / 4;
    int whole = count > 0 && offsets->len % 4 == 0 && ends[0] >= 0 && ends[count - 1] <= data->len;
    for (Py_ssize_t i = 1; whole && i < count; i++) whole = ends[i] >= ends[i - 1];
    if (!whole) PyErr_SetString(PyExc_ValueError, "offsets are not within the data; expected: ascending ones");
    return whole;
}

PyObject *code_each(PyObject *self, PyObject *arguments) {
    PyObject *columns, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "O!", &PyTuple_Type, &columns)) return NULL;
    Py_ssize_t parts = PyTuple_GET_SIZE(columns), held = 0, rows = 0;
    Py_buffer *b = PyMem_RawCalloc(2 * (size_t)parts + 1, sizeof *b);
    Known known = {0};
    if (!b) return PyErr_NoMemory();
    for (; held < parts; held++) {
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(columns, held), "y*y*", &b[2 * held], &b[2 * held + 1])) goto done;
        if (!within(&b[2 * held], &b[2 * held + 1])) {
            held++;
            goto done;
        }
        rows += b[2 * held + 1].len / 4 - 1;
    }
    result = PyByteArray_FromStringAndSize(NULL, rows * 8);
    if (!result) goto done;
    int64_t *codes = (int64_t *)PyByteArray_AS_STRING(result);
    int failed = rows >= INT32_MAX;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t part = 0; part < parts && !failed; part++) {
        Py_ssize_t count = b[2 * part + 1].len / 4 - 1;
        failed = code_column(&known, b[2 * part].buf, b[2 * part + 1].buf, count, codes) < 0;
        codes += count;
    }
    Py_END_ALLOW_THREADS
    if (failed) {
        Py_CLEAR(result);
        PyErr_NoMemory();
    }
done:
    for (Py_ssize_t i = 0; i < 2 * held; i++) PyBuffer_Release(&b[i]);
    PyMem_RawFree(b);
    PyMem_RawFree(known.slots);
    PyMem_RawFree(known.texts);
    PyMem_RawFree(known.after);
    return result;
}

/* A finite float as (-1)^negative * whole * 2^bit, `whole` below 2^53. */
typedef struct {
    uint64_t whole;
    int bit, negative;
} Parts;

static Parts parts_of(double number) {
    uint64_t bits;
    memcpy(&bits, &number, 8);
    int exponent = (int)(bits >> 52 & 0x7FF);
    uint64_t fraction = bits & 0xFFFFFFFFFFFFFu;
    return (Parts){exponent ? fraction | 1ull << 52 : fraction, exponent ? exponent - 1075 : LEAST_BIT, (int)(bits >> 63)};
}

static int floored(int bit) { return bit >= 0 ? bit / LIMB : -((LIMB - 1 - bit) / LIMB); }

/* The first and last limb that any term has; 0 where one is not finite, or where NumPy's way would round. */
static int limbs_within(const double *terms, Py_ssize_t count, int *low, int *high) {
    int least = INT32_MAX, most = INT32_MIN;
    for (Py_ssize_t i = 0; i < count; i++) {
        Parts parts = parts_of(terms[i]);
        if (!parts.whole) continue;
        if (parts.bit > 1023 - 52) return 0;
        int first = parts.bit + __builtin_ctzll(parts.whole), last = parts.bit + 63 - __builtin_clzll(parts.whole);
        if (first < least) least = first;
        if (last > most) most = last;
    }
    *low = most < least ? 0 : floored(least);
    *high = most < least ? -1 : floored(most);
    return most < least || least - LIMB * *high >= LEAST_BIT;
}

static void add_term(int64_t *sum, Py_ssize_t step, Parts parts, int low) {
    int shift = parts.bit - LIMB * low;
    if (shift < 0) { /* what is cut off is 0 */
        parts.whole >>= -shift;
        shift = 0;
    }
    sum += step * (shift / LIMB);
    unsigned __int128 rest = (unsigned __int128)parts.whole << shift % LIMB;
    for (; rest; rest >>= LIMB, sum += step) *sum += parts.negative ? -(int64_t)(uint32_t)rest : (int64_t)(uint32_t)rest;
}

PyObject *sum_each(PyObject *self, PyObject *arguments) {
    Py_buffer b[2]; /* terms of all quantities, the group of each term */
    Py_ssize_t groups;
    PyObject *result = NULL, *digits = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*n", &b[0], &b[1], &groups)) return NULL;
    const double *terms = b[0].buf;
    const int64_t *group = b[1].buf;
    Py_ssize_t count = b[1].len / 8, quantities = count ? b[0].len / 8 / count : 0;
    int low, high, whole = groups >= 0 && b[1].len % 8 == 0 && quantities * count * 8 == b[0].len;
    for (Py_ssize_t i = 0; whole && i < count; i++) whole = group[i] >= 0 && group[i] < groups;
    if (!whole) {
        PyErr_SetString(PyExc_ValueError, "terms and groups do not fit; expected: one of the groups for each term");
        goto done;
    }
    if (!limbs_within(terms, quantities * count, &low, &high)) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    Py_ssize_t step = quantities * groups;
    digits = PyByteArray_FromStringAndSize(NULL, (high - low + 1) * step * 8);
    if (!digits) goto done;
    int64_t *sums = (int64_t *)PyByteArray_AS_STRING(digits);
    Py_BEGIN_ALLOW_THREADS
    memset(sums, 0, (size_t)(high - low + 1) * (size_t)step * 8);
    for (Py_ssize_t quantity = 0; quantity < quantities; quantity++)
        for (Py_ssize_t i = 0; i < count; i++) {
            Parts parts = parts_of(terms[quantity * count + i]);
            if (parts.whole) add_term(sums + quantity * groups + group[i], step, parts, low);
        }
    Py_END_ALLOW_THREADS
    result = Py_BuildValue("iiN", low, high - low + 1, digits);
done:
    PyBuffer_Release(&b[0]);
    PyBuffer_Release(&b[1]);
    return result;
}

static uint64_t digit_of(int64_t number, int digit) {
    return ((uint64_t)number ^ 1ull << 63) >> digit * DIGIT & ((1u << DIGIT) - 1);
}

PyObject *order_each(PyObject *self, PyObject *arguments) {
    Py_buffer b;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*", &b)) return NULL;
    const int64_t *numbers = b.buf;
    Py_ssize_t count = b.len / 8;
    int64_t *spare = PyMem_RawMalloc((size_t)count * 8 + 8);
    int64_t(*starts)[1 << DIGIT] = PyMem_RawCalloc(DIGITS, sizeof *starts);
    result = PyByteArray_FromStringAndSize(NULL, count * 8);
    if (!spare || !starts || !result) {
        Py_CLEAR(result);
        PyErr_NoMemory();
        goto done;
    }
    int64_t *order = (int64_t *)PyByteArray_AS_STRING(result), *from = order, *to = spare;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        order[i] = i;
        for (int digit = 0; digit < DIGITS; digit++) starts[digit][digit_of(numbers[i], digit)]++;
    }
    for (int digit = 0; count && digit < DIGITS; digit++) {
        if (starts[digit][digit_of(numbers[0], digit)] == count) continue; /* all have the same */
        int64_t start = 0;
        for (int value = 0; value < 1 << DIGIT; value++) {
            int64_t own = starts[digit][value];
            starts[digit][value] = start;
            start += own;
        }
        for (Py_ssize_t i = 0; i < count; i++) to[starts[digit][digit_of(numbers[from[i]], digit)]++] = from[i];
        int64_t *other = from;
        from = to;
        to = other;
    }
    if (from != order) memcpy(order, from, (size_t)count * 8);
    Py_END_ALLOW_THREADS
done:
    PyMem_RawFree(spare);
    PyMem_RawFree(starts);
    PyBuffer_Release(&b);
    return result;
}
