"""Timers of a runner that keeps only milliseconds, as Flink and the portable protocol do, with finer event times."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from schemas.job import EventsSpec, FeatureSpec
from tests.transforms.beam.cells import Cell, ShardCells
from tests.transforms.beam.test_features_over_time import EVENTS, arriving, rows_of
from transforms.arrivals import track_arrivals
from transforms.drift.count_too_late import _CompareFn
from transforms.features.key_plans import plan_key
from transforms.features.window_features import _ArrivingFn

SECOND = 1_000_000
NINE = 1_356_998_400_000_000 + 9 * 3600 * SECOND
DISORDER = 2 * SECOND
MOST_FIRINGS = 400


class CoarseTimer(Cell):
    """One timer of `CoarseTimers`."""

    def __init__(self, name: str, pending: dict[str, int]) -> None:
        super().__init__()
        self._name, self._pending = name, pending

    def set(self, value: Timestamp) -> None:
        self._pending[self._name] = value.micros // 1000 * 1000


class CoarseTimers:
    """Timers by name, kept to the millisecond; `reach` fires those that are due, in order, until none is."""

    def __init__(self, most: int = MOST_FIRINGS) -> None:
        self.pending: dict[str, int] = {}
        self.firings, self._most = 0, most

    def timer(self, name: str) -> "CoarseTimer":
        return CoarseTimer(name, self.pending)

    def reach(self, watermark_us: int, fire: Callable[[str, Timestamp], Any]) -> None:
        while self.firings < self._most:
            due = [name for name, at_us in self.pending.items() if at_us <= watermark_us // 1000 * 1000]
            if not due:
                return
            name = min(due, key=lambda one: self.pending[one])
            self.firings += 1
            fire(name, Timestamp(micros=self.pending.pop(name)))


class Tracking:
    """A shard of `TrackArrivals`."""

    def __init__(self, lateness_us: int) -> None:
        spec = EventsSpec("u", "avro", "id", "at", None, DISORDER, (), EVENTS.time_range_us, "us")
        self.fn, self.timers = track_arrivals._ArrivingFn(spec, lateness_us, 1), CoarseTimers()
        self.fn.setup()
        self.seen, self.before = Cell([]), Cell([])
        self.numbers = [Cell() for _ in range(4)]  # watermark, greatest, pending, numbered
        self.sound, self.forgetting = self.timers.timer("sound"), self.timers.timer("forget")

    def arrive(self, name: str, at_us: int) -> list[bool]:
        """Whether the event is late."""
        batch = arriving("A", **{name: (0.0, 1.0)})
        times = pa.array([at_us]).cast(batches.TIME_TYPE)
        batch = batch.set_column(1, batch.schema.field(1), times)
        cells = (self.seen, self.before, *self.numbers, self.sound, self.forgetting)
        found = list(self.fn.process((0, (at_us, batch)), *cells))
        return [late for one in found for late in one.value.column(batches.LATE).to_pylist()]

    def reach(self, watermark_us: int) -> None:
        self.timers.reach(watermark_us, self._fire)

    def _fire(self, name: str, reached: Timestamp) -> None:
        if name == "sound":
            watermark, greatest, pending, _ = self.numbers
            self.fn.sounded(reached, watermark, greatest, pending, self.sound)
        else:
            self.fn.forget(reached, self.seen, self.before, self.numbers[1])


@pytest.mark.parametrize("fraction_us", [0, 1, 123, 999])
def test_watermark_is_probed_no_more_often_where_times_are_finer_than_timers(fraction_us: int) -> None:
    shard, events = Tracking(lateness_us=0), 30
    for number in range(events):
        at_us = NINE + number * 250_000 + fraction_us
        assert shard.arrive(f"e{number}", at_us) == [False]
        shard.reach(at_us - DISORDER)
    assert shard.timers.firings <= events + 3
    assert shard.arrive("late", NINE + (events - 1) * 250_000 - DISORDER - 1000) == [True]


@pytest.mark.parametrize("fraction_us", [0, 1, 999])
def test_ids_are_forgotten_where_times_are_finer_than_timers(fraction_us: int) -> None:
    shard = Tracking(lateness_us=5 * SECOND)
    shard.arrive("a", NINE + fraction_us)
    shard.reach(NINE + fraction_us)
    assert len(shard.seen.value) == 1
    shard.reach(NINE + 60 * SECOND)
    assert shard.seen.value == []


@pytest.mark.parametrize("lateness_us", [0, 1, 1500, SECOND + 1])
def test_windows_that_close_between_milliseconds_are_closed_once(lateness_us: int) -> None:
    fn, timers = _CompareFn(lateness_us), CoarseTimers()
    closed, waiting, upcoming = Cell(), Cell([]), timers.timer("next")
    for end_us in (NINE, NINE + 1500, NINE + 777):
        assert list(fn.process((0, (end_us, 1)), closed, waiting, upcoming)) == []
    timers.reach(NINE + 10 * SECOND, lambda _, reached: fn.reached(reached, closed, waiting, upcoming))
    assert (waiting.value, timers.firings <= 3) == ([], True)
    assert list(fn.process((0, (NINE + 1500, 7)), closed, waiting, upcoming)) == [(NINE + 1500, 7)]


@pytest.mark.parametrize(("step_us", "lateness_us"), [(1_000, 0), (1_500, 0), (7_777, 1), (1_000_001, 999)])
def test_windows_between_milliseconds_wait_for_their_end_and_are_forgotten(step_us: int, lateness_us: int) -> None:
    plan = plan_key([FeatureSpec("n", "key", None, "count", 2 * step_us, step_us)], "key")
    fn, timers = _ArrivingFn(plan, lateness_us, 100, 1), CoarseTimers()
    cells = ShardCells(fn, timers.timer)
    begun_us = (NINE // step_us + 1) * step_us
    rows = rows_of(plan, a=(0, 1.0))
    times = pa.array([begun_us]).cast(batches.TIME_TYPE)
    assert cells.called("process", (0, rows.set_column(1, rows.schema.field(1), times))) == []
    timers.reach(begun_us - 2000, cells.fire)
    assert cells.found == []  # its T has not been reached
    timers.reach(begun_us + 10 * step_us + 100_000, cells.fire)
    assert ([one.value.num_rows for one in cells.found], timers.pending) == ([1], {})
    assert timers.firings <= 8
    assert (cells.held(), cells["tables"][2], cells["waits"]) == (0, None, None)
