"""WindowFeatures: point-in-time features of each event from the events before it (DESIGN §7)."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from schemas.job import FeaturesSpec
from transforms import feature_state, metrics, tiles
from transforms.coders import ArrowBatchCoder
from transforms.feature_state import FeatureState, Layout, features_of
from transforms.gathering import GatheringFn
from transforms.join_features import EMIT_ROWS, JoinFeatures, Sharded, stamped
from transforms.sharding import hash_values, split_by_shard
from transforms.state import VersionedStateCoder
from transforms.tiles import KEY, KeyPlan, fold, observations, plan_key


class _ObserveFn(GatheringFn):
    def __init__(self, plan: KeyPlan, shards: int) -> None:
        self._plan, self._shards = plan, shards

    def of_whole(self, batch: pa.RecordBatch) -> Iterator[Sharded]:
        rows = observations(self._plan, batch)
        yield from split_by_shard(rows, hash_values(rows.column(KEY)), self._shards)


class _WholeShardFn(beam.DoFn):
    """All events of a shard at once: bounded input has a perfect watermark, so every tile is complete."""

    def __init__(self, plan: KeyPlan, max_values: int) -> None:
        self._plan, self._max_values = plan, max_values

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        rows = batches.concat_batches(list(element[1]))
        known = fold(self._plan, rows, self._max_values)
        for part in batches.slices(features_of(self._plan, known, rows), EMIT_ROWS):
            yield stamped(part)


def watermark_of(fired: Timestamp) -> int:
    """How far the watermark has come, in microseconds, when a timer of a T fires, which was set just before it.

    On Flink time has milliseconds: there the timer was set, and fired, at the last one before T.
    """
    return int(fired.micros) + (1 if fired.micros % 1000 else 1000)


class _ArrivingFn(beam.DoFn):
    """A shard over time. `NEXT` fires at the earliest T that an event waits for; `LAST`, at the latest, lets one
    call do the work when the watermark leaps over many; `FORGET` clears a shard that nothing can need any more."""

    WAITING = BagStateSpec("waiting", ArrowBatchCoder())
    OPEN_ROWS = BagStateSpec("open_rows", ArrowBatchCoder())
    TILES = ReadModifyWriteStateSpec("tiles", VersionedStateCoder("tiles", tiles.FORMAT_VERSION))
    NEXT = TimerSpec("next", TimeDomain.WATERMARK)
    LAST = TimerSpec("last", TimeDomain.WATERMARK)
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)

    def __init__(self, plan: KeyPlan, lateness_us: int, max_values: int, shards: int) -> None:
        self._plan, self._lateness_us, self._max_values = plan, lateness_us, max_values
        self._layout = Layout(plan.tile_us, shards)

    def process(  # type: ignore[no-untyped-def]  # Beam passes state and timers through defaults
        self,
        element: Sharded,
        waiting=beam.DoFn.StateParam(WAITING),
        open_rows=beam.DoFn.StateParam(OPEN_ROWS),
        tables=beam.DoFn.StateParam(TILES),
        next_timer=beam.DoFn.TimerParam(NEXT),
        last_timer=beam.DoFn.TimerParam(LAST),
    ) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        # Where the watermark is known to have passed T already, nothing is waited for: a timer would fire when the
        # watermark next moves, which on a live topic is most of an event's latency.
        state = self._read([element[1]], [element[1]], tables)
        before = state.tiles
        due = self._advance(state, state.watermark_us)
        for rows in state.open_rows:
            open_rows.add(rows)
        if state.tiles is not before:
            tables.write((self._layout, state.watermark_us, state.tiles))
        for rows in state.waiting:
            waiting.add(rows)
        if state.waiting:
            self._set_due(FeatureState(waiting=list(waiting.read())), next_timer, last_timer)
        yield from due

    def _advance(self, state: FeatureState, watermark_us: int) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        """Brings the state to a watermark; the features that are due then."""
        due, expired = feature_state.advance(self._plan, state, watermark_us, self._lateness_us, self._max_values)
        if expired:
            metrics.counter(metrics.ROWS_EXPIRED).inc(expired)
        return iter(()) if due is None else map(stamped, batches.slices(due, EMIT_ROWS))

    def _set_due(self, state: FeatureState, next_timer: Any, last_timer: Any) -> None:
        due = feature_state.next_due(self._plan, state)
        if due is not None:
            # A microsecond before T: Flink's timers fire when the watermark has passed their time, not reached it, and
            # past the last event of a silent topic it never goes.
            next_timer.set(Timestamp(micros=due[0] - 1))
            last_timer.set(Timestamp(micros=due[1] - 1))

    @on_timer(NEXT)
    def next_reached(  # type: ignore[no-untyped-def]
        self,
        reached=beam.DoFn.TimestampParam,
        waiting=beam.DoFn.StateParam(WAITING),
        open_rows=beam.DoFn.StateParam(OPEN_ROWS),
        tables=beam.DoFn.StateParam(TILES),
        next_timer=beam.DoFn.TimerParam(NEXT),
        last_timer=beam.DoFn.TimerParam(LAST),
        forget_timer=beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        state = self._read(waiting.read(), open_rows.read(), tables)
        due = self._advance(state, watermark_of(reached))
        self._write(state, waiting, open_rows, tables)
        self._set_due(state, next_timer, last_timer)
        forgotten = feature_state.forgotten_at(self._plan, state, self._lateness_us)
        if forgotten is not None:
            forget_timer.set(Timestamp(micros=max(forgotten, state.watermark_us)))
        yield from due

    @on_timer(LAST)
    def last_reached(  # type: ignore[no-untyped-def]
        self,
        reached=beam.DoFn.TimestampParam,
        waiting=beam.DoFn.StateParam(WAITING),
        open_rows=beam.DoFn.StateParam(OPEN_ROWS),
        tables=beam.DoFn.StateParam(TILES),
        next_timer=beam.DoFn.TimerParam(NEXT),
        last_timer=beam.DoFn.TimerParam(LAST),
        forget_timer=beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        yield from self.next_reached(reached, waiting, open_rows, tables, next_timer, last_timer, forget_timer)

    @on_timer(FORGET)
    def forget(  # type: ignore[no-untyped-def]
        self,
        reached=beam.DoFn.TimestampParam,
        waiting=beam.DoFn.StateParam(WAITING),
        open_rows=beam.DoFn.StateParam(OPEN_ROWS),
        tables=beam.DoFn.StateParam(TILES),
        forget_timer=beam.DoFn.TimerParam(FORGET),
    ) -> None:
        state = self._read(waiting.read(), open_rows.read(), tables)
        forgotten = feature_state.forgotten_at(self._plan, state, self._lateness_us)
        if state.waiting or forgotten is None:
            return  # the timer of what waits comes first
        if forgotten <= reached.micros:
            open_rows.clear()
            tables.write((self._layout, reached.micros, None))
        else:  # events that did not have to wait came after it was set
            forget_timer.set(Timestamp(micros=forgotten))

    def _read(
        self, waiting: Iterable[pa.RecordBatch], open_rows: Iterable[pa.RecordBatch], tables: Any
    ) -> FeatureState:
        known = tables.read()
        layout, watermark_us, table = known if known is not None else (self._layout, feature_state.NEVER_US, None)
        state = FeatureState(list(waiting), list(open_rows), table, watermark_us)
        feature_state.check_fits(self._plan, state, layout, self._layout)
        return state

    def _write(self, state: FeatureState, waiting: Any, open_rows: Any, tables: Any) -> None:
        for cell, values in ((waiting, state.waiting), (open_rows, state.open_rows)):
            cell.clear()
            for value in values:
                cell.add(value)
        tables.write((self._layout, state.watermark_us, state.tiles))


class _DropRowFn(beam.DoFn):
    def process(self, events: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield events.drop_columns([batches.ROW])


class FeaturesOfKey(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """The windowed features of one key column.

    Input: batches of events in the global window. Output: batches of row number, time and the features, one per event.
    """

    def __init__(self, plan: KeyPlan, spec: FeaturesSpec) -> None:
        super().__init__()
        self._plan, self._spec = plan, spec

    def expand(self, events: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        plan, spec = self._plan, self._spec
        observe = beam.ParDo(_ObserveFn(plan, spec.shards)).with_output_types(Sharded)
        observed = events | "Observe" >> observe
        if events.is_bounded:  # grouping needs no watermark to be complete, and costs no timer per tile
            observed, label = observed | "Group" >> beam.GroupByKey(), "Aggregate"
            featuring: beam.DoFn = _WholeShardFn(plan, spec.max_tile_values)
        else:
            label, featuring = "Arrive", _ArrivingFn(plan, spec.allowed_lateness_us, spec.max_tile_values, spec.shards)
        featured: beam.PCollection[pa.RecordBatch] = observed | label >> beam.ParDo(featuring).with_output_types(
            pa.RecordBatch
        )
        return featured


class WindowFeatures(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """Appends the windowed features: one branch per key column, joined by the row number of `TrackArrivals`.

    Branches run side by side, not in a row: an event then waits once, its payload is shuffled once, and no branch
    depends on another's watermark holds (Beam's DirectRunner keeps none for timers).
    Input: batches of events with unique ids (`TrackArrivals`) in the global window; unbounded input carries a
    watermark that no on-time event is behind. Output: the same rows with one column per windowed feature in spec
    order. An unbounded event waits until the watermark reaches its T; one whose T has passed goes on at once.
    Dead-lettered: nothing. State per shard of key values: waiting rows, rows of open tiles, closed tiles; a tile is
    dropped when the watermark passes its end plus the longest size plus the allowed lateness.
    """

    def __init__(self, spec: FeaturesSpec) -> None:
        super().__init__()
        self._spec = spec

    def expand(self, events: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        spec = self._spec
        if not spec.windowed:
            dropping = beam.ParDo(_DropRowFn())  # type: ignore[no-untyped-call]  # Beam's DoFn has no types
            unfeatured = events | "NoFeatures" >> dropping.with_output_types(pa.RecordBatch)
            joined: beam.PCollection[pa.RecordBatch] = unfeatured
            return joined
        branches = [
            events | f"FeaturesBy[{key}]" >> FeaturesOfKey(plan_key(spec.windowed, key), spec) for key in spec.keys
        ]
        names = tuple(feature.name for feature in spec.windowed)
        joined = (events, *branches) | "JoinFeatures" >> JoinFeatures(names, spec.shards)
        return joined
