"""Group-sequential bounds: published tables, scipy's integrals, and simulated samples."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm  # type: ignore[import-untyped]  # ships no types

from gates.group_sequential import spent, upper_bounds

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)
# Two-sided 0.05 over five equal looks, as in the tables of Lan and DeMets and R's ldbounds.
TABLES = {
    "obrien_fleming": (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
    "pocock": (2.4380, 2.4268, 2.4101, 2.3966, 2.3859),
}


@pytest.mark.parametrize("spending", TABLES)
def test_bounds_are_those_of_the_tables(spending: str) -> None:
    assert upper_bounds(FIVE, 0.025, spending) == pytest.approx(TABLES[spending], abs=2e-3)


@pytest.mark.parametrize("fractions", [(0.3, 0.5, 1.0), (0.1, 0.85, 0.9), (0.5, 1.0)])
def test_what_is_spent_is_what_scipy_integrates(fractions: tuple[float, ...]) -> None:
    bounds = upper_bounds(fractions, 0.025, "pocock")
    times = np.array(fractions)
    correlations = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    inside = multivariate_normal(cov=correlations).cdf(np.array(bounds))
    assert 1 - inside == pytest.approx(spent("pocock", fractions[-1], 0.025), abs=2e-4)


def test_one_look_is_a_test_of_fixed_n() -> None:
    assert upper_bounds((1.0,), 0.025, "obrien_fleming") == pytest.approx((norm.ppf(0.975),), abs=1e-6)


@pytest.mark.parametrize("spending", TABLES)
def test_twenty_looks_keep_the_error_rate(spending: str) -> None:
    looks = tuple(round(each / 20, 6) for each in range(1, 21))
    walks = np.cumsum(np.random.default_rng(5).normal(size=(20_000, 20)), axis=1) / np.sqrt(np.arange(1, 21))
    crossed = (walks > np.array(upper_bounds(looks, 0.05, spending))).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.006)


def test_bounds_of_obrien_and_fleming_fall() -> None:
    bounds = upper_bounds(FIVE, 0.05, "obrien_fleming")
    assert all(earlier > later for earlier, later in pairwise(bounds))
