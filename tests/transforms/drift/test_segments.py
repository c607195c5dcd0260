"""A segment is compared with itself: segments differ by nature, and only what the profile knows of them can drift."""

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.profiles import InvalidProfile, Profile, build_profile, parse_profile, serialise_profile, with_segments
from models.profiles.measuring import STATISTICS
from models.profiles.segments import MOST_SEGMENTS, MOST_VALUES
from schemas.job import DriftSpec
from transforms.drift.drift_groups import count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records

HOUR = 3_600_000_000
RNG = np.random.default_rng(23)
LEVELS = {"JFK": 0.0, "LGA": 4.0, None: -4.0}
SPEC = DriftSpec(HOUR, 0, ("origin",), 0.1, 0.05, thresholds=dict.fromkeys(STATISTICS, 0.0) | {"psi": 0.1, "ks": 0.05})


def events(rows: int, moved: float = 0.0) -> pa.RecordBatch:
    """`x` lies elsewhere in each segment; `moved`: that of LGA."""
    origins = [tuple(LEVELS)[row % 3] for row in range(rows)]
    levels = [LEVELS[each] + (moved if each == "LGA" else 0.0) for each in origins]
    columns = {"x": np.array(levels) + RNG.normal(size=rows), "score": RNG.random(rows), "origin": pa.array(origins)}
    return pa.record_batch(columns)


TRAINING = events(9_000)
WITHOUT = build_profile(TRAINING, ["x", "score"])
PROFILE = with_segments(WITHOUT, TRAINING, {"origin": TRAINING.column("origin")})


def records(rows: pa.RecordBatch, profile: Profile = PROFILE, spec: DriftSpec = SPEC) -> list[dict[str, Any]]:
    times = pa.array(np.arange(rows.num_rows) * HOUR // rows.num_rows, pa.timestamp("us", "UTC"))
    batch = rows.append_column("__event_time", times)
    batch = batch.append_column("__role", pa.array(["champion"] * rows.num_rows))
    [piece] = count_windows(profile, batch, spec.segments, HOUR)
    found: list[dict[str, Any]] = drift_records(
        profile, [Pane(piece.counts, DriftOrigin(0, HOUR, 0, "m", "1"))], spec
    ).to_pylist()
    return found


def drifted(found: list[dict[str, Any]]) -> set[tuple[str | None, str]]:
    return {(row["segment"], row["column"]) for row in found if row["drifted"]}


def test_segments_that_differ_by_nature_have_not_drifted() -> None:
    found = [records(events(900)) for _ in range(20)]
    assert [drifted(each) for each in found] == [set()] * 20
    assert {(row["segment"], row["reference"]) for row in found[0]} == {
        (None, "whole"), ("origin=JFK", "segment"), ("origin=LGA", "segment"), ("origin is null", "segment")
    }  # fmt: skip


def test_a_segment_that_moves_has_drifted_and_the_others_have_not() -> None:
    found = drifted(records(events(900, moved=1.0)))
    assert ("origin=LGA", "x") in found
    assert {segment for segment, _ in found} <= {None, "origin=LGA"}


def test_a_segment_with_no_reference_of_its_own_is_described_and_not_judged() -> None:
    rows = events(900)
    new = rows.set_column(2, "origin", pa.array(["EWR"] * 300 + ["JFK"] * 600))
    for profile, unknown in ((PROFILE, {"origin=EWR"}), (WITHOUT, {"origin=EWR", "origin=JFK"})):
        found = records(new, profile)
        apart = [row for row in found if row["reference"] == "all rows"]
        assert {row["segment"] for row in apart} == unknown
        assert {(row["drifted"], row["p_value"]) for row in apart} == {(False, None)}
        assert all(row["p_value"] is not None for row in found if row not in apart)


@pytest.mark.parametrize("values", [MOST_VALUES + 1, 5])
def test_only_columns_of_few_values_have_segments(values: int) -> None:
    by = {f"c{column:02}": pa.array(np.arange(9_000) % values) for column in range(30)}
    known = with_segments(WITHOUT, TRAINING, {**by, "x": TRAINING.column("x")}).segments
    assert len(known) == (0 if values > MOST_VALUES else MOST_SEGMENTS // 5 * 5)
    assert all(sum(counts) == 2 * 9_000 / values for counts in known.values())


def test_numbers_of_ten_thousand_segments_are_those_of_a_segment_alone() -> None:
    rows = TRAINING.append_column("who", pa.array([f"s{row % 3_000}" for row in range(9_000)]))
    found = records(rows, PROFILE, replace(SPEC, segments=("origin", "who")))
    assert len({row["segment"] for row in found}) == 3_004
    alone = [row for row in found if row["segment"] == "origin=LGA" and row["statistic"] == "ks"]
    assert [row["value"] for row in alone] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_segments_are_read_as_they_were_written_and_checked() -> None:
    raw = serialise_profile(PROFILE)
    assert parse_profile(raw) == PROFILE
    document = json.loads(raw)
    assert document["format"] == 2
    short = document | {"segments": {"origin=JFK": [1, 2]}}
    for wrong in (short, document | {"format": 1}, document | {"segments": {f"a={n}": [] for n in range(129)}}):
        with pytest.raises(InvalidProfile):
            parse_profile(json.dumps(wrong).encode())


CONSTANT = pa.record_batch({"x": np.full(40, 7.0), "n": pa.array([None] * 40, pa.float64()), "t": ["a"] * 40})
EDGES = {
    "constant as it was": (CONSTANT, set()),
    "constant elsewhere": (CONSTANT.set_column(0, "x", pa.array(np.full(40, 8.0))), {"x"}),
    "suddenly null": (CONSTANT.set_column(0, "x", pa.array([None] * 40, pa.float64())), {"x"}),
    "no longer null": (CONSTANT.set_column(1, "n", pa.array(np.arange(40.0))), {"n"}),
    "a new column": (CONSTANT.append_column("new", pa.array(np.arange(40))), set()),
    "a vanished column": (CONSTANT.select(["n", "t"]), set()),
    "one event": (CONSTANT.slice(0, 1), set()),
    "one event elsewhere": (CONSTANT.slice(0, 1).set_column(0, "x", pa.array([1e9])), set()),
    "a new value": (CONSTANT.set_column(2, "t", pa.array(["b"] * 40)), {"t"}),
}


@pytest.mark.parametrize("edge", EDGES)
def test_at_the_edges_every_number_is_defined(edge: str) -> None:
    rows, expected = EDGES[edge]
    profile = build_profile(CONSTANT, CONSTANT.schema.names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = records(rows, profile, replace(SPEC, segments=()))
    assert {column for _, column in drifted(found)} == expected
    numbers = [row[name] for row in found for name in ("value", "noise_floor", "n_effective", "p_value", "effect")]
    assert np.isfinite(np.array(numbers, np.float64)).all()
    assert {row["column"] for row in found} <= set(rows.schema.names) & {"x", "n", "t"}
