"""How far observed counts are from a reference's, on its cells: the statistics of drift as pure functions.

`reference` counts have shape (cells,), or (groups, cells) where each group has a reference of its own; `observed`
(groups, cells); column c has the cells from `starts[c]` to the next start. Each gives floats of shape (groups,
columns), 0 where either side has no rows.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from models.profiles.columns import Floats, Ints

_ADDED = 0.5

Bools: TypeAlias = npt.NDArray[np.bool_]


class Spread:
    """Repeats values per column, shape (…, columns), over the columns' cells."""

    def __init__(self, starts: Ints, cells: int) -> None:
        self._lengths = np.diff(np.append(starts, cells))

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.repeat(values, self._lengths, axis=-1)


def rows_of(reference: Ints, observed: Ints, starts: Ints) -> tuple[Ints, Ints]:
    """Rows of the reference and of each group, both of shape (groups, columns)."""
    n: Ints = np.add.reduceat(observed, starts, axis=1)
    return np.broadcast_to(np.add.reduceat(reference, starts, axis=-1), n.shape), n


def used_cells(reference: Ints, observed: Ints, starts: Ints) -> Ints:
    """How many cells of a column are not empty on both sides, shape (groups, columns)."""
    cells: Ints = np.add.reduceat(((reference > 0) | (observed > 0)).astype(np.int64), starts, axis=1)
    return cells


def psi(reference: Ints, observed: Ints, starts: Ints) -> Floats:
    """Population stability index: the sum over the cells of `(q - p) * ln(q / p)`, nulls among them.

    Cells that are empty on both sides are left out; half an observation is added to each of the others on both sides,
    so
    that an empty one does not make the sum infinite (as Haldane and Anscombe do for log odds; with a small constant
    instead, the value would depend on the constant's logarithm). Source: N. Siddiqi, "Credit Risk Scorecards", 2006.

    >>> psi(np.array([50, 50]), np.array([[50, 50], [80, 20]]), np.array([0])).round(4).tolist()
    [[0.0], [0.4063]]
    """
    used = (reference > 0) | (observed > 0)
    cells = used_cells(reference, observed, starts)
    m, n = rows_of(reference, observed, starts)
    spread = Spread(starts, observed.shape[-1])
    p = (reference + _ADDED) / spread(np.maximum(m + _ADDED * cells, _ADDED))  # nothing on either side: no cells
    q = (observed + _ADDED) / spread(np.maximum(n + _ADDED * cells, _ADDED))
    terms = np.where(used, (q - p) * np.log(q / p), 0.0)
    return np.where((n > 0) & (m > 0), np.add.reduceat(terms, starts, axis=1), 0.0)


def cdf_differences(reference: Ints, observed: Ints, starts: Ints) -> Floats:
    """Observed CDF minus the reference's at the upper edge of each cell, shape (groups, cells)."""
    m, n = rows_of(reference, observed, starts)
    spread = Spread(starts, observed.shape[-1])
    steps = observed / np.maximum(spread(n), 1) - reference / np.maximum(spread(m), 1)
    difference = np.cumsum(steps, axis=1)
    before = spread(np.take(np.pad(difference, ((0, 0), (1, 0))), starts, axis=1))
    apart: Floats = difference - before
    return apart


def ks(reference: Ints, observed: Ints, starts: Ints) -> Floats:
    """Kolmogorov-Smirnov distance of numbers: the greatest difference of two CDFs *at the edges of the reference's
    bins*: never more than the exact one, and less by at most the share of the reference in its fullest bin.

    >>> ks(np.array([50, 50]), np.array([[50, 50], [80, 20]]), np.array([0])).round(4).tolist()
    [[0.0], [0.3]]
    """
    m, n = rows_of(reference, observed, starts)
    return greatest(cdf_differences(reference, observed, starts), starts, m, n)


def greatest(apart: Floats, starts: Ints, m: Ints, n: Ints) -> Floats:
    """`ks` of what `cdf_differences` and `rows_of` gave."""
    return np.where((n > 0) & (m > 0), np.maximum.reduceat(np.abs(apart), starts, axis=1), 0.0)


def wasserstein(apart: Floats, starts: Ints, values: Floats, m: Ints, n: Ints) -> Floats:
    """Wasserstein-1 distance of numbers: the area between two CDFs, where each value lies at its cell's `values`
    (shape (cells,), rising within a column); in their unit. `apart`, `m`, `n`: what `cdf_differences` and `rows_of`
    gave. Source: C. Villani, "Optimal Transport", 2009.

    >>> reference, observed, starts = np.array([1, 1, 0]), np.array([[0, 1, 1]]), np.array([0])
    >>> apart, rows = cdf_differences(reference, observed, starts), rows_of(reference, observed, starts)
    >>> wasserstein(apart, starts, np.array([0.0, 1.0, 3.0]), *rows).tolist()
    [[1.5]]
    """
    areas = np.abs(apart) * widths_of(starts, values)
    return np.where((n > 0) & (m > 0), np.add.reduceat(areas, starts, axis=1), 0.0)


def widths_of(starts: Ints, values: Floats) -> Floats:
    """From each cell's value to the next one's of its column, shape (cells,); 0 for the last."""
    widths = np.append(np.diff(values), 0.0)
    widths[np.append(starts[1:], len(values)) - 1] = 0.0
    return widths


def chi2(reference: Ints, observed: Ints, starts: Ints) -> Floats:
    """Pearson's chi-square of homogeneity, without a correction: it grows with the rows. Source: K. Pearson,
    Philosophical Magazine 50, 1900.

    >>> chi2(np.array([50, 50]), np.array([[80, 20]]), np.array([0])).round(3).tolist()
    [[19.78]]
    """
    m, n = rows_of(reference, observed, starts)
    spread = Spread(starts, observed.shape[-1])
    numerator = (reference * spread(n).astype(np.float64) - observed * spread(m).astype(np.float64)) ** 2
    terms = numerator / np.maximum(reference + observed, 1)
    return np.add.reduceat(terms, starts, axis=1) / np.maximum(m * n.astype(np.float64), 1)


def jensen_shannon(reference: Ints, observed: Ints, starts: Ints) -> Floats:
    """Jensen-Shannon distance, from 0 to 1: the root of the divergence in bits. Source: J. Lin, IEEE Transactions on
    Information Theory 37, 1991.

    >>> jensen_shannon(np.array([50, 50]), np.array([[80, 20], [0, 9]]), np.array([0])).round(4).tolist()
    [[0.2704], [0.5579]]
    """
    p, q, some = _shares(reference, observed, starts)
    middle = np.where((p + q) > 0, (p + q) / 2, 1.0)
    terms = [np.where(side > 0, side * np.log2(np.where(side > 0, side, 1.0) / middle), 0.0) for side in (p, q)]
    divergence = np.add.reduceat(terms[0] + terms[1], starts, axis=1) / 2
    return np.where(some, np.sqrt(np.clip(divergence, 0.0, 1.0)), 0.0)


def hellinger(reference: Ints, observed: Ints, starts: Ints) -> Floats:
    """Hellinger distance, from 0 to 1. Source: E. Hellinger, Journal für die reine und angewandte Mathematik 136, 1909.

    >>> hellinger(np.array([50, 50]), np.array([[80, 20]]), np.array([0])).round(4).tolist()
    [[0.2265]]
    """
    p, q, some = _shares(reference, observed, starts)
    squares = np.add.reduceat((np.sqrt(p) - np.sqrt(q)) ** 2, starts, axis=1)
    return np.where(some, np.sqrt(np.clip(squares / 2, 0.0, 1.0)), 0.0)


def total_variation(reference: Ints, observed: Ints, starts: Ints) -> Floats:
    """The share of rows that would have to be others for both sides to be equal, from 0 to 1.

    >>> total_variation(np.array([50, 50]), np.array([[80, 20]]), np.array([0])).round(4).tolist()
    [[0.3]]
    """
    p, q, some = _shares(reference, observed, starts)
    return np.where(some, np.add.reduceat(np.abs(p - q), starts, axis=1) / 2, 0.0)


def _shares(reference: Ints, observed: Ints, starts: Ints) -> tuple[Floats, Floats, Bools]:
    """Shares of rows of both sides, and whether a column has rows on both."""
    m, n = rows_of(reference, observed, starts)
    spread = Spread(starts, observed.shape[-1])
    p: Floats = reference / np.maximum(spread(m), 1)
    q: Floats = observed / np.maximum(spread(n), 1)
    return p, q, (n > 0) & (m > 0)
