"""Confidence sequences: beside the numbers of other packages, and over simulated samples that are looked at all the
time."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gates.betting import OutOfBounds, betting_interval
from gates.mixtures import bounded_deviation, mixture_width, tuned_rho

ORACLES: dict[str, Any] = json.loads((Path(__file__).parent / "oracles.json").read_text("utf-8"))
SIZES = ("50", "200", "1000")


@pytest.mark.parametrize("size", SIZES)
def test_betting_is_that_of_confseq(size: str) -> None:
    found = betting_interval(ORACLES["values"][: int(size)], 0.05)
    assert found == pytest.approx(ORACLES["betting"][size], abs=1e-4)  # confseq's is on a grid of 1 / 20,000


@pytest.mark.parametrize(("size", "within"), [("200", 2e-3), ("1000", 1e-4)])
def test_mixture_is_the_limit_of_savvis_t_test(size: str, within: float) -> None:
    values = np.array(ORACLES["values"][: int(size)])
    width = mixture_width(len(values), 0.05, rho=ORACLES["mixture"]["phi"] ** -0.5) * values.std(ddof=1)
    found = [values.mean() - width, values.mean() + width]
    assert found == pytest.approx(ORACLES["mixture"]["intervals"][size], abs=within)


def test_betting_keeps_values_outside_of_its_bounds_out() -> None:
    with pytest.raises(OutOfBounds, match=r"values from -0.5 to 1.5; allowed: 0.0 to 1.0"):
        betting_interval([0.5, -0.5, 1.5], 0.05)
    scaled = [2 * bound - 1 for bound in betting_interval([0.25, 0.75] * 40, 0.05)]
    assert betting_interval([-0.5, 0.5] * 40, 0.05, -1, 1) == pytest.approx(scaled)


def test_bounded_values_are_covered_at_every_look() -> None:
    """1,000 samples of a coin, looked at after each of 400 throws: the mean is lost in at most 5 % of them."""
    throws = np.random.default_rng(3).integers(0, 2, (1000, 400)).astype(float)
    counts = np.arange(1, 401)
    width = [mixture_width(n, 0.05, tuned_rho(100, 0.05)) * bounded_deviation(0, 1) for n in counts.tolist()]
    lost = np.abs(np.cumsum(throws, axis=1) / counts - 0.5) > np.array(width)
    assert 0.001 < lost.any(axis=1).mean() <= 0.05
    fixed = np.abs(np.cumsum(throws, axis=1) / counts - 0.5)[:, 19::20] > 1.96 * 0.5 / np.sqrt(counts[19::20])
    assert fixed.any(axis=1).mean() > 0.2  # what looking 20 times at a test of fixed n does


def test_betting_covers_at_every_look() -> None:
    draw = np.random.default_rng(4)
    samples = draw.beta(0.3, 0.9, (200, 150))
    lost = [low > 0.25 or high < 0.25 for low, high in (betting_interval(each, 0.1) for each in samples)]
    assert np.mean(lost) <= 0.1  # the intersection over all looks


@pytest.mark.parametrize("n", [100, 5000])
def test_width_is_least_about_where_it_is_tuned_for(n: int) -> None:
    tuned = mixture_width(n, 0.05, tuned_rho(n, 0.05))
    assert tuned <= min(mixture_width(n, 0.05, tuned_rho(n * factor, 0.05)) for factor in (0.2, 5))
