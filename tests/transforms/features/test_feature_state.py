"""A shard of windowed features over time, compared with the reference for streams: random arrivals and watermarks."""

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import batches
from schemas.job import FeatureSpec
from tests.reference.frames import differences, events_batch
from tests.reference.reference import AFTER_ALL, BEFORE_ALL
from tests.reference.streaming import streaming_feature
from transforms.features.aggregates import AGGREGATES
from transforms.features.feature_state import (
    FeatureState,
    Layout,
    advance,
    check_fits,
    features_of,
    forgotten_at,
    ready_times,
)
from transforms.features.key_plans import observations, plan_key
from transforms.features.tiles import fold
from transforms.features.window_features import watermark_of
from transforms.flow.state import StateFormatMismatch

MINUTE = 60_000_000
COLUMNS = {"key": "string", "value": "number"}
LATENESS = 7 * MINUTE
FEATURES = [
    FeatureSpec("count", "key", None, "count", 10 * MINUTE, 5 * MINUTE),
    FeatureSpec("sum", "key", "value", "sum", 20 * MINUTE, 5 * MINUTE),
    FeatureSpec("last", "key", "value", "last", 10 * MINUTE, 5 * MINUTE),
    FeatureSpec("quantile", "key", "value", "quantile", 20 * MINUTE, 5 * MINUTE, 0.25),
    FeatureSpec("first", "key", "value", "first", 10 * MINUTE, 5 * MINUTE),
    FeatureSpec("trend", "key", "value", "trend", 20 * MINUTE, 5 * MINUTE),
    FeatureSpec("mean", "key", "value", "decayed_mean", 20 * MINUTE, 5 * MINUTE, half_life_us=3 * MINUTE),
    FeatureSpec("decayed", "key", None, "decayed_count", 10 * MINUTE, 5 * MINUTE, half_life_us=MINUTE),
]
PLAN = plan_key(FEATURES, "key")

event = st.tuples(st.integers(0, 90), st.sampled_from("AB"), st.sampled_from([None, 1.0, 2.5, -4.0]))
# Batches of events, each after the watermark has risen by so many minutes.
arrivals = st.lists(st.tuples(st.integers(0, 40), st.lists(event, min_size=1, max_size=6)), min_size=1, max_size=8)


def frames_of(batches_of_rows: list[list[tuple[Any, ...]]]) -> list[pd.DataFrame]:
    frames, number = [], 0
    for rows in batches_of_rows:
        made = pd.DataFrame(rows, columns=["minute", *COLUMNS])
        made["value"] = made["value"].astype(object)
        made["departed_at"] = made["minute"].astype("int64") * MINUTE
        made["id"] = [f"{number + index:03d}" for index in range(len(rows))]
        frames.append(made)
        number += len(rows)
    return frames


def observed(frame: pd.DataFrame) -> pa.RecordBatch:
    batch = events_batch(frame, COLUMNS)
    numbers = pa.array([int(name) for name in frame["id"]])
    return observations(PLAN, batches.with_column(batch, batches.ROW, numbers))


def played(frames: list[pd.DataFrame], watermarks: list[int]) -> tuple[dict[int, dict[str, Any]], FeatureState, int]:
    """Features by row number, the state after the last watermark, and how many rows changed nothing."""
    state, expired = FeatureState(), 0
    rows: dict[int, dict[str, Any]] = {}
    steps = [step for pair in zip(watermarks, frames, strict=True) for step in pair]
    for step in [*steps, AFTER_ALL]:
        if isinstance(step, pd.DataFrame):
            state.waiting.append(observed(step))
            state.open_rows.append(observed(step))
            step = state.watermark_us
        due, too_late, _ = advance(PLAN, state, step, LATENESS, 4096)
        expired += too_late
        rows |= {} if due is None else {row[batches.ROW]: row for row in due.to_pylist()}
    return rows, state, expired


def expected(frames: list[pd.DataFrame], watermarks: list[int], feature: FeatureSpec) -> list[Any]:
    size, every, lateness, kept = (
        pd.Timedelta(us, "us") for us in (feature.size_us or 0, feature.every_us, LATENESS, PLAN.longest_us)
    )
    values = streaming_feature(
        frames, watermarks, key="key", column=feature.column, aggregate=feature.aggregate, size=size, every=every,
        allowed_lateness=lateness, q=feature.q, half_life_us=feature.half_life_us, kept_for=kept,
    )  # fmt: skip
    return [None if pd.isna(value) else value for value in values]


@settings(max_examples=20)
@given(arrivals)
def test_late_and_early_events_get_what_the_reference_gives_them(story: list[tuple[int, list[Any]]]) -> None:
    rises, rows = zip(*story, strict=True)
    frames = frames_of(list(rows))
    watermarks = [sum(rises[: index + 1]) * MINUTE if index else BEFORE_ALL for index in range(len(rises))]
    found, _, _ = played(frames, watermarks)
    for feature in FEATURES:
        mine = [found[row][feature.name] for row in range(len(found))]
        assert differences(mine, expected(frames, watermarks, feature)) == [], feature.name


SUMMED = [
    FeatureSpec(name, "key", None if name == "count" else "value", name, size, every, q)
    for size, every in ((10 * MINUTE, 5 * MINUTE), (180 * MINUTE, 60 * MINUTE))
    for name, q in (("count", None), ("sum", None), ("mean", None), ("std", None), ("last", None), ("quantile", 0.25))
]
EXACT = [
    FeatureSpec(name, "key", "value", name, 180 * MINUTE, 60 * MINUTE, half_life_us=half_life)
    for name, half_life in (("first", None), ("trend", None), ("decayed_sum", 7 * MINUTE), ("decayed_mean", 7 * MINUTE))
]
# A third of the time is older than other windows need: it is one tile of each key.
OF_ALL = [
    FeatureSpec(name, "key", "value", name, None, 30 * MINUTE)
    for name, aggregate in AGGREGATES.items()
    if aggregate.of_all
]
moment = st.tuples(st.integers(0, 7 * 3_600), st.sampled_from("AB"), st.floats(-1e9, 1e9))


@pytest.mark.parametrize("features", [SUMMED[:6], [*SUMMED[6:], *EXACT], [*SUMMED[6:8], *OF_ALL], OF_ALL], ids=range(4))
@given(st.lists(moment, min_size=1, max_size=80), st.lists(st.integers(1, 7 * 3_600), max_size=12), st.randoms())
@settings(max_examples=15)
def test_features_have_the_bits_of_all_events_at_once_wherever_the_watermark_stops(
    features: list[FeatureSpec], moments: list[tuple[int, str, float]], stops: list[int], random: Random
) -> None:
    features = [replace(feature, name=f"{feature.name}-{index}") for index, feature in enumerate(features)]
    plan, state = plan_key(features, "key"), FeatureState()
    found: list[dict[str, Any]] = []
    made = frames_of([[(0, key, value) for _, key, value in moments]])[0]
    made["departed_at"] = [second * MINUTE // 60 for second, _, _ in moments]
    numbered = batches.with_column(events_batch(made, COLUMNS), batches.ROW, pa.array(range(len(made))))
    seen = observations(plan, numbered)
    seconds = np.array([second for second, _, _ in moments])
    for before, stop in pairwise([-1, *sorted(stops), 10**6]):
        # No event is late: each arrives while the watermark is not yet beyond the event's time.
        arriving = np.flatnonzero((seconds >= before) & (seconds < stop))
        for row in random.sample(arriving.tolist(), len(arriving)):
            state.waiting.append(seen.slice(row, 1))
            state.open_rows.append(seen.slice(row, 1))
        due, *_ = advance(plan, state, stop * MINUTE // 60, LATENESS, 4096)
        found += [] if due is None else due.to_pylist()
    expected = features_of(plan, fold(plan, seen, 4096), seen).to_pylist()
    assert sorted(found, key=lambda row: row[batches.ROW]) == expected


def test_state_of_an_open_tile_grows_with_its_keys_and_not_with_its_events() -> None:
    state, most = FeatureState(), 0
    for second in range(4 * 60):
        rows = frames_of([[(0, key, 1.0) for key in "AB" * 50]])[0]
        rows["departed_at"] = second * 1_000_000
        state.open_rows.append(observed(rows))
        advance(PLAN, state, second * 1_000_000, LATENESS, 4096)
        most = max(most, sum(map(len, state.open_rows)))
    assert most <= 100 * (1 + PLAN.grains_us[0] // 1_000_000)
    assert len(state.grains) <= PLAN.tile_us // PLAN.grains_us[0]
    assert {len(table.code) for grains in state.grains for table in grains.tables.tiles.values()} == {2}


def test_keys_without_a_tile_are_forgotten() -> None:
    state = FeatureState()
    for minute in range(0, 600, 5):
        state.open_rows.append(observed(frames_of([[(minute, f"key-{minute}", 1.0)]])[0]))
        advance(PLAN, state, minute * MINUTE, LATENESS, 4096)
    assert state.tiles is not None
    assert len(state.tiles.keys) <= 7  # twenty minutes of the longest window, seven of lateness, five of a tile


@given(arrivals)
@settings(max_examples=10)
def test_no_event_waits_and_no_row_stays_after_the_end_of_time(story: list[tuple[int, list[Any]]]) -> None:
    frames = frames_of([rows for _, rows in story])
    rows, state, _ = played(frames, [BEFORE_ALL] * len(frames))
    assert sorted(rows) == list(range(sum(map(len, frames))))
    assert (state.waiting, state.open_rows, state.grains, forgotten_at(PLAN, state, LATENESS)) == ([], [], [], None)


# The tile of an event at minute 1 ends at 5, the longest window is 20 and the lateness 7: it is kept until 32.
@pytest.mark.parametrize(("watermark", "too_late"), [(31, 0), (32, 1)])
def test_row_later_than_size_and_lateness_changes_nothing_and_is_counted(watermark: int, too_late: int) -> None:
    frames = frames_of([[(60, "A", 1.0)], [(1, "A", 2.0)]])
    rows, _, expired = played(frames, [BEFORE_ALL, watermark * MINUTE])
    assert (sorted(rows), expired) == ([0, 1], too_late)


def test_event_is_due_at_the_latest_of_its_windows_beginnings() -> None:
    plan = plan_key([FEATURES[0], FeatureSpec("slow", "key", None, "count", 60 * MINUTE, 7 * MINUTE)], "key")
    # Minute 13: floors are 10 and 7; minute 15: 15 and 14.
    assert ready_times(plan, np.array([13, 15]) * MINUTE).tolist() == [10 * MINUTE, 15 * MINUTE]


def test_state_is_useless_when_its_last_tile_can_serve_no_late_event() -> None:
    state = FeatureState(open_rows=[observed(frames_of([[(1, "A", 1.0), (13, "A", 1.0)]])[0])])
    assert forgotten_at(PLAN, state, LATENESS) == 13 * MINUTE + PLAN.tile_us + 20 * MINUTE + LATENESS - 3 * MINUTE


@pytest.mark.parametrize("fired_us", [10 * MINUTE - 1, 10 * MINUTE - 1000], ids=["microseconds", "milliseconds"])
def test_timer_just_before_a_tile_says_that_the_watermark_has_reached_it(fired_us: int) -> None:
    assert watermark_of(Timestamp(micros=fired_us)) == 10 * MINUTE


def held(features: list[FeatureSpec]) -> FeatureState:
    """State of a job with these features: closed tiles, grains of open ones, open rows and events that wait."""
    plan, state = plan_key(features, "key"), FeatureState()
    rows = frames_of([[(1, "A", 1.0), (2, "B", 2.0), (20, "A", 5.0), (33, "A", 3.0)]])[0]
    state.waiting = [observations(plan, events_batch(rows, COLUMNS))]
    state.open_rows = list(state.waiting)
    advance(plan, state, 21 * MINUTE, LATENESS, 100)
    assert state.tiles is not None
    assert (len(state.open_rows), len(state.grains), len(state.waiting)) == (1, 1, 1)
    return state


LAYOUT = Layout(5 * MINUTE, 8)


def test_state_of_a_column_that_is_no_longer_read_is_dropped() -> None:
    state, fewer = held(FEATURES), plan_key(FEATURES[:1], "key")
    check_fits(fewer, state, LAYOUT, LAYOUT)
    assert state.tiles is not None
    for tables in (state.tiles, state.grains[0].tables):
        assert (list(tables.tiles), list(tables.values)) == (list(fewer.columns), [])
    due, *_ = advance(fewer, state, 60 * MINUTE, LATENESS, 100)
    assert due is not None
    assert due.column("count").to_pylist() == [1]  # of minute 33, whose window of ten begins at 20


@pytest.mark.parametrize("before", [FEATURES[:1], FEATURES[:3]])
def test_state_without_a_column_of_the_features_is_refused(before: list[FeatureSpec]) -> None:
    with pytest.raises(StateFormatMismatch, match="state from before the job was changed has nothing of value"):
        check_fits(PLAN, held(before), LAYOUT, LAYOUT)


@pytest.mark.parametrize("stored", [Layout(MINUTE, 8), Layout(5 * MINUTE, 4)])
def test_state_of_other_tiles_or_shards_is_refused(stored: Layout) -> None:
    with pytest.raises(StateFormatMismatch, match=f"in {stored.shards} shards, this job makes tiles of 5m in 8"):
        check_fits(PLAN, held(FEATURES), stored, LAYOUT)
