"""How far observed counts are from a reference: PSI and KS on the reference's cells, as pure functions.

Each comes with its noise floor: the value that it stays below in 99 of 100 samples when nothing has drifted.
Small samples deviate from their own distribution, so a statistic means something only above both its threshold and its
floor.
"""

from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.99
_ADDED = 0.5

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


class Statistic(NamedTuple):
    """One statistic: `value`, `noise_floor` and the rows compared, each of shape (groups, columns)."""

    value: Floats
    noise_floor: Floats
    n: Ints
    reference_n: Ints


def psi(reference: Ints, observed: Ints, starts: Ints) -> Statistic:
    """Population stability index per column: the sum over its cells of `(q - p) * ln(q / p)`.

    `reference` counts have shape (cells,), `observed` (groups, cells); column c has the cells from
    `starts[c]` to the next start; nulls are a cell like the others. Cells that are empty on both sides are
    left out; half an observation is added to each of the others on both sides, so that an empty one does not
    make the sum infinite (as Haldane and Anscombe do for log odds; with a small constant instead, the value would
    depend on the constant's logarithm).

    Noise floor: without drift PSI is distributed as `(1/n + 1/m) * chi2(cells - 1)` (B. Yurdakul and J.
    Naranjo, "Statistical properties of the population stability index", Journal of Risk Model Validation
    14(4), 2020). With many rare cells the floor is high rather than low. Source of the index: N. Siddiqi,
    "Credit Risk Scorecards", Wiley 2006. Where either side has no rows the value is 0 and the floor infinite.

    One column of two cells, 50 : 50 in the reference; the first group is the same, the second is 80 : 20:

    >>> found = psi(np.array([50, 50]), np.array([[50, 50], [80, 20]]), starts=np.array([0]))
    >>> found.value.round(4).tolist(), found.noise_floor.round(4).tolist()
    ([[0.0], [0.4063]], [[0.1317], [0.1317]])

    The value by hand, with the half observation that is added to each cell:

    >>> p, q = np.array([50.5, 50.5]) / 101, np.array([80.5, 20.5]) / 101
    >>> float(np.sum((q - p) * np.log(q / p)).round(4))
    0.4063
    """
    used = (reference > 0) | (observed > 0)
    cells = np.add.reduceat(used.astype(np.int64), starts, axis=1)
    m, n = _rows(reference, observed, starts)
    spread = _Spread(starts, len(reference))
    p = (reference + _ADDED) / spread(m + _ADDED * cells)
    q = (observed + _ADDED) / spread(n + _ADDED * cells)
    terms = np.where(used, (q - p) * np.log(q / p), 0.0)
    value = np.where((n > 0) & (m > 0), np.add.reduceat(terms, starts, axis=1), 0.0)
    return Statistic(value, _inverse_rows(m, n) * chi2_quantile(CONFIDENCE, np.maximum(cells - 1, 1)), n, m)


def ks(reference: Ints, observed: Ints, starts: Ints) -> Statistic:
    """Kolmogorov-Smirnov distance per column of numbers: the greatest difference of two CDFs.

    Shapes as in `psi`; a column's cells are its bins in the order of values, without nulls. The exact
    two-sample statistic needs the raw values; this is the greatest difference *at the edges of the
    reference's bins*: never more than the exact one, and less by at most the share of the reference in its
    fullest bin (equal to it where each distinct value has its own bin).

    Noise floor: `c(0.01) * sqrt((n + m) / (n * m))` with `c(a) = sqrt(-ln(a / 2) / 2)`, the asymptotic
    critical value (N. Smirnov, Annals of Mathematical Statistics 19, 1948); conservative for bins, ties and
    small samples. Where either side has no rows the value is 0 and the floor infinite.

    The same counts as bins of one column of numbers: the CDFs differ most at the edge between them, by 0.8 - 0.5.

    >>> found = ks(np.array([50, 50]), np.array([[50, 50], [80, 20]]), starts=np.array([0]))
    >>> found.value.round(4).tolist(), found.noise_floor.round(4).tolist()
    ([[0.0], [0.3]], [[0.2302], [0.2302]])
    """
    m, n = _rows(reference, observed, starts)
    spread = _Spread(starts, len(reference))
    steps = observed / np.maximum(spread(n), 1) - reference / np.maximum(spread(m), 1)
    difference = np.cumsum(steps, axis=1)
    before = spread(np.take(np.pad(difference, ((0, 0), (1, 0))), starts, axis=1))
    distance = np.maximum.reduceat(np.abs(difference - before), starts, axis=1)
    value = np.where((n > 0) & (m > 0), distance, 0.0)
    critical = np.sqrt(-np.log((1 - CONFIDENCE) / 2) / 2)
    return Statistic(value, critical * np.sqrt(_inverse_rows(m, n)), n, m)


class _Spread:
    """Repeats values per column, shape (groups, columns), over the columns' cells."""

    def __init__(self, starts: Ints, cells: int) -> None:
        self._lengths = np.diff(np.append(starts, cells))

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.repeat(values, self._lengths, axis=1)


def _rows(reference: Ints, observed: Ints, starts: Ints) -> tuple[Ints, Ints]:
    """Rows of the reference and of each group, both of shape (groups, columns)."""
    n: Ints = np.add.reduceat(observed, starts, axis=1)
    return np.broadcast_to(np.add.reduceat(reference, starts), n.shape), n


def _inverse_rows(m: Ints, n: Ints) -> Floats:
    """1/n + 1/m, infinite where one of them is 0."""
    with np.errstate(divide="ignore"):
        return 1.0 / n + 1.0 / m


def chi2_quantile(probability: float, degrees: Ints) -> Floats:
    """Quantile of the chi-square distribution with at least one degree of freedom, shape as `degrees`.

    Its cube root is nearly normal (E. Wilson and M. Hilferty, PNAS 17, 1931): at 0.99 within 0.8 % of the
    true value, which saves the job a dependency on SciPy.

    >>> chi2_quantile(0.99, np.array([1, 9])).round(2).tolist()  # the true values are 6.63 and 21.67
    [6.59, 21.7]
    """
    share = 2 / (9 * degrees)
    root: Floats = 1 - share + NormalDist().inv_cdf(probability) * np.sqrt(share)
    return degrees * root**3
