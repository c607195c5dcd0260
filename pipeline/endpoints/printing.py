"""Record batches as JSON lines on standard output, for people and pipes."""

import base64
import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa


def json_lines(batch: pa.RecordBatch) -> Iterator[str]:
    """Each row as one JSON object: times in RFC 3339 UTC, bytes in base64, maps as objects, NaN as null."""
    maps = {field.name for field in batch.schema if pa.types.is_map(field.type)}
    for row in batch.to_pylist():
        plain = {name: dict(value) if name in maps else value for name, value in row.items()}
        yield json.dumps({name: _finite(value) for name, value in plain.items()}, default=_plain)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} has no form in JSON")  # a column type that no record has: a bug


class _PrintFn(beam.DoFn):
    def process(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            print("\n".join(json_lines(batch)), flush=True)  # in one go: the lines of several workers do not mix


class PrintRecords(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Prints batches as JSON lines. Input: batches of a record, any windowing."""

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        return batches | "Print" >> beam.ParDo(_PrintFn())  # type: ignore[no-untyped-call]  # Beam's DoFn has no types
