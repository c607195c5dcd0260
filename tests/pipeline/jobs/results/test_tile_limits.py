"""Windowed features at their limits: many distinct values in a tile, times far apart, windows of next to no time."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import SECOND_US, START_US, Flow, Outcome, json_lines

EVER = ["1678-01-01T00:00:00Z", "2262-01-01T00:00:00Z"]
HOUR = {"key": "carrier", "size": "1h", "every": "5m"}
TOP = {"name": "top", "column": "text", "aggregate": "top", **HOUR}
DISTINCT = {"name": "distinct", "column": "text", "aggregate": "distinct", **HOUR}
MEDIAN = {"name": "median", "column": "delay", "aggregate": "quantile", "q": 0.5, **HOUR}
HOLISTIC = [TOP, MEDIAN, DISTINCT]
TYPES = {"delay": "number", "text": "string", "carrier": "string"}
BRIEF = [
    {"name": "c", "key": "carrier", "aggregate": "count", "size": "10ms", "every": "1ms"},
    {"name": "s", "key": "carrier", "column": "delay", "aggregate": "sum", "size": "10ms", "every": "1ms"},
]


def event(number: int, after_us: int, text: str, delay: float, carrier: str = "A") -> dict[str, Any]:
    return {"id": f"e{number}", "at": START_US + after_us, "text": text, "delay": delay, "carrier": carrier}


def heavy(often: int, once: int, seed: int | None = None) -> list[dict[str, Any]]:
    """In one tile, "visa" at 9.99 so often and so many others once each; at the end one event that asks."""
    values = [("visa", 9.99)] * often + [(f"m{number}", 1000.0 + number) for number in range(once)]
    if seed is not None:
        random.Random(seed).shuffle(values)
    events = [event(number, number * 5_000, *value) for number, value in enumerate(values)]
    return [*events, event(len(values), 330 * SECOND_US, "ASK", 0.0)]


def features(
    flow: Flow, events: Sequence[dict[str, Any]], wanted: Sequence[Any], limit: int | None = None
) -> tuple[dict[str, dict[str, Any]], Outcome]:
    """The rows of `halflife features` by event id, and what it said."""
    flow.feed(json_lines(events))
    spec = flow.spec(columns=TYPES, time_range=EVER) | {"features": list(wanted)}
    spec |= {"windows": {"max_values_per_tile": limit}} if limit else {}
    outcome = flow.run(spec, "--out", str(flow.root / "set"), "--json", verb=write_features)
    assert outcome.code == 0, outcome.err
    return {row["event_id"]: row for row in pq.read_table(flow.root / "set").to_pylist()}, outcome


@pytest.mark.parametrize(
    ("often", "once", "seed"), [(20_000, 10_000, None), (20_000, 10_000, 7), (9_000, 4_500, 3), (3_000, 16_383, 5)]
)
def test_values_that_occur_often_are_known_beside_thousands_that_occur_once(
    flow: Flow, often: int, once: int, seed: int | None
) -> None:
    events = heavy(often, once, seed)
    rows, _ = features(flow, events, HOLISTIC)
    values = sorted(row["delay"] for row in events[:-1])
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    asked = rows[events[-1]["id"]]
    assert (asked["top"], asked["median"], asked["distinct"]) == ("visa", middle, once + 1)


@pytest.mark.parametrize(("limit", "once"), [(16, 40), (1000, 3000), (None, 17_000)])
def test_beyond_the_limit_top_and_quantile_are_null_and_counted_and_distinct_is_near(
    flow: Flow, limit: int | None, once: int
) -> None:
    events = heavy(100, once, 1)
    rows, outcome = features(flow, events, [*HOLISTIC, {**TOP, "name": "of_few", "column": "carrier"}], limit)
    asked = rows[events[-1]["id"]]
    assert (asked["top"], asked["median"]) == (None, None)
    assert asked["of_few"] == "A"
    assert abs(asked["distinct"] - once - 1) <= 5 * once / ((limit or 16_384) - 1) ** 0.5
    assert json.loads(outcome.out)["features_over_limit"] == {"median": 1, "top": 1}


def test_a_run_says_in_its_summary_how_many_values_are_null_for_the_limit(flow: Flow) -> None:
    flow.feed(json_lines([{**one, "distance": 1} for one in heavy(50, 30)]))
    spec = flow.spec(columns=TYPES) | {"features": ["delay", *HOLISTIC], "windows": {"max_values_per_tile": 16}}
    outcome = flow.run(spec)
    assert outcome.code == 0, outcome.err
    assert outcome.summary["features_over_limit"] == {"median": 1, "top": 1}
    assert "median null, windows.max_values_per_tile exceeded" in outcome.out


def pairs(keys: int, far_us: Sequence[int]) -> list[dict[str, Any]]:
    """Of each key two events, 5 ms apart, and of the first key one at each of the other times."""
    near = [
        event(2 * number + second, number * 1000 + second * 5000, "x", 1.0, f"k{number:05d}")
        for number in range(keys)
        for second in (0, 1)
    ]
    far = [{**event(2 * keys + 2 * number, 0, "x", 1.0, "k00000"), "at": at_us} for number, at_us in enumerate(far_us)]
    return [*near, *far]


IN_2099, IN_2261, IN_1678 = 4_070_908_800_000_000, 9_190_000_000_000_000, -9_190_000_000_000_000


@pytest.mark.parametrize(("keys", "far_us"), [(20_000, [IN_2099]), (2_000, [IN_2261, IN_1678]), (500, [1])])
def test_an_event_with_a_wrong_clock_changes_no_other_value(flow: Flow, keys: int, far_us: list[int]) -> None:
    rows, _ = features(flow, pairs(keys, far_us), BRIEF)
    second = [rows[f"e{2 * number + 1}"] for number in range(keys)]
    assert {(row["c"], row["s"]) for row in second} == {(1, 1.0)}
    alone = [rows[f"e{2 * number}"] for number in range(keys + len(far_us))]
    assert {(row["c"], row["s"]) for row in alone} == {(0, None)}


@pytest.mark.parametrize(("key", "text"), [("every", "1us"), ("size", "999us"), ("every", "10us"), ("size", "0s")])
def test_windows_of_less_than_a_millisecond_are_refused(flow: Flow, key: str, text: str) -> None:
    flow.feed(json_lines(heavy(1, 1)))
    spec = flow.spec(columns=TYPES) | {"features": [BRIEF[0] | {"size": "10ms", "every": "1ms", key: text}]}
    outcome = flow.run(spec)
    assert outcome.code == 2
    assert f"features[0].{key}: '{text}'" in outcome.err
    assert "a duration of at least 1ms" in outcome.err


@pytest.mark.parametrize(
    "windows", [[("100001ms", "1ms")], [("1d", "1d"), ("1s", "7ms")], [("3600000ms", "1000ms"), ("7777777us", "1s")]]
)
def test_more_than_a_hundred_thousand_tiles_of_a_key_are_refused(flow: Flow, windows: list[tuple[str, str]]) -> None:
    flow.feed(json_lines(heavy(1, 1)))
    wanted = [{**BRIEF[0], "name": f"f{n}", "size": size, "every": every} for n, (size, every) in enumerate(windows)]
    outcome = flow.run(flow.spec(columns=TYPES) | {"features": wanted})
    assert outcome.code == 2
    assert "at most 100000 tiles for each key" in outcome.err
