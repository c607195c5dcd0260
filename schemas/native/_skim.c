/* Avro records back to back, walked without being decoded: where each ends, and the values of a few of its fields.
   `schemas/native/skimming.py` says how a schema is written as numbers. Whatever is not as `schemas/avro/values.py`
   demands ends the walk: that module then says what it is. */

#define PY_SSIZE_T_CLEAN
#include "_native.h"
#include <string.h>

enum { NUL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, STRING, ENUM, ARRAY, MAP, UNION, RECORD };
enum { NOTHING, TEXT, NUMBER };

/* What is wanted of a field of the records, and what was found: where each text begins (-1: null) and its size, or
   each number. */
typedef struct {
    int32_t kind;
    int64_t *first;
    int64_t *size;
} Wanted;

typedef struct {
    const int32_t *program;
    const uint8_t *data;
    int64_t end;
} Walk;

/* Each of these returns where the value ends, -1 where it is not as it should be. */
static int64_t long_at(const Walk *walk, int64_t at, int64_t *value) {
    uint64_t found = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (at >= walk->end) return -1;
        uint8_t byte = walk->data[at++];
        if (shift == 63 && byte > 1) return -1;
        found |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = (int64_t)(found >> 1) ^ -(int64_t)(found & 1);
            return at;
        }
    }
    return -1;
}

static int64_t sized(const Walk *walk, int64_t at, int64_t *size) {
    at = long_at(walk, at, size);
    return at < 0 || *size < 0 || *size > walk->end - at ? -1 : at;
}

/* RFC 3629, as Python decodes it: nothing longer than it must be, no surrogates, nothing beyond U+10FFFF. */
static int is_utf8(const uint8_t *text, int64_t size) {
    int64_t i = 0;
    while (i < size) {
        if (size - i >= 8) {
            uint64_t eight;
            memcpy(&eight, text + i, 8);
            if (!(eight & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        uint8_t c = text[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || more >= size - i) return 0;
        uint8_t next = text[i + 1];
        uint8_t least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (next < least || next > most) return 0;
        for (int k = 2; k <= more; k++)
            if ((text[i + k] & 0xc0) != 0x80) return 0;
        i += more + 1;
    }
    return 1;
}

static int64_t text_at(const Walk *walk, int64_t at) {
    int64_t size;
    at = sized(walk, at, &size);
    return at < 0 || !is_utf8(walk->data + at, size) ? -1 : at + size;
}

static int64_t walked(const Walk *walk, int32_t node, int64_t at);

static int64_t items(const Walk *walk, int32_t item, int is_map, int64_t at) {
    while (1) {
        int64_t count, bytes;
        at = long_at(walk, at, &count);
        if (at < 0 || count == 0) return at;
        if (count < 0) {
            if (count == INT64_MIN || (at = long_at(walk, at, &bytes)) < 0) return -1;
            count = -count;
        }
        for (int64_t i = 0; i < count; i++) {
            int64_t before = at;
            if (is_map) at = text_at(walk, at);
            if (at >= 0) at = walked(walk, item, at);
            if (at <= before) return -1; /* of items without bytes there could be any number */
        }
    }
}

/* A node is its kind, how many numbers follow, and those: the nodes within it, or of an enum its number of symbols. */
static int64_t walked(const Walk *walk, int32_t node, int64_t at) {
    const int32_t *own = walk->program + node;
    int64_t value;
    switch (own[0]) {
    case NUL:
        return at;
    case BOOLEAN:
        return at < walk->end && walk->data[at] <= 1 ? at + 1 : -1;
    case INT:
        at = long_at(walk, at, &value);
        return at >= 0 && value >= INT32_MIN && value <= INT32_MAX ? at : -1;
    case LONG:
        return long_at(walk, at, &value);
    case FLOAT:
        return walk->end - at >= 4 ? at + 4 : -1;
    case DOUBLE:
        return walk->end - at >= 8 ? at + 8 : -1;
    case BYTES:
        at = sized(walk, at, &value);
        return at < 0 ? -1 : at + value;
    case STRING:
        return text_at(walk, at);
    case ENUM:
        at = long_at(walk, at, &value);
        return at >= 0 && value >= 0 && value < own[2] ? at : -1;
    case ARRAY:
    case MAP:
        return items(walk, own[2], own[0] == MAP, at);
    case UNION:
        at = long_at(walk, at, &value);
        return at >= 0 && value >= 0 && value < own[1] ? walked(walk, own[2 + value], at) : -1;
    case RECORD:
        for (int32_t i = 0; i < own[1] && at >= 0; i++) at = walked(walk, own[2 + i], at);
        return at;
    default:
        return -1;
    }
}

/* Reads what is wanted of a field that begins here: a text or a number, or a union of null and such. */
static int64_t taken(const Walk *walk, int32_t node, int64_t at, const Wanted *wanted, int64_t row) {
    const int32_t *own = walk->program + node;
    int64_t value;
    if (own[0] == UNION) {
        at = long_at(walk, at, &value);
        if (at < 0 || value < 0 || value >= own[1]) return -1;
        own = walk->program + own[2 + value];
    }
    wanted->first[row] = -1;
    if (own[0] == NUL) {
        if (wanted->size) wanted->size[row] = 0;
        return wanted->kind == TEXT ? at : -1;
    }
    if (wanted->kind == NUMBER) return own[0] == LONG ? long_at(walk, at, &wanted->first[row]) : -1;
    if (own[0] != STRING || (at = sized(walk, at, &value)) < 0 || !is_utf8(walk->data + at, value)) return -1;
    wanted->first[row] = at;
    wanted->size[row] = value;
    return at + value;
}

static int walk_all(const Walk *walk, int64_t records, const Wanted *wanted, int64_t *ends) {
    const int32_t *root = walk->program;
    int64_t at = 0;
    ends[0] = 0;
    for (int64_t row = 0; row < records; row++) {
        for (int32_t i = 0; i < root[1]; i++) {
            int32_t node = root[2 + i];
            at = wanted[i].kind ? taken(walk, node, at, &wanted[i], row) : walked(walk, node, at);
            if (at < 0) return 0;
        }
        ends[row + 1] = at;
    }
    return at == walk->end;
}

/* Texts as Arrow keeps them: back to back, with 32-bit offsets, and which are there (a bit each). */
static PyObject *as_texts(const uint8_t *data, const Wanted *wanted, int64_t records) {
    int64_t bytes = 0, nulls = 0;
    for (int64_t row = 0; row < records; row++) bytes += wanted->size[row];
    if (bytes > INT32_MAX) return PyErr_NoMemory();
    PyObject *text = PyBytes_FromStringAndSize(NULL, bytes);
    PyObject *offsets = PyBytes_FromStringAndSize(NULL, 4 * (records + 1));
    PyObject *there = PyBytes_FromStringAndSize(NULL, (records + 7) / 8);
    if (!text || !offsets || !there) {
        Py_XDECREF(text);
        Py_XDECREF(offsets);
        Py_XDECREF(there);
        return NULL;
    }
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(text), *bits = (uint8_t *)PyBytes_AS_STRING(there);
    int32_t *at = (int32_t *)PyBytes_AS_STRING(offsets), end = 0;
    memset(bits, 0, (records + 7) / 8);
    for (int64_t row = 0; row < records; row++) {
        at[row] = end;
        if (wanted->first[row] < 0) {
            nulls++;
            continue;
        }
        bits[row / 8] |= 1 << row % 8;
        memcpy(to + end, data + wanted->first[row], wanted->size[row]);
        end += (int32_t)wanted->size[row];
    }
    at[records] = end;
    return Py_BuildValue("(NNNL)", text, offsets, there, nulls);
}

static PyObject *told(const Walk *walk, const Wanted *wanted, const int64_t *ends, int64_t records) {
    PyObject *columns = PyList_New(0);
    for (int32_t i = 0; columns && i < walk->program[1]; i++) {
        if (!wanted[i].kind) continue;
        PyObject *column = wanted[i].kind == TEXT
                               ? as_texts(walk->data, &wanted[i], records)
                               : PyBytes_FromStringAndSize((const char *)wanted[i].first, 8 * records);
        if (!column || PyList_Append(columns, column) < 0) Py_CLEAR(columns);
        Py_XDECREF(column);
    }
    if (!columns) return NULL;
    PyObject *offsets = PyBytes_FromStringAndSize((const char *)ends, 8 * (records + 1));
    return offsets ? Py_BuildValue("(NN)", offsets, columns) : (Py_DECREF(columns), NULL);
}

/* Whether a node that begins here is whole and of a kind that there is. */
static int is_node(const int32_t *all, int64_t numbers, int64_t at) {
    if (at + 2 > numbers || all[at] < NUL || all[at] > RECORD || all[at + 1] < 0 || all[at + 1] > numbers - at - 2)
        return 0;
    return !(all[at] == ENUM || all[at] == ARRAY || all[at] == MAP) || all[at + 1] == 1;
}

static int is_linked(const int32_t *all, int64_t numbers, uint8_t *begins) {
    for (int64_t at = 0; at < numbers; at += 2 + (int64_t)all[at + 1]) {
        if (!is_node(all, numbers, at)) return 0;
        begins[at] = 1;
    }
    for (int64_t at = 0; at < numbers; at += 2 + (int64_t)all[at + 1])
        for (int32_t i = 0; all[at] != ENUM && i < all[at + 1]; i++) {
            int64_t within = all[at + 2 + i];
            if (within <= at || within >= numbers || !begins[within]) return 0; /* what is within comes later */
        }
    return 1;
}

/* Nothing that is read of a program is outside of it. */
static int is_program(const Py_buffer *program, const Py_buffer *wanted) {
    int64_t numbers = program->len / 4;
    const int32_t *all = program->buf, *kinds = wanted->buf;
    if (numbers < 2 || program->len % 4 || all[0] != RECORD || wanted->len != 4 * (int64_t)all[1]) return 0;
    for (int32_t i = 0; i < all[1]; i++)
        if (kinds[i] < NOTHING || kinds[i] > NUMBER) return 0;
    uint8_t *begins = PyMem_RawCalloc(numbers, 1);
    if (!begins) return 0;
    int linked = is_linked(all, numbers, begins);
    PyMem_RawFree(begins);
    return linked;
}

PyObject *skim(PyObject *self, PyObject *arguments) {
    Py_buffer b[3]; /* program, data, what is wanted of each field */
    long long records;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*Ly*", &b[0], &b[1], &records, &b[2])) return NULL;
    if (!is_program(&b[0], &b[2]) || records < 0 || records > b[1].len) {
        for (int i = 0; i < 3; i++) PyBuffer_Release(&b[i]);
        Py_RETURN_NONE;
    }
    Walk walk = {b[0].buf, b[1].buf, b[1].len};
    int32_t fields = walk.program[1];
    const int32_t *kinds = b[2].buf;
    Wanted *wanted = PyMem_RawCalloc(fields + 1, sizeof(Wanted));
    int64_t *ends = PyMem_RawMalloc(8 * (records + 1));
    int ok = wanted && ends;
    for (int32_t i = 0; ok && i < fields; i++) {
        wanted[i].kind = kinds[i];
        if (kinds[i]) ok = (wanted[i].first = PyMem_RawMalloc(8 * (records + 1))) != NULL;
        if (ok && kinds[i] == TEXT) ok = (wanted[i].size = PyMem_RawMalloc(8 * (records + 1))) != NULL;
    }
    if (!ok) {
        PyErr_NoMemory();
    } else {
        Py_BEGIN_ALLOW_THREADS
        ok = walk_all(&walk, records, wanted, ends);
        Py_END_ALLOW_THREADS
        result = ok ? told(&walk, wanted, ends, records) : Py_NewRef(Py_None);
    }
    for (int32_t i = 0; wanted && i < fields; i++) {
        PyMem_RawFree(wanted[i].first);
        PyMem_RawFree(wanted[i].size);
    }
    PyMem_RawFree(wanted);
    PyMem_RawFree(ends);
    for (int i = 0; i < 3; i++) PyBuffer_Release(&b[i]);
    return result;
}
