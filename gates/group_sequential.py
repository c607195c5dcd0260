"""Group-sequential bounds: a few looks at a sample whose greatest size is known, stronger than looking at all times.

Source: K. Lan, D. DeMets, Discrete sequential boundaries for clinical trials (Biometrika, 1983), spending functions in
the form of O'Brien and Fleming (1979) and of Pocock (1977); the bounds by the recursive integration of P. Armitage,
C. McPherson, B. Rowe (1969).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_NORMAL = NormalDist()
_POINTS = 400
_FAR = 8.0  # standard deviations, beyond which nothing is left to count
_HALVINGS = 60
_erfc = np.frompyfunc(math.erfc, 1, 1)


def _obrien_fleming(fraction: float, error_rate: float) -> float:
    return 2 * (1 - _NORMAL.cdf(_NORMAL.inv_cdf(1 - error_rate / 2) / math.sqrt(fraction)))


def _pocock(fraction: float, error_rate: float) -> float:
    return error_rate * math.log(1 + (math.e - 1) * fraction)


SPENDING: Mapping[str, Callable[[float, float], float]] = {"obrien_fleming": _obrien_fleming, "pocock": _pocock}
"""How much of the error rate may be spent up to a fraction of the greatest size, by the name of the function."""


def spent(spending: str, fraction: float, error_rate: float) -> float:
    """The error rate that may be spent up to this fraction of the information, 0 to 1.

    >>> round(spent("pocock", 0.5, 0.025), 5), round(spent("obrien_fleming", 1, 0.025), 5)
    (0.0155, 0.025)
    """
    return SPENDING[spending](min(fraction, 1.0), error_rate) if fraction > 0 else 0.0


@lru_cache(maxsize=256)
def upper_bounds(fractions: Sequence[float], error_rate: float, spending: str) -> tuple[float, ...]:
    """The bound of the standardised statistic at each look, for a one-sided test at `error_rate` over all of them.

    Args:
        fractions: of the greatest size at each look, growing, above 0; a tuple, as the results are kept. What is
            beyond 1 spends nothing more.
        error_rate: one-sided, between 0 and 1.
        spending: a name in `SPENDING`.

    The bounds of five equal looks, as in the tables of Lan and DeMets:

    >>> [round(bound, 2) for bound in upper_bounds((0.2, 0.4, 0.6, 0.8, 1.0), 0.025, "obrien_fleming")]
    [4.88, 3.36, 2.68, 2.29, 2.03]
    """
    bounds, before_spent = list[float](), 0.0
    points, weights, time = np.zeros(1), np.ones(1), 0.0
    for fraction in fractions:
        may = spent(spending, fraction, error_rate)
        step = math.sqrt(fraction - time)
        limit = _limit(points, weights, step, fraction, may - before_spent)
        points, weights = _carried(points, weights, step, fraction, limit)
        before_spent, time = may, fraction
        bounds.append(limit / math.sqrt(fraction))
    return tuple(bounds)


def _limit(points: Floats, weights: Floats, step: float, fraction: float, share: float) -> float:
    """Beyond which value the walk leaves with probability `share` at this look."""
    low, high = -_FAR * math.sqrt(fraction), _FAR * math.sqrt(fraction)
    if share <= 0:
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beyond = float(np.sum(weights * _survival((middle - points) / step)))
        low, high = (middle, high) if beyond > share else (low, middle)
    return high


def _survival(values: Floats) -> Floats:
    return 0.5 * np.asarray(_erfc(values / math.sqrt(2)), np.float64)


def _carried(points: Floats, weights: Floats, step: float, fraction: float, limit: float) -> tuple[Floats, Floats]:
    """The walk after this look where it has not left: points, and their probabilities by Simpson's rule."""
    lowest = -_FAR * math.sqrt(fraction)
    found = np.linspace(lowest, limit, 2 * _POINTS + 1)
    simpson = np.full(len(found), 2.0)
    simpson[1::2] = 4.0
    simpson[[0, -1]] = 1.0
    distances = (found[:, None] - points[None, :]) / step
    density = np.exp(-0.5 * distances**2) @ weights / (step * math.sqrt(2 * math.pi))
    return found, density * simpson * (found[1] - found[0]) / 3
