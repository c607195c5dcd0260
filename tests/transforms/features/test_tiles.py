"""Tiles compared with the brute-force reference, for made-up events of all types, in any grouping."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import batches
from schemas.job import FeatureSpec
from tests.reference.frames import differences, events_batch, expected_feature, magnitude
from transforms.features.aggregates import AGGREGATES
from transforms.features.feature_state import features_of
from transforms.features.key_plans import observations, plan_key
from transforms.features.tile_tables import TileTables
from transforms.features.tiles import expire, fold, merge

MINUTE = 60_000_000
START = 1_356_998_400_000_000  # 2013-01-01T00:00:00Z
PLENTY = 4096
COLUMNS = {"key": "string", "number": "number", "integer": "integer", "flag": "boolean", "text": "string"}
# The third size is no multiple of its step; the fourth has a step that divides no other.
WINDOWS = ((10, 5), (60, 5), (30, 20), (14, 7))


def feature(aggregate: str, column: str | None, size: int, every: int, key: str = "key") -> FeatureSpec:
    """A feature with size and step in minutes."""
    q = 0.9 if aggregate == "quantile" else None
    name = f"{aggregate}_{column}_{size}_{every}"
    half_life_us = 7 * MINUTE if aggregate.startswith("decayed") else None
    return FeatureSpec(name, key, column, aggregate, size * MINUTE, every * MINUTE, q, half_life_us=half_life_us)


FEATURES = [
    feature(aggregate, column, size, every)
    for aggregate in AGGREGATES
    for column in COLUMNS
    if column != "key" and (column != "text" or AGGREGATES[aggregate].of_texts)
    for size, every in WINDOWS[:: 1 if column == "number" else 2]
] + [
    feature(aggregate, None, size, every)
    for aggregate, each in AGGREGATES.items()
    if each.columnless
    for size, every in WINDOWS
]
PLAN = plan_key(FEATURES, "key")

numbers = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, -1.5, 1e-9, 4.0]),
    st.floats(-1e15, 1e15, allow_subnormal=False),
)
event = st.tuples(
    st.integers(-200, 200),  # minutes around the beginning of 1970 or 2013, few enough that many are equal
    st.sampled_from(["A", "B", "", None]),
    numbers,
    st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**53), 2**53)),
    st.one_of(st.none(), st.booleans()),
    st.sampled_from([None, "", "a", "b", "ä", "z" * 40]),
)
origins = st.sampled_from([START, 0])


def frame(rows: list[tuple[Any, ...]], origin: int) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["minute", *COLUMNS]).astype(dict.fromkeys(COLUMNS, object))
    made["departed_at"] = origin + made["minute"].astype("int64") * MINUTE
    # Ids are neither in the order of rows nor all of one length.
    made["id"] = [f"{(index * 7919) % 1009:x}-{index}" for index in range(len(made))]
    return made


def wrong(table: pa.RecordBatch, events: pd.DataFrame) -> dict[str, Any]:
    """Features that differ from the reference, with the first difference of each."""
    found = {}
    for spec in FEATURES:
        scale = (
            0.0
            if spec.column is None
            else magnitude(events[spec.column]) ** (2 if spec.aggregate == "variance" else 1)
            * (len(events) if spec.aggregate == "sum" else 1)
        )
        off = differences(table.column(spec.name).to_pylist(), expected_feature(events, spec), scale)
        if off:
            found[spec.name] = off[0]
    return found


@settings(max_examples=12)
@given(st.lists(event, min_size=1, max_size=40), origins)
def test_features_of_tiles_are_those_of_the_reference(rows: list[tuple[Any, ...]], origin: int) -> None:
    events = frame(rows, origin)
    seen = observations(PLAN, events_batch(events, COLUMNS))
    assert wrong(features_of(PLAN, fold(PLAN, seen, PLENTY), seen), events) == {}


def parts_of(seen: pa.RecordBatch, cuts: list[int]) -> list[TileTables]:
    edges = sorted({0, seen.num_rows, *(cut % (seen.num_rows + 1) for cut in cuts)})
    return [fold(PLAN, seen.slice(a, b - a), PLENTY) for a, b in itertools.pairwise(edges)]


@settings(max_examples=6)
@given(st.lists(event, min_size=1, max_size=40), origins, st.lists(st.integers(0, 40), max_size=4), st.booleans())
def test_tiles_merge_in_any_grouping(rows: list[tuple[Any, ...]], origin: int, cuts: list[int], pairwise: bool) -> None:
    events = frame(rows, origin)
    seen = observations(PLAN, events_batch(events, COLUMNS))
    parts = parts_of(seen, cuts)[::-1]
    whole = merge(parts, PLENTY) or parts[0]
    if pairwise:
        whole = parts[0]
        for part in parts[1:]:
            whole = merge([part, whole], PLENTY) or whole
    assert wrong(features_of(PLAN, whole, seen), events) == {}


@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e6])
def test_std_of_numbers_far_from_zero_keeps_its_digits(spread: float) -> None:
    random = np.random.default_rng(1)
    rows = [(int(m), "A", 1e9 + spread * random.normal(), 1, True, "a") for m in random.integers(0, 90, 200)]
    events = frame(rows, START)
    seen = observations(PLAN, events_batch(events, COLUMNS))
    table = features_of(PLAN, fold(PLAN, seen, PLENTY), seen)
    for size, every in WINDOWS:
        spec = feature("std", "number", size, every)
        # The reference itself rounds: numbers near 1e9 are known to 1e-7.
        assert differences(table.column(spec.name).to_pylist(), expected_feature(events, spec), 1e-7 * 1e9) == []


def test_window_is_half_open_at_both_ends() -> None:
    hits = [(0, "A", 1.0, 1, True, "a"), (10, "A", 2.0, 1, True, "a"), (12, "A", 4.0, 1, True, "a")]
    seen = observations(PLAN, events_batch(frame(hits, START), COLUMNS))
    found = features_of(PLAN, fold(PLAN, seen, PLENTY), seen).column("sum_number_10_5").to_pylist()
    # T of the last two is minute 10: [0, 10) has the event at 0, but neither the one at 10 nor the one at 12.
    assert found == [None, 1.0, 1.0]
    one_later = frame([(-1, *hits[0][1:]), *hits[1:]], START)
    seen = observations(PLAN, events_batch(one_later, COLUMNS))
    assert features_of(PLAN, fold(PLAN, seen, PLENTY), seen).column("sum_number_10_5").to_pylist() == [None, None, None]


def test_first_tile_kept_is_the_only_line_between_kept_and_expired() -> None:
    rows = [(minute, "A", float(minute), 1, True, "a") for minute in range(0, 60, PLAN.tile_us // MINUTE)]
    tables = fold(PLAN, observations(PLAN, events_batch(frame(rows, START), COLUMNS)), PLENTY)
    first = START // PLAN.tile_us + 30
    kept = expire(tables, first)
    assert kept is not None
    for columns in (kept.tiles, kept.values):
        assert {int(column.tile.min()) for column in columns.values()} == {first}
    assert expire(tables, first + 10**6) is None


def sampled(n: int, limit: int, parts: int) -> int:
    """The estimate of `n` distinct texts in one tile that keeps `limit` values, merged from parts."""
    plan = plan_key([feature("distinct", "text", 5, 5)], "key")
    rows = [(index % 5, "A", None, None, None, f"text-{index}") for index in range(n)] + [
        (5, "A", None, None, None, None)
    ]
    seen = observations(plan, events_batch(frame(rows, START), COLUMNS))
    step = -(-seen.num_rows // parts)
    tables = merge([fold(plan, seen.slice(at, step), limit) for at in range(0, seen.num_rows, step)], limit)
    assert tables is not None
    assert np.bincount(tables.values["text"].tile - START // plan.tile_us).max() <= limit
    return int(features_of(plan, tables, seen).column(2)[seen.num_rows - 1].as_py())


@pytest.mark.parametrize("n", [64, 65, 500, 5000])
def test_sampled_distinct_stays_within_five_standard_errors(n: int) -> None:
    limit = 64
    whole = sampled(n, limit, 1)
    assert sampled(n, limit, 3) == sampled(n, limit, 7) == whole
    # A theta sketch of k values has a relative standard error of 1 / sqrt(k - 1).
    assert abs(whole - n) <= (0 if n <= limit else 5 * n / (limit - 1) ** 0.5)


@pytest.mark.parametrize(
    ("tile_s", "grains_s"),
    [
        (1, ()),
        (5, ()),
        (60, (5,)),
        (61, (3.05,)),
        (300, (5,)),
        (3_600, (5, 60)),
        (86_400, (4.8, 24, 1_440)),
        (7 * 3_600, (3.5, 7, 420)),
        (61.067, ()),
    ],
)
def test_grains_are_a_few_seconds_and_few_make_the_next(tile_s: float, grains_s: tuple[float, ...]) -> None:
    tile_us = round(tile_s * 1_000_000)
    plan = plan_key([FeatureSpec("n", "key", None, "count", tile_us, tile_us)], "key")
    assert plan.grains_us == tuple(round(second * 1_000_000) for second in grains_s)
    for fine_us, coarse_us in itertools.pairwise(plan.widths_us):
        assert coarse_us % fine_us == 0
        assert coarse_us // fine_us <= 60


def test_key_of_any_type_is_read_as_text() -> None:
    columns = {"key": "integer", "number": "number"}
    events = frame([(0, 7, 1.0, None, None, None), (6, 7, 2.0, None, None, None)], START)
    plan = plan_key([feature("sum", "number", 10, 5)], "key")
    seen = observations(plan, events_batch(events, columns))
    assert features_of(plan, fold(plan, seen, PLENTY), seen).column(2).to_pylist() == [None, 1.0]


def test_batches_of_no_events_have_no_tiles() -> None:
    empty = observations(PLAN, events_batch(frame([(0, "A", 1.0, 1, True, "a")], START), COLUMNS)).slice(0, 0)
    tables = fold(PLAN, empty, PLENTY)
    assert len(tables.keys) == 0
    assert features_of(PLAN, tables, empty).num_rows == 0
    assert batches.times_us(empty).size == 0
