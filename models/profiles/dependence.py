"""How many independent rows dependent ones are worth, from counts by block of the window. Pure.

Events that depend on those before them say less than their number. A column's classes are indicators; their sums over
blocks of the window vary n·p·(1 − p)·τ instead of n·p·(1 − p), and n/τ rows are worth as much as independent ones (τ:
the
variance inflation, "integrated autocorrelation time"). Sums over blocks add up exactly, which products of neighbouring
events do not.
"""

from typing import NamedTuple

import numpy as np

from models.profiles.classes import Classes
from models.profiles.columns import Floats, Ints
from models.profiles.distances import Spread
from models.profiles.reference import Profile

BLOCKS = 32
FEWEST_BLOCKS = 8
_MARGIN = 1.0  # standard errors, times the autocorrelation that they are added to
_SHORT = 160.0  # rows; see `_inflation`
EXACT = 1e9
"""Degrees of freedom of what is taken for known."""
_FREEDOM = 64.0  # of several indicators of 32 blocks


class Dependence(NamedTuple):
    """Of each column: `inflation` τ of its values and of its nulls, and `blocks`, how many of them hold rows; each of
    shape (groups, columns). `known`, shape (groups,): whether there were enough blocks to tell."""

    inflation: Floats
    of_nulls: Floats
    blocks: Ints
    known: Ints


def dependence_of(profile: Profile, blocks: Ints) -> Dependence:
    """The dependence in counts of shape (groups, blocks, classes of the profile), all of the same profile.

    With few occupied blocks (all events at one time, or very few events) nothing is known of the order.
    """
    classes = profile.classes
    occupied = blocks.sum(axis=2) > 0
    order = np.argsort(~occupied, axis=1, kind="stable")
    ordered = np.take_along_axis(blocks, order[:, :, np.newaxis], axis=1)
    used = occupied.sum(axis=1)
    nulls = np.append(classes.starts[1:], classes.size) - 1
    of_nulls, rows = ordered[:, :, nulls], np.add.reduceat(ordered, classes.starts, axis=2)
    sums, known_rows = _indicators(classes, ordered, nulls), rows - of_nulls
    spread = Spread(classes.starts, classes.size)
    pooled = _Pooled(sums, spread(known_rows), used, classes.starts)
    reference = _indicators(classes, _by_class(profile)[np.newaxis, np.newaxis, :], nulls)[0, 0]
    shares = reference / np.maximum(_by_column(spread, _by_class(profile), classes, nulls), 1)
    usual = np.add.reduceat(shares * (1 - shares), classes.starts)
    alone = _Pooled(of_nulls, rows, used, np.arange(len(nulls)))
    blocks_used = np.broadcast_to(used[:, np.newaxis], pooled.variance.shape)
    inflation = _inflation(pooled, known_rows.sum(axis=1), usual)
    return Dependence(inflation, _inflation(alone, rows.sum(axis=1), None), blocks_used, used >= FEWEST_BLOCKS)


def effective(n: Ints, inflation: Floats, known: Ints) -> tuple[Floats, Floats]:
    """(effective rows, degrees of freedom of that estimate) for `n` rows, both of shape (groups, columns); fewer than
    eight rows are worth one.

    >>> rows, freedom = effective(np.array([[900]]), np.array([[3.0]]), np.array([True]))
    >>> rows.tolist(), freedom.tolist()
    ([[300.0]], [[64.0]])
    """
    told = known[:, np.newaxis]
    rows = np.where(told, np.maximum(n / inflation, np.minimum(n, 1)), n.astype(np.float64))
    few = n < FEWEST_BLOCKS
    rows = np.where(few, np.minimum(n, 1.0), rows)
    freedom = np.where(told | few, np.clip(rows / 3 - 1, 1.0, _FREEDOM), EXACT)
    return rows, freedom


class _Pooled:
    """Variances of indicators' sums over blocks, added up per column: `variance` of shape (groups, columns), that of
    independent rows, `between` of blocks, `beside` the covariance of neighbours."""

    def __init__(self, sums: Ints, rows: Ints, used: Ints, starts: Ints) -> None:
        total = rows.sum(axis=1)
        share = sums.sum(axis=1) / np.maximum(total, 1)
        rest = sums - rows * share[:, np.newaxis, :]
        self.used = used[:, np.newaxis]
        self.variance: Floats = np.add.reduceat(total * share * (1 - share), starts, axis=1)
        self.between: Floats = np.add.reduceat((rest**2).sum(axis=1), starts, axis=1)
        self.beside: Floats = np.add.reduceat((rest[:, 1:] * rest[:, :-1]).sum(axis=1), starts, axis=1)


def _inflation(pooled: _Pooled, rows: Ints, usual: Floats | None) -> Floats:
    """τ by batch means whose sums are taken for a first-order autoregression (D. Andrews and J. Monahan, Econometrica
    60,
    1992), its coefficient corrected for few blocks (M. Kendall, Biometrika 41, 1954) and raised by standard errors
    where it
    is large, because τ is most sensitive there.

    A short window in which dependent values all lie close together shows no dependence, only less variance than
    `usual` for the reference: τ is at least 1 + (160 · missing share of the variance / n)², of weight below 100 rows.
    """
    blocks, varied = np.maximum(pooled.used, 2), pooled.variance > 0
    first = np.divide(pooled.beside, pooled.between, out=np.zeros_like(pooled.beside), where=pooled.between > 0)
    first = first + (1 + 3 * np.clip(first, 0, 1)) / blocks
    error = np.sqrt(np.clip(1 - first**2, 0, 1) / blocks)
    first = np.clip(first + _MARGIN * np.clip(first, 0, 1) * error, 0.0, 0.97)
    alone = np.divide(pooled.between, pooled.variance, out=np.ones_like(pooled.between), where=varied)
    found = np.where(varied, alone * blocks / (blocks - 1) * (1 + first) / (1 - first), 1.0)
    if usual is not None:
        whole = rows * usual
        share = np.divide(pooled.variance, whole, out=np.ones_like(whole), where=whole > 0)
        found = np.maximum(found, 1 + (_SHORT * np.clip(1 - share, 0, 1) / np.maximum(rows, 1)) ** 2)
    return np.maximum(found, 1.0)


def _indicators(classes: Classes, counts: Ints, nulls: Ints) -> Ints:
    """Counts of shape (groups, blocks, classes) as sums of indicators: of numbers whether a value lies in a class or
    below
    it, of others whether it is in it; 0 for nulls."""
    spread = Spread(classes.starts, classes.size)
    sums = np.cumsum(counts, axis=2)
    before = np.take(np.pad(sums, ((0, 0), (0, 0), (1, 0))), classes.starts, axis=2)
    ordered = spread(np.array(classes.ordered))
    found: Ints = np.where(ordered, sums - spread(before), counts)
    found[:, :, nulls] = 0
    return found


def _by_class(profile: Profile) -> Ints:
    return np.bincount(profile.classes.of_cell, weights=profile.reference, minlength=profile.classes.size)


def _by_column(spread: Spread, counts: Ints, classes: Classes, nulls: Ints) -> Ints:
    """Rows that are not null of each class's column."""
    found: Ints = spread(np.add.reduceat(counts, classes.starts) - counts[nulls])
    return found
