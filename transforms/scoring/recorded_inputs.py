"""What scorers read, out of receipts: the map of features as the columns of a model's inputs."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Input
from schemas.batches import TIME_TYPE
from schemas.columns import TIMESTAMP
from schemas.vectors import Vector, from_bytes, of_rows, vector_of

Indexes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_EXACT = 2.0**53


class RecordedInputs:
    """The features of n receipts, from which columns are taken by name and kind.

    Args:
        features: the field `features` of receipts of any schema: a map of text to a union.
    """

    def __init__(self, features: pa.MapArray) -> None:
        self._union = features.items
        self._codes = np.asarray(self._union.type_codes)
        self._branches = {self._union.field(code).type: code for code in range(self._union.type.num_fields)}
        self._rows = len(features)
        self._items = _items_by_name(features)

    @property
    def names(self) -> list[str]:
        """The names that any of the receipts has."""
        return list(self._items)

    def take(self, inputs: Sequence[Input]) -> tuple[list[pa.Array], Mask, list[str]]:
        """The columns of these inputs, n rows each, as a job has them; which rows have all of them (a null is had); and
        the names of those that a row lacks.

        In a row that lacks one, or has a value of another type, that value is null.
        """
        held, lacking = np.ones(self._rows, np.bool_), []
        columns = []
        for entry in inputs:
            column, has = self._column(entry.name, entry.type)
            if not has.all():
                held &= has
                lacking.append(entry.name)
            columns.append(column)
        return columns, held, lacking

    def texts(self, name: str) -> pa.Array:
        """A feature as text, such as a segment is named by; null where a receipt does not have it."""
        found, has = self._column(name, "string")
        if has.any():
            return found
        numbers, _ = self._column(name, "number")
        return pa.array([None if value is None else f"{value:g}" for value in numbers.to_pylist()], pa.string())

    def _column(self, name: str, kind: str) -> tuple[pa.Array, Mask]:
        items = self._items.get(name)
        if items is None:
            items = np.full(self._rows, -1, np.int64)
        codes = np.where(items >= 0, self._codes[np.maximum(items, 0)] if len(self._codes) else -1, -1)
        is_null = codes == self._branches.get(pa.null(), -2)
        if kind in _NUMERIC:
            column, good = self._numbers(items, codes, kind)
        else:
            column, good = self._variable(items, codes, kind)
        return column, good | is_null

    def _numbers(self, items: Indexes, codes: Indexes, kind: str) -> tuple[pa.Array, Mask]:
        """Whole numbers are numbers; a number that is whole, as early receipts have them, is a whole number."""
        wholes, of_whole = self._branch(pa.int64(), items, codes)
        doubles, of_double = self._branch(pa.float64(), items, codes)
        if kind == "number":
            values = np.where(of_whole, wholes.astype(np.float64), doubles)
            return pa.array(values, mask=~(of_whole | of_double)), of_whole | of_double
        exact = of_double & (np.abs(doubles) < _EXACT) & (doubles == np.floor(doubles))
        values = np.where(of_whole, wholes, np.where(exact, doubles, 0).astype(np.int64))
        good = of_whole | exact
        column = pa.array(values != 0 if kind == "boolean" else values, mask=~good)
        return column.cast(TIME_TYPE) if kind == TIMESTAMP else column, good

    def _branch(self, kind: pa.DataType, items: Indexes, codes: Indexes) -> tuple[npt.NDArray[np.generic], Mask]:
        code = self._branches.get(kind)
        own = codes == (-2 if code is None else code)
        if code is None or not own.any():
            return np.zeros(len(items), np.dtype(kind.to_pandas_dtype())), own
        branch = self._union.field(code)  # cells of other branches may be null: their numbers are not looked at
        values = np.frombuffer(branch.buffers()[1], kind.to_pandas_dtype())[branch.offset :]
        return values[np.where(own, self._at(items), 0)], own

    def _at(self, items: Indexes) -> Indexes:
        """Where in its branch's array an item is."""
        return items if self._union.type.mode == "sparse" else np.asarray(self._union.offsets)[np.maximum(items, 0)]

    def _variable(self, items: Indexes, codes: Indexes, kind: str) -> tuple[pa.Array, Mask]:
        vector = vector_of(kind)
        wanted = pa.string() if vector is None else pa.binary()
        code = self._branches.get(wanted)
        own = codes == (-2 if code is None else code)
        if code is None or not own.any():
            return pa.nulls(len(items), wanted if vector is None else vector.arrow_type), own
        found = self._union.field(code).take(pa.array(self._at(items), mask=~own))
        return (found, own) if vector is None else _vectors(found, vector)


def _vectors(found: pa.Array, vector: Vector) -> tuple[pa.Array, Mask]:
    """Bytes as vectors, and which of them are of this kind."""
    rows = np.zeros((len(found), vector.length), vector.dtype)
    good = np.zeros(len(found), np.bool_)
    size, mark = 3 + rows.itemsize * vector.length, vector.dtype.str.encode()
    for index, value in enumerate(found.to_pylist()):
        if value is not None and len(value) == size and value.startswith(mark):
            rows[index], good[index] = from_bytes(value), True
    return of_rows(rows, ~good), good


_NUMERIC = frozenset({"number", "integer", "boolean", TIMESTAMP})


def _items_by_name(features: pa.MapArray) -> dict[str, Indexes]:
    """By name the index of each receipt's item among all items, shape (n,); -1 where a receipt does not have it."""
    rows = len(features)
    ends = features.offsets.to_numpy()
    first, count = int(ends[0]), int(ends[-1] - ends[0])
    keys = features.keys.slice(first, count)
    width = count // rows if rows else 0
    if width and width * rows == count and _repeats(keys, width, rows) and (np.diff(ends) == width).all():
        starts = first + np.arange(rows, dtype=np.int64) * width
        return {name: starts + index for index, name in enumerate(keys.slice(0, width).to_pylist())}
    of_row = np.repeat(np.arange(rows), np.diff(ends))
    named = keys.dictionary_encode()
    codes, found = named.indices.to_numpy(zero_copy_only=False), {}
    for code, name in enumerate(named.dictionary.to_pylist()):
        items = np.flatnonzero(codes == code)
        indexes = np.full(rows, -1, np.int64)
        indexes[of_row[items]] = first + items
        found[name] = indexes
    return found


def _repeats(keys: pa.StringArray, width: int, times: int) -> bool:
    """Whether the keys are the first `width` of them, again and again: the receipts of one version are so."""
    _, offsets, data = keys.buffers()
    ends = np.frombuffer(offsets, np.int32)[keys.offset : keys.offset + len(keys) + 1]
    lengths = np.diff(ends).reshape(times, width)
    if not (lengths == lengths[0]).all():
        return False
    texts = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(times, -1)
    return bool((texts == texts[0]).all())
