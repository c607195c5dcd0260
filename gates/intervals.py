"""The interval of a policy's method for what windows say together, and its planned looks."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from gates.betting import betting_interval
from gates.group_sequential import upper_bounds
from gates.mixtures import bounded_deviation, mixture_width, tuned_rho
from gates.policy import Policy
from gates.windows import PooledDifference, WindowDifference, pool


class DifferenceInterval(NamedTuple):
    """The interval of a difference that holds at all looks at once, and what it is of."""

    low: float
    high: float
    pooled: PooledDifference


def interval_of(policy: Policy, windows: Sequence[WindowDifference], error_rate: float) -> DifferenceInterval | None:
    """The interval by the policy's method; None where the windows say nothing yet."""
    pooled = pool(windows, policy.recurring)
    if pooled is None:
        return None
    low, high = _METHODS[policy.method](policy, windows, pooled, error_rate)
    return DifferenceInterval(low, high, pooled)


def _asymptotic(
    policy: Policy, windows: Sequence[WindowDifference], pooled: PooledDifference, error_rate: float
) -> tuple[float, float]:
    width = mixture_width(pooled.size, error_rate, tuned_rho(policy.tuned_n, error_rate)) * math.sqrt(pooled.spread)
    return pooled.value - width, pooled.value + width


def _mixture(
    policy: Policy, windows: Sequence[WindowDifference], pooled: PooledDifference, error_rate: float
) -> tuple[float, float]:
    """As Hoeffding's bound of each event has it, in the place of the variance that the records state."""
    low, high = policy.bounds or (-math.inf, math.inf)
    deviation = bounded_deviation(low, high)
    bounded = [_bounded(each, deviation) for each in windows]
    return _asymptotic(policy, bounded, pool(bounded, policy.recurring) or pooled, error_rate)


def _bounded(window: WindowDifference, deviation: float) -> WindowDifference:
    """A difference of two values of one event lies within twice the distance of the bounds."""
    each = deviation if window.arms else 2 * deviation
    independent = each * each / window.weight
    stated = window.variance / window.independent if window.independent > 0 else 1.0
    return window._replace(variance=independent * max(stated, 1.0), independent=independent)


def _betting(
    policy: Policy, windows: Sequence[WindowDifference], pooled: PooledDifference, error_rate: float
) -> tuple[float, float]:
    """Each window is one round: what its events share does no harm."""
    low, high = policy.bounds or (-math.inf, math.inf)
    return betting_interval([each.value for each in windows], error_rate, low - high, high - low)


_METHODS = {"asymptotic": _asymptotic, "mixture": _mixture, "betting": _betting}


class PlannedLook(NamedTuple):
    """One of the looks at a sample of known greatest size: the standardised statistic, and what it must be above."""

    n: int
    fraction: float
    statistic: float
    bound: float


def planned_looks(
    policy: Policy, windows: Sequence[WindowDifference], margin: float, error_rate: float
) -> list[PlannedLook]:
    """The looks so far: each after the first window with which its part of `maximum.n` is there.

    Args:
        policy: with planned looks.
        windows: in order of time.
        margin: the statistic says by how many standard errors the difference is below it.
        error_rate: one-sided, of all looks together.
    """
    counts = list(accumulate(each.n for each in windows))
    most, looks = policy.most_n or 1, policy.looks or 1
    ends = [
        next((at for at, n in enumerate(counts, 1) if n >= most * look / looks), None) for look in range(1, looks + 1)
    ]
    found = [end for end in dict.fromkeys(ends) if end is not None]
    fractions = tuple(dict.fromkeys(min(counts[end - 1] / most, 1.0) for end in found))
    bounds = upper_bounds(fractions, error_rate, policy.spending)
    planned = list[PlannedLook]()
    for end, fraction, bound in zip(found, fractions, bounds, strict=False):
        pooled = pool(windows[:end], policy.recurring)
        if pooled is not None:
            statistic = (margin - pooled.value) / math.sqrt(pooled.variance)
            planned.append(PlannedLook(counts[end - 1], fraction, statistic, bound))
    return planned
