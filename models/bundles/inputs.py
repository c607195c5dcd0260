"""From the job's columns to exactly what a model reads."""

import difflib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Input
from models.errors import BundleRefused, one_line
from schemas.columns import ARROW_TYPES, TAKES, kind_of
from schemas.expectations import wants

# Rows that do not fill a vector register are added in another order, which can change the last digit of a float.
# Batches are filled up to whole registers, so that a row has the same score in each batch that it may be in.
_WHOLE_ROWS = 16


def filled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its last row repeated until whole registers are full; it must have a row."""
    missing = -batch.num_rows % _WHOLE_ROWS
    return pa.concat_batches([batch, *[batch.slice(batch.num_rows - 1)] * missing]) if missing else batch


def of_filled(scores: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.float64]:
    """The scores of the `rows` that the batch had before it was filled; an answer of any other length is returned
    unchanged."""
    return scores[:rows] if scores.shape[:1] == (rows + -rows % _WHOLE_ROWS,) else scores


class WrongInputs(BundleRefused):
    """The job lacks columns that the model reads, or has them with a type that does not fit."""

    reason: ClassVar[str] = "wrong_inputs"


def check_inputs(inputs: Sequence[Input], columns: Mapping[str, str]) -> None:
    """Check that the job's `columns` (name → type) offer every input; an integer column fits a number input.

    Raises:
        WrongInputs: naming the input, what was found and what is allowed.
    """
    for entry in inputs:
        found = columns.get(entry.name)
        if found is None:
            close = difflib.get_close_matches(entry.name, columns, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            allowed = ", ".join(sorted(columns)) or "none"
            raise WrongInputs(f"input {entry.name!r} is not a column of the job; {wants(allowed + hint)}")
        if found not in TAKES[entry.type]:
            raise WrongInputs(f"input {entry.name!r} is a column of type {found}; expected: {entry.type}")


def prepare_inputs(batch: pa.RecordBatch, inputs: Sequence[Input]) -> tuple[pa.RecordBatch, npt.NDArray[np.bool_]]:
    """The columns a model reads, in the manifest's order and types, and which rows it cannot read.

    Args:
        batch: n rows with a column for each input, and any others.
        inputs: the manifest's inputs.

    Returns:
        The prepared batch of n rows (number → float64, integer → int64, boolean → bool, string → string),
        with nulls replaced by the input's default where it has one; NaN counts as null. And a bool mask of
        shape (n,): True where an input that is not nullable is still null.

    Raises:
        WrongInputs: a column is absent or of a type that does not fit (integers fit a number).
    """
    unreadable = np.zeros(batch.num_rows, dtype=np.bool_)
    columns = []
    for entry in inputs:
        column = _typed(batch, entry)
        if column.null_count and entry.default is not None:
            column = column.fill_null(pa.scalar(entry.default, column.type))
        if column.null_count and not entry.nullable:
            unreadable |= column.is_null().to_numpy(zero_copy_only=False)
        columns.append(column)
    fields = [pa.field(entry.name, ARROW_TYPES[entry.type]) for entry in inputs]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)), unreadable


def as_matrix(batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """A prepared batch of numbers, integers and booleans as float64 of shape (n, columns); null becomes NaN.

    Raises:
        WrongInputs: a column holds strings.
    """
    matrix = np.empty((batch.num_rows, batch.num_columns), dtype=np.float64)
    for index, name in enumerate(batch.schema.names):
        matrix[:, index] = as_floats(batch.column(index), name)
    return matrix


def as_floats(column: pa.Array, name: str) -> npt.NDArray[np.float64]:
    """A prepared column of numbers, integers or booleans as float64 of shape (n,); null becomes NaN.

    Raises:
        WrongInputs: it is a column of texts.
    """
    if pa.types.is_string(column.type):
        raise WrongInputs(f"input {name!r} is a string; expected: number, integer or boolean for a matrix of floats")
    if not pa.types.is_float64(column.type):
        # Integers over 2**53 are rounded: a float matrix cannot hold them exactly.
        column = column.cast(pa.float64(), safe=False)
    floats: npt.NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return floats


def _typed(batch: pa.RecordBatch, entry: Input) -> pa.Array:
    index = batch.schema.get_field_index(entry.name)
    if index < 0:
        columns = ", ".join(batch.schema.names) or "none"
        raise WrongInputs(f"input {entry.name!r} is not a column; expected: one of {columns}")
    column = batch.column(index)
    found = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not pa.types.is_null(found) and kind_of(found) not in TAKES[entry.type]:
        raise WrongInputs(f"input {entry.name!r} is a column of {found}; expected: {entry.type}")
    wanted = ARROW_TYPES[entry.type]
    if column.type != wanted:
        try:
            column = column.cast(wanted, safe=entry.type != "number")
        except pa.ArrowInvalid as error:
            raise WrongInputs(f"input {entry.name!r} does not fit {wanted}: {one_line(error)}") from None
    if entry.type == "number" and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, wanted), column)
    return column
