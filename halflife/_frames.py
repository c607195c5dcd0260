"""Columns of pandas, NumPy or Python as Arrow arrays that decoding reads."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.inputs import WrongInputs
from schemas.errors import UnusableData
from schemas.expectations import QUOTE, did_you_mean, wants
from schemas.formats.arrow_columns import plain
from schemas.vectors import vector_of
from transforms.decoding.python_values import column_of

_EXACT_BELOW = 2.0**53
Columns = pd.DataFrame | Mapping[str, Any]


def batch_of(frame: Columns, kinds: Mapping[str, str]) -> pa.RecordBatch:
    """The columns of these names, to be read as these kinds; a value that pandas counts as missing is null, but for NaN
    within a vector.

    Beside missing values pandas holds whole numbers as floats: where a column to be read as `integer` has missing
    values, and all others are whole, it is the whole numbers that it was.

    Raises:
        WrongInputs: a column is absent, or there are several of its name.
        UnusableData: the columns of a mapping have different lengths.
    """
    columns = {name: _of_kind(_values(frame, name), kind) for name, kind in kinds.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UnusableData(f"the columns have different lengths: {told}; expected: one length")
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def check_names(known: Iterable[Any], names: Sequence[str]) -> None:
    """Raises `WrongInputs` for a name that is not among those known, or several times."""
    listed = [str(name) for name in known]
    for name in names:
        if listed.count(name) > 1:
            raise WrongInputs(f"input {name!r}: several columns have this name; expected: one")
        if name not in listed:
            allowed = (", ".join(sorted(listed)) or "none") + did_you_mean(name, listed, QUOTE)
            raise WrongInputs(f"input {name!r} is not a column; {wants(allowed)}")


def _values(frame: Columns, name: str) -> Any:
    if isinstance(frame, pd.DataFrame):
        index = [str(each) for each in frame.columns].index(name)
        return frame.iloc[:, index]
    return next(values for key, values in frame.items() if str(key) == name)


def _of_kind(values: Any, kind: str) -> pa.Array:
    if vector_of(kind) is not None and not isinstance(values, pa.Array | pa.ChunkedArray):
        return column_of([None if _is_missing(value) else value for value in values])
    column = _column(values)
    return _as_whole(column) if kind == "integer" else column


def _column(values: Any) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return plain(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    if np.isscalar(values) or values is None or getattr(values, "ndim", 1) != 1:
        raise UnusableData(f"a column of {type(values).__name__} is not allowed; expected: one value for each row")
    return column_of(values if hasattr(values, "dtype") else list(values), _is_missing)


def _is_missing(value: Any) -> bool:
    return bool(np.ndim(value) == 0 and pd.isna(value))


def _as_whole(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type) or not column.null_count:
        return column
    fits = pc.and_(pc.equal(column, pc.trunc(column)), pc.less(pc.abs(column), _EXACT_BELOW))
    return column.cast(pa.int64()) if pc.all(fits).as_py() in (True, None) else column
