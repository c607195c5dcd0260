"""How far the rates of groups are apart, with intervals that hold for the greatest of all differences.

The disparity of k groups is a maximum over pairs of them, so its interval is made of intervals of all pairs that hold
together: each rate has Wilson's interval, those of two rates become one of their difference (Newcombe 1998,
doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I) or of their ratio (MOVER-R: Donner and Zou 2012,
doi:10.1177/0962280210383082), and Wilson's are as wide as the studentized range of k says instead of the normal
distribution (Tukey's method; for shares Agresti, Bini, Bertaccini and Ryu 2008, doi:10.1111/j.1541-0420.2008.00990.x).
For two groups that is Newcombe's interval itself. Where all pairs hold, so do their greatest difference and their least
ratio. Where dependence made the events worth fewer, their variance was estimated from few parts of the window: then the
range is studentized by as many degrees of freedom.
"""

from functools import cache
from math import erf, isfinite, sqrt
from typing import NamedTuple

import numpy as np

from transforms.quality.measuring.intervals import Interval, of_share
from transforms.quality.sums.exact_sums import Floats

_ERROR = 0.05
_STEPS = 201  # of the integral of the studentized range
_DEVIATIONS = 60
_TOGETHER = 4
_WIDTH = 9.0


class Disparity(NamedTuple):
    """A disparity of groups with its interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED = Disparity(np.nan, np.nan, np.nan)


class Rates(NamedTuple):
    """Rates of the groups that are compared, how many independent events each is worth, and from how many degrees of
    freedom that was estimated, infinite where it was not; shape (groups,)."""

    share: Floats
    worth: Floats
    degrees: Floats | None = None

    def ends(self, error: float) -> Interval:
        """Wilson's intervals of which all pairs hold together but with this probability."""
        degrees = float("inf") if self.degrees is None else float(self.degrees.min())
        if isfinite(degrees):  # few different ones, since each takes 0.1 s
            degrees = (degrees + 1) // _TOGETHER * _TOGETHER - 1
        return of_share(self.share, self.worth, critical_value(len(self.share), error, degrees))


def difference_of(*families: Rates) -> Disparity:
    """The greatest difference of two groups' rates, of several kinds of rates the greater one (fairlearn's
    `between_groups` and `worst_case`). The error of 5 % is shared evenly among the kinds.

    >>> approved = Rates(np.array([0.6, 0.5, 0.45]), np.array([400.0, 400.0, 100.0]))
    >>> [round(number, 3) for number in difference_of(approved)]
    [0.15, 0.02, 0.274]
    """
    found = [_difference(each, _ERROR / len(families)) for each in families]
    return Disparity(*(float(np.max(column)) for column in zip(*found, strict=True)))


def ratio_of(*families: Rates) -> Disparity:
    """The least rate divided by the greatest, of several kinds of rates the lesser one; NaN where all rates of a kind
    are 0.

    >>> approved = Rates(np.array([0.6, 0.5, 0.45]), np.array([400.0, 400.0, 100.0]))
    >>> [round(number, 3) for number in ratio_of(approved)]
    [0.75, 0.558, 0.965]
    """
    found = [_ratio(each, _ERROR / len(families)) for each in families]
    return Disparity(*(float(np.min(column)) for column in zip(*found, strict=True)))


def _difference(rates: Rates, error: float) -> Disparity:
    if len(rates.share) < 2:
        return UNDEFINED
    share, (low, high) = rates.share, rates.ends(error)
    apart = share[:, None] - share
    up, down = high - share, share - low
    highest = apart + np.hypot(up[:, None], down)
    lowest = apart - np.hypot(down[:, None], up)
    return Disparity(float(apart.max()), max(_others(lowest, -1.0).max(), 0.0), min(_others(highest, -1.0).max(), 1.0))


def _ratio(rates: Rates, error: float) -> Disparity:
    if len(rates.share) < 2 or rates.share.max() == 0:
        return UNDEFINED
    share, (low, high) = rates.share, rates.ends(error)
    both = np.outer(share, share)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The ends of the ratio of two rates solve a * x^2 - 2 * both * x + c = 0.
        least = _product(low, share)[:, None]
        lowest = least / (both + np.sqrt(np.maximum(both**2 - least * _product(high, share), 0.0)))
        most, of_other = _product(high, share)[:, None], _product(low, share)
        highest = (both + np.sqrt(np.maximum(both**2 - most * of_other, 0.0))) / of_other
    lowest = np.where(least > 0, lowest, 0.0)
    highest = np.where(of_other > 0, highest, np.inf)
    value = float(share.min() / share.max())
    ends = [float(min(_others(each, np.inf).min(), 1.0)) for each in (lowest, highest)]
    return Disparity(value, min(ends[0], value), max(ends[1], value))


def _product(end: Floats, share: Floats) -> Floats:
    return end * (2 * share - end)


def _others(pairs: Floats, instead: float) -> Floats:
    """The same without the pairs of a group with itself."""
    found: Floats = np.where(np.eye(len(pairs), dtype=np.bool_), instead, pairs)
    return found


@cache
def critical_value(groups: int, error: float, degrees: float = float("inf")) -> float:
    """Which z makes the intervals of all pairs of so many groups hold together: the studentized range of as many
    normal variables, which it exceeds with probability `error`, divided by sqrt(2).

    >>> round(critical_value(2, 0.05), 3), round(critical_value(10, 0.05), 3), round(critical_value(2, 0.05, 23), 3)
    (1.96, 3.164, 2.069)
    """
    low, high = 0.0, 64.0
    deviations, weights = _deviations(degrees)
    while high - low > 1e-5:
        middle = (low + high) / 2
        below = float(_ranges_below(middle * deviations, groups) @ weights)
        low, high = (middle, high) if below < 1 - error else (low, middle)
    return (low + high) / 2 / sqrt(2)


def _deviations(degrees: float) -> tuple[Floats, Floats]:
    """Standard deviations as they are estimated with so many degrees of freedom where 1 is true, and how probable each
    is: chi divided by the square root of the degrees."""
    if not isfinite(degrees):
        return np.ones(1), np.ones(1)
    points = np.linspace(0.0, 1 + 6 / sqrt(2 * degrees), _DEVIATIONS + 1)[1:]
    density = np.exp((degrees - 1) * np.log(points) - degrees * (points**2 - 1) / 2)
    return points, density / density.sum()


def _ranges_below(widths: Floats, groups: int) -> Floats:
    """The probability that the greatest and the least of normal variables are not farther apart than each width."""
    points = np.linspace(-_WIDTH, _WIDTH, _STEPS)
    known, below = _normal()
    within = np.interp(points + widths[:, None], known, below) - np.interp(points, known, below)
    density = np.exp(-(points**2) / 2) / sqrt(2 * np.pi)
    found: Floats = groups * (within ** (groups - 1) @ density) * (points[1] - points[0])
    return found


@cache
def _normal() -> tuple[Floats, Floats]:
    """The normal distribution at points that are close enough to draw lines between."""
    points = np.linspace(-_WIDTH, _WIDTH, 20_001)
    return points, np.array([(1 + erf(point / sqrt(2))) / 2 for point in points.tolist()])
