"""TrackArrivals: one event per id, and a mark on those that arrive behind the watermark."""

from collections.abc import Iterable, Iterator, Sequence
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
from schemas.dead_letter_stages import FEATURES
from schemas.job import EventsSpec, FeaturesSpec
from schemas.times import now_us
from transforms.arrivals import seen_ids
from transforms.features.join_features import EMIT_ROWS, Sharded, stamped
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS, of_rows
from transforms.flow.hiding import Hides, hiding_of
from transforms.flow.sharding import hash_ids, split_by_shard
from transforms.flow.state import VersionedStateCoder
from transforms.flow.timers import at_or_after, last_whole_ms

# How many runs of ids are kept before they are merged into one: first runs of batches, then runs of merged runs.
# Rewriting all ids seen at every sixteenth batch took a fifth of a worker's time.
_MAX_RUNS = 16
_SOUNDING_US = 1_000_000
_NEVER_US = -(2**62)
# A shard's events (possibly none) and the greatest event time of the whole batch that they came in.
Arrival = tuple[int, tuple[int, pa.RecordBatch]]


class Tracked(NamedTuple):
    """`good`: events, one per id, `__late` set; `dead_letters`: repeated events."""

    good: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]


def _repeated(events: pa.RecordBatch, repeats: npt.NDArray[np.bool_], hides: Hides | None) -> Iterator[Any]:
    """A dead letter for each marked event."""
    if repeats.any():
        yield _repeats(batches.take_rows(events, repeats), hides)


def _repeats(rows: pa.RecordBatch, hides: Hides | None) -> Any:
    detail = "an event with this id came before it; ids are unique"
    return of_rows(FEATURES, "DuplicateEvent", detail, rows, now_us(), hides)


class _ShardFn(beam.DoFn):
    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[Sharded]:
        yield from split_by_shard(batch, hash_ids(batch.column(batches.EVENT_ID)), self._shards)


class _AnnounceFn(beam.DoFn):
    """Sends each batch's greatest event time to every shard: sources derive their watermark from it."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[Arrival]:
        top = int(batches.times_us(batch).max())
        hashes = hash_ids(batch.column(batches.EVENT_ID))
        split = dict(split_by_shard(batch, hashes, self._shards))
        for shard in range(self._shards):
            yield shard, (top, split.get(shard, batch.slice(0, 0)))


def next_sounding(reached_us: int, stand_us: int) -> int:
    """When to look at the watermark next, once it is known to have reached `reached_us`.

    That is the sources' watermark as far as the events seen tell (`stand_us`). Beyond it, where only idleness advances
    the watermark, the steps double from one second on, so that a jump over years takes few of them.

    >>> next_sounding(reached_us=5_000_000, stand_us=9_000_000)
    9000000
    >>> next_sounding(5_000_000, 5_000_000), next_sounding(13_000_000, 5_000_000)
    (6000000, 21000000)
    """
    if stand_us > reached_us:
        return stand_us
    return reached_us + max(_SOUNDING_US, reached_us - stand_us)


def numbered(events: pa.RecordBatch, first: int, shard: int, shards: int) -> pa.RecordBatch:
    """The events of a shard with `__row`: consecutive ordinals from `first` times `shards`, plus the shard."""
    ordinals = np.arange(first, first + events.num_rows)
    return batches.with_column(events, batches.ROW, pa.array(ordinals * shards + shard))


class _WholeShardFn(beam.DoFn):
    def __init__(self, spec: EventsSpec, shards: int) -> None:
        self._spec, self._shards = spec, shards

    def setup(self) -> None:
        self._hides = hiding_of(self._spec)

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[Any]:
        groups = [batches.concat_batches(group) for group in batches.grouped(list(element[1]))]
        first = 0
        for events, chosen in zip(groups, seen_ids.first_among(groups), strict=True):
            unique = numbered(batches.take_rows(events, chosen), first, element[0], self._shards)
            first += unique.num_rows
            yield from map(stamped, batches.slices(unique, EMIT_ROWS))
            for repeated in batches.slices(batches.take_rows(events, ~chosen), EMIT_ROWS):
                yield _repeats(repeated, self._hides)


class _ArrivingFn(beam.DoFn):
    """Python DoFns cannot read the watermark, so a timer probes it: see `next_sounding`. A pending timer is never moved
    to a later time: with events arriving all the time it would be postponed for ever. The watermark is known to the
    millisecond, the resolution of runners' timers."""

    SEEN = BagStateSpec("seen", VersionedStateCoder("seen", seen_ids.FORMAT_VERSION, seen_ids.SeenForm()))
    SEEN_BEFORE = BagStateSpec("seen_before", VersionedStateCoder("seen", seen_ids.FORMAT_VERSION, seen_ids.SeenForm()))
    WATERMARK = ReadModifyWriteStateSpec("watermark", VarIntCoder())
    GREATEST = ReadModifyWriteStateSpec("greatest", VarIntCoder())
    PENDING = ReadModifyWriteStateSpec("pending", VarIntCoder())
    NUMBERED = ReadModifyWriteStateSpec("numbered", VarIntCoder())
    SOUND = TimerSpec("sound", TimeDomain.WATERMARK)
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)

    def __init__(self, spec: EventsSpec, lateness_us: int, shards: int) -> None:
        self._disorder_us, self._end_us = spec.max_out_of_orderness_us, spec.time_range_us[1]
        self._lateness_us, self._shards, self._spec = lateness_us, shards, spec

    def setup(self) -> None:
        self._hides = hiding_of(self._spec)

    def process(  # type: ignore[no-untyped-def]  # Beam passes state and timers through defaults
        self,
        element: Arrival,
        seen=beam.DoFn.StateParam(SEEN),
        seen_before=beam.DoFn.StateParam(SEEN_BEFORE),
        watermark=beam.DoFn.StateParam(WATERMARK),
        greatest=beam.DoFn.StateParam(GREATEST),
        pending=beam.DoFn.StateParam(PENDING),
        numbers=beam.DoFn.StateParam(NUMBERED),
        sound=beam.DoFn.TimerParam(SOUND),
        forget=beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[Any]:
        top, events = element[1]
        before, known = greatest.read(), watermark.read()
        if before is None or top > before:
            greatest.write(top)
            stand_us, waiting = last_whole_ms(top - self._disorder_us), pending.read()
            # The timer is ahead of the watermark and holds it back no further than its own time: no output
            # waits.
            if (waiting is None or stand_us < waiting) and (known is None or stand_us > known):
                pending.write(stand_us)
                sound.set(Timestamp(micros=stand_us))
            forget.set(at_or_after(top + self._disorder_us + self._lateness_us))
        if events.num_rows == 0:
            return
        cells = [(cell, list(cell.read())) for cell in (seen, seen_before)]
        runs = [run for _, held in cells for run in held]
        chosen = seen_ids.first_of_each(events) & ~seen_ids.contains(runs, events.column(batches.EVENT_ID))
        yield from _repeated(events, ~chosen, self._hides)
        fresh = batches.take_rows(events, chosen)
        if fresh.num_rows == 0:
            return
        self._remember(cells, fresh, known)
        first = numbers.read() or 0
        numbers.write(first + fresh.num_rows)
        yield from _marked(numbered(fresh, first, element[0], self._shards), known)

    def _remember(
        self, cells: Sequence[tuple[Any, list[seen_ids.SeenRun]]], fresh: pa.RecordBatch, known: int | None
    ) -> None:
        """Adds the ids to the first state cell; the content of a full cell moves to the next one as one run."""
        run: seen_ids.SeenRun | None = seen_ids.run_of(fresh.column(batches.EVENT_ID), batches.times_us(fresh))
        keep_from_us = _NEVER_US if known is None else known - self._disorder_us - self._lateness_us
        for cell, runs in cells:
            if run is None or len(runs) < _MAX_RUNS:
                break
            cell.clear()
            run = seen_ids.compacted([*runs, run], keep_from_us)
        if run is not None:
            cell.add(run)

    @on_timer(SOUND)
    def sounded(  # type: ignore[no-untyped-def]
        self,
        reached=beam.DoFn.TimestampParam,
        watermark=beam.DoFn.StateParam(WATERMARK),
        greatest=beam.DoFn.StateParam(GREATEST),
        pending=beam.DoFn.StateParam(PENDING),
        sound=beam.DoFn.TimerParam(SOUND),
    ) -> None:
        known = watermark.read()
        reached_us = reached.micros if known is None else max(reached.micros, known)
        watermark.write(reached_us)
        following = next_sounding(reached_us, last_whole_ms(greatest.read() - self._disorder_us))
        if following < self._end_us:  # no decoded event can be behind a later watermark without being behind this one
            pending.write(following)
            sound.set(Timestamp(micros=following))
        else:
            pending.clear()

    @on_timer(FORGET)
    def forget(  # type: ignore[no-untyped-def]
        self,
        reached=beam.DoFn.TimestampParam,
        seen=beam.DoFn.StateParam(SEEN),
        seen_before=beam.DoFn.StateParam(SEEN_BEFORE),
        greatest=beam.DoFn.StateParam(GREATEST),
    ) -> None:
        if greatest.read() + self._disorder_us + self._lateness_us <= reached.micros:
            seen.clear()
            seen_before.clear()


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
        self._events, self._shards, self._lateness_us = events, features.shards, features.allowed_lateness_us

    def expand(self, events: beam.PCollection[pa.RecordBatch]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        if events.is_bounded:
            sharded = events | "Shard" >> beam.ParDo(_ShardFn(self._shards)).with_output_types(Sharded)
            arrived = sharded | "Group" >> beam.GroupByKey()
            tracking = beam.ParDo(_WholeShardFn(self._events, self._shards))
        else:
            arrived = events | "Shard" >> beam.ParDo(_AnnounceFn(self._shards)).with_output_types(Arrival)
            tracking = beam.ParDo(_ArrivingFn(self._events, self._lateness_us, self._shards))
        tracked = arrived | "Track" >> tracking.with_outputs(DEAD_LETTERS, main="good")
        tracked.good.element_type = tracked[DEAD_LETTERS].element_type = pa.RecordBatch
        return Tracked(tracked.good, tracked[DEAD_LETTERS])
