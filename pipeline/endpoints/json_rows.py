"""Record batches as JSON objects, one a row: what topics and people get."""

from collections.abc import Callable, Mapping
from datetime import UTC
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

_ENCODER = msgspec.json.Encoder()  # times in RFC 3339, bytes in base64, what is no finite number as null


def json_rows(batch: pa.RecordBatch) -> list[bytes]:
    """Each row as one JSON object in UTF-8: times in RFC 3339 UTC, bytes in base64, maps as objects, NaN as null.

    Columns become Python values as a whole; only the objects themselves are made row by row.
    """
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    rows = zip(*columns, strict=True)
    return [_ENCODER.encode(dict(zip(names, row, strict=True))) for row in rows]


def _values(column: pa.Array) -> list[Any]:
    if column.null_count == 0:
        for holds, convert in _CONVERTERS.items():
            if holds(column.type):
                return convert(column)
    values: list[Any] = column.to_pylist()
    return values


def _times(column: pa.Array) -> list[Any]:
    """Through numpy: Arrow looks up the time zone for each."""
    return [time.replace(tzinfo=UTC) for time in column.cast(pa.int64()).to_numpy().astype("datetime64[us]").tolist()]


def _maps(column: pa.Array) -> list[dict[str, Any]]:
    keys, values, starts = _through_numpy(column.keys), _union_values(column.items), column.offsets.to_numpy().tolist()
    return [dict(zip(keys[start:end], values[start:end], strict=True)) for start, end in pairwise(starts)]


def _union_values(values: pa.UnionArray) -> list[Any]:
    """Of a sparse union; a column of numbers, as most are, costs no look at each value."""
    kinds, places = np.unique(values.type_codes.to_numpy(), return_inverse=True)
    by_kind: list[list[Any]] = [_values(values.field(kind)) for kind in kinds]
    if len(by_kind) == 1:
        return by_kind[0]
    return [by_kind[place][row] for row, place in enumerate(places.tolist())]


def _through_numpy(column: pa.Array) -> list[Any]:
    """Several times as fast as Arrow's own way to Python's values."""
    values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    return values


_CONVERTERS: Mapping[Callable[[pa.DataType], bool], Callable[[pa.Array], list[Any]]] = {
    pa.types.is_timestamp: _times,
    pa.types.is_map: _maps,
    pa.types.is_string: _through_numpy,
    pa.types.is_integer: _through_numpy,
    pa.types.is_floating: _through_numpy,
}
