"""What is made of exact sums: equal bits in any order and grouping, late events included, for numbers of any size."""

import math
from fractions import Fraction
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
from tests.reference.frames import differences, events_batch, expected_feature
from transforms.features.decay import weights
from transforms.features.feature_state import FeatureState, advance, features_of
from transforms.features.key_plans import KeyPlan, observations, plan_key
from transforms.features.sums import exact_sums
from transforms.features.sums.exact_sums import (
    Terms,
    limbs_between,
    reduced_sums,
    rounded,
    span_of,
    sums_of,
    whole_numbers,
)
from transforms.features.tile_tables import Ranges, ValueCounts
from transforms.features.tiles import fold

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
COLUMNS = {"key": "string", "value": "number"}
DECAYED = ("decayed_count", "decayed_sum", "decayed_mean")


def features(size_us: int, every_us: int, half_life_us: int) -> list[FeatureSpec]:
    """The aggregates of exact sums, and the first value."""
    windows = ("key", "value"), (size_us, every_us)
    plain = [FeatureSpec(name, *windows[0], name, *windows[1]) for name in ("first", "trend")]
    return [*plain, *(FeatureSpec(name, *windows[0], name, *windows[1], half_life_us=half_life_us) for name in DECAYED)]


def frame(moments: list[tuple[int, str, float | None]]) -> pd.DataFrame:
    made = pd.DataFrame([(key, value) for _, key, value in moments], columns=["key", "value"]).astype(object)
    made["departed_at"] = [second * SECOND for second, _, _ in moments]
    made["id"] = [f"{(index * 7919) % 1009:x}-{index}" for index in range(len(made))]
    return made


def observed(plan: KeyPlan, events: pd.DataFrame) -> pa.RecordBatch:
    numbered = batches.with_column(events_batch(events, COLUMNS), batches.ROW, pa.array(range(len(events))))
    return observations(plan, numbered)


def at_once(plan: KeyPlan, rows: pa.RecordBatch) -> dict[int, dict[str, Any]]:
    return {row[batches.ROW]: row for row in features_of(plan, fold(plan, rows, 100), rows).to_pylist()}


@pytest.mark.parametrize("seed", range(20))
def test_late_events_in_any_order_leave_the_bits_of_all_events_at_once(seed: int) -> None:
    random = Random(seed)
    plan, state = plan_key(features(30 * HOUR, HOUR, 90 * 60 * SECOND), "key"), FeatureState()
    moments = [(random.randrange(3 * 3_600), "AB"[n % 2], random.gauss(0, 10.0 ** (n % 40))) for n in range(80)]
    rows = observed(plan, frame([*moments, (24 * 3_600, "A", None), (24 * 3_600, "B", None)]))
    order, stops = random.sample(range(80), 80), sorted(random.randrange(4 * 3_600) for _ in range(80))
    for row, stop in zip(order, stops, strict=True):
        state.open_rows.append(rows.slice(row, 1))
        advance(plan, state, stop * SECOND, 100 * HOUR, 100)
    state.waiting.append(rows.slice(80, 2))
    featured, expired, _ = advance(plan, state, 100 * HOUR, 100 * HOUR, 100)
    assert featured is not None
    expected = at_once(plan, rows)
    assert {row[batches.ROW]: row for row in featured.to_pylist()} == {number: expected[number] for number in (80, 81)}
    assert expired == 0


WINDOWS = [(30 * 60, 60, 7 * 60), (3_600, 3_600, 11), (DAY // SECOND * 40, 3_600, 86_400 // 24)]


@pytest.mark.parametrize(("size", "every", "half_life"), WINDOWS)
def test_history_of_years_is_that_of_the_reference(size: int, every: int, half_life: int) -> None:
    random = np.random.default_rng(size)
    spans = random.integers(0, 5 * 365 * 86_400, 20).repeat(8) + random.integers(-size, size, 160)
    moments = [(int(at), "AB"[n % 2], float(random.normal(1e6, 3))) for n, at in enumerate(spans)]
    events = frame([(1_356_998_400 + at, key, value) for at, key, value in moments])
    asked = features(size * SECOND, every * SECOND, half_life * SECOND)
    plan = plan_key(asked, "key")
    rows = observed(plan, events)
    table = features_of(plan, fold(plan, rows, 100), rows)
    for feature in asked:
        off = differences(table.column(feature.name).to_pylist(), expected_feature(events, feature))
        assert off == [], feature.name


@pytest.mark.parametrize("size_us", [3_000, 100_000_000])
def test_steps_of_a_millisecond_and_a_hundred_thousand_tiles_are_those_of_the_reference(size_us: int) -> None:
    random = np.random.default_rng(size_us)
    events = frame([(0, "AB"[n % 2], float(random.normal())) for n in range(200)])
    events["departed_at"] = 1_356_998_400_000_000 + random.integers(0, size_us * 3 // 1_000, 200) * 500
    plan = plan_key(features(size_us, 1_000, 700_000), "key")
    rows = observed(plan, events)
    table = features_of(plan, fold(plan, rows, 100), rows)
    for feature in plan.features:
        off = differences(table.column(feature.name).to_pylist(), expected_feature(events, feature))
        assert off == [], feature.name


def test_slope_is_exact_where_sums_of_floats_would_lose_every_digit() -> None:
    moments: list[tuple[int, str, float | None]] = [(n, "A", 1e12 + n / 1024) for n in range(0, 600, 7)]
    plan = plan_key(features(900 * SECOND, 300 * SECOND, HOUR), "key")
    found = at_once(plan, observed(plan, frame([*moments, (900, "A", None)])))
    assert found[len(moments)]["trend"] == 1 / 1024


def test_slopes_of_one_time_and_of_no_values_are_null_and_counts_are_zero() -> None:
    plan = plan_key(features(600 * SECOND, 300 * SECOND, 60 * SECOND), "key")
    unknown = [(second, key, None) for second, key in ((300, "A"), (9_000, "A"), (9_000, "C"))]
    found = at_once(plan, observed(plan, frame([(1, "A", 2.0), (1, "A", 3.0), *unknown])))
    assert (found[2]["trend"], found[2]["first"]) == (None, 3.0)  # of two at one time that of the greatest id
    assert [[found[row][name] for name in ("trend", "first", *DECAYED)] for row in (3, 4)] == [
        [None, None, 0.0, None, None]
    ] * 2


numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([5e-324, -2e-308, 1.7e308, -0.0]))


def summed(numbers: list[float], cuts: int) -> ValueCounts:
    parts = [np.array(numbers[at::cuts]) for at in range(cuts)]
    tables = [sums_of(np.zeros(len(p), np.int64), np.zeros(len(p), np.int64), [Terms(3, p)]) for p in parts]
    columns = list(zip(*tables, strict=True))
    joined = [pa.concat_arrays(c) if isinstance(c[0], pa.Array) else np.concatenate(c) for c in columns]
    return reduced_sums(ValueCounts(*joined))


@settings(max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=30), st.integers(1, 4), st.sampled_from([2**45, 2**33]))
def test_sums_are_exact_in_any_grouping_and_whatever_is_carried(given: list[float], cuts: int, large: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_sums, "_LARGE", large)
        table = summed(given, cuts)
    one = np.array([0])
    ranges = Ranges(one, np.array([len(table.code)]), one, 1)
    least, count = span_of(table, 3, np.zeros(len(table.code), np.int64))
    limbs = limbs_between(table, ranges, 3, np.array([least]), count)
    exact = sum(map(Fraction, given), Fraction(0))
    assert Fraction(whole_numbers(limbs)[0]) * Fraction(2) ** (32 * least) == exact
    scaled = rounded(limbs, np.array([least]))
    found = Fraction(float(scaled.numbers[0])) * Fraction(2) ** int(scaled.exponents[0])
    assert abs(found - exact) <= abs(exact) * Fraction(2) ** -52


def test_weights_are_powers_of_two_within_two_units_of_the_last_digit() -> None:
    times, half_life = np.random.default_rng(1).integers(-(10**15), 4 * 10**15, 10_000), 604_800_000_000
    found, exponents = weights(times, half_life)
    for time, number, exponent in zip(times.tolist(), found.tolist(), exponents.tolist(), strict=True):
        share = Fraction(time, half_life) - exponent
        assert 0 <= share < 1
        assert math.isclose(number, 2.0 ** float(share), rel_tol=5e-16)
