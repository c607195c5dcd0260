"""How many positive and negative labels each score has, per group: all that AUC needs, and mergeable.

Every score is a row, so AUC is exact, as long as a group has at most `MAX_SCORES` different ones. Of more, scores lose
their last binary digits until that many are left: a bin is a range of scores that are equal but for a few digits. The
digits that are lost depend on the group's set of scores alone, so that no order and no grouping of partial tables
changes the result. Two scores in a bin count as equal: AUC is then off by at most half the share of pairs, one of each
class, that are in one bin, which `auc_of` returns beside it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.native.grouping import order_of
from transforms.quality.sums.exact_sums import Floats, Ints

MAX_SCORES = 65_536
"""Different scores of a group that are told apart: 1.5 MB."""
Truths = npt.NDArray[np.bool_]


class ScoreTable(NamedTuple):
    """`group`, `key`, `positives`, `negatives` of shape (rows,), sorted by group and key; `lost`: how many binary
    digits the keys of each group lack, shape (groups,)."""

    group: Ints
    key: Ints
    positives: Ints
    negatives: Ints
    lost: Ints

    def chosen(self, groups: Ints) -> "ScoreTable":
        """The rows of some groups, ascending, which are numbered anew."""
        first, end = (np.searchsorted(self.group, groups, side) for side in ("left", "right"))
        rows = np.concatenate([np.arange(0), *map(np.arange, first.tolist(), end.tolist())]).astype(np.int64)
        group = np.repeat(np.arange(len(groups)), end - first)
        key, positives, negatives = (column[rows] for column in (self.key, self.positives, self.negatives))
        return ScoreTable(group, key, positives, negatives, self.lost[groups])


def score_keys(scores: Floats) -> Ints:
    """Whole numbers in the order of finite scores, equal for equal ones.

    >>> keys = score_keys(np.array([-1.0, -0.0, 0.0, 0.5]))
    >>> bool(keys[0] < keys[1] == keys[2] < keys[3])
    True
    """
    bits = (scores + 0.0).view(np.int64)
    keys: Ints = np.where(bits < 0, bits ^ np.int64(0x7FFF_FFFF_FFFF_FFFF), bits)
    return keys


def scores_of(table: ScoreTable, edge: float, rows: Ints) -> Floats:
    """The score of each of these rows; of one that lost digits, from its least (`edge` 0) to its greatest score (1)."""
    lost = table.lost[table.group[rows]]
    key = (table.key[rows] << lost) + (edge * ((np.int64(1) << lost) - 1)).astype(np.int64)
    return np.where(key < 0, key ^ np.int64(0x7FFF_FFFF_FFFF_FFFF), key).view(np.float64)


def score_table(
    group: Ints, keys: Ints, truths: Truths, groups: int, limit: int = MAX_SCORES, order: Ints | None = None
) -> ScoreTable:
    """The table of labelled rows, each of a group below `groups`; `order`: that of the keys, where it is known."""
    lost = np.zeros(groups, np.int64)
    counts = truths.astype(np.int64), (~truths).astype(np.int64)
    return _limited(_reduced(group, keys, *counts, lost, order), limit)


def merged(parts: Sequence[tuple[ScoreTable, Ints]], groups: int, limit: int = MAX_SCORES) -> ScoreTable:
    """Several tables as one; `Ints` says which group of the whole each group of a part is."""
    lost = np.zeros(groups, np.int64)
    for table, rows in parts:
        np.maximum.at(lost, rows, table.lost)
    columns = []
    for table, rows in parts:
        own = rows[table.group]
        columns.append((own, table.key >> (lost[own] - table.lost[table.group]), table.positives, table.negatives))
    if not columns:
        empty = np.zeros(0, np.int64)
        return ScoreTable(empty, empty, empty, empty, lost)
    group, key, positives, negatives = (np.concatenate(each) for each in zip(*columns, strict=True))
    return _limited(_reduced(group, key, positives, negatives, lost), limit)


def _reduced(
    group: Ints, key: Ints, positives: Ints, negatives: Ints, lost: Ints, order: Ints | None = None
) -> ScoreTable:
    order = in_order(key) if order is None else order
    order = order[in_order(group[order])]
    group, key = group[order], key[order]
    new = np.ones(len(group), np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (key[1:] != key[:-1])
    starts = np.flatnonzero(new)
    counts = [np.add.reduceat(each[order], starts) if len(starts) else each for each in (positives, negatives)]
    return ScoreTable(group[starts], key[starts], counts[0], counts[1], lost)


def _limited(table: ScoreTable, limit: int) -> ScoreTable:
    while True:
        over = np.bincount(table.group, minlength=len(table.lost)) > limit
        if not over.any():
            return table
        lost = table.lost + over
        table = _reduced(table.group, table.key >> over[table.group], table.positives, table.negatives, lost)


def in_order(numbers: Ints) -> Ints:
    """The order of whole numbers, stable; of small ones NumPy sorts by digits too."""
    small = len(numbers) and numbers.min() >= 0 and numbers.max() < 2**16
    return np.argsort(numbers.astype(np.uint16), kind="stable") if small else order_of(numbers)


class Auc(NamedTuple):
    """Of each group, shape (groups,): AUC, its variance by DeLong, and by how much bins may have changed it; NaN where
    there is only one class."""

    value: Floats
    variance: Floats
    off_by: Floats


def auc_of(table: ScoreTable) -> Auc:
    """AUC by ranks (Mann and Whitney 1947: equal scores count half) and its variance by DeLong, DeLong and
    Clarke-Pearson (1988, doi:10.2307/2531595): that of the mean of what each positive, and each negative,
    contributes.

    >>> table = score_table(np.zeros(3, np.int64), score_keys(np.array([0.9, 0.2, 0.2])), np.array([1, 0, 1]) > 0, 1)
    >>> auc_of(table).value.tolist()
    [0.75]
    """
    groups = len(table.lost)
    starts = np.searchsorted(table.group, np.arange(groups))
    positives, negatives = (_by_group(each, table, groups) for each in (table.positives, table.negatives))
    below = np.cumsum(table.negatives) - table.negatives
    below = below - _at(below, starts, groups)[table.group]
    above = np.cumsum(table.positives)
    above = positives[table.group] - (above - _at(above - table.positives, starts, groups)[table.group])
    won = _by_group(table.positives * (2 * below + table.negatives), table, groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = positives * negatives
        value = np.where(pairs > 0, won / (2 * pairs), np.nan)
        own = value[table.group]
        of_positive = (below + table.negatives / 2) / negatives[table.group] - own
        of_negative = (above + table.positives / 2) / positives[table.group] - own
        spread = [
            _by_group(count * each**2, table, groups) / np.maximum(number - 1, 1) / number
            for count, each, number in (
                (table.positives, of_positive, positives),
                (table.negatives, of_negative, negatives),
            )
        ]
        in_bins = _by_group(table.positives * table.negatives, table, groups)
        off_by = np.where(table.lost > 0, in_bins / (2 * pairs), 0.0)
    return Auc(value, spread[0] + spread[1], off_by)


def _by_group(values: npt.NDArray[Any], table: ScoreTable, groups: int) -> npt.NDArray[Any]:
    """The sum of values of each group's rows."""
    total = np.zeros(groups, values.dtype)
    found, starts = np.unique(table.group, return_index=True)
    if len(found):
        total[found] = np.add.reduceat(values, starts)
    return total


def _at(values: Ints, starts: Ints, groups: int) -> Ints:
    """The value of each group's first row; 0 for a group without rows."""
    return np.append(values, 0)[np.minimum(starts, len(values))][:groups]
