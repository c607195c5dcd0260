"""Vectors: columns of so many numbers for each event, such as an embedding or the pixels of an image.

`vector[784]` holds 784 floats of 32 bits, `vector[784,float64]` as many of 64. In batches a vector is a fixed-size list
of Arrow: its numbers lie row after row, so that a tensor of shape (n, 784) is a view of the column.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

MAX_LENGTH = 65_536
"""The most numbers of a vector: a receipt holds all of them, at most half a megabyte of 64-bit floats."""
PATTERN = r"vector\[[1-9][0-9]{0,4}(,float64)?\]"
"""What the name of a kind of vectors looks like."""
FORMS = f"vector[n] (n floats of 32 bits, n up to {MAX_LENGTH}), vector[n,float64]"

_KIND = re.compile(r"vector\[([1-9][0-9]{0,4})(,float64)?\]")
_DTYPES = {"float32": "<f4", "float64": "<f8"}
_MARK = 3  # the length of a dtype's text, with which the bytes of a vector begin

Rows: TypeAlias = npt.NDArray[np.floating]


class Vector(NamedTuple):
    """A kind of vectors: how many numbers, and their type, `float32` or `float64`."""

    length: int
    element: str

    @property
    def kind(self) -> str:
        """Its name, such as `vector[784]`."""
        return f"vector[{self.length}{'' if self.element == 'float32' else ',float64'}]"

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Its numbers in NumPy."""
        return np.dtype(_DTYPES[self.element])

    @property
    def arrow_type(self) -> pa.DataType:
        """Its type in batches."""
        return pa.list_(pa.from_numpy_dtype(self.dtype), self.length)


@lru_cache(maxsize=4096)
def vector_of(kind: str) -> Vector | None:
    """The vector that a kind of column is; None for a kind with one value.

    >>> vector_of("vector[784]"), vector_of("vector[3,float64]").arrow_type, vector_of("number")
    (Vector(length=784, element='float32'), FixedSizeListType(fixed_size_list<item: double>[3]), None)
    """
    found = _KIND.fullmatch(kind)
    if found is None or int(found[1]) > MAX_LENGTH:
        return None
    return Vector(int(found[1]), "float64" if found[2] else "float32")


def is_list(found: pa.DataType) -> bool:
    """Whether it is one of Arrow's types of lists."""
    lists: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_fixed_size_list,
        pa.types.is_list,
        pa.types.is_large_list,
    )
    return any(holds(found) for holds in lists)


def vector_of_type(found: pa.DataType) -> Vector | None:
    """The vector that a column of this Arrow type holds without loss; None for a type that does not state a length, or
    holds no numbers."""
    if not pa.types.is_fixed_size_list(found) or not 1 <= found.list_size <= MAX_LENGTH:
        return None
    return _vector(found.list_size, found.value_type)


def _vector(length: int, items: pa.DataType) -> Vector | None:
    if not (pa.types.is_floating(items) or pa.types.is_integer(items)) or not 1 <= length <= MAX_LENGTH:
        return None
    return Vector(length, "float32" if items in (pa.float32(), pa.float16()) else "float64")


def with_lengths(column: pa.Array, most_common: bool = False) -> pa.Array:
    """A column of lists of numbers that are all of one length as a fixed-size list, any other column as it is; with
    `most_common` lists of other lengths than most have become null."""
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type):
        return column
    every = pc.list_value_length(column)
    lengths, counts = np.unique(every.drop_null().to_numpy(zero_copy_only=False), return_counts=True)
    if not len(lengths) or (len(lengths) > 1 and not most_common):
        return column
    vector = _vector(int(lengths[counts.argmax()]), column.type.value_type)
    if vector is None:
        return column
    if len(lengths) > 1:
        column = pc.if_else(pc.equal(every, vector.length), column, pa.scalar(None, column.type))
    return column.cast(pa.list_(column.type.value_type, vector.length))


def rows_of(column: pa.Array) -> Rows:
    """A column of vectors as rows, shape (n, length): a view without a copy where nothing is null. The row of a null is
    NaN, and so is a null in a vector; whole numbers are 64-bit floats."""
    length, items = column.type.list_size, column.flatten()  # of nulls there are none
    if pa.types.is_integer(items.type):
        items = items.cast(pa.float64(), safe=False)
    if items.null_count:
        items = items.fill_null(np.nan)
    rows: Rows = items.to_numpy(zero_copy_only=False).reshape(-1, length)
    if not column.null_count:
        return rows
    whole = np.full((len(column), length), np.nan, rows.dtype)
    whole[column.is_valid().to_numpy(zero_copy_only=False)] = rows
    return whole


def of_rows(rows: Rows, missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """The column of these rows, shape (n, length); null where `missing`. Nothing is copied where they lie in order."""
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    mask = None if missing is None or not missing.any() else pa.array(missing)
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1], mask=mask)


def to_bytes(column: pa.Array) -> pa.Array:
    """Each vector of a column as bytes (binary; null stays null): the type of its numbers as NumPy names it (`<f4`,
    `<f8`), then the numbers, little-endian.

    >>> to_bytes(of_rows(np.array([[1.0, 2.0]], np.float32)))[0].as_py()
    b'<f4\\x00\\x00\\x80?\\x00\\x00\\x00@'
    """
    vector = vector_of_type(column.type)
    if vector is None:
        raise TypeError(f"a column of {column.type}; expected: vectors")
    numbers = np.ascontiguousarray(rows_of(column), vector.dtype)
    whole = np.empty((len(column), _MARK + numbers.shape[1] * vector.dtype.itemsize), np.uint8)
    whole[:, :_MARK] = np.frombuffer(vector.dtype.str.encode(), np.uint8)
    whole[:, _MARK:] = numbers.view(np.uint8).reshape(len(column), whole.shape[1] - _MARK)
    starts = pa.py_buffer(np.arange(len(column) + 1, dtype=np.int32) * whole.shape[1])
    found = pa.Array.from_buffers(pa.binary(), len(column), [None, starts, pa.py_buffer(whole)])
    return pc.if_else(column.is_valid(), found, pa.scalar(None, pa.binary())) if column.null_count else found


def from_bytes(value: bytes) -> Rows:
    """The numbers of a vector that `to_bytes` wrote, shape (length,), to the bit.

    Raises:
        ValueError: the bytes are no vector.

    >>> from_bytes(b"<f4\\x00\\x00\\x80?\\x00\\x00\\x00@").tolist()
    [1.0, 2.0]
    """
    mark = value[:_MARK].decode("latin-1")
    if mark not in _DTYPES.values():
        raise ValueError(f"bytes that begin with {mark!r}; expected: one of {', '.join(_DTYPES.values())}")
    return np.frombuffer(value[_MARK:], np.dtype(mark))
