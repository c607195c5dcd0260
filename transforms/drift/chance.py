"""What statistics reach by chance: probabilities and noise floors for a number of independent rows. Pure.

`rows` are effective rows of both sides together, 1 / (1/n + 1/m); `freedom` is how well they are known, in degrees of
freedom of a variance (1e9: exactly). Bounds are averaged over that uncertainty: E[exp(−y · χ²(f) / f)] = (1 + 2y /
f)^(−f / 2).
"""

from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np

from models.profiles.columns import Floats, Ints
from models.profiles.distances import Bools
from models.profiles.measuring import Measured

CONFIDENCE = 0.99
_STEPS = 50
_Z = NormalDist().inv_cdf(CONFIDENCE)
_LARGEST = np.finfo(np.float64).max
_MOST = dict.fromkeys(("ks", "jensen_shannon", "hellinger"), 1.0)
"""What no value of a statistic exceeds: bounds of few rows would."""


class Chance(NamedTuple):
    """`floor`: what the value stays below in 99 of 100 samples without drift; `p_value`: how likely such a value is."""

    floor: Floats
    p_value: Floats


def chance_of(statistic: str, found: Measured, rows: Floats, freedom: Floats) -> Chance:
    """Floor and probability of each value, shape (groups, columns); without rows infinite, and 1."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chance = _MODELS[statistic](found, np.maximum(rows, 1e-9), freedom)
    some = rows > 0
    floor = np.where(some, np.minimum(chance.floor, _MOST.get(statistic, _LARGEST)), np.inf)
    return Chance(floor, np.where(some, np.clip(chance.p_value, 0.0, 1.0), 1.0))


def survives(exponent: Floats, freedom: Floats) -> Floats:
    """exp(−y), averaged over the uncertainty of y's scale.

    >>> survives(np.array([4.0, 4.0]), np.array([1e9, 31.0])).round(4).tolist()
    [0.0183, 0.0285]
    """
    tail: Floats = np.exp(-freedom / 2 * np.log1p(2 * exponent / freedom))
    return tail


def exponent_at(probability: float, freedom: Floats) -> Floats:
    """The inverse of `survives`."""
    exponent: Floats = freedom / 2 * np.expm1(-2 / freedom * np.log(probability))
    return exponent


def _of_ks(found: Measured, rows: Floats, freedom: Floats) -> Chance:
    """2 · exp(−2 · rows · d²), the leading term (N. Smirnov, Annals of Mathematical Statistics 19, 1948)."""
    floor = np.sqrt(exponent_at((1 - CONFIDENCE) / 2, freedom) / (2 * rows))
    return Chance(floor, 2 * survives(2 * rows * found.value**2, freedom))


def _of_area(found: Measured, rows: Floats, freedom: Floats) -> Chance:
    """Wasserstein: the distance times √rows is the norm of a Gaussian process with the mean `typical`, above which it
    rises by t with at most exp(−t² / 2), its standard deviation being at most 1 (C. Borell, Inventiones 30, 1975)."""
    above = np.maximum(found.value * np.sqrt(rows) - found.typical, 0.0)
    floor = (found.typical + np.sqrt(2 * exponent_at(1 - CONFIDENCE, freedom))) / np.sqrt(rows)
    return Chance(floor, survives(above**2 / 2, freedom))


def _of_rate(found: Measured, rows: Floats, freedom: Floats) -> Chance:
    """Chernoff's bound exp(−rows · KL(rate ‖ known rate)) (W. Hoeffding, JASA 58, 1963), for rates above the known
    one."""
    known = np.minimum((found.typical + 1) / (found.reference_n + 1), 1.0)
    used = np.nonzero(np.broadcast_to(found.n > 0, rows.shape))  # of most columns there is nothing to say
    every = (found.value, known, rows, freedom)
    value, known, rows, freedom = (np.broadcast_to(each, rows.shape)[used] for each in every)
    bound = survives(rows * _divergence(value, known), freedom)
    wanted = exponent_at(1 - CONFIDENCE, freedom) / rows
    low, high = known.copy(), np.ones_like(rows)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = _divergence(middle, known) >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    floor, p_value = np.ones(found.n.shape), np.ones(found.n.shape)
    floor[used], p_value[used] = high, np.where(value > known, bound, 1.0)
    return Chance(floor, p_value)


def _divergence(rate: Floats, known: Floats) -> Floats:
    """Kullback-Leibler divergence of two rates, in nats."""
    parts = [
        np.where(one > 0, one * np.log(np.where(one > 0, one, 1.0) / np.maximum(other, 1e-300)), 0.0)
        for one, other in ((rate, known), (1 - rate, 1 - known))
    ]
    return parts[0] + parts[1]


def _of_psi(found: Measured, rows: Floats, freedom: Floats) -> Chance:
    """(1/n + 1/m) · χ²(cells − 1) (B. Yurdakul and J. Naranjo, Journal of Risk Model Validation 14(4), 2020)."""
    return _of_squares(found, found.value * rows, 1 / rows, freedom)


def _of_chi2(found: Measured, rows: Floats, freedom: Floats) -> Chance:
    """χ²(cells − 1), times the inflation by dependence (J. Rao and A. Scott, JASA 76, 1981)."""
    inflation = 1 / (1 / found.n + 1 / found.reference_n) / rows
    return _of_squares(found, found.value / inflation, inflation, freedom)


def _of_roots(found: Measured, rows: Floats, freedom: Floats) -> Chance:
    """8 · rows times the square of Hellinger's distance, or of Jensen and Shannon's in nats, is χ²(cells − 1) where
    cells
    hold many rows; cells that hold few add up to 1.6 times as much."""
    held = rows / np.maximum(found.cells, 1)
    scale = np.where(held < 20, np.minimum(1.6, 1 + 3 / np.maximum(held, 1e-9)), 1.0)
    chance = _of_squares(found, 8 * rows * found.value**2 / scale, scale / (8 * rows), freedom)
    return chance._replace(floor=np.sqrt(chance.floor))


def _of_divergence(found: Measured, rows: Floats, freedom: Floats) -> Chance:
    nats = float(np.sqrt(np.log(2)))
    chance = _of_roots(found._replace(value=found.value * nats), rows, freedom)
    return chance._replace(floor=chance.floor / nats)


def _of_squares(found: Measured, squares: Floats, unit: Floats, freedom: Floats) -> Chance:
    """A sum of squares with cells − 1 degrees of freedom, its scale known to `freedom`: F, by E. Paulson's normal
    approximation (Annals of Mathematical Statistics 13, 1942), which is Wilson and Hilferty's where the scale is
    known."""
    degrees = np.maximum(found.cells - 1, 1)
    a, b = 2 / (9 * degrees), 2 / (9 * freedom)
    root = np.cbrt(np.maximum(squares, 0.0) / degrees)
    z = ((1 - b) * root - (1 - a)) / np.sqrt(b * root**2 + a)
    lead = np.maximum((1 - b) ** 2 - _Z**2 * b, 1e-6)
    half = (1 - a) * (1 - b)
    quantile = (half + np.sqrt(np.maximum(half**2 - lead * ((1 - a) ** 2 - _Z**2 * a), 0.0))) / lead
    return Chance(unit * degrees * quantile**3, upper_tail(z))


def upper_tail(z: Floats) -> Floats:
    """The probability that a normal variate is above z, within 1.2e-7 of itself (W. Press et al., "Numerical Recipes").

    >>> upper_tail(np.array([0.0, 2.3263, -1.0])).round(4).tolist()
    [0.5, 0.01, 0.8413]
    """
    x = np.abs(z) / np.sqrt(2)
    t = 1 / (1 + x / 2)
    series = np.polynomial.polynomial.polyval(t, _ERFC)
    above = t * np.exp(-x * x + series) / 2
    tail: Floats = np.where(z >= 0, above, 1 - above)
    return tail


_ERFC = (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
         -0.82215223, 0.17087277)  # fmt: skip
_Model: TypeAlias = Callable[[Measured, Floats, Floats], Chance]
_MODELS: Mapping[str, _Model] = {
    "psi": _of_psi,
    "jensen_shannon": _of_divergence,
    "hellinger": _of_roots,
    "chi2": _of_chi2,
    "ks": _of_ks,
    "wasserstein": _of_area,
    "missing_rate": _of_rate,
    "new_category_rate": _of_rate,
    "out_of_range_rate": _of_rate,
}


def accepted(p_values: Floats, family: Ints) -> Bools:
    """Which p values are discoveries at a false discovery rate of 1 % within their family: a Boolean for each, shape
    (n,).

    Y. Benjamini and Y. Hochberg, Journal of the Royal Statistical Society B 57, 1995: the k smallest of m, k being the
    greatest for which the k-th is at most 0.01 · k / m. `family`: a whole number for each.

    >>> accepted(np.array([0.001, 0.9, 0.02, 0.002]), np.array([0, 0, 1, 1])).tolist()
    [True, False, False, True]
    """
    if not len(p_values):
        return np.zeros(0, np.bool_)
    order = np.lexsort((p_values, family))
    starts = np.flatnonzero(np.append(True, np.diff(family[order]) != 0))
    sizes = np.diff(np.append(starts, len(order)))
    rank = np.arange(len(order)) - np.repeat(starts, sizes) + 1
    within = p_values[order] <= (1 - CONFIDENCE) * rank / np.repeat(sizes, sizes)
    last = np.repeat(np.maximum.reduceat(np.where(within, rank, 0), starts), sizes)
    found = np.zeros(len(order), np.bool_)
    found[order] = rank <= last
    return found
