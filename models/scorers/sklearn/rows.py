"""The rows of a batch as scikit-learn reads each of them alone, so that a neighbour's null does not change a column's
type."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import as_matrix
from models.bundles.manifest import Input
from schemas.columns import ZEROS

Indexes = npt.NDArray[np.int64]


def alike(batch: pa.RecordBatch) -> list[Indexes]:
    """The indexes of the rows that have nulls in the same integers and booleans; n rows in one or more groups.

    NumPy and pandas have no null in these: a column with one becomes floats for all of its rows. Rows with nothing but
    nulls form a group: IterativeImputer answers differently for a batch of them than for one among others.
    """
    nulls = [
        column.is_null().to_numpy(zero_copy_only=False)
        for column in batch.columns
        if column.null_count and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))
    ]
    if batch.num_columns and all(column.null_count for column in batch.columns):
        each = [column.is_null().to_numpy(zero_copy_only=False) for column in batch.columns]
        nulls.append(np.logical_and.reduce(each))
    if not nulls:
        return [np.arange(batch.num_rows)]
    _, group = np.unique(np.column_stack(nulls), axis=0, return_inverse=True)
    return [np.flatnonzero(group == each) for each in range(int(group.max()) + 1)]


def matrix_of(batch: pa.RecordBatch) -> npt.NDArray[Any]:
    """Rows that are alike as a matrix: of int64 if all columns are integers without nulls, else of float64."""
    if all(pa.types.is_integer(column.type) and not column.null_count for column in batch.columns):
        return np.column_stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])
    return as_matrix(batch)


def frame_of(batch: pa.RecordBatch, names: Sequence[str], none_texts: bool = False) -> Any:
    """Rows that are alike as a DataFrame with columns of these names in this order; a null is NaN.

    With `none_texts` a null text is None, in a column of objects.
    """
    columns = [batch.column(name) for name in names]
    # pandas has no boolean with nulls that scikit-learn reads; 0, 1 and NaN say the same.
    columns = [
        column.cast(pa.float64()) if pa.types.is_boolean(column.type) and column.null_count else column
        for column in columns
    ]
    frame = pa.RecordBatch.from_arrays(columns, names=list(names)).to_pandas()
    if none_texts:
        texts = {name: object for name, column in zip(names, columns, strict=True) if pa.types.is_string(column.type)}
        frame = frame.astype(texts)
        for name in texts:
            frame[name] = frame[name].where(frame[name].notna(), None)
    return frame


def ordinary_row(inputs: Sequence[Input]) -> dict[str, Any]:
    """A value for each input: its default, else zero, false or the empty text."""
    return {each.name: ZEROS[each.type] if each.default is None else each.default for each in inputs}
