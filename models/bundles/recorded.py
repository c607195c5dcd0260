"""From the features of receipts back to exactly what a scorer read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from models.bundles.manifest import Input
from models.errors import one_line
from schemas.columns import read_type
from schemas.errors import UnusableData
from schemas.expectations import wants
from schemas.vectors import from_bytes, of_rows, vector_of


class NotRecorded(UnusableData):
    """The features of a receipt are not those of a manifest's inputs."""


def recorded_inputs(features: Sequence[Mapping[str, Any]], inputs: Sequence[Input]) -> pa.RecordBatch:
    """The batch that a scorer read, as `prepare_inputs` made it: scored again it gives the same scores, to the bit.

    Args:
        features: of n receipts of one version, as an Avro reader gives them.
        inputs: the inputs of that version's manifest.

    Raises:
        NotRecorded: a receipt lacks an input, or has it as something else.
    """
    columns = [_column([_value(row, entry.name) for row in features], entry) for entry in inputs]
    fields = [pa.field(entry.name, column.type) for entry, column in zip(inputs, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise NotRecorded(f"input {name!r} is not in the receipt; expected: one of {', '.join(row) or 'none'}")
    return row[name]


def _column(values: Sequence[Any], entry: Input) -> pa.Array:
    vector = vector_of(entry.type)
    convert = _CONVERT.get(entry.type, lambda value: value)
    try:
        if vector is None:
            return pa.array([None if value is None else convert(value) for value in values], read_type(entry.type))
        missing = np.array([value is None for value in values], np.bool_)
        rows = np.zeros((len(values), vector.length), vector.dtype)
        for row in np.flatnonzero(~missing).tolist():
            numbers = from_bytes(values[row])
            if numbers.dtype != vector.dtype or len(numbers) != vector.length:
                raise ValueError(f"{len(numbers)} numbers of {numbers.dtype}")
            rows[row] = numbers
        return of_rows(rows, missing)
    except (ValueError, TypeError, OverflowError) as error:  # Arrow's own errors are among them
        raise NotRecorded(f"input {entry.name!r}: {one_line(error)}; {wants(entry.type)}") from None


_CONVERT: Mapping[str, Callable[[Any], Any]] = {"boolean": bool}
