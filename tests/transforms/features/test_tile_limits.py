"""Tiles at their limits: more distinct values than are kept, in any order and grouping, and times far apart."""

from collections.abc import Sequence
from itertools import pairwise
from math import isclose
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import batches
from schemas.job import FeatureSpec
from tests.reference.frames import events_batch, expected_feature
from transforms.features.feature_state import FeatureState, advance, features_of
from transforms.features.key_plans import observations, plan_key
from transforms.features.tile_queries import evaluate, over_limit
from transforms.features.tile_tables import TileTables
from transforms.features.tiles import fold, merge

MINUTE = 60_000_000
LIMIT = 16
COLUMNS = {"key": "string", "number": "number", "integer": "integer", "text": "string"}
FEATURES = [
    FeatureSpec(f"{aggregate}_{column}_{size}", "key", column, aggregate, size * MINUTE, 5 * MINUTE, q)
    for aggregate, q in (("top", None), ("quantile", 0.3), ("distinct", None))
    for column in ("number", "integer", "text")
    if aggregate != "quantile" or column != "text"
    for size in (5, 15)
]
PLAN = plan_key(FEATURES, "key")
# Some values occur many times, and some tiles have more distinct values than the limit.
value = st.one_of(st.sampled_from([0, 1, 2]), st.integers(-60, 60))
event = st.tuples(st.integers(0, 14 * 60), st.sampled_from("AAB"), value)


def seen_of(rows: Sequence[tuple[int, str, int]]) -> tuple[pd.DataFrame, pa.RecordBatch]:
    """Rows of (second, key, value), and one more of each key every five minutes, as a frame and as observations."""
    asked = [(second, key, 0) for key in "AB" for second in range(0, 45 * 60, 300)]
    made = pd.DataFrame([*rows, *asked], columns=["second", "key", "integer"])
    made["number"], made["text"] = made["integer"] / 4, [f"v{number}" for number in made["integer"]]
    made["departed_at"] = made["second"].astype("int64") * 1_000_000
    made["id"] = [f"{(index * 7919) % 1009:x}-{index}" for index in range(len(made))]
    return made, observations(PLAN, events_batch(made, COLUMNS))


def merged(parts: list[TileTables], random: Random) -> TileTables:
    """The parts merged into one, in random order and grouping."""
    while len(parts) > 1:
        random.shuffle(parts)
        count = random.randint(2, len(parts))
        whole = merge(parts[:count], LIMIT)
        assert whole is not None
        parts = [whole, *parts[count:]]
    return parts[0]


def tile_sizes(events: pd.DataFrame, spec: FeatureSpec) -> list[int]:
    """For each event the greatest number of distinct values in a tile of its window."""
    tile_of = events["departed_at"] // PLAN.tile_us
    sizes = events.groupby([events["key"], tile_of])[str(spec.column)].nunique()
    reach = range(1, (spec.size_us or 0) // PLAN.tile_us + 1)
    return [
        max(int(sizes.get((key, tile - back), 0)) for back in reach)
        for key, tile in zip(events["key"], tile_of, strict=True)
    ]


@settings(max_examples=10)
@given(st.lists(event, min_size=80, max_size=200), st.lists(st.integers(0, 300), max_size=6), st.randoms())
def test_values_are_exact_to_the_limit_and_a_function_of_the_set_beyond_it(
    rows: list[tuple[int, str, int]], cuts: list[int], random: Random
) -> None:
    events, seen = seen_of(rows)
    whole = features_of(PLAN, fold(PLAN, seen, LIMIT), seen)
    shuffled = batches.take_rows(seen, np.array(random.sample(range(len(events)), len(events))))
    edges = sorted({0, len(events), *(cut % len(events) for cut in cuts)})
    parts = [fold(PLAN, shuffled.slice(a, b - a), LIMIT) for a, b in pairwise(edges)]
    assert features_of(PLAN, merged(parts, random), seen).equals(whole)
    for spec in FEATURES:
        found, exact = whole.column(spec.name).to_pylist(), expected_feature(events, spec)
        for mine, theirs, size in zip(found, exact, tile_sizes(events, spec), strict=True):
            if size <= LIMIT:
                assert mine == theirs if theirs is None or isinstance(theirs, str) else isclose(mine, theirs)
            elif spec.aggregate != "distinct":
                assert mine is None


@settings(max_examples=6)
@given(st.lists(event, min_size=80, max_size=200), st.lists(st.integers(1, 2700), max_size=8), st.randoms())
def test_a_stream_gives_the_bits_of_all_events_at_once_beyond_the_limit(
    rows: list[tuple[int, str, int]], stops: list[int], random: Random
) -> None:
    events, seen = seen_of(rows)
    tables = fold(PLAN, seen, LIMIT)
    seconds, state, before = events["second"].to_numpy(), FeatureState(), -1
    found: list[dict[str, Any]] = []
    counted: dict[str, int] = {}
    for stop in [*sorted(stops), 10**6]:
        arriving = np.flatnonzero((seconds >= before) & (seconds < stop)).tolist()
        for row in random.sample(arriving, len(arriving)):
            state.waiting.append(seen.slice(row, 1))
            state.open_rows.append(seen.slice(row, 1))
        due, _, over = advance(PLAN, state, stop * 1_000_000, 0, LIMIT)
        found += [] if due is None else due.to_pylist()
        counted = {name: counted.get(name, 0) + over.get(name, 0) for name in {*counted, *over}}
        before = stop
    assert sorted(found, key=lambda row: row[batches.ROW]) == features_of(PLAN, tables, seen).to_pylist()
    assert counted == over_limit(PLAN, tables, seen)


def test_events_without_an_answer_are_counted_by_feature() -> None:
    rows = [(second, "A", second % 40) for second in range(300)] + [(second, "B", 1) for second in range(300)]
    _, seen = seen_of(rows)
    counts = over_limit(PLAN, fold(PLAN, seen, LIMIT), seen)
    answers = features_of(PLAN, fold(PLAN, seen, LIMIT), seen)
    # One event of A is in each tile after the full one: one of them has it in its 5 minutes, three in their 15.
    exact = [spec for spec in FEATURES if spec.aggregate != "distinct"]
    assert counts == {spec.name: (spec.size_us or 0) // PLAN.tile_us for spec in exact}
    assert answers.column("top_text_15").null_count > counts["top_text_15"]  # empty windows are not counted
    assert over_limit(PLAN, fold(PLAN, seen, 40), seen) == {}


def test_integers_beyond_the_digits_of_a_float_have_a_quantile() -> None:
    _, seen = seen_of([(1, "A", 2**53 + 1), (2, "A", 2**53 + 1)])
    plan = plan_key([FeatureSpec("q", "key", "integer", "quantile", 5 * MINUTE, 5 * MINUTE, 0.5)], "key")
    rows = seen.select([*seen.schema.names[:4], "v:integer"])
    assert 2.0**53 in features_of(plan, fold(plan, rows, LIMIT), rows).column("q").to_pylist()


YEAR_1, YEAR_9999 = -62_135_596_800_000_000, 253_402_300_799_000_000


@pytest.mark.parametrize(
    ("keys", "far_us", "every_us"),
    [
        (20_000, [4_070_908_800_000_000], 1),
        (31_000, [YEAR_1, YEAR_9999], 1000),
        (40_000, [YEAR_9999], 1000),
        (3, [-(2**62), 2**62], 1000),
    ],
)
def test_times_far_apart_overflow_no_query(keys: int, far_us: list[int], every_us: int) -> None:
    windows = [("c", "count", None), ("s", "sum", "number"), ("d", "distinct", "number"), ("x", "std", "number")]
    specs = [FeatureSpec(name, "key", column, kind, 10_000, every_us) for name, kind, column in windows]
    plan, at_us = plan_key(specs, "key"), 1_356_998_400_000_000
    times = [at_us + key * 1000 + second * 5000 for key in range(keys) for second in (0, 1)] + far_us
    names = [f"k{key}" for key in range(keys) for _ in (0, 1)] + ["k0"] * len(far_us)
    rows = pa.RecordBatch.from_pydict(
        {
            batches.EVENT_ID: [f"e{index}" for index in range(len(times))],
            batches.EVENT_TIME: pa.array(times, pa.int64()).cast(batches.TIME_TYPE),
            batches.ROW: range(len(times)),
            "key": names,
            "v:number": [1.0] * len(times),
        }
    )
    found = features_of(plan, fold(plan, rows, LIMIT), rows)
    columns = [found.column(name).to_pylist() for name in "csd"]
    expected = [((0, None, None), (1, 1.0, 1))[index % 2 if index < 2 * keys else 0] for index in range(len(times))]
    assert list(zip(*columns, strict=True)) == expected


@pytest.mark.parametrize(("q", "expected"), [(0.5, -1.5e308), (0.75, 0.0), (0.9, 0.9e308)])
def test_quantile_between_numbers_whose_distance_is_no_finite_number(q: float, expected: float) -> None:
    plan = plan_key([FeatureSpec("q", "key", "number", "quantile", 5 * MINUTE, 5 * MINUTE, q)], "key")
    rows = [(0, "A", -1.5e308), (1, "A", -1.5e308), (2, "A", 1.5e308), (300, "A", 0.0)]
    frame = pd.DataFrame(rows, columns=["second", "key", "number"])
    frame["departed_at"] = frame["second"].astype("int64") * 1_000_000
    frame["id"] = [f"e{index}" for index in range(4)]
    seen = observations(plan, events_batch(frame, {"key": "string", "number": "number"}))
    (answer,) = evaluate(plan, fold(plan, seen, LIMIT), seen)
    assert isclose(answer[3].as_py(), expected, rel_tol=1e-12)
