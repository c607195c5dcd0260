"""TrackArrivals: one event per id, and a mark on those that arrive behind the watermark."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from schemas.job import EventsSpec, FeaturesSpec
from schemas.records import now_us
from transforms import metrics, seen_ids
from transforms.dead_letters import DEAD_LETTERS, of_rows
from transforms.join_features import EMIT_ROWS, Sharded, stamped
from transforms.sharding import hash_values, split_by_shard
from transforms.state import VersionedStateCoder

_MAX_RUNS = 16


class Tracked(NamedTuple):
    """`good`: events, one per id, `__late` set; `dead_letters`: repeated events."""

    good: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]


def _repeated(events: pa.RecordBatch, repeats: npt.NDArray[np.bool_]) -> Iterator[Any]:
    """A dead letter for each marked event."""
    if repeats.any():
        rows = batches.take_rows(events, repeats)
        detail = "an event with this id came before it; ids are unique"
        yield of_rows("features", "DuplicateEvent", detail, rows, now_us())


class _ShardFn(beam.DoFn):
    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[Sharded]:
        yield from split_by_shard(batch, hash_values(batch.column(batches.EVENT_ID)), self._shards)


def numbered(events: pa.RecordBatch, first: int, shard: int, shards: int) -> pa.RecordBatch:
    """The events of a shard with `__row`: consecutive ordinals from `first` times `shards`, plus the shard."""
    ordinals = np.arange(first, first + events.num_rows)
    return batches.with_column(events, batches.ROW, pa.array(ordinals * shards + shard))


class _WholeShardFn(beam.DoFn):
    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[Any]:
        events = batches.concat_batches(list(element[1]))
        chosen = seen_ids.first_of_each(events)
        unique = numbered(batches.take_rows(events, chosen), 0, element[0], self._shards)
        for part in batches.slices(unique, EMIT_ROWS):
            yield stamped(part)
        yield from _repeated(events, ~chosen)


class _ArrivingFn(beam.DoFn):
    """Python DoFns cannot read the watermark, so timers sound it: `BEHIND` at the greatest event time less the bound
    on disorder (where the sources' watermark stands), `AHEAD` at the greatest event time (where idleness takes it).
    """

    SEEN = BagStateSpec("seen", VersionedStateCoder("seen", seen_ids.FORMAT_VERSION))
    WATERMARK = ReadModifyWriteStateSpec("watermark", VarIntCoder())
    GREATEST = ReadModifyWriteStateSpec("greatest", VarIntCoder())
    NUMBERED = ReadModifyWriteStateSpec("numbered", VarIntCoder())
    BEHIND = TimerSpec("behind", TimeDomain.WATERMARK)
    AHEAD = TimerSpec("ahead", TimeDomain.WATERMARK)
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)

    def __init__(self, disorder_us: int, lateness_us: int, shards: int) -> None:
        self._disorder_us, self._lateness_us, self._shards = disorder_us, lateness_us, shards

    def process(  # type: ignore[no-untyped-def]  # Beam passes state and timers through defaults
        self,
        element: Sharded,
        seen=beam.DoFn.StateParam(SEEN),
        watermark=beam.DoFn.StateParam(WATERMARK),
        greatest=beam.DoFn.StateParam(GREATEST),
        numbers=beam.DoFn.StateParam(NUMBERED),
        behind=beam.DoFn.TimerParam(BEHIND),
        ahead=beam.DoFn.TimerParam(AHEAD),
        forget=beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[Any]:
        events = element[1]
        times = batches.times_us(events)
        top = max(int(times.max()), greatest.read() or 0)
        greatest.write(top)
        # A timer holds the watermark at its own time at most, and both lie ahead of it: nothing is held back.
        behind.set(Timestamp(micros=top - self._disorder_us))
        ahead.set(Timestamp(micros=top))
        forget.set(Timestamp(micros=top + self._disorder_us + self._lateness_us))
        runs = list(seen.read())
        chosen = seen_ids.first_of_each(events) & ~seen_ids.contains(runs, events.column(batches.EVENT_ID))
        yield from _repeated(events, ~chosen)
        fresh = batches.take_rows(events, chosen)
        if fresh.num_rows == 0:
            return
        known = watermark.read()
        self._remember(seen, runs, fresh, known)
        first = numbers.read() or 0
        numbers.write(first + fresh.num_rows)
        yield from _marked(numbered(fresh, first, element[0], self._shards), known)

    def _remember(self, seen: Any, runs: list[seen_ids.SeenRun], fresh: pa.RecordBatch, known: int | None) -> None:
        run = seen_ids.run_of(fresh.column(batches.EVENT_ID), batches.times_us(fresh))
        if len(runs) < _MAX_RUNS or known is None:
            seen.add(run)
            return
        seen.clear()
        whole = seen_ids.compacted([*runs, run], known - self._disorder_us - self._lateness_us)
        if whole is not None:
            seen.add(whole)

    @on_timer(BEHIND)
    def behind_reached(self, reached=beam.DoFn.TimestampParam, watermark=beam.DoFn.StateParam(WATERMARK)) -> None:  # type: ignore[no-untyped-def]
        watermark.write(max(reached.micros, watermark.read() or 0))

    @on_timer(AHEAD)
    def ahead_reached(self, reached=beam.DoFn.TimestampParam, watermark=beam.DoFn.StateParam(WATERMARK)) -> None:  # type: ignore[no-untyped-def]
        watermark.write(max(reached.micros, watermark.read() or 0))

    @on_timer(FORGET)
    def forget(  # type: ignore[no-untyped-def]
        self,
        reached=beam.DoFn.TimestampParam,
        seen=beam.DoFn.StateParam(SEEN),
        greatest=beam.DoFn.StateParam(GREATEST),
    ) -> None:
        if (greatest.read() or 0) + self._disorder_us + self._lateness_us <= reached.micros:
            seen.clear()


def _marked(events: pa.RecordBatch, watermark_us: int | None) -> Iterator[Any]:
    """The events with `__late` set where their time is behind the watermark."""
    if watermark_us is not None:
        late = batches.times_us(events) < watermark_us
        metrics.counter(metrics.EVENTS_LATE).inc(int(np.count_nonzero(late)))
        events = batches.with_column(events, batches.LATE, pa.array(late))
    yield stamped(events)


class TrackArrivals(beam.PTransform[beam.PCollection[pa.RecordBatch], Tracked]):
    """Lets one event of each id pass and marks events that arrive behind the watermark.

    Input: batches of events (`event_schema`), global window. Outputs: `good`, `dead_letters` (stage features, error
    `DuplicateEvent`). Of equal ids in bounded input the event with the smallest (time, bytes) passes; in unbounded
    input the first to arrive. Bounded input has a perfect watermark: nothing is late. State per shard of ids: hashes
    of the ids seen, dropped once the watermark has passed their time by the bound on disorder plus the lateness, and
    how many events were numbered (`__row`, by which `WindowFeatures` joins).
    """

    def __init__(self, events: EventsSpec, features: FeaturesSpec) -> None:
        super().__init__()
        self._shards = features.shards
        self._disorder_us, self._lateness_us = events.max_out_of_orderness_us, features.allowed_lateness_us

    def expand(self, events: beam.PCollection[pa.RecordBatch]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        sharded = events | "Shard" >> beam.ParDo(_ShardFn(self._shards)).with_output_types(Sharded)
        if events.is_bounded:
            grouped = sharded | "Group" >> beam.GroupByKey()
            tracking: beam.DoFn = _WholeShardFn(self._shards)
        else:
            grouped = sharded
            tracking = _ArrivingFn(self._disorder_us, self._lateness_us, self._shards)
        tracked = grouped | "Track" >> beam.ParDo(tracking).with_outputs(DEAD_LETTERS, main="good")
        tracked.good.element_type = tracked[DEAD_LETTERS].element_type = pa.RecordBatch
        return Tracked(tracked.good, tracked[DEAD_LETTERS])
