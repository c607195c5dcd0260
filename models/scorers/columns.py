"""A model's columns in the order it was trained on, as tree libraries read them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.scorers.base import PartlyScored, WillNotLoad
from models.scorers.categories import Categories

UNKNOWN = "UnknownCategory"


def in_trained_order(manifest: Manifest, trained: Sequence[str] | None, count: int) -> list[str]:
    """The names of the inputs in the order the model was trained on: by name where it has names, else as they are.

    Raises:
        WillNotLoad: the manifest has other inputs, or another number of them.
    """
    names = [entry.name for entry in manifest.inputs]
    if trained is None:
        if len(names) != count:
            raise WillNotLoad(f"{manifest.scorer}: {len(names)} inputs; expected: {count}, as the model was trained")
        return names
    if sorted(trained) != sorted(names):
        allowed = ", ".join(trained)
        raise WillNotLoad(f"{manifest.scorer}: inputs {', '.join(names)}; expected: the trained {allowed}")
    return list(trained)


def strings_of(manifest: Manifest) -> list[str]:
    """The names of the inputs that are strings."""
    return [entry.name for entry in manifest.inputs if entry.type == "string"]


def trained_matrix(
    batch: pa.RecordBatch, names: Sequence[str], categories: Mapping[str, Categories], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """The columns in this order, shape (n, columns): null is NaN, a category its code, -1 if it is none of them.

    Integers are converted to floats directly: by way of a double, some would be rounded twice on their way to float32.
    """
    matrix = np.empty((batch.num_rows, len(names)), dtype=dtype)
    # A number beyond float32 becomes infinite, as it does where the library itself converts it.
    with np.errstate(over="ignore"):
        for index, name in enumerate(names):
            column = batch.column(name)
            if name in categories:
                matrix[:, index] = categories[name].codes(column)
            elif column.null_count:
                given = column.fill_null(pa.scalar(0).cast(column.type)).to_numpy(zero_copy_only=False)
                matrix[:, index] = given
                matrix[column.is_null().to_numpy(zero_copy_only=False), index] = np.nan
            else:
                matrix[:, index] = column.to_numpy(zero_copy_only=False)
    return matrix


def in_manifest_order(
    values: npt.NDArray[np.float64], names: Sequence[str], wanted: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Columns of these names, shape (n, columns), in the order that is wanted."""
    return values[:, [list(names).index(name) for name in wanted]]


def known_rows_scored(
    batch: pa.RecordBatch,
    matrix: npt.NDArray[Any],
    names: Sequence[str],
    categories: Mapping[str, Categories],
    score: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]],
) -> npt.NDArray[np.float64]:
    """The scores of a matrix of `trained_matrix`; a row with a value that is not a category has none, the others have
    theirs.

    Raises:
        PartlyScored: there are such rows; the error is `UNKNOWN`, the detail names input and value.
    """
    if not categories:
        return score(matrix)
    indexes = [index for index, name in enumerate(names) if name in categories]
    unknown = matrix[:, indexes] < 0
    rows = np.flatnonzero(unknown.any(axis=1))
    if not len(rows):
        return score(matrix)
    known = np.setdiff1d(np.arange(len(matrix)), rows)
    scores = np.full(len(matrix), np.nan)
    if len(known):
        scores[known] = score(matrix[known])
    failures = {}
    for row in rows.tolist():
        name = names[indexes[int(np.argmax(unknown[row]))]]
        failures[row] = (UNKNOWN, categories[name].unknown(batch.column(name)[row].as_py()))
    raise PartlyScored(scores, failures, unavailable=False)
