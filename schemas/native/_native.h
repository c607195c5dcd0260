/* What the sources of the module share. */
#include <Python.h>
#include <stdint.h>

PyObject *skim(PyObject *self, PyObject *arguments);
PyObject *rows_put(PyObject *self, PyObject *arguments);
PyObject *rows_move(PyObject *self, PyObject *arguments);
PyObject *rows_find(PyObject *self, PyObject *arguments);
PyObject *code_each(PyObject *self, PyObject *arguments);
PyObject *sum_each(PyObject *self, PyObject *arguments);
PyObject *order_each(PyObject *self, PyObject *arguments);
