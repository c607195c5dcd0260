"""Dead letters of decoded rows: made from columns, and counted where they are made."""

from collections.abc import Sequence

import apache_beam as beam
import pyarrow as pa

from schemas import batches
from schemas.dead_letter_stages import Stage
from schemas.records import arrow_schema
from transforms.flow import metrics
from transforms.flow.examples import keep_example

DEAD_LETTERS = "dead_letters"


def letters_of(stage: Stage, error: str, details: pa.Array, rows: pa.RecordBatch, at_us: int) -> pa.RecordBatch:
    """A DeadLetter for each row of a batch of events; `details` has one text per row."""
    count = rows.num_rows
    arrays = [
        pa.repeat(pa.scalar(stage), count),
        pa.repeat(pa.scalar(error), count),
        details,
        rows.column(batches.PAYLOAD),
        rows.column(batches.EVENT_ID),
        rows.column(batches.EVENT_TIME),
        pa.repeat(pa.scalar(at_us, pa.int64()), count).cast(batches.TIME_TYPE),
        pa.nulls(count, pa.string()),
        pa.nulls(count, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema("DeadLetter"))


def count_letters(stage: Stage, error: str, details: Sequence[str], count: int | None = None) -> None:
    """Counts dead letters with one error; `details` has one text for each, or one text for `count` of them."""
    number = len(details) if count is None else count
    if number:
        metrics.dead_letters(stage).inc(number)
        metrics.letters_by_error(stage, error).inc(number)
        keep_example((DEAD_LETTERS, stage, error), details[0])


def of_rows(
    stage: Stage, error: str, detail: str, rows: pa.RecordBatch, at_us: int
) -> beam.pvalue.TaggedOutput[str, pa.RecordBatch]:
    """The rows as counted dead letters with one detail, ready to be yielded by a DoFn."""
    count_letters(stage, error, [detail], rows.num_rows)
    details = pa.repeat(pa.scalar(detail), rows.num_rows)
    return beam.pvalue.TaggedOutput(DEAD_LETTERS, letters_of(stage, error, details, rows, at_us))
