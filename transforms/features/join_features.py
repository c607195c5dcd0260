"""JoinFeatures: joins the parts of an event that were computed in parallel into one row."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.coders import BytesCoder, TupleCoder, VarIntCoder
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from schemas.job import FeaturesSpec
from transforms.features import waiting
from transforms.features.waiting import Ints, Waits, ready_times
from transforms.flow.coders import decode_batch, encode_batch
from transforms.flow.gathering import GatheringFn
from transforms.flow.sharding import split_by, split_by_shard
from transforms.flow.state import Plain, StateFormatMismatch, VersionedStateCoder

EMIT_ROWS = 65_536
_DENSE = 64
_ADVICE = "next: let the job before it score all that it has read, then take the savepoint"
Sharded = tuple[int, pa.RecordBatch]
Part = tuple[int, bytes]  # encoded only once: a Flatten of several stages makes runners decode and encode its elements


class PartRows(NamedTuple):
    """Rows of a part, and their encoded form where it is known."""

    part: int
    rows: pa.RecordBatch
    encoded: bytes | None = None

    def packed(self) -> Part:
        return self.part, encode_batch(self.rows) if self.encoded is None else self.encoded


def _unpacked(part: Part) -> PartRows:
    return PartRows(part[0], decode_batch(part[1]), part[1])


def stamped(batch: pa.RecordBatch) -> TimestampedValue[pa.RecordBatch]:
    """The batch with its earliest event time as timestamp, which no watermark downstream may have passed."""
    return TimestampedValue(batch, Timestamp(micros=int(batches.times_us(batch).min())))


def joined(parts: Sequence[pa.RecordBatch], names: Sequence[str]) -> tuple[pa.RecordBatch | None, list[pa.RecordBatch]]:
    """Events (`parts[0]`) that are in every other part, with the columns `names` of those appended, and what is left.

    Rows are matched by `__row`, which is unique within a part and is dropped from the joined events. The rest has one
    batch per part, in order, possibly empty.
    """
    events = parts[0]
    rows = events.column(batches.ROW).to_numpy()
    indexes_of_parts = [_indexes(part.column(batches.ROW).to_numpy(), rows) for part in parts[1:]]
    complete = np.logical_and.reduce([indexes >= 0 for indexes in indexes_of_parts])
    if not complete.any():
        return None, list(parts)
    ready = batches.take_rows(events, complete).drop_columns([batches.ROW])
    columns: dict[str, pa.Array] = {}
    rest = [batches.take_rows(events, ~complete)]
    for part, indexes in zip(parts[1:], indexes_of_parts, strict=True):
        own, used = part.drop_columns([batches.ROW, batches.EVENT_TIME]), indexes[complete]
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


def _indexes(rows: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where in `rows` (unique, at least one) each of `wanted` is; -1 where it is not."""
    first, last = min(rows.min(), wanted.min()), max(rows.max(), wanted.max())
    if last - first < _DENSE * len(rows):  # numbers of a shard are consecutive: a lookup table is faster than a search
        table = np.full(last - first + 1, -1)
        table[rows - first] = np.arange(len(rows))
        found: npt.NDArray[np.int64] = table[wanted - first]
        return found
    order = np.argsort(rows)
    nearest = order[np.minimum(np.searchsorted(rows, wanted, sorter=order), len(rows) - 1)]
    return np.where(rows[nearest] == wanted, nearest, -1)


def gathered(parts: Iterable[Part], count: int) -> list[pa.RecordBatch] | None:
    """One batch for each of `count` parts, or None while some part has no rows."""
    return _gathered(map(_unpacked, parts), count)


def _gathered(pieces: Iterable[PartRows], count: int) -> list[pa.RecordBatch] | None:
    found: list[list[pa.RecordBatch]] = [[] for _ in range(count)]
    for piece in pieces:
        found[piece.part].append(piece.rows)
    return [_together(own) for own in found] if all(found) else None


def _by_part(parts: Iterable[Part]) -> list[PartRows]:
    """The rows of each part as one piece."""
    found: dict[int, list[pa.RecordBatch]] = {}
    for piece in map(_unpacked, parts):
        found.setdefault(piece.part, []).append(piece.rows)
    return [PartRows(part, _together(own)) for part, own in sorted(found.items())]


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one part as one. Raises `StateFormatMismatch` when a job with other features wrote some of them."""
    former, present = parts[0].schema.names, parts[-1].schema.names
    if former != present:
        raise StateFormatMismatch(
            f"events wait for features from before the job was changed: {', '.join(sorted({*former} ^ {*present}))}; "
            f"{_ADVICE}"
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


class Joins(NamedTuple):
    """What is known of a shard's parts without reading them.

    `newest_us`: for each part the latest time at which a row of it can be complete. A row later than the least of these
    is not complete. `held`: how many rows of each part are among those that may be complete.
    """

    newest_us: tuple[int, ...]
    held: tuple[int, ...]
    waits: Waits

    @classmethod
    def of(cls, known: "Joins | None", count: int) -> "Joins":
        """Reads it from a state cell, which is empty at first.

        Raises:
            StateFormatMismatch: events wait for the features of a job with another number of keys.
        """
        if known is not None and len(known.held) == count:
            return known
        if known is not None and (any(known.held) or known.waits):
            raise StateFormatMismatch(
                f"events wait for features of {len(known.held) - 1} keys from before the job was changed, this one has "
                f"{count - 1}; {_ADVICE}"
            )
        return cls((-(2**62),) * count, (0,) * count, Waits())


class _ArrivingFn(beam.DoFn):
    """Rows that are not due, so that some part is still missing, wait in bags by the time at which they are due;
    `PARTS` has those that may be complete. So the cost of reading does not grow with the number of waiting rows."""

    JOINS = ReadModifyWriteStateSpec("joins", VersionedStateCoder("joins", waiting.FORMAT_VERSION, Plain(Joins)))
    PARTS, NEAR, MIDDLE, FAR = (
        BagStateSpec(name, TupleCoder([VarIntCoder(), BytesCoder()]))
        for name in ("parts", "parts_near", "parts_middle", "parts_far")
    )

    def __init__(self, names: tuple[str, ...], count: int, steps_us: tuple[int, ...]) -> None:
        self._names, self._count, self._steps_us = names, count, steps_us

    def process(  # type: ignore[no-untyped-def]  # Beam passes state through defaults
        self,
        element: tuple[int, Part],
        joins=beam.DoFn.StateParam(JOINS),
        present=beam.DoFn.StateParam(PARTS),
        near=beam.DoFn.StateParam(NEAR),
        middle=beam.DoFn.StateParam(MIDDLE),
        far=beam.DoFn.StateParam(FAR),
    ) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        piece, stored, bags = _unpacked(element[1]), joins.read(), (near, middle, far)
        known = Joins.of(stored, self._count)
        newest_us = list(known.newest_us)
        newest_us[piece.part] = max(newest_us[piece.part], int(self._due_us(piece).max()))
        now_us, waits = min(newest_us), known.waits
        arrived, later = self._by_time([piece], now_us)
        if read := waits.due_by(now_us):
            due, left = self._by_time(_by_part(part for bag in read for part in bags[bag].read()), now_us)
            for bag in read:
                bags[bag].clear()
            waits = waits.without(read, np.concatenate([np.zeros(0, np.int64), *map(self._due_us, left)]))
            arrived, later = arrived + due, later + left
        ready, held = self._joined(known.held, arrived, present)
        known = Joins(tuple(newest_us), held, self._wait(waits, later, bags))
        if known != stored:
            joins.write(known)
        yield from () if ready is None else map(stamped, batches.slices(ready, EMIT_ROWS))

    def _due_us(self, piece: PartRows) -> Ints:
        """The time at which all features of each row are known."""
        return ready_times(self._steps_us, batches.times_us(piece.rows))

    def _by_time(self, pieces: list[PartRows], time_us: int) -> tuple[list[PartRows], list[PartRows]]:
        """The rows that are due by a time, and the others."""
        early: list[PartRows] = []
        later: list[PartRows] = []
        for piece in pieces:
            due = self._due_us(piece) <= time_us
            if due.all() or not due.any():
                (early if due.all() else later).append(piece)
                continue
            early.append(PartRows(piece.part, batches.take_rows(piece.rows, due)))
            later.append(PartRows(piece.part, batches.take_rows(piece.rows, ~due)))
        return early, later

    def _wait(self, waits: Waits, pieces: list[PartRows], bags: Sequence[Any]) -> Waits:
        """Adds rows that are not due to the bags of those."""
        for piece in pieces:
            due_us = self._due_us(piece)
            for bag, rows in split_by(piece.rows, waits.bags_of(due_us)):
                bags[bag].add((piece if rows is piece.rows else PartRows(piece.part, rows)).packed())
            waits = waits.having(due_us)
        return waits

    def _joined(
        self, held: tuple[int, ...], arrived: list[PartRows], present: Any
    ) -> tuple[pa.RecordBatch | None, tuple[int, ...]]:
        """The rows that are complete with the new arrivals, and how many rows of each part are held after that."""
        total = list(held)
        for piece in arrived:
            total[piece.part] += piece.rows.num_rows
        found = None
        if arrived and all(total):
            found = _gathered([*map(_unpacked, present.read()), *arrived], self._count)
        ready, rest = joined(found, self._names) if found else (None, [])
        if ready is not None:
            present.clear()
            arrived = [PartRows(part, rows) for part, rows in enumerate(rest) if rows.num_rows]
            total = [rows.num_rows for rows in rest]
        for piece in arrived:
            present.add(piece.packed())
        return ready, tuple(total)


class JoinFeatures(beam.PTransform[Any, beam.PCollection[pa.RecordBatch]]):
    """Joins batches of events with the batches of features that branches computed for the same events.

    Input: a tuple of PCollections, first the events, then one per branch (row number, time, features), each with
    exactly one row per event. Output: the events with the columns `names` appended. State per shard of events: the
    parts of events that are not complete. Nothing is dead-lettered; in bounded input a row without its counterparts
    raises.
    """

    def __init__(self, spec: FeaturesSpec) -> None:
        super().__init__()
        self._names, self._shards = tuple(feature.name for feature in spec.windowed), spec.shards
        self._steps_us = tuple(sorted({feature.every_us for feature in spec.windowed}))

    def expand(self, inputs) -> beam.PCollection[pa.RecordBatch]:  # type: ignore[no-untyped-def]  # Beam warns on tuples
        sharded = [
            source | f"Shard[{part}]" >> beam.ParDo(_ShardFn(part, self._shards)).with_output_types(tuple[int, Part])
            for part, source in enumerate(inputs)
        ]
        together = sharded | beam.Flatten()
        if inputs[0].is_bounded:
            whole = _WholeShardFn(self._names, len(inputs))
            together, joining = together | beam.GroupByKey(), beam.ParDo(whole)
        else:
            joining = beam.ParDo(_ArrivingFn(self._names, len(inputs), self._steps_us))
        events: beam.PCollection[pa.RecordBatch] = together | "Join" >> joining.with_output_types(pa.RecordBatch)
        return events
