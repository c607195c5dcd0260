"""Events that depend on those before them raise no more alarms than independent ones, and drift is found among them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats  # type: ignore[import-untyped]  # ships no types

from benchmarks.drift.simulate import SPEC, WINDOW_US, Simulation, alarms, autoregression
from models.profiles import build_profile
from models.profiles.measuring import Measured
from schemas.job import DriftSpec
from transforms.drift.chance import accepted, chance_of, upper_tail
from transforms.drift.drift_groups import GroupCounts, count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records
from transforms.drift.drift_sums import Tally

ORIGIN = DriftOrigin(0, WINDOW_US, 0, "m", "1")
RNG = np.random.default_rng(11)
PROFILE = build_profile(pa.record_batch({"x": autoregression(RNG, 0.7, 20_000, 1)[:, 0]}), ["x"])


def window(values: object, times: object = None, segments: tuple[str, ...] = ()) -> list[GroupCounts]:
    """The counts of one window, of 16 batches."""
    numbers = np.asarray(values, np.float64)
    at = np.arange(len(numbers)) * WINDOW_US // len(numbers) if times is None else np.asarray(times, np.int64)
    columns = {
        "__event_time": pa.array(at, pa.timestamp("us", "UTC")),
        "__role": ["champion"] * len(numbers),
        "x": numbers,
    }
    columns["origin"] = [f"s{row % 3}" for row in range(len(numbers))]
    batch = pa.record_batch(columns)
    size = -(-len(numbers) // 16)
    parts = [batch.slice(start, size) for start in range(0, len(numbers), size)]
    return [piece.counts for part in parts for piece in count_windows(PROFILE, part, segments, WINDOW_US)]


def records(parts: list[GroupCounts], spec: DriftSpec = SPEC) -> list[dict[str, Any]]:
    tally = Tally()
    for part in parts:
        tally.add(part)
    found: list[dict[str, Any]] = drift_records(PROFILE, [Pane(tally.sums(), ORIGIN)], spec).to_pylist()
    return found


@pytest.mark.parametrize(("rho", "n"), [(0.0, 100), (0.7, 35), (0.9, 35), (0.9, 100), (0.7, 300), (0.9, 300)])
def test_stationary_events_raise_an_alarm_in_at_most_one_window_of_a_hundred(rho: float, n: int) -> None:
    assert alarms(Simulation(rho, n, windows=200)).any <= 0.01


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.7])
def test_half_a_deviation_in_one_of_twenty_columns_is_found_within_two_windows(rho: float) -> None:
    assert alarms(Simulation(rho, 1_000, windows=60, shift=0.5)).first >= 0.8  # of two windows: 0.96


@pytest.mark.parametrize(("rho", "most", "least"), [(0.0, 1_000, 800), (0.7, 320, 180), (0.9, 130, 40)])
def test_effective_rows_are_those_of_the_autocorrelation(rho: float, most: int, least: int) -> None:
    found = [records(window(column))[0]["n_effective"] for column in autoregression(RNG, rho, 1_000, 9).T]
    assert least <= float(np.median(np.array(found, np.float64))) <= most


def test_effective_rows_do_not_depend_on_order_or_grouping_of_parts() -> None:
    parts = window(autoregression(RNG, 0.7, 640, 1)[:, 0], segments=("origin",))
    whole = Tally()
    for part in parts[:7]:
        whole.add(part)
    assert records(parts) == records(parts[::-1]) == records([*parts[7:], whole.sums()])


def test_segments_are_taken_to_depend_as_all_rows_do() -> None:
    found = records(window(autoregression(RNG, 0.9, 900, 1)[:, 0], segments=("origin",)))
    shares = {row["segment"]: row["n_effective"] / row["n"] for row in found if row["statistic"] == "ks"}
    assert len(shares) == 4
    assert max(shares.values()) == pytest.approx(min(shares.values()))


def test_where_all_events_have_one_time_nothing_is_known_of_their_order() -> None:
    [psi, ks] = records(window(RNG.normal(size=500), times=[7] * 500))
    assert (psi["n_effective"], ks["n_effective"]) == (500.0, 500.0)


def test_one_event_is_measured_and_never_an_alarm() -> None:
    for row in records(window([1e9]), replace(SPEC, thresholds={"out_of_range_rate": 0.0})):
        assert (row["n"], row["n_effective"], row["drifted"]) == (1, 1.0, False)


def test_a_column_that_is_suddenly_constant_or_null_has_drifted() -> None:
    [psi, ks] = records(window([9.0] * 1_000))
    assert (psi["drifted"], ks["drifted"]) == (True, True)
    spec = replace(SPEC, thresholds={"missing_rate": 0.02})
    assert {row["statistic"]: row["drifted"] for row in records(window([np.nan] * 1_000), spec)} == {
        "psi": True,
        "missing_rate": True,
    }


def test_probabilities_are_near_scipys() -> None:
    z = np.linspace(-3, 8, 45)
    assert upper_tail(z) == pytest.approx(stats.norm.sf(z), rel=2e-7)
    rows = np.full((1, 1), 200.0)
    for cells, freedom in ((2, 1e9), (10, 1e9), (64, 1e9), (10, 31.0), (64, 20.0)):
        value = np.array([[1.6 * (cells - 1) / 200]])
        found = Measured(("x",), value, np.array([[200]]), np.array([[10**9]]), np.array([[cells]]), np.zeros(1))
        chance = chance_of("psi", found, rows, np.full((1, 1), freedom))
        exact = stats.f(cells - 1, freedom) if freedom < 1e9 else stats.chi2(cells - 1, scale=1 / (cells - 1))
        assert chance.p_value[0, 0] == pytest.approx(exact.sf(1.6), rel=0.1)
        assert chance.floor[0, 0] == pytest.approx(exact.ppf(0.99) * (cells - 1) / 200, rel=0.02)


def test_discoveries_are_those_of_scipys_false_discovery_control() -> None:
    p_values = np.concatenate([RNG.random(300), RNG.random(40) ** 6])
    family = RNG.integers(0, 9, 340)
    found = accepted(p_values, family)
    for each in range(9):
        adjusted = stats.false_discovery_control(p_values[family == each])
        assert found[family == each].tolist() == (adjusted <= 0.01 * (1 + 1e-12)).tolist()
    assert accepted(np.zeros(0), np.zeros(0, np.int64)).tolist() == []
