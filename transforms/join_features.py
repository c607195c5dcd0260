"""JoinFeatures: the parts of an event that were computed side by side become one row again."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.coders import BytesCoder, TupleCoder, VarIntCoder
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from transforms.coders import decode_batch, encode_batch
from transforms.gathering import GatheringFn
from transforms.sharding import split_by_shard
from transforms.state import StateFormatMismatch

EMIT_ROWS = 65_536
_DENSE = 64
Sharded = tuple[int, pa.RecordBatch]
Part = tuple[int, bytes]  # encoded once: a Flatten of several stages makes runners decode and encode its elements


def stamped(batch: pa.RecordBatch) -> TimestampedValue[pa.RecordBatch]:
    """The batch at its earliest event time, which no watermark downstream may have passed."""
    return TimestampedValue(batch, Timestamp(micros=int(batches.times_us(batch).min())))


def joined(parts: Sequence[pa.RecordBatch], names: Sequence[str]) -> tuple[pa.RecordBatch | None, list[pa.RecordBatch]]:
    """Events (`parts[0]`) that are in every other part, with the columns `names` of those appended, and what is left.

    Rows belong together by `__row`, unique within a part, which the joined events no longer have. The rest has one
    batch per part, in order, possibly empty.
    """
    events = parts[0]
    rows = events.column(batches.ROW).to_numpy()
    places = [_places(part.column(batches.ROW).to_numpy(), rows) for part in parts[1:]]
    complete = np.logical_and.reduce([place >= 0 for place in places])
    if not complete.any():
        return None, list(parts)
    ready = batches.take_rows(events, complete).drop_columns([batches.ROW])
    columns: dict[str, pa.Array] = {}
    rest = [batches.take_rows(events, ~complete)]
    for part, place in zip(parts[1:], places, strict=True):
        own, used = part.drop_columns([batches.ROW, batches.EVENT_TIME]), place[complete]
        columns.update(zip(own.schema.names, own.take(pa.array(used)).columns, strict=True))
        rest.append(_without(part, used))
    for name in names:
        ready = ready.append_column(pa.field(name, columns[name].type), columns[name])
    return ready, rest


def _without(part: pa.RecordBatch, used: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """The rows of a part that are not `used` (distinct indices)."""
    if len(used) == part.num_rows:
        return part.slice(0, 0)
    left = np.ones(part.num_rows, np.bool_)
    left[used] = False
    return batches.take_rows(part, left)


def _places(rows: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where in `rows` (unique, at least one) each of `wanted` is; -1 where it is not."""
    first, last = min(rows.min(), wanted.min()), max(rows.max(), wanted.max())
    if last - first < _DENSE * len(rows):  # numbers of one shard follow each other: a table is faster than a search
        table = np.full(last - first + 1, -1)
        table[rows - first] = np.arange(len(rows))
        found: npt.NDArray[np.int64] = table[wanted - first]
        return found
    order = np.argsort(rows)
    nearest = order[np.minimum(np.searchsorted(rows, wanted, sorter=order), len(rows) - 1)]
    return np.where(rows[nearest] == wanted, nearest, -1)


def gathered(parts: Iterable[Part], count: int) -> list[pa.RecordBatch] | None:
    """One batch for each of `count` parts, or None while one has none."""
    found: list[list[pa.RecordBatch]] = [[] for _ in range(count)]
    for index, batch in parts:
        found[index].append(decode_batch(batch))
    return [_together(own) for own in found] if all(found) else None


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one part as one. Raises `StateFormatMismatch` when a job with other features left some of them."""
    former, present = parts[0].schema.names, parts[-1].schema.names
    if former != present:
        raise StateFormatMismatch(
            f"events wait for features from before the job was changed: {', '.join(sorted({*former} ^ {*present}))}; "
            "let the job before it score all that it has read, then take the savepoint"
        )
    return batches.concat_batches(parts)


class _ShardFn(GatheringFn):
    def __init__(self, part: int, shards: int) -> None:
        self._part, self._shards = part, shards

    def of_whole(self, batch: pa.RecordBatch) -> Iterator[tuple[int, Part]]:
        numbers = batch.column(batches.ROW).to_numpy().astype(np.uint64)
        for shard, rows in split_by_shard(batch, numbers, self._shards):
            yield shard, (self._part, encode_batch(rows))


class _WholeShardFn(beam.DoFn):
    def __init__(self, names: tuple[str, ...], count: int) -> None:
        self._names, self._count = names, count

    def process(self, element: tuple[int, Iterable[Part]]) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        found: list[list[pa.RecordBatch]] = [[] for _ in range(self._count)]
        for index, encoded in element[1]:
            found[index].append(decode_batch(encoded))
        features = [_together(part) for part in found[1:] if part]
        left = 0
        for events in map(_together, batches.grouped(found[0])):
            parts = [events, *features]
            ready, rest = joined(parts, self._names) if all(found) and all(map(len, parts)) else (None, parts)
            features, left = rest[1:], left + len(rest[0])
            if ready is not None:
                yield from map(stamped, batches.slices(ready, EMIT_ROWS))
        left += sum(map(len, features))
        if left:  # every event has a row in every branch, or the job has a bug that must stop it
            raise AssertionError(f"shard {element[0]}: {left} rows found no partner in the join of features")


class _ArrivingFn(beam.DoFn):
    PARTS = BagStateSpec("parts", TupleCoder([VarIntCoder(), BytesCoder()]))

    def __init__(self, names: tuple[str, ...], count: int) -> None:
        self._names, self._count = names, count

    def process(  # type: ignore[no-untyped-def]  # Beam passes state through defaults
        self, element: tuple[int, Part], waiting=beam.DoFn.StateParam(PARTS)
    ) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        parts = gathered([*waiting.read(), element[1]], self._count)
        ready, rest = joined(parts, self._names) if parts else (None, [])
        if ready is None:
            waiting.add(element[1])
            return
        waiting.clear()
        for index, batch in enumerate(rest):
            if batch.num_rows:
                waiting.add((index, encode_batch(batch)))
        yield from map(stamped, batches.slices(ready, EMIT_ROWS))


class JoinFeatures(beam.PTransform[Any, beam.PCollection[pa.RecordBatch]]):
    """Joins batches of events with the batches of features that branches computed for the same events.

    Input: a tuple of PCollections, first the events, then one per branch (row number, time, features), each with
    exactly one row per event. Output: the events with the columns `names` appended. State per shard of events: the
    parts of events that are not complete. Nothing is dead-lettered; a row without partner in bounded input raises.
    """

    def __init__(self, names: tuple[str, ...], shards: int) -> None:
        super().__init__()
        self._names, self._shards = names, shards

    def expand(self, inputs: tuple[beam.PCollection[pa.RecordBatch], ...]) -> beam.PCollection[pa.RecordBatch]:
        sharded = [
            source | f"Shard[{part}]" >> beam.ParDo(_ShardFn(part, self._shards)).with_output_types(tuple[int, Part])
            for part, source in enumerate(inputs)
        ]
        together = sharded | beam.Flatten()
        if inputs[0].is_bounded:
            whole = _WholeShardFn(self._names, len(inputs))
            together, joining = together | beam.GroupByKey(), beam.ParDo(whole)
        else:
            joining = beam.ParDo(_ArrivingFn(self._names, len(inputs)))
        events: beam.PCollection[pa.RecordBatch] = together | "Join" >> joining.with_output_types(pa.RecordBatch)
        return events
