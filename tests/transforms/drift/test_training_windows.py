"""A window is compared with windows of the training data of its kind."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.drift.simulate import autoregression
from models.profiles import (
    InvalidProfile,
    Profile,
    build_profile,
    parse_profile,
    serialise_profile,
    windows_for,
    with_training_windows,
)
from pipeline.reporting.drifted_windows import drifted_windows
from schemas.job import DriftSpec
from transforms.drift.drift_groups import count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records

HOUR = 3_600_000_000
DAY = 24 * HOUR
RNG = np.random.default_rng(17)
PER_DAY = 240


def events(days: int, moved: float = 0.0, from_day: int = 0) -> pa.RecordBatch:
    """Evenly spaced events: `x` differs from day to day, `y` is high in two hours of each day; `x` of `moved` events
    more from a
    time."""
    rows = days * PER_DAY
    times = from_day * DAY + np.arange(rows) * DAY // PER_DAY
    level = np.repeat(autoregression(RNG, 0.3, days, 1)[:, 0], PER_DAY)
    daily = np.tile(np.where(np.arange(PER_DAY) < 20, 30.0, 0.0), days)
    return pa.record_batch(
        {
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "x": level + RNG.normal(size=rows) + np.where(np.arange(rows) >= rows / 2, moved, 0.0),
            "y": daily + RNG.normal(size=rows),
            "score": RNG.random(rows),
        }
    )


TRAINING = events(120)
WITHOUT = build_profile(TRAINING, ["x", "y", "score"])
PROFILE = with_training_windows(WITHOUT, TRAINING)


def records(batch: pa.RecordBatch, window_us: int, profile: Profile = PROFILE) -> pa.Table:
    spec = DriftSpec(window_us, 0, (), psi_threshold=0.2, ks_threshold=0.1)
    rows = batch.append_column("__event_time", batch["event_time"])
    rows = rows.append_column("__role", pa.array(["champion"] * batch.num_rows))
    panes = [
        Pane(piece.counts, DriftOrigin(piece.window_start_us, piece.window_start_us + window_us, 0, "m", "1"))
        for piece in count_windows(profile, rows, (), window_us)
    ]
    return pa.Table.from_batches([drift_records(profile, panes, spec)])


def days_of(table: pa.Table, column: str) -> set[datetime]:
    return {row["window_start"] for row in table.to_pylist() if row["drifted"] and row["column"] == column}


def test_days_as_those_of_the_training_are_not_reported_and_others_are() -> None:
    found = records(events(100), DAY)
    assert set(found["reference"].to_pylist()) == {"1d"}
    assert len(days_of(found, "x")) <= 4
    moved = records(events(40, moved=6.0), DAY)
    shifted = {datetime.fromtimestamp(day * 86_400, UTC) for day in range(20, 40)}
    assert days_of(moved, "x") >= shifted
    assert len(days_of(moved, "x") - shifted) <= 1


def test_a_shift_within_a_window_is_found_in_that_window() -> None:
    [window, *_] = sorted(days_of(records(events(1, moved=6.0), DAY), "x"))
    assert window == datetime(1970, 1, 1, tzinfo=UTC)


def test_hours_are_compared_with_the_same_hour_where_that_explains_them() -> None:
    kinds = {each.length: (each.by, each.windows) for each in PROFILE.windows}
    assert kinds == {"1h": ("hour", 2_880), "1d": (None, 120), "7d": (None, 17)}
    assert set(records(events(1), HOUR)["reference"].to_pylist()) == {"1h by hour"}


def test_another_window_length_uses_the_next_shorter_one_and_says_so() -> None:
    for window_us, name in ((2 * DAY, "1d"), (30 * DAY, "7d"), (HOUR // 2, "whole")):
        assert set(records(events(60), window_us)["reference"].to_pylist()) == {name}
    assert windows_for(PROFILE.windows, HOUR // 2) is None


def test_without_times_the_reference_is_the_whole_in_format_1() -> None:
    assert json.loads(serialise_profile(WITHOUT))["format"] == 1
    assert with_training_windows(WITHOUT, TRAINING.drop_columns(["event_time"])) == WITHOUT
    assert set(records(events(2), DAY, WITHOUT)["reference"].to_pylist()) == {"whole"}


def test_format_2_is_read_as_it_was_written() -> None:
    raw = serialise_profile(PROFILE)
    assert json.loads(raw)["format"] == 2
    assert parse_profile(raw) == PROFILE


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"usual": {"z": {"ks": [0.1]}}}, "usual"),
        ({"usual": {"x": {"entropy": [0.1]}}}, "usual.x"),
        ({"usual": {"x": {"ks": [0.1, 0.2]}}}, "usual.x.ks"),
        ({"inflation": {"z": 2.0}}, "usual"),
    ],
)
def test_windows_that_contradict_the_profile_are_refused(change: dict[str, object], path: str) -> None:
    document = json.loads(serialise_profile(PROFILE))
    document["windows"][1] |= change
    with pytest.raises(InvalidProfile) as refused:
        parse_profile(json.dumps(document).encode())
    assert refused.value.path == f"profile.windows[1].{path}"


def test_windows_in_format_1_are_refused() -> None:
    document = json.loads(serialise_profile(PROFILE)) | {"format": 1}
    with pytest.raises(InvalidProfile, match="each length once, in format 2"):
        parse_profile(json.dumps(document).encode())


def test_one_line_for_each_window_names_the_columns_that_moved_most() -> None:
    lines = drifted_windows(records(events(4, moved=6.0), DAY))
    assert {line.start.day for line in lines} >= {3, 4}
    assert {line.columns[0][:3] for line in lines if line.start.day >= 3} == {"x +"}
    assert [line.severity for line in lines] == sorted((line.severity for line in lines), reverse=True)


def steady(days: int, moved: float, from_day: int) -> pa.RecordBatch:
    """`x` of independent rows; it moves after half of the days."""
    rows = days * 100
    times = from_day * DAY + np.arange(rows) * DAY // 100
    x = RNG.normal(size=rows) + np.where(np.arange(rows) >= rows / 2, moved, 0.0)
    return pa.record_batch({"event_time": pa.array(times, pa.timestamp("us", "UTC")), "x": x})


def test_the_week_in_which_a_shift_begins_is_the_first_that_is_reported() -> None:
    training = steady(210, 0.0, 0)
    profile = with_training_windows(build_profile(training, ["x"]), training)
    assert days_of(records(steady(56, 0.0, 210), 7 * DAY, profile), "x") == set()
    found = days_of(records(steady(22, 1.5, 210), 7 * DAY, profile), "x")  # from 221 on, the week of 217 to 223
    assert min(found) == datetime.fromtimestamp(217 * 86_400, UTC)


def test_ten_thousand_segments_are_measured_each() -> None:
    batch = events(84)
    rows = batch.append_column("__event_time", pa.array([0] * batch.num_rows, pa.timestamp("us", "UTC")))
    rows = rows.append_column("__role", pa.array(["champion"] * batch.num_rows))
    rows = rows.append_column("who", pa.array([f"s{row % 10_000}" for row in range(batch.num_rows)]))
    [piece] = count_windows(PROFILE, rows, ("who",), DAY)
    spec = DriftSpec(DAY, 0, ("who",), psi_threshold=0.2, ks_threshold=0.1)
    found = drift_records(PROFILE, [Pane(piece.counts, DriftOrigin(0, DAY, 0, "m", "1"))], spec)
    assert found.num_rows == 10_001 * 6
    assert not any(row["drifted"] for row in found.slice(0, 3_000).to_pylist() if row["segment"])
