"""Intervals of 95 % around metrics, as functions of arrays: a value for each group, NaN where there is none."""

from typing import NamedTuple

import numpy as np

from transforms.quality.sums.exact_sums import Floats

Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


class Interval(NamedTuple):
    """Lower and upper ends, shape (groups,)."""

    low: Floats
    high: Floats


def of_share(share: Floats, n: Floats, z: float = Z) -> Interval:
    """Wilson's interval of a share of n independent trials (Wilson 1927, doi:10.1080/01621459.1927.10502953). It is
    within 0 and 1, and covers well from a few trials on, also where the share is 0 or 1. `z`: how many standard
    errors it is wide to each side.

    >>> [round(float(end[0]), 4) for end in of_share(np.array([0.5]), np.array([10.0]))]
    [0.2366, 0.7634]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        return Interval(np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0))


def of_mean(mean: Floats, variance: Floats, n: Floats) -> Interval:
    """Student's interval of the mean of n independent terms with this variance of one term: by the central limit
    theorem, so for skewed terms (log loss) it is too short below some 100 of them. NaN for fewer than two."""
    with np.errstate(divide="ignore", invalid="ignore"):
        half = _student(n - 1) * np.sqrt(variance / n)
    return Interval(mean - half, mean + half)


def _student(degrees: Floats) -> Floats:
    """The 97.5th percentile of Student's t, by the expansion of Cornish and Fisher around that of the normal
    distribution (Abramowitz and Stegun 1964, 26.7.5): within 1 % from 3 degrees of freedom on."""
    one = (Z**3 + Z) / 4
    two = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    three = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    four = (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160
    with np.errstate(divide="ignore", invalid="ignore"):
        found = Z + one / degrees + two / degrees**2 + three / degrees**3 + four / degrees**4
    return np.where(degrees > 0, found, np.nan)


def of_auc(auc: Floats, variance: Floats, least: Floats) -> Interval:
    """On the scale of log(auc / (1 - auc)), where the interval of DeLong's variance covers better near 1 than on its
    own scale (Qin and Hotilovac 2008, doi:10.1177/0962280207087173). Where the classes are perfectly apart that
    variance is 0: then Wilson's interval of a share of `least`, the number of the rarer class, which is wider than
    needed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logit = np.log(auc / (1 - auc))
        half = Z * np.sqrt(variance) / (auc * (1 - auc))
        low, high = (1 / (1 + np.exp(-(logit + sign * half))) for sign in (-1, 1))
    certain = of_share(auc, least)
    spread = variance > 0
    return Interval(np.where(spread, low, certain.low), np.where(spread, high, certain.high))
