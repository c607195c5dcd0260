"""A model's columns in the order it was trained on, as the libraries of trees read them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from models.inputs import as_matrix
from models.manifest import Manifest
from models.scorers.base import WillNotLoad


def in_trained_order(manifest: Manifest, trained: Sequence[str] | None, count: int) -> list[str]:
    """The names of the inputs in the order the model was trained on: by name where it has names, else as they are.

    Raises:
        WillNotLoad: the manifest's inputs are others, or not as many.
    """
    names = [entry.name for entry in manifest.inputs]
    if trained is None:
        if len(names) != count:
            raise WillNotLoad(f"{manifest.scorer}: {len(names)} inputs; allowed: {count}, as the model was trained")
        return names
    if sorted(trained) != sorted(names):
        allowed = ", ".join(trained)
        raise WillNotLoad(f"{manifest.scorer}: inputs {', '.join(names)}; allowed: the trained {allowed}")
    return list(trained)


def strings_of(manifest: Manifest) -> list[str]:
    """The names of the inputs that are strings."""
    return [entry.name for entry in manifest.inputs if entry.type == "string"]


def trained_columns(batch: pa.RecordBatch, names: Sequence[str], categories: bool) -> Any:
    """The columns in this order: a float64 matrix, null as NaN; with `categories` a DataFrame in which strings
    are categories, for libraries that know their codes."""
    ordered = batch.select(list(names))
    if not categories:
        return as_matrix(ordered)
    columns = [
        column.dictionary_encode() if pa.types.is_string(column.type) else column.cast(pa.float64(), safe=False)
        for column in ordered.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(names)).to_pandas()
