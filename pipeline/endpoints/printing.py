"""Record batches as JSON lines on standard output, for people and pipes."""

from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipeline.endpoints.json_rows import json_rows
from pipeline.reporting.printer import out


class _PrintFn(beam.DoFn):
    def process(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:  # with one write, so that the lines of several workers do not mix
            print(b"\n".join(json_rows(batch)).decode(), file=out(), flush=True)


class PrintRecords(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Prints batches as JSON lines. Input: batches of a record, any windowing."""

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        return batches | "Print" >> beam.ParDo(_PrintFn())  # type: ignore[no-untyped-call]  # Beam's DoFn has no types
