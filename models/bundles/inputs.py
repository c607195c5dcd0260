"""From the job's columns to exactly what a model reads."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Input
from models.errors import BundleRefused, one_line
from schemas.columns import ARROW_TYPES, TAKES, TIMESTAMP, kind_of, read_type
from schemas.expectations import QUOTE, did_you_mean, wants
from schemas.vectors import of_rows, rows_of, vector_of

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
            hint = did_you_mean(entry.name, columns, QUOTE)
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
        The prepared batch of n rows (number → float64, integer → int64, boolean → bool, string → string, timestamp →
        int64 microseconds since 1970, vectors → fixed-size lists of their floats), with nulls replaced by the
        input's default where it has one; NaN counts as null, and so does a vector with a null or NaN in it. And a
        bool mask of shape (n,): True where an input that is not nullable is still null.

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
    fields = [pa.field(entry.name, read_type(entry.type)) for entry in inputs]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)), unreadable


def width_of(inputs: Sequence[Input]) -> int:
    """How many numbers a row of these inputs has: one for each, of a vector its length."""
    return sum(1 if vector is None else vector.length for vector in (vector_of(entry.type) for entry in inputs))


def as_matrix(batch: pa.RecordBatch) -> npt.NDArray[np.floating]:
    """A prepared batch of numbers, integers, booleans and vectors as float64 of shape (n, width); null becomes NaN.

    A single column of vectors is its own matrix, in the type of its floats: a view of the column without a copy.

    Raises:
        WrongInputs: a column holds strings.
    """
    if batch.num_columns == 1 and pa.types.is_fixed_size_list(batch.column(0).type):
        return rows_of(batch.column(0))
    if any(pa.types.is_fixed_size_list(column.type) for column in batch.columns):
        named = zip(batch.schema.names, batch.columns, strict=True)
        return np.column_stack([_floats(column, name) for name, column in named])
    matrix = np.empty((batch.num_rows, batch.num_columns), dtype=np.float64)
    for index, name in enumerate(batch.schema.names):
        matrix[:, index] = as_floats(batch.column(index), name)
    return matrix


def _floats(column: pa.Array, name: str) -> npt.NDArray[np.float64]:
    """As float64 of shape (n,), of vectors (n, length)."""
    is_vector = pa.types.is_fixed_size_list(column.type)
    return rows_of(column).astype(np.float64) if is_vector else as_floats(column, name)


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
    if entry.type == TIMESTAMP and pa.types.is_int64(found):  # as it is read already
        return column
    if not pa.types.is_null(found) and kind_of(found) not in TAKES[entry.type]:
        raise WrongInputs(f"input {entry.name!r} is a column of {found}; expected: {entry.type}")
    wanted = ARROW_TYPES[entry.type]
    if vector_of(entry.type) is not None:
        return _vectors(column, wanted)
    if column.type != wanted:
        try:
            column = column.cast(wanted, safe=entry.type not in ("number", TIMESTAMP))
        except pa.ArrowInvalid as error:
            raise WrongInputs(f"input {entry.name!r} does not fit {wanted}: {one_line(error)}") from None
    if entry.type == TIMESTAMP:
        return column.cast(pa.int64())
    if entry.type == "number" and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, wanted), column)
    return column


def _vectors(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Vectors of as many numbers, rounded where 64 bits become 32; one with a null or NaN in it becomes null."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), wanted)
    rows = rows_of(column)
    odd = bool(np.isnan(rows).any())
    if column.type == wanted and not column.null_count and not odd:
        return column
    with np.errstate(over="ignore"):  # what 32 bits cannot hold becomes infinite
        rounded = rows.astype(wanted.value_type.to_pandas_dtype(), copy=False)
    return of_rows(rounded, np.isnan(rounded).any(axis=1) if odd else None)
