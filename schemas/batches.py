"""The unit that flows: an Arrow `RecordBatch` of events, and the names of the columns that every batch has.

Names that start with `__` are Halflife's own; the columns of events and features keep their names beside them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import ARROW_TYPES

EVENT_ID = "__event_id"
EVENT_TIME = "__event_time"
SUBJECT = "__subject"
PAYLOAD = "__payload"
LATE = "__late"
ROW = "__row"  # from TrackArrivals to JoinFeatures only: a number that no other event of the job has
ROW_HASH = "__row_hash"
"""In a spec in place of the column with the id: a hash of the record's bytes is the id."""
SCORE = "score"  # after the scoring step: the model's answer
SCORE_OF_EVENT = "__score"  # after it: the event's own column `score`, where it has one
LATENCY = "__latency_us"  # after it: how long the version took for the batch that the event was in

MAX_BYTES = 1024**3
"""The most bytes of batches that are concatenated: a column of texts or bytes cannot hold 2 GiB."""
WHOLE_BYTES = 64 * 1024**2
"""Bytes that are enough for a batch: gathered or sliced batches are not made larger."""

TIME_TYPE = pa.timestamp("us", tz="UTC")
BASE_FIELDS: tuple[pa.Field, ...] = (
    pa.field(EVENT_ID, pa.string(), nullable=False),
    pa.field(EVENT_TIME, TIME_TYPE, nullable=False),
    pa.field(SUBJECT, pa.string()),
    pa.field(PAYLOAD, pa.binary(), nullable=False),
    pa.field(LATE, pa.bool_(), nullable=False),
)


def event_schema(columns: Sequence[tuple[str, str]]) -> pa.Schema:
    """The schema of a batch of decoded events: the base columns, then the job's event columns in order."""
    return pa.schema([*BASE_FIELDS, *(pa.field(name, ARROW_TYPES[kind]) for name, kind in columns)])


def times_us(batch: pa.RecordBatch, column: str = EVENT_TIME) -> npt.NDArray[np.int64]:
    """The times of `column` as int64 microseconds since the epoch, shape (n,)."""
    times: npt.NDArray[np.int64] = batch.column(column).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return times


_EXACT_BELOW = 2.0**53  # each whole number below has a float of its own
_INT64_BELOW = 2.0**63


def whole_numbers(values: pa.Array, below: float = _EXACT_BELOW) -> pa.Array:
    """The floats that are whole numbers as int64; null where one is not, or too large to tell which number it was.

    >>> whole_numbers(pa.array([7.0, 2.5, None, 2.0**53])).to_pylist()
    [7, None, None, None]
    """
    floats = values.cast(pa.float64())
    exact = pc.and_(pc.equal(floats, pc.trunc(floats)), pc.less(pc.abs(floats), below))
    return pc.if_else(exact, floats, pa.scalar(None, pa.float64())).cast(pa.int64())


def as_texts(values: pa.Array) -> pa.Array:
    """Values as the texts that identify keys, shares and segments: a number has the same text in each type (7 and 7.0,
    0.0 and -0.0); null stays null.

    >>> as_texts(pa.array([7.0, 2.5, -0.0, None])).to_pylist()
    ['7', '2.5', '0', None]
    """
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_floating(values.type):
        return pc.coalesce(whole_numbers(values, _INT64_BELOW).cast(pa.string()), values.cast(pa.string()))
    return values.cast(pa.string())


def keys_of(events: pa.RecordBatch, key: str | tuple[str, ...]) -> pa.Array:
    """Each event's key as a text, null where a part of it is null; of no columns one key of all events.

    Different values have different texts: a bar between parts, and a backslash before bars and backslashes in them.

    >>> batch = pa.record_batch({"origin": ["JFK", "a|b", None], "carrier": ["B6", "c", "UA"]})
    >>> keys_of(batch, ("origin", "carrier")).to_pylist()
    ['JFK|B6', 'a\\\\|b|c', None]
    """
    if isinstance(key, str):
        return as_texts(events.column(key))
    if not key:
        return pa.repeat(pa.scalar(""), events.num_rows)
    parts = [as_texts(events.column(name)) for name in key]
    for sign in ("\\", "|"):
        parts = [pc.replace_substring(part, sign, f"\\{sign}") for part in parts]
    return pc.binary_join_element_wise(*parts, pa.scalar("|"), null_handling="emit_null")


def concat_batches(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch with the rows of all; needs at least one batch, all of the same schema."""
    if len(batches) == 1:
        return batches[0]
    return pa.concat_batches(batches)


def grouped(batches: Sequence[pa.RecordBatch]) -> list[list[pa.RecordBatch]]:
    """The batches in order, in groups that can each be concatenated: of at most `MAX_BYTES`, or a single batch."""
    groups, size = list[list[pa.RecordBatch]](), 0
    for batch in batches:
        size += batch.nbytes
        if not groups or size > MAX_BYTES:
            groups.append([])
            size = batch.nbytes
        groups[-1].append(batch)
    return groups


def take_rows(batch: pa.RecordBatch, rows: npt.NDArray[Any]) -> pa.RecordBatch:
    """The rows selected by a boolean mask or an index array; the batch itself where the mask selects all."""
    if rows.dtype == np.bool_:
        if rows.all():
            return batch
        rows = np.flatnonzero(rows)
    return batch.take(pa.array(rows, type=pa.int64()))


def keep_rows(batch: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """The rows at these indices, distinct and ascending; the batch itself, without a copy, where these are all rows."""
    return batch if len(rows) == batch.num_rows else take_rows(batch, rows)


def with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    """The batch with a column appended, or replaced where it has one of that name."""
    index = batch.schema.get_field_index(name)
    if index >= 0:
        # The field's nullability stays: batches with and without the replacement must still be joined end to end.
        return batch.set_column(index, batch.schema.field(index).with_type(values.type), values)
    return batch.append_column(pa.field(name, values.type), values)


def with_scores(batch: pa.RecordBatch, scores: pa.Array) -> pa.RecordBatch:
    """The batch with the model's answers as `score`; an event column of that name is then called `__score`."""
    index = batch.schema.get_field_index(SCORE)
    if index >= 0:
        batch = batch.rename_columns([SCORE_OF_EVENT if name == SCORE else name for name in batch.schema.names])
    return batch.append_column(pa.field(SCORE, scores.type), scores)


def slices(batch: pa.RecordBatch, rows: int) -> list[pa.RecordBatch]:
    """The batch cut into pieces of at most `rows` rows, and about `WHOLE_BYTES` (views, no copies)."""
    if batch.nbytes > WHOLE_BYTES:
        rows = max(1, min(rows, batch.num_rows * WHOLE_BYTES // batch.nbytes))
    return [batch.slice(start, rows) for start in range(0, batch.num_rows, rows)]
