"""Dead letters of decoded rows: made from columns, and counted where they are made."""

from collections.abc import Sequence
from typing import cast

import apache_beam as beam
import pyarrow as pa

from schemas import batches
from schemas.dead_letter_stages import Stage
from schemas.records import DeadLetter, arrow_schema, record_batch
from transforms.flow import metrics
from transforms.flow.examples import keep_example
from transforms.flow.hiding import Hides

DEAD_LETTERS = "dead_letters"


def letters_of(
    stage: Stage, error: str, details: pa.Array, rows: pa.RecordBatch, at_us: int, hides: Hides | None = None
) -> pa.RecordBatch:
    """A DeadLetter for each row of a batch of events; `details` has one text per row. `hides`: of a job with
    privacy."""
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
    letters = pa.RecordBatch.from_arrays(arrays, schema=arrow_schema("DeadLetter"))
    return letters if hides is None else hides.letters(letters, rows.column(batches.SUBJECT).to_pylist())


def counted(letters: pa.RecordBatch) -> beam.pvalue.TaggedOutput[str, pa.RecordBatch]:
    """Letters of one stage and error, one or more, as they are stored: counted, and ready to be yielded by a DoFn."""
    stage, error = letters.column("stage")[0].as_py(), letters.column("error")[0].as_py()
    count_letters(stage, error, [letters.column("detail")[0].as_py()], letters.num_rows)
    return beam.pvalue.TaggedOutput(DEAD_LETTERS, letters)


def count_letters(stage: Stage, error: str, details: Sequence[str], count: int | None = None) -> None:
    """Counts dead letters with one error; `details` has one text for each, or one text for `count` of them."""
    number = len(details) if count is None else count
    if number:
        metrics.dead_letters(stage).inc(number)
        metrics.letters_by_error(stage, error).inc(number)
        keep_example((DEAD_LETTERS, stage, error), details[0])


def counted_batch(
    letters: Sequence[DeadLetter],
    subjects: Sequence[str | None] = (),
    hides: Hides | None = None,
    events: Sequence[str | None] = (),
) -> pa.RecordBatch:
    """Letters of one stage as they are stored, counted. `subjects`: whom each is about (empty: nobody knows); `events`:
    of labels, the event that each is of."""
    found = record_batch("DeadLetter", letters)
    if hides is not None:
        found = hides.letters(found, list(subjects) or [None] * len(letters), list(events) or None)
    details = found.column("detail").to_pylist()
    for error in {letter.error for letter in letters}:
        own = [detail for letter, detail in zip(letters, details, strict=True) if letter.error == error]
        count_letters(cast("Stage", letters[0].stage), error, own)
    return found


def of_rows(
    stage: Stage, error: str, detail: str, rows: pa.RecordBatch, at_us: int, hides: Hides | None = None
) -> beam.pvalue.TaggedOutput[str, pa.RecordBatch]:
    """The rows, one or more, as counted dead letters with one detail, ready to be yielded by a DoFn."""
    details = pa.repeat(pa.scalar(detail), rows.num_rows)
    return counted(letters_of(stage, error, details, rows, at_us, hides))
