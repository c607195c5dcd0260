"""PSI and KS compared with SciPy and with sums by hand, and in simulations."""

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats  # type: ignore[import-untyped]  # ships no types

from models.profiles import build_profile, observe
from models.profiles.columns import Ints
from transforms.drift.drift_statistics import Statistic, chi2_quantile, ks, psi
from transforms.drift.thresholds import drifted

ONE = np.zeros(1, np.int64)
SAMPLES = 800


def counts(*values: list[int]) -> Ints:
    return np.array(values, np.int64)


def test_psi_is_the_sum_by_hand() -> None:
    found = psi(np.array([60, 40]), counts([30, 70]), ONE)
    p, q = np.array([60.5, 40.5]) / 101, np.array([30.5, 70.5]) / 101
    assert found.value[0, 0] == pytest.approx(float(np.sum((q - p) * np.log(q / p))), abs=1e-12)
    assert found.noise_floor[0, 0] == pytest.approx(2 / 100 * stats.chi2.ppf(0.99, 1), rel=0.01)


def test_equal_shares_are_no_drift() -> None:
    for function in (psi, ks):
        found = function(np.array([500, 300, 200]), counts([500, 300, 200]), ONE)
        assert found.value[0, 0] == 0
        assert not drifted(found, 0.0)[0, 0]


def test_cells_empty_on_both_sides_change_nothing() -> None:
    with_empty = psi(np.array([60, 0, 40, 0]), counts([30, 0, 70, 0]), ONE)
    without = psi(np.array([60, 40]), counts([30, 70]), ONE)
    assert (with_empty.value, with_empty.noise_floor) == (without.value, without.noise_floor)


def test_cell_empty_on_one_side_stays_finite() -> None:
    found = psi(np.array([1000, 0]), counts([0, 1000], [1000, 0]), ONE)
    assert np.isfinite(found.value).all()
    assert drifted(found, 0.2).tolist() == [[True], [False]]


def test_nothing_observed_is_no_drift() -> None:
    for function in (psi, ks):
        found = function(np.array([3, 4]), counts([0, 0]), ONE)
        assert (found.value[0, 0], found.noise_floor[0, 0], found.n[0, 0]) == (0, math.inf, 0)


def test_columns_and_groups_are_measured_each_for_itself() -> None:
    reference, starts = np.array([60, 40, 10, 20, 70]), np.array([0, 2])
    observed = counts([30, 70, 50, 30, 20], [6, 4, 1, 2, 7])
    for function in (psi, ks):
        whole = function(reference, observed, starts)
        for group in range(2):
            for column, cells in enumerate((slice(0, 2), slice(2, 5))):
                alone = function(reference[cells], observed[group : group + 1, cells], ONE)
                assert [each[group, column] for each in whole] == pytest.approx([each[0, 0] for each in alone])


def test_both_statistics_need_threshold_and_noise_floor() -> None:
    shape = np.ones((1, 1))
    low, high = 0.1 * shape, 0.3 * shape
    rows = np.ones((1, 1), np.int64)
    assert drifted(Statistic(high, low, rows, rows), 0.2).item()
    assert not drifted(Statistic(high, low, rows, rows), 0.4).item()
    assert not drifted(Statistic(low, high, rows, rows), 0.05).item()


@pytest.mark.parametrize("seed", range(5))
def test_ks_equals_scipy_on_binned_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, observed = rng.integers(0, 12, 800), rng.binomial(11, 0.4, 300)
    found = ks(np.bincount(reference, minlength=12), np.bincount(observed, minlength=12)[None, :], ONE)
    assert found.value[0, 0] == pytest.approx(stats.ks_2samp(reference, observed).statistic, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.7, 5.0])
def test_binned_ks_is_within_the_fullest_bin_below_the_exact_one(shift: float) -> None:
    rng = np.random.default_rng(1)
    reference, observed = rng.normal(size=3_000), rng.normal(shift, 1.5, 700)
    profile = build_profile(pa.record_batch({"x": reference}), "x")
    bins = profile.reference[:-1]
    seen = observe(profile, pa.record_batch({"x": observed}))[None, :-1]
    exact, binned = stats.ks_2samp(reference, observed).statistic, ks(bins, seen, ONE).value[0, 0]
    assert exact - bins.max() / bins.sum() - 1e-12 <= binned <= exact + 1e-12


def test_ks_noise_floor_is_the_asymptotic_critical_value() -> None:
    found = ks(np.array([4_000, 6_000]), counts([2_000, 3_000]), ONE)
    m, n = 10_000, 5_000
    assert found.noise_floor[0, 0] == pytest.approx(stats.kstwobign.ppf(0.99) * math.sqrt((n + m) / (n * m)), rel=1e-3)


def test_chi2_quantile_is_near_scipys() -> None:
    degrees = np.arange(1, 100)
    assert chi2_quantile(0.99, degrees) == pytest.approx(stats.chi2.ppf(0.99, degrees), rel=0.008)


def false_alarms(shares: list[float], n: int) -> dict[str, float]:
    """The share of samples of n rows that exceed their noise floor; each has its own reference of 5,000 rows."""
    rng = np.random.default_rng(7)
    p = np.array(shares) / sum(shares)
    pairs = list(zip(rng.multinomial(5_000, p, size=SAMPLES), rng.multinomial(n, p, size=(SAMPLES, 1)), strict=True))
    return {
        function.__name__: float(np.mean([drifted(function(*pair, ONE), 0.0) for pair in pairs]))
        for function in (psi, ks)
    }


UNIFORM, RARE, STEEP = [0.1] * 10, [0.999, 0.001], [2.0**-i for i in range(1, 40)]


@pytest.mark.parametrize("n", [20, 500, 20_000])
@pytest.mark.parametrize("shares", [[0.2, 0.8], UNIFORM, [1 / 64] * 64, RARE, STEEP])
def test_without_drift_about_one_in_a_hundred_is_above_the_noise_floor(n: int, shares: list[float]) -> None:
    assert max(false_alarms(shares, n).values()) <= 0.025


def test_noise_floor_of_psi_is_its_99th_percentile() -> None:
    assert 0.005 <= false_alarms(UNIFORM, 5_000)["psi"] <= 0.018


def test_a_shift_of_half_a_deviation_is_seen_in_a_day_of_flights() -> None:
    rng = np.random.default_rng(9)
    profile = build_profile(pa.record_batch({"x": rng.normal(size=20_000)}), "x")
    seen = observe(profile, pa.record_batch({"x": rng.normal(0.5, 1, 900)}))[None, :]
    assert drifted(psi(profile.reference, seen, ONE), 0.2).item()
    assert drifted(ks(profile.reference[:-1], seen[:, :-1], ONE), 0.1).item()
