"""Windowed features (docs/design.md §7) as stories: watermark, elements, watermark, late element, one assertion."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing.test_stream import TestStream as Story  # pytest would collect a class named Test…
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from schemas.job import EventsSpec, FeatureSpec, FeaturesSpec
from tests.transforms.beam.cells import Cell, ShardCells
from tests.transforms.beam.streams import replaying_runner
from transforms.arrivals.track_arrivals import TrackArrivals, next_sounding
from transforms.features.feature_state import NEVER_US, FeatureState, Layout, forgotten_at
from transforms.features.key_plans import KeyPlan, observations, plan_key
from transforms.features.window_features import WindowFeatures, _ArrivingFn
from transforms.flow.coders import ArrowBatchCoder

MINUTE = 60_000_000
NINE = 1_356_998_400_000_000 + 9 * 60 * MINUTE  # 2013-01-01T09:00:00Z
COLUMNS = (("key", "string"), ("value", "number"))
DISORDER = 10 * MINUTE
EVENTS = EventsSpec("u", "avro", "id", "at", None, DISORDER, COLUMNS, (0, 4_102_444_800_000_000), "us")
COUNT = FeatureSpec("n", "key", None, "count", 10 * MINUTE, 5 * MINUTE)
TOTAL = FeatureSpec("total", "key", "value", "sum", 10 * MINUTE, 5 * MINUTE)
SPEC = FeaturesSpec((), (COUNT, TOTAL), 10 * MINUTE, 2, 4096)


def at(minutes: float) -> Timestamp:
    """Minutes after nine o'clock."""
    return Timestamp(micros=NINE + int(minutes * MINUTE))


def arriving(key: str = "A", **events: tuple[float, float]) -> pa.RecordBatch:
    """A batch of events of one key: id=(minute, value)."""
    times = pa.array([at(minute).micros for minute, _ in events.values()]).cast(batches.TIME_TYPE)
    columns = [list(events), times, pa.nulls(len(events), pa.string()), [name.encode() for name in events]]
    columns += [[False] * len(events), [key] * len(events), [value for _, value in events.values()]]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, batches.event_schema(COLUMNS), strict=True)],
        schema=batches.event_schema(COLUMNS),
    )


def story(watermark: float = 0) -> Story:
    begun: Story = Story(coder=ArrowBatchCoder()).advance_watermark_to(at(watermark))
    return begun


def risen(tale: Story, minute: float) -> Story:
    """The story with one more event, of another key, after which the source's watermark rises to that minute."""
    tick = arriving("B", **{f"tick{minute}": (minute + DISORDER / MINUTE, 0.0)})
    told: Story = tale.add_elements([tick]).advance_watermark_to(at(minute))
    return told


def seen(batch: pa.RecordBatch) -> Iterator[tuple[str, bool, int | None, float | None]]:
    """(id, late, count, sum) of each event."""
    names = (batches.EVENT_ID, batches.LATE, "n", "total")
    rows = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    yield from (row for row in rows if not row[0].startswith("tick"))


def are(expected: Iterable[Any]) -> Callable[[Iterable[Any]], None]:
    wanted = sorted(expected, key=repr)

    def check(found: Iterable[Any]) -> None:
        assert sorted(found, key=repr) == wanted

    return check


def told(tale: Story, *expected: tuple[str, bool, int | None, float | None], spec: FeaturesSpec = SPEC) -> None:
    """Plays the whole story through TrackArrivals and WindowFeatures, and compares the features of its events."""
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    with beam.Pipeline(runner=replaying_runner(), options=options) as pipeline:
        tracked = (
            pipeline | tale.advance_watermark_to(at(9000)).advance_watermark_to_infinity() | TrackArrivals(EVENTS, spec)
        )
        featured = tracked.good | WindowFeatures(spec)
        assert_that(featured | "See" >> beam.FlatMap(seen), are(expected))


def test_empty_window_counts_zero_and_is_null_for_others() -> None:
    told(story().add_elements([arriving(a=(7, 1.0))]), ("a", False, 0, None))


def test_event_sees_neither_itself_nor_its_own_tile() -> None:
    told(story().add_elements([arriving(a=(6, 1.0), b=(7, 2.0), c=(7, 4.0))]), *((n, False, 0, None) for n in "abc"))


def test_window_includes_its_beginning_and_excludes_its_end() -> None:
    tale = story().add_elements([arriving(before=(4.999, 1.0), first=(5, 2.0), last=(14.999, 4.0), end=(15, 8.0))])
    # T of `last` is 10, so its window is [0, 10); T of `end` is 15, so its window is [5, 15).
    told(tale, ("before", False, 0, None), ("first", False, 1, 1.0), ("last", False, 2, 3.0), ("end", False, 2, 6.0))


def test_event_waits_until_the_watermark_reaches_the_beginning_of_its_tile() -> None:
    tale = risen(story().add_elements([arriving(b=(12, 2.0))]), 9.9)
    tale = tale.add_elements([arriving(a=(9.95, 1.0))])
    told(tale, ("b", False, 1, 1.0), ("a", False, 0, None))


def test_windows_of_all_of_the_time_outlive_the_tiles_that_are_dropped() -> None:
    total = FeatureSpec("total", "key", "value", "sum", None, 5 * MINUTE)
    spec = FeaturesSpec((), (replace(COUNT, size_us=None), total), 10 * MINUTE, 2, 4096)
    tale = risen(story().add_elements([arriving(a=(1, 1.0), b=(2, 2.0))]), 60)
    tale = risen(tale.add_elements([arriving(c=(61, 4.0))]), 90)
    tale = tale.add_elements([arriving(d=(97, 8.0)), arriving(e=(3, 100.0))])  # the last is too late for anything
    known = [("a", False, 0, None), ("b", False, 0, None), ("c", False, 2, 3.0), ("d", False, 3, 7.0)]
    told(tale, *known, ("e", True, None, None), spec=spec)


def test_sums_that_decay_are_those_of_the_events_own_times() -> None:
    fading = FeatureSpec("total", "key", "value", "decayed_sum", 60 * MINUTE, 5 * MINUTE, half_life_us=5 * MINUTE)
    tale = risen(story().add_elements([arriving(a=(5, 8.0), b=(10, 2.0))]), 30)
    late = tale.add_elements([arriving(late=(20, 4.0))]).add_elements([arriving(c=(32, 1.0))])
    # At 20 the first has halved three times and the second twice; at 30 five times, four times, and the late one twice.
    expected = [("a", False, 0, None), ("b", False, 1, 4.0), ("late", True, 1, 1.5), ("c", False, 1, 1.375)]
    told(late, *expected, spec=FeaturesSpec((), (COUNT, fading), 20 * MINUTE, 2, 4096))


def test_event_waits_no_longer_than_that() -> None:
    tale = risen(story().add_elements([arriving(b=(12, 2.0), first=(1, 8.0))]), 10)
    # b's T is 10 and its own tile ends at 15: an event that arrives now is too late for b, although it is in b's
    # window.
    tale = tale.add_elements([arriving(a=(9, 1.0), c=(13, 4.0))])
    told(tale, ("first", False, 0, None), ("b", False, 1, 8.0), ("a", True, 1, 8.0), ("c", False, 2, 9.0))


def test_late_event_is_scored_at_once_and_amends_its_tile() -> None:
    tale = risen(story().add_elements([arriving(a=(1, 1.0), b=(22, 2.0))]), 12)
    tale = tale.add_elements([arriving(late=(7, 4.0))]).add_elements([arriving(next=(11, 8.0))])
    # late (T = 5) sees a. next (T = 10) comes behind the watermark too, and sees a and late.
    told(tale, ("a", False, 0, None), ("late", True, 1, 1.0), ("next", True, 2, 5.0), ("b", False, 1, 8.0))


def test_late_event_changes_no_bit_of_a_sum_that_is_there_already() -> None:
    tale = risen(story().add_elements([arriving(a=(6, 1e16), b=(8, -1e16))]), 12)
    tale = tale.add_elements([arriving(late=(7, 1.0))]).add_elements([arriving(next=(11, 8.0))])
    none = [("a", False, 0, None), ("b", False, 0, None), ("late", True, 0, None)]
    told(tale, *none, ("next", True, 3, 1.0))


def test_event_at_the_watermark_is_not_late() -> None:
    tale = risen(story().add_elements([arriving(a=(20, 1.0))]), 10)
    tale = tale.add_elements([arriving(on=(10, 1.0), behind=(9.99, 1.0))])
    told(tale, ("a", False, 1, 1.0), ("on", False, 1, 1.0), ("behind", True, 0, None))


# The tile [0, 5) is kept until 5 + 10 (size) + 10 (lateness) = 25.
@pytest.mark.parametrize(("watermark", "amended"), [(24, True), (25, False)])
def test_event_later_than_size_and_lateness_is_scored_and_marked_but_changes_nothing(
    watermark: int, amended: bool
) -> None:
    tale = risen(story().add_elements([arriving(a=(1, 1.0), x=(watermark, 1.0))]), watermark)
    tale = tale.add_elements([arriving(late=(2, 4.0))]).add_elements([arriving(after=(6, 8.0))])
    count, total = (2, 5.0) if amended else (1, 1.0)
    late = ("late", True, 0, None), ("after", True, count if amended else 0, total if amended else None)
    told(tale, ("a", False, 0, None), ("x", False, 0, None), *late)


def test_event_that_waits_while_the_watermark_never_advances_is_not_lost() -> None:
    tale = Story(coder=ArrowBatchCoder()).add_elements([arriving(a=(1, 1.0))])
    told(tale.add_elements([arriving(b=(7, 2.0))]), ("a", False, 0, None), ("b", False, 1, 1.0))


def test_jump_of_the_watermark_answers_every_waiting_event_from_its_own_window() -> None:
    rows = {f"e{hour}": (60.0 * hour + step, float(hour)) for hour in range(5) for step in (1,)}
    pairs = {f"f{hour}": (60.0 * hour + 6, 0.5) for hour in range(5)}
    tale = story().add_elements([arriving("A", **pairs, **rows)]).advance_watermark_to(at(6000))
    alone = [(name, False, 0, None) for name in rows]
    told(tale, *alone, *((f"f{hour}", False, 1, float(hour)) for hour in range(5)))


def test_events_behind_a_watermark_that_jumped_over_quiet_hours_are_late() -> None:
    tale = story().add_elements([arriving(a=(1, 1.0))]).advance_watermark_to(at(300))
    tale = tale.add_elements([arriving(late=(200, 2.0), on=(300, 4.0))])
    told(tale, ("a", False, 0, None), ("late", True, 0, None), ("on", False, 0, None))


def test_second_event_of_an_id_is_no_event() -> None:
    tale = story().add_elements([arriving(a=(1, 1.0))]).add_elements([arriving(a=(2, 7.0))])
    tale = tale.add_elements([arriving(b=(6, 1.0))])
    told(tale, ("a", False, 0, None), ("b", False, 1, 1.0))


def test_keys_are_apart_and_branches_join() -> None:
    by_id = FeatureSpec("total", "value", "value", "sum", 10 * MINUTE, 5 * MINUTE)
    spec = FeaturesSpec((), (COUNT, by_id), 0, 2, 4096)
    tale = story().add_elements([arriving(a=(1, 1.0), b=(2, 2.0), c=(7, 1.0))])
    told(tale, ("a", False, 0, None), ("b", False, 0, None), ("c", False, 2, 1.0), spec=spec)


def test_probes_of_the_watermark_are_at_the_sources_watermark_then_ever_farther() -> None:
    assert next_sounding(100, 500) == 500
    assert next_sounding(500, 500) == 500 + 1_000_000
    assert next_sounding(500 + 80_000_000, 500) == 500 + 160_000_000


def rows_of(plan: KeyPlan, **events: tuple[float, float]) -> pa.RecordBatch:
    arrived = arriving("A", **events)
    return observations(plan, batches.with_column(arrived, batches.ROW, pa.array(range(arrived.num_rows))))


def shard_of(plan: KeyPlan, tables: Any = None) -> ShardCells:
    """A shard of windowed features, perhaps with closed tiles."""
    cells = ShardCells(_ArrivingFn(plan, 10 * MINUTE, 4096, 1))
    cells.by_name["tables"] = Cell(tables)
    return cells


def rows_in(cells: ShardCells, *bags: str) -> list[int]:
    return [sum(rows.num_rows for rows in cells[bag]) for bag in bags]


WAITING = ("near", "middle", "far")


def test_event_whose_tile_has_begun_by_the_watermark_sets_no_timer_and_is_emitted_at_once() -> None:
    plan = plan_key(SPEC.windowed, "key")
    known = (Layout(plan.tile_us, 1), at(5).micros, None)
    cells = shard_of(plan, known)
    (gone,) = cells.called("process", (0, rows_of(plan, a=(7, 1.0))))
    assert (gone.value.num_rows, cells["waits"], rows_in(cells, "open_rows"), cells["tables"]) == (1, None, [1], known)
    assert cells["next_timer"] is cells["last_timer"] is None
    grain_over = at(7).micros + 5_000_000
    assert (cells["folds_at"], cells["fold_timer"]) == (grain_over, Timestamp(micros=grain_over - 1))
    (late,) = cells.called("process", (0, rows_of(plan, b=(2, 1.0))))
    assert (late.value.num_rows, rows_in(cells, "open_rows")) == (1, [1])  # its tile is closed: it is in the tables
    assert cells["tables"][2] is not None
    assert cells.called("process", (0, rows_of(plan, c=(11, 1.0)))) == []
    assert rows_in(cells, *WAITING, "open_rows") == [0, 0, 1, 1]
    assert cells["next_timer"] == cells["last_timer"] == Timestamp(micros=at(10).micros - 1)
    assert cells["folds_at"] == grain_over  # it was not postponed


def test_rows_of_a_grain_that_is_over_become_its_partial_aggregates() -> None:
    plan = plan_key(SPEC.windowed, "key")
    cells = shard_of(plan)
    assert cells.called("process", (0, rows_of(plan, a=(5, 1.0), b=(5.01, 2.0), c=(5.5, 4.0)))) == []
    assert cells["tables"] == (Layout(plan.tile_us, 1), NEVER_US, None)
    (due,) = cells.called("next_reached", Timestamp(micros=at(5).micros - 1))
    assert (due.value.num_rows, rows_in(cells, *WAITING, "open_rows")) == (3, [0, 0, 0, 3])
    assert cells["folds_at"] == at(5.5).micros + 5_000_000  # of the last row: after a leap, one call does the work
    assert cells.called("fold_reached", at(5.2)) == []
    assert (rows_in(cells, "open_rows"), len(cells["grains"]), cells["waits"]) == ([1], 1, None)
    assert cells["grains"][0].tables.tiles["value"].total.digits.tolist() == [[3]]
    assert cells["folds_at"] == at(5.5).micros + 5_000_000
    before = list(cells["grains"])
    assert cells.called("fold_reached", at(5.7)) == []
    assert (rows_in(cells, "open_rows"), cells["grains"][:1], len(cells["grains"])) == ([0], before, 2)
    assert cells["folds_at"] is None
    cells.called("fold_reached", at(10))
    assert (cells["grains"], cells["tables"][2].tiles["value"].total.digits.tolist()) == ([], [[7]])


# The last event is at minute 7: its tile ends at 10, and is kept for size and lateness, until 30.
@pytest.mark.parametrize(("minute", "cleared"), [(29.9, False), (30, True)])
def test_state_of_a_key_expires(minute: float, cleared: bool) -> None:
    plan = plan_key(SPEC.windowed, "key")
    rows = rows_of(plan, a=(1, 1.0), b=(7, 2.0))
    layout = Layout(plan.tile_us, 1)
    cells = shard_of(plan, (layout, NINE, None))
    cells.by_name["open_rows"] = Cell([rows])
    assert forgotten_at(plan, FeatureState(open_rows=[rows]), 10 * MINUTE) == at(30).micros
    cells.called("forget", at(minute))
    assert (cells["open_rows"] == []) is cleared
    assert cells["tables"] == (layout, at(minute).micros if cleared else NINE, None)
    assert cells["forget_timer"] == (None if cleared else at(30))
