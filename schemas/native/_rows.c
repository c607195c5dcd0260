/* Which row each of many keys of 16 bytes has: a table of slots, each a key and its row + 1, or zero where it is free.
   `schemas/native/row_table.py` says what the functions do, and lets a table grow before it is full. Keys are keyed
   hashes, so that their first bytes say where to look. */

#define PY_SSIZE_T_CLEAN
#include "_native.h"
#include <string.h>

enum { KEY_SIZE = 16 };

typedef struct {
    uint8_t key[KEY_SIZE];
    int64_t row;
} Slot;

typedef struct {
    Slot *slots;
    size_t mask;
} Table;

static int as_table(const Py_buffer *held, Table *table) {
    size_t count = (size_t)held->len / sizeof(Slot);
    table->slots = held->buf;
    table->mask = count - 1;
    if (count && !(count & (count - 1)) && !((size_t)held->len % sizeof(Slot))) return 1;
    PyErr_SetString(PyExc_ValueError, "a table has no slots; expected: a power of two of 24 bytes each");
    return 0;
}

/* The slot that has a key, or the free one that it would have; NULL where there is none. */
static Slot *slot_of(const Table *table, const uint8_t *key) {
    uint64_t at;
    memcpy(&at, key, sizeof at);
    for (size_t tried = 0; tried <= table->mask; tried++) {
        Slot *slot = table->slots + ((at + tried) & table->mask);
        if (!slot->row || !memcmp(slot->key, key, KEY_SIZE)) return slot;
    }
    return NULL;
}

/* Whether there was a free slot for it. `fresh`: counts those that were not there before. */
static int put(const Table *table, const uint8_t *key, int64_t row, Py_ssize_t *fresh) {
    Slot *slot = slot_of(table, key);
    if (!slot) return 0;
    *fresh += !slot->row;
    memcpy(slot->key, key, KEY_SIZE);
    slot->row = row + 1;
    return 1;
}

static PyObject *counted(int ok, Py_ssize_t fresh) {
    if (ok) return PyLong_FromSsize_t(fresh);
    PyErr_SetString(PyExc_ValueError, "a table is full; expected: one with free slots");
    return NULL;
}

PyObject *rows_put(PyObject *self, PyObject *arguments) {
    Py_buffer b[2]; /* table, keys */
    long long first;
    Table table;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "w*y*L", &b[0], &b[1], &first)) return NULL;
    if (as_table(&b[0], &table)) {
        Py_ssize_t fresh = 0, count = b[1].len / KEY_SIZE;
        int ok = 1;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; ok && i < count; i++)
            ok = put(&table, (const uint8_t *)b[1].buf + i * KEY_SIZE, first + i, &fresh);
        Py_END_ALLOW_THREADS
        result = counted(ok, fresh);
    }
    PyBuffer_Release(&b[0]);
    PyBuffer_Release(&b[1]);
    return result;
}

PyObject *rows_move(PyObject *self, PyObject *arguments) {
    Py_buffer b[2]; /* from, to */
    Table from, to;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*w*", &b[0], &b[1])) return NULL;
    if (as_table(&b[0], &from) && as_table(&b[1], &to)) {
        Py_ssize_t fresh = 0;
        int ok = 1;
        Py_BEGIN_ALLOW_THREADS
        for (size_t i = 0; ok && i <= from.mask; i++)
            if (from.slots[i].row) ok = put(&to, from.slots[i].key, from.slots[i].row - 1, &fresh);
        Py_END_ALLOW_THREADS
        result = counted(ok, fresh);
    }
    PyBuffer_Release(&b[0]);
    PyBuffer_Release(&b[1]);
    return result;
}

PyObject *rows_find(PyObject *self, PyObject *arguments) {
    Py_buffer b[2]; /* table, keys */
    Table table;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*", &b[0], &b[1])) return NULL;
    Py_ssize_t count = b[1].len / KEY_SIZE;
    if (as_table(&b[0], &table) && (result = PyBytes_FromStringAndSize(NULL, count * 8))) {
        int64_t *rows = (int64_t *)PyBytes_AS_STRING(result);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++) {
            const Slot *slot = slot_of(&table, (const uint8_t *)b[1].buf + i * KEY_SIZE);
            rows[i] = slot ? slot->row - 1 : -1;
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&b[0]);
    PyBuffer_Release(&b[1]);
    return result;
}
