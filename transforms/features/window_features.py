"""WindowFeatures: point-in-time features of each event from the events before it (docs/design.md §7)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import Coder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from schemas.job import DerivedSpec, FeaturesSpec
from transforms.decoding.deriving import with_derived
from transforms.features import feature_state, waiting
from transforms.features.feature_state import FeatureState, Grains, Layout, features_of
from transforms.features.join_features import EMIT_ROWS, JoinFeatures, Sharded, stamped
from transforms.features.key_plans import KEY, KeyPlan, observations, plan_key
from transforms.features.tile_forms import GRAINS_VERSION, TILES_VERSION, GrainsForm, TilesForm
from transforms.features.tile_queries import over_limit
from transforms.features.tile_tables import TileTables
from transforms.features.tiles import fold
from transforms.features.waiting import Waits
from transforms.flow import metrics
from transforms.flow.cells import taking
from transforms.flow.coders import ArrowBatchCoder
from transforms.flow.gathering import GatheringFn
from transforms.flow.sharding import hash_values, split_by, split_by_shard
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.flow.timers import at_or_after, just_before


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
        _count_over_limit(over_limit(self._plan, known, rows))
        for part in batches.slices(features_of(self._plan, known, rows), EMIT_ROWS):
            yield stamped(part)


def _count_over_limit(events: Mapping[str, int]) -> None:
    for feature, number in events.items():
        metrics.over_limit(feature).inc(number)


def watermark_of(fired: Timestamp) -> int:
    """The watermark, in microseconds, when the timer of a T fires, which was set just before T.

    Flink's times are in milliseconds: there the timer was set, and fired, at the last millisecond before T.
    """
    return int(fired.micros) + (1 if fired.micros % 1000 else 1000)


_NEXT, _LAST, _FOLD, _FORGET = (TimerSpec(name, TimeDomain.WATERMARK) for name in ("next", "last", "fold", "forget"))


def _bag(name: str, coder: Coder) -> Any:
    return beam.DoFn.StateParam(BagStateSpec(name, coder))


def _value(name: str, coder: Coder) -> Any:
    return beam.DoFn.StateParam(ReadModifyWriteStateSpec(name, coder))


class _Cells(NamedTuple):
    """What a shard keeps.

    An event is held once: with those that wait until the watermark has reached its T, then in `open_rows` until its
    grain is over. `waits` says when the next one is due, so that waiting events are read only when one of them is due.
    `folds_at` is when `fold_timer` fires: if it were set again while pending, events that arrive all the time would
    postpone it for ever.
    """

    waits: Any = _value("waits", VersionedStateCoder("waits", waiting.FORMAT_VERSION, Plain(Waits)))
    near: Any = _bag("waiting_near", ArrowBatchCoder())
    middle: Any = _bag("waiting_middle", ArrowBatchCoder())
    far: Any = _bag("waiting_far", ArrowBatchCoder())
    open_rows: Any = _bag("open_rows", ArrowBatchCoder())
    grains: Any = _bag("grains", VersionedStateCoder("grains", GRAINS_VERSION, GrainsForm()))
    folds_at: Any = _value("folds_at", VarIntCoder())
    tables: Any = _value("tiles", VersionedStateCoder("tiles", TILES_VERSION, TilesForm()))
    next_timer: Any = beam.DoFn.TimerParam(_NEXT)
    last_timer: Any = beam.DoFn.TimerParam(_LAST)
    fold_timer: Any = beam.DoFn.TimerParam(_FOLD)
    forget_timer: Any = beam.DoFn.TimerParam(_FORGET)

    @property
    def bags(self) -> tuple[Any, Any, Any]:
        """The bags of waiting rows, by how soon they are due."""
        return self.near, self.middle, self.far


Featured: TypeAlias = Iterator[TimestampedValue[pa.RecordBatch]]


class _ArrivingFn(beam.DoFn):
    """A shard over time. `next` fires at the earliest T that an event waits for; `last` fires at the latest T, so that
    one call does the work when the watermark jumps over many; `fold` turns the rows of completed grains into partial
    aggregates; `forget` clears a shard that nothing can need any more.
    """

    def __init__(self, plan: KeyPlan, lateness_us: int, max_values: int, shards: int) -> None:
        self._plan, self._lateness_us, self._max_values = plan, lateness_us, max_values
        self._layout = Layout(plan.tile_us, shards)

    @taking(_Cells)
    def process(self, element: Sharded, cells: _Cells) -> Featured:
        # Where the watermark is known to have passed T already, nothing waits: a timer would fire only when the
        # watermark moves next, and on a live topic that would be most of an event's latency.
        known = cells.tables.read()
        state = self._state(known, [element[1]], [element[1]], [])
        before = state.tiles
        due = self._advance(state, state.watermark_us)
        for value in state.grains:
            cells.grains.add(value)
        if known is None or state.tiles is not before:
            cells.tables.write((self._layout, state.watermark_us, state.tiles))
        if state.waiting:
            former = cells.waits.read() or Waits()
            self._set_due(former, self._wait(former, state.waiting, cells), cells)
        served = self._served(state)
        for value in served:
            cells.open_rows.add(value)
        self._set_fold(served, cells)
        yield from due

    def _advance(self, state: FeatureState, watermark_us: int) -> Featured:
        """Brings the state to a watermark; the features that are due then."""
        advanced = feature_state.advance(self._plan, state, watermark_us, self._lateness_us, self._max_values)
        if advanced.expired:
            metrics.counter(metrics.ROWS_EXPIRED).inc(advanced.expired)
        _count_over_limit(advanced.over_limit)
        due = advanced.featured
        return iter(()) if due is None else map(stamped, batches.slices(due, EMIT_ROWS))

    def _wait(self, known: Waits, rows: Iterable[pa.RecordBatch], cells: _Cells) -> Waits:
        """Adds rows to the bags of those that wait."""
        for batch in rows:
            due_us = feature_state.ready_times(self._plan, batches.times_us(batch))
            for bag, part in split_by(batch, known.bags_of(due_us)):
                cells.bags[bag].add(part)
            known = known.having(due_us)
        cells.waits.write(known) if known else cells.waits.clear()
        return known

    def _set_due(self, former: Waits, waits: Waits, cells: _Cells) -> None:
        if waits.first is not None and waits.first != former.first:
            cells.next_timer.set(just_before(waits.first))
        if waits.first is not None and waits.latest != former.latest:
            cells.last_timer.set(just_before(waits.latest))

    def _served(self, state: FeatureState) -> list[pa.RecordBatch]:
        """The rows of open grains without the waiting rows, which are in state already."""
        found = []
        for rows in state.open_rows:
            served = feature_state.is_served(self._plan, rows, state.watermark_us)
            found += [rows] if served.all() else [batches.take_rows(rows, served)] if served.any() else []
        return found

    def _set_fold(self, rows: Sequence[pa.RecordBatch], cells: _Cells) -> None:
        if rows and cells.folds_at.read() is None:
            at_us = max(feature_state.folds_at(self._plan, batch) for batch in rows)
            cells.folds_at.write(at_us)
            cells.fold_timer.set(just_before(at_us))

    def _reached(self, reached: Timestamp, cells: _Cells) -> Featured:
        known, watermark_us = cells.tables.read(), watermark_of(reached)
        waited = cells.waits.read() or Waits()
        read = waited.due_by(watermark_us)
        rows = [batch for bag in read for batch in cells.bags[bag].read()]
        opened, held = list(cells.open_rows.read()), list(cells.grains.read())
        state = self._state(known, rows, [*opened, *rows], held)
        before_us, before = state.watermark_us, state.tiles
        due = self._advance(state, watermark_us)
        if read:
            for bag in read:
                cells.bags[bag].clear()
            left = [feature_state.ready_times(self._plan, batches.times_us(batch)) for batch in state.waiting]
            waited = waited.without(read, np.concatenate(left) if left else np.zeros(0, np.int64))
            waited = self._wait(waited, state.waiting, cells)
        self._set_due(Waits(), waited, cells)
        served = self._served(state)
        _keep(cells.open_rows, opened, served)
        _keep(cells.grains, held, state.grains)
        self._set_fold(served, cells)
        moved = feature_state.has_moved_on(self._plan, before_us, state.watermark_us, self._lateness_us)
        if moved or state.tiles is not before:
            cells.tables.write((self._layout, state.watermark_us, state.tiles))
        forgotten = feature_state.forgotten_at(self._plan, state, self._lateness_us)
        if forgotten is not None:
            cells.forget_timer.set(at_or_after(max(forgotten, state.watermark_us)))
        yield from due

    @on_timer(_NEXT)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def next_reached(self, reached: Timestamp, cells: _Cells) -> Featured:
        yield from self._reached(reached, cells)

    @on_timer(_LAST)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def last_reached(self, reached: Timestamp, cells: _Cells) -> Featured:
        yield from self._reached(reached, cells)

    @on_timer(_FOLD)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def fold_reached(self, reached: Timestamp, cells: _Cells) -> Featured:
        # Waiting rows are answered too: if the watermark jumped, this advance may drop their tiles.
        cells.folds_at.clear()
        yield from self._reached(reached, cells)

    @on_timer(_FORGET)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def forget(self, reached: Timestamp, cells: _Cells) -> None:
        if cells.waits.read():
            return  # the timer of waiting rows fires first
        state = self._state(cells.tables.read(), [], cells.open_rows.read(), cells.grains.read())
        forgotten = feature_state.forgotten_at(self._plan, state, self._lateness_us)
        if forgotten is None:
            return
        if forgotten <= reached.micros:
            cells.open_rows.clear()
            cells.grains.clear()
            cells.tables.write((self._layout, reached.micros, None))
        else:  # events that did not have to wait arrived after it was set
            cells.forget_timer.set(at_or_after(forgotten))

    def _state(
        self,
        known: tuple[Layout, int, TileTables | None] | None,
        waiting: Iterable[pa.RecordBatch],
        open_rows: Iterable[pa.RecordBatch],
        grains: Iterable[Grains],
    ) -> FeatureState:
        layout, watermark_us, table = known if known is not None else (self._layout, feature_state.NEVER_US, None)
        state = FeatureState(list(waiting), list(open_rows), list(grains), table, watermark_us)
        feature_state.check_fits(self._plan, state, layout, self._layout)
        return state


def _keep(cell: Any, former: list[Any], values: list[Any]) -> None:
    """Replaces the values of a bag of state; only adds to it where the former values are the first of the new ones."""
    added = values[len(former) :]
    if len(former) > len(values) or any(old is not new for old, new in zip(former, values, strict=False)):
        cell.clear()
        added = values
    for value in added:
        cell.add(value)


class _DeriveFn(beam.DoFn):
    def __init__(self, derived: tuple[DerivedSpec, ...]) -> None:
        self._derived = derived

    def process(self, events: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield with_derived(events, self._derived)


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
        if events.is_bounded:  # grouping does not need a watermark to be complete, and costs no timer per tile
            observed, label = observed | "Group" >> beam.GroupByKey(), "Aggregate"
            featuring: beam.DoFn = _WholeShardFn(plan, spec.max_tile_values)
        else:
            label, featuring = "Arrive", _ArrivingFn(plan, spec.allowed_lateness_us, spec.max_tile_values, spec.shards)
        featured: beam.PCollection[pa.RecordBatch] = observed | label >> beam.ParDo(featuring).with_output_types(
            pa.RecordBatch
        )
        return featured


class WindowFeatures(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """Appends windowed features and those computed of them, a branch per key, joined by `TrackArrivals`' row number.

    Branches run in parallel, not in sequence: so an event waits once, its payload is shuffled once, and no branch
    depends on another's watermark holds (Beam's DirectRunner keeps none for timers).
    Input: batches of events with unique ids (`TrackArrivals`) in the global window; the watermark of unbounded input is
    not ahead of any event that is on time. Output: the same rows with one column per windowed feature in spec order. An
    unbounded event waits until the watermark reaches its T; one whose T has passed is emitted at once. Dead-lettered:
    nothing. State per shard of key values: waiting rows, rows of the last seconds, partial aggregates of open tiles,
    and closed tiles, bounded by the number of key values and not by the number of events; a tile is dropped when the
    watermark passes its end plus the longest size plus the allowed lateness.
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
            events | f"FeaturesBy[{label_of(key)}]" >> FeaturesOfKey(plan_key(spec.windowed, key), spec)
            for key in spec.keys
        ]
        joined = (events, *branches) | "JoinFeatures" >> JoinFeatures(spec)
        if not spec.late:
            return joined
        derived: beam.PCollection[pa.RecordBatch] = joined | "DeriveFeatures" >> beam.ParDo(
            _DeriveFn(spec.late)
        ).with_output_types(pa.RecordBatch)
        return derived


def label_of(key: str | tuple[str, ...]) -> str:
    """A key in the labels of steps.

    >>> label_of("origin"), label_of(("origin", "carrier"))
    ('origin', '["origin","carrier"]')
    """
    return key if isinstance(key, str) else json.dumps(key, separators=(",", ":"))
