/* What the sources of the module share. */
#include <Python.h>
#include <stdint.h>

PyObject *skim(PyObject *self, PyObject *arguments);
