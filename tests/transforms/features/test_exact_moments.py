"""`sum`, `mean`, `variance` and `std`: of equal sets of events equal bits, whatever their order, groups and delays."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from schemas import batches
from schemas.job import FeatureSpec
from tests.reference.frames import events_batch
from transforms.features.feature_state import FeatureState, advance, features_of
from transforms.features.key_plans import observations, plan_key
from transforms.features.tiles import fold, merge

SECOND = 1_000_000
HOUR = 3_600 * SECOND
AGGREGATES = ("sum", "mean", "variance", "std")
PLAN = plan_key([FeatureSpec(name, "key", "value", name, 6 * HOUR, HOUR) for name in AGGREGATES], "key")
ASKED = 10 * HOUR  # when each key has an event that sees the six hours before
KINDS: dict[str, Callable[[Random], float]] = {
    "of-any-size": lambda random: random.uniform(-1, 1) * 10.0 ** random.uniform(-300, 300),
    "that-cancel": lambda random: random.choice((1e16, -1e16, 1.0, 3.0, 2.0**53, -(2.0**53), 2.0**-60, 1e292, -1e292)),
    "subnormal": lambda random: random.choice((5e-324, -5e-324, 1e-310, 2.2e-308, 2.3e-308, 0.0, -0.0)),
    "near-the-end": lambda random: random.choice((1.7e308, -1.7e308, 1.7976931348623157e308, 1e300, 1.0)),
    "of-money": lambda random: round(random.lognormvariate(3, 1), 2),
    "whole": lambda random: float(random.randrange(-60, 1500)),
    "far-from-zero": lambda random: 1.7e9 + random.gauss(0, 1e-3),
    "of-full-length": lambda random: float(random.randrange(-(2**53), 2**53)) * 2.0 ** random.randrange(-30, 30),
    "equal": lambda random: 9.99,
}


def events_of(kind: str, seed: int) -> tuple[pd.DataFrame, pa.RecordBatch]:
    """Sixty events within six hours, then one that asks for each key."""
    random = Random(seed)
    rows = [(ASKED - 1 - random.randrange(6 * HOUR), random.choice("AB"), KINDS[kind](random)) for _ in range(60)]
    frame = pd.DataFrame([*rows, *((ASKED, key, None) for key in "AB")], columns=["departed_at", "key", "value"])
    frame["id"] = [f"{(index * 7919) % 1009:x}-{index}" for index in range(len(frame))]
    numbered = events_batch(frame.astype({"value": object}), {"key": "string", "value": "number"})
    return frame, observations(PLAN, numbered)


def nearest(number: Fraction) -> float | None:
    """Python rounds the quotient of whole numbers once; null where no float holds it."""
    try:
        return number.numerator / number.denominator
    except OverflowError:
        return None


def exact(values: list[float]) -> list[float | None]:
    n, numbers = len(values), [Fraction(value) for value in values]
    total, squares = sum(numbers, Fraction(0)), sum((number * number for number in numbers), Fraction(0))
    rounded, variance = nearest(total), nearest((n * squares - total * total) / (n * (n - 1)))
    # As if floats had more range, where none holds the sum.
    far = nearest(total / 2**100)
    mean = rounded / n if rounded is not None else far / n * 2.0**100 if far is not None else None
    return [rounded, mean, variance, None if variance is None else math.sqrt(variance)]


def of_all(frame: pd.DataFrame) -> list[list[float | None]]:
    return [exact([value for value in frame["value"][frame["key"] == key] if not math.isnan(value)]) for key in "AB"]


def answers(table: pa.RecordBatch) -> list[list[float | None]]:
    rows = {row[batches.ROW]: row for row in table.to_pylist()}
    return [[rows[number][name] for name in AGGREGATES] for number in (60, 61)]


def amended(rows: pa.RecordBatch, random: Random) -> pa.RecordBatch:
    """What is answered at the end where events come one by one, in any order, most of them late."""
    state = FeatureState()
    stops = sorted(random.randrange(ASKED) for _ in range(60))
    for row, stop in zip(random.sample(range(60), 60), stops, strict=True):
        state.open_rows.append(rows.slice(row, 1))
        advance(PLAN, state, stop, 100 * HOUR, 100)
    state.waiting.append(rows.slice(60, 2))
    featured, expired, _ = advance(PLAN, state, ASKED, 100 * HOUR, 100)
    assert featured is not None
    assert expired == 0
    return featured


def merged(rows: pa.RecordBatch, random: Random) -> pa.RecordBatch:
    """What is answered from parts of shuffled events that are merged in random order and groups."""
    shuffled = batches.take_rows(rows, np.array(random.sample(range(62), 62)))
    edges = sorted({0, 62, *(random.randrange(62) for _ in range(5))})
    parts = [fold(PLAN, shuffled.slice(a, b - a), 100) for a, b in pairwise(edges)]
    while len(parts) > 1:
        random.shuffle(parts)
        whole = merge(parts[:2], 100)
        assert whole is not None
        parts = [whole, *parts[2:]]
    return features_of(PLAN, parts[0], rows)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
def test_bits_are_those_of_the_exact_sums_in_any_order_and_however_late(kind: str) -> None:
    for seed in range(4):
        random = Random(seed)
        frame, rows = events_of(kind, seed)
        expected = of_all(frame)
        assert answers(features_of(PLAN, fold(PLAN, rows, 100), rows)) == expected, seed
        assert answers(merged(rows, random)) == expected, seed
        assert answers(amended(rows, random)) == expected, seed


def test_late_amendments_leave_the_bits_of_all_events_at_once() -> None:
    unlike = []
    for seed in range(20):
        _, rows = events_of("of-money", seed)
        at_once = answers(features_of(PLAN, fold(PLAN, rows, 100), rows))
        unlike += [seed] if answers(amended(rows, Random(seed))) != at_once else []
    assert unlike == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.7e308, 1.7e308], [None, 1.7e308, 0.0, 0.0]),
        ([1e200, -1e200], [0.0, 0.0, None, None]),
        ([1.7976931348623157e308, 9.979201547673599e291], [None, 8.98846567431158e307, None, None]),
        ([1e16, 1.0, -1e16], [1.0, 1 / 3, 1e32, 1e16]),
        ([5e-324, 5e-324, 5e-324], [1.5e-323, 5e-324, 0.0, 0.0]),
        ([2.0**53, 1.0], [2.0**53]),
        ([2.0**53, 1.0, 2.0**-60], [2.0**53 + 2]),
        ([2.0**53, 3.0, -(2.0**-60)], [2.0**53 + 2]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_no_float_holds_is_null_and_all_else_is_rounded_once(values: list[float], expected: list[Any]) -> None:
    frame = pd.DataFrame({"departed_at": [ASKED - 1] * len(values) + [ASKED], "key": "A", "value": [*values, None]})
    frame["id"] = [f"e{index}" for index in range(len(frame))]
    rows = observations(PLAN, events_batch(frame.astype({"value": object}), {"key": "string", "value": "number"}))
    answer = features_of(PLAN, fold(PLAN, rows, 100), rows).to_pylist()[-1]
    found = [answer[name] for name in AGGREGATES]
    assert found == exact(values)
    assert found[: len(expected)] == expected


@pytest.mark.filterwarnings("error")
def test_decayed_sum_that_no_float_holds_is_null() -> None:
    specs = [FeatureSpec(n, "key", "value", n, HOUR, HOUR, half_life_us=HOUR) for n in ("decayed_sum", "decayed_mean")]
    plan = plan_key(specs, "key")
    columns = {"departed_at": [0, 0, 0, HOUR], "value": [*[1.7e308] * 3, None], "id": list("abcd")}
    frame = pd.DataFrame(columns).assign(key="A")
    rows = observations(plan, events_batch(frame.astype({"value": object}), {"key": "string", "value": "number"}))
    found = features_of(plan, fold(plan, rows, 100), rows).to_pylist()[-1]
    assert found["decayed_sum"] is None
    assert math.isclose(found["decayed_mean"], 1.7e308)
