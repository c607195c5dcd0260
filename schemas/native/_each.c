/* Hashes and ciphers of each value of a batch, without the interpreter's lock: the calls of `hashlib`, `hmac` and
   `cryptography` that Python makes one by one. All algorithms are OpenSSL's. `schemas/native/each.py` says what each
   function does; without this module its callers do the same in Python (tests/schemas/native). */

#define PY_SSIZE_T_CLEAN
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init and others: EVP's cost as much as a short message */
#include "_native.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#define HASH 32
#define BLOCK 64
#define KEY 32
#define NONCE 12
#define TAG 16

static EVP_CIPHER *gcm;
static EVP_MAC *blake2b;

/* Values back to back: value i is data[at[i]] to data[at[i + 1]]. */
typedef struct {
    const uint8_t *data;
    const int64_t *at;
    Py_ssize_t count;
} Values;

static int as_values(const Py_buffer *data, const Py_buffer *offsets, Values *found) {
    found->data = data->buf;
    found->at = offsets->buf;
    found->count = offsets->len / 8 - 1;
    if (offsets->len % 8 || found->count < 0) {
        PyErr_SetString(PyExc_ValueError, "offsets are no 64-bit numbers; expected: one more than there are values");
        return -1;
    }
    for (Py_ssize_t i = 0; i <= found->count; i++)
        if (found->at[i] < (i ? found->at[i - 1] : 0) || found->at[i] > data->len) {
            PyErr_SetString(PyExc_ValueError, "offsets are not within the data; expected: ascending ones");
            return -1;
        }
    return 0;
}

static size_t size_of(const Values *values, Py_ssize_t i) { return (size_t)(values->at[i + 1] - values->at[i]); }

static const uint8_t *value_of(const Values *values, Py_ssize_t i) { return values->data + values->at[i]; }

static void release(Py_buffer *buffers, int count) {
    for (int i = 0; i < count; i++) PyBuffer_Release(&buffers[i]);
}

static PyObject *sha256_each(PyObject *self, PyObject *arguments) {
    Py_buffer b[3];
    Values values;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*", &b[0], &b[1], &b[2])) return NULL;
    if (as_values(&b[1], &b[2], &values) < 0) goto done;
    result = PyBytes_FromStringAndSize(NULL, values.count * HASH);
    if (!result) goto done;
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < values.count; i++) {
        SHA256_CTX hash;
        SHA256_Init(&hash);
        SHA256_Update(&hash, b[0].buf, (size_t)b[0].len);
        SHA256_Update(&hash, value_of(&values, i), size_of(&values, i));
        SHA256_Final(out + i * HASH, &hash);
    }
    Py_END_ALLOW_THREADS
done:
    release(b, 3);
    return result;
}

/* The root over some hashes, at least one, which are overwritten. */
static const uint8_t *root_over(uint8_t *level, Py_ssize_t count) {
    while (count > 1) {
        Py_ssize_t pairs = count / 2;
        for (Py_ssize_t i = 0; i < pairs; i++) {
            SHA256_CTX hash;
            SHA256_Init(&hash);
            SHA256_Update(&hash, "\1", 1);
            SHA256_Update(&hash, level + 2 * i * HASH, 2 * HASH);
            SHA256_Final(level + i * HASH, &hash);
        }
        if (count & 1) memmove(level + pairs * HASH, level + (count - 1) * HASH, HASH);
        count = pairs + (count & 1);
    }
    return level;
}

static PyObject *tree_roots(PyObject *self, PyObject *arguments) {
    Py_buffer b[1];
    Py_ssize_t rows;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*n", &b[0], &rows)) return NULL;
    Py_ssize_t count = b[0].len / HASH;
    if (rows < 1) {
        PyErr_SetString(PyExc_ValueError, "a block has no rows; expected: at least one");
        goto done;
    }
    rows = rows < count ? rows : count;
    uint8_t *level = PyMem_RawMalloc(rows * HASH + 1);
    result = level ? PyBytes_FromStringAndSize(NULL, count ? (count + rows - 1) / rows * HASH : 0) : PyErr_NoMemory();
    if (!result) {
        PyMem_RawFree(level);
        goto done;
    }
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t first = 0; first < count; first += rows, out += HASH) {
        Py_ssize_t own = count - first < rows ? count - first : rows;
        memcpy(level, (const uint8_t *)b[0].buf + first * HASH, own * HASH);
        memcpy(out, root_over(level, own), HASH);
    }
    PyMem_RawFree(level);
    Py_END_ALLOW_THREADS
done:
    release(b, 1);
    return result;
}

/* A stable sort of 64-bit numbers by their digits, the last first. */
enum { DIGIT_BITS = 11, DIGITS = 6, OF_DIGIT = 1 << DIGIT_BITS };

typedef struct {
    uint64_t key;
    uint32_t row;
} Keyed;

static size_t digit_of(uint64_t key, int digit) { return key >> (digit * DIGIT_BITS) & (OF_DIGIT - 1); }

static void by_digits(Keyed *from, Keyed *to, Py_ssize_t count, uint32_t *out) {
    for (int digit = 0; digit < DIGITS; digit++) {
        uint32_t before[OF_DIGIT] = {0}, at = 0;
        for (Py_ssize_t i = 0; i < count; i++) before[digit_of(from[i].key, digit)]++;
        for (int i = 0; i < OF_DIGIT; i++) {
            uint32_t own = before[i];
            before[i] = at;
            at += own;
        }
        for (Py_ssize_t i = 0; i < count; i++) to[before[digit_of(from[i].key, digit)]++] = from[i];
        Keyed *other = from;
        from = to;
        to = other;
    }
    for (Py_ssize_t i = 0; i < count; i++) out[i] = from[i].row;
}

static PyObject *order_of(PyObject *self, PyObject *arguments) {
    Py_buffer b[1];
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*", &b[0])) return NULL;
    Py_ssize_t count = b[0].len / 8;
    if (b[0].len % 8 || count > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "numbers are no 64-bit ones, or too many; allowed: at most 2147483647");
        goto done;
    }
    Keyed *held = PyMem_RawMalloc(2 * (count + 1) * sizeof(Keyed));
    result = held ? PyBytes_FromStringAndSize(NULL, count * 4) : PyErr_NoMemory();
    if (result) {
        const uint64_t *keys = b[0].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++) held[i] = (Keyed){keys[i], (uint32_t)i};
        by_digits(held, held + count, count, (uint32_t *)PyBytes_AS_STRING(result));
        Py_END_ALLOW_THREADS
    }
    PyMem_RawFree(held);
done:
    release(b, 1);
    return result;
}

/* HMAC-SHA256 (RFC 2104) with a key of at most a block: the two hashes once they have taken the key. */
static void keyed(const uint8_t *key, size_t size, SHA256_CTX *inner, SHA256_CTX *outer) {
    uint8_t pad[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) pad[i] = (i < size ? key[i] : 0) ^ 0x36;
    SHA256_Init(inner);
    SHA256_Update(inner, pad, BLOCK);
    for (size_t i = 0; i < BLOCK; i++) pad[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(outer);
    SHA256_Update(outer, pad, BLOCK);
    OPENSSL_cleanse(pad, BLOCK);
}

static void hmac_end(SHA256_CTX *inner, SHA256_CTX *outer, uint8_t *out) {
    uint8_t hashed[HASH];
    SHA256_Final(hashed, inner);
    SHA256_Update(outer, hashed, HASH);
    SHA256_Final(out, outer);
}

static PyObject *hmac_each(PyObject *self, PyObject *arguments) {
    Py_buffer b[4];
    Values values;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*", &b[0], &b[1], &b[2], &b[3])) return NULL;
    if (as_values(&b[2], &b[3], &values) < 0) goto done;
    if (b[0].len > BLOCK) {
        PyErr_SetString(PyExc_ValueError, "a key is too long; allowed: at most 64 bytes");
        goto done;
    }
    result = PyBytes_FromStringAndSize(NULL, values.count * HASH);
    if (!result) goto done;
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
    Py_BEGIN_ALLOW_THREADS
    SHA256_CTX first, last;
    keyed(b[0].buf, (size_t)b[0].len, &first, &last);
    SHA256_Update(&first, b[1].buf, (size_t)b[1].len);
    for (Py_ssize_t i = 0; i < values.count; i++) {
        SHA256_CTX inner = first, outer = last;
        SHA256_Update(&inner, value_of(&values, i), size_of(&values, i));
        hmac_end(&inner, &outer, out + i * HASH);
    }
    OPENSSL_cleanse(&first, sizeof first);
    OPENSSL_cleanse(&last, sizeof last);
    Py_END_ALLOW_THREADS
done:
    release(b, 4);
    return result;
}

/* What encrypts the values of receipts; see models/privacy/ciphers.py. */
typedef struct {
    const Py_buffer *key_for, *label, *beside;
    EVP_MAC_CTX *mac;
    EVP_CIPHER_CTX *cipher;
} Sealing;

typedef struct {
    const uint8_t *bytes;
    size_t size;
} Piece;

/* `bound`: what is authenticated with the value. */
static int seal_value(const Sealing *by, const uint8_t *key, Piece id, Piece bound, Piece value, uint8_t *out) {
    uint8_t own[HASH];
    size_t size;
    int moved;
    SHA256_CTX inner, outer;
    keyed(key, KEY, &inner, &outer);
    SHA256_Update(&inner, by->key_for->buf, (size_t)by->key_for->len);
    SHA256_Update(&inner, id.bytes, id.size);
    SHA256_Update(&inner, "\1", 1);
    hmac_end(&inner, &outer, own);
    int ok = EVP_MAC_init(by->mac, key, KEY, NULL) && EVP_MAC_update(by->mac, bound.bytes, bound.size);
    ok = ok && EVP_MAC_update(by->mac, value.bytes, value.size) && EVP_MAC_final(by->mac, out, &size, NONCE);
    ok = ok && EVP_EncryptInit_ex2(by->cipher, NULL, own, out, NULL);
    ok = ok && EVP_EncryptUpdate(by->cipher, NULL, &moved, bound.bytes, (int)bound.size);
    uint8_t *text = out + NONCE;
    ok = ok && EVP_EncryptUpdate(by->cipher, text, &moved, value.bytes, (int)value.size);
    ok = ok && EVP_EncryptFinal_ex(by->cipher, text + value.size, &moved);
    ok = ok && EVP_CIPHER_CTX_ctrl(by->cipher, EVP_CTRL_AEAD_GET_TAG, TAG, text + value.size);
    OPENSSL_cleanse(own, HASH);
    OPENSSL_cleanse(&inner, sizeof inner);
    OPENSSL_cleanse(&outer, sizeof outer);
    return ok;
}

/* Label, a zero byte, id and what stands beside the value, in `to`. */
static Piece bound_to(const Sealing *by, Piece id, Py_ssize_t row, uint8_t *to) {
    size_t size = (size_t)by->label->len;
    memcpy(to, by->label->buf, size);
    to[size++] = 0;
    memcpy(to + size, id.bytes, id.size);
    size += id.size;
    if (by->beside->len) {
        memcpy(to + size, (const uint8_t *)by->beside->buf + (by->beside->len == HASH ? 0 : row * HASH), HASH);
        size += HASH;
    }
    return (Piece){to, size};
}

static int seal_all(
    const Sealing *by, const uint8_t *keys, const int32_t *rows, const Values *ids, const Values *values,
    const Py_buffer *person, uint8_t *out
) {
    size_t nonce = NONCE;
    OSSL_PARAM settings[] = {
        OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &nonce),
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_CUSTOM, person->buf, (size_t)person->len),
        OSSL_PARAM_construct_end(),
    };
    int ok = by->mac && by->cipher && EVP_MAC_CTX_set_params(by->mac, settings) &&
             EVP_EncryptInit_ex2(by->cipher, gcm, NULL, NULL, NULL);
    size_t longest = 0;
    for (Py_ssize_t i = 0; i < ids->count; i++) longest = size_of(ids, i) > longest ? size_of(ids, i) : longest;
    uint8_t *bound = PyMem_RawMalloc((size_t)by->label->len + 1 + longest + HASH);
    for (Py_ssize_t i = 0; ok && bound && i < values->count; i++) {
        Piece id = {value_of(ids, i), size_of(ids, i)}, value = {value_of(values, i), size_of(values, i)};
        ok = seal_value(by, keys + (size_t)rows[i] * KEY, id, bound_to(by, id, i, bound), value, out);
        out += value.size + NONCE + TAG;
    }
    PyMem_RawFree(bound);
    return ok && bound;
}

static int fits(const Py_buffer *keys, const Py_buffer *rows, const Values *ids, const Values *values,
                const Py_buffer *beside) {
    int whole = !(keys->len % KEY) && rows->len == values->count * 4 && ids->count == values->count;
    whole = whole && (!beside->len || beside->len == HASH || beside->len == values->count * HASH);
    for (Py_ssize_t i = 0; whole && i < values->count; i++) {
        int32_t row = ((const int32_t *)rows->buf)[i];
        whole = row >= 0 && row < keys->len / KEY && size_of(values, i) < INT32_MAX && size_of(ids, i) < INT32_MAX;
    }
    if (!whole) PyErr_SetString(PyExc_ValueError, "keys, ids and values differ in number; expected: one of each");
    return whole;
}

static PyObject *encrypt_each(PyObject *self, PyObject *arguments) {
    Py_buffer b[10]; /* keys, rows, ids, their offsets, label, values, their offsets, beside, what keys are for, person */
    Values ids, values;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*y*y*y*y*", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &b[6], &b[7],
                          &b[8], &b[9]))
        return NULL;
    if (as_values(&b[2], &b[3], &ids) < 0 || as_values(&b[5], &b[6], &values) < 0) goto done;
    if (!fits(&b[0], &b[1], &ids, &values, &b[7])) goto done;
    int64_t bytes = values.at[values.count] - values.at[0];
    result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes + values.count * (NONCE + TAG));
    if (!result) goto done;
    int ok;
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
    Py_BEGIN_ALLOW_THREADS
    Sealing by = {&b[8], &b[4], &b[7], EVP_MAC_CTX_new(blake2b), EVP_CIPHER_CTX_new()};
    ok = seal_all(&by, b[0].buf, b[1].buf, &ids, &values, &b[9], out);
    EVP_MAC_CTX_free(by.mac);
    EVP_CIPHER_CTX_free(by.cipher);
    Py_END_ALLOW_THREADS
    if (!ok) {
        Py_CLEAR(result);
        PyErr_SetString(PyExc_RuntimeError, "OpenSSL cannot encrypt; expected: AES-256-GCM and BLAKE2b are there");
    }
done:
    release(b, 10);
    return result;
}

static PyMethodDef methods[] = {
    {"sha256_each", sha256_each, METH_VARARGS, NULL},
    {"tree_roots", tree_roots, METH_VARARGS, NULL},
    {"order_of", order_of, METH_VARARGS, NULL},
    {"hmac_each", hmac_each, METH_VARARGS, NULL},
    {"encrypt_each", encrypt_each, METH_VARARGS, NULL},
    {"skim", skim, METH_VARARGS, NULL},
    {"rows_put", rows_put, METH_VARARGS, NULL},
    {"rows_move", rows_move, METH_VARARGS, NULL},
    {"rows_find", rows_find, METH_VARARGS, NULL},
    {"code_each", code_each, METH_VARARGS, NULL},
    {"sum_each", sum_each, METH_VARARGS, NULL},
    {"order_each", order_each, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_each", NULL, -1, methods};

PyMODINIT_FUNC PyInit__each(void) {
    gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    blake2b = EVP_MAC_fetch(NULL, "BLAKE2BMAC", NULL);
    if (!gcm || !blake2b) {
        PyErr_SetString(PyExc_ImportError, "OpenSSL has no AES-256-GCM or no BLAKE2b");
        return NULL;
    }
    return PyModule_Create(&definition);
}
