"""How often two versions gave each pair of scores, per group: all that rank correlation needs, and mergeable.

As in `score_tables`: exact for up to `MAX_CELLS` different pairs of scores in a group; of more, both scores lose their
last binary digits until that many are left. How many are lost depends on the group's set of pairs alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from transforms.quality.sums.exact_sums import Floats, Ints
from transforms.quality.sums.score_tables import in_order

MAX_CELLS = 32_768
"""Different pairs of scores of a group that are told apart: 1.25 MiB."""


class JointTable(NamedTuple):
    """`group`, `own`, `other` (keys of scores) and `events`, how many, shape (rows,), sorted by the first three;
    `lost`: how many binary digits the keys of each group lack, shape (groups,)."""

    group: Ints
    own: Ints
    other: Ints
    events: Ints
    lost: Ints

    def chosen(self, groups: Ints) -> "JointTable":
        """The rows of some groups, ascending, which are numbered anew."""
        first, end = (np.searchsorted(self.group, groups, side) for side in ("left", "right"))
        rows = np.concatenate([np.arange(0), *map(np.arange, first.tolist(), end.tolist())]).astype(np.int64)
        group = np.repeat(np.arange(len(groups)), end - first)
        return JointTable(group, self.own[rows], self.other[rows], self.events[rows], self.lost[groups])


def joint_table(
    group: Ints, own: Ints, other: Ints, groups: int, limit: int = MAX_CELLS, order: Ints | None = None
) -> JointTable:
    """The table of rows, each of a group below `groups`, with the keys of two scores; `order`: as of `joint_order`,
    where it is known."""
    ones = np.ones(len(group), np.int64)
    return _limited(_reduced(JointTable(group, own, other, ones, _none(groups)), order), limit)


def joint_order(own: Ints, other: Ints) -> Ints:
    """The order of rows by the keys of two scores."""
    order = in_order(other)
    found: Ints = order[in_order(own[order])]
    return found


def merged_joint(parts: Sequence[tuple[JointTable, Ints]], groups: int, limit: int = MAX_CELLS) -> JointTable:
    """Several tables as one; `Ints` says which group of the whole each group of a part is."""
    lost = _none(groups)
    for table, rows in parts:
        np.maximum.at(lost, rows, table.lost)
    columns = [[_none(0)] * 4]
    for table, rows in parts:
        group = rows[table.group]
        more = lost[group] - table.lost[table.group]
        columns.append([group, table.own >> more, table.other >> more, table.events])
    whole = [np.concatenate(each) for each in zip(*columns, strict=True)]
    return _limited(_reduced(JointTable(whole[0], whole[1], whole[2], whole[3], lost)), limit)


def _none(length: int) -> Ints:
    return np.zeros(length, np.int64)


def _reduced(table: JointTable, order: Ints | None = None) -> JointTable:
    order = joint_order(table.own, table.other) if order is None else order
    order = order[in_order(table.group[order])]
    group, own, other = table.group[order], table.own[order], table.other[order]
    new = np.ones(len(group), np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (own[1:] != own[:-1]) | (other[1:] != other[:-1])
    starts = np.flatnonzero(new)
    events = np.add.reduceat(table.events[order], starts) if len(starts) else table.events[order]
    return JointTable(group[starts], own[starts], other[starts], events, table.lost)


def _limited(table: JointTable, limit: int) -> JointTable:
    while True:
        over = np.bincount(table.group, minlength=len(table.lost)) > limit
        if not over.any():
            return table
        more = over[table.group]
        shorter = table._replace(own=table.own >> more, other=table.other >> more, lost=table.lost + over)
        table = _reduced(shorter)


class RankCorrelation(NamedTuple):
    """Of each group, shape (groups,): Spearman's, and by how much at most the lost digits changed it; NaN where all
    scores of a version are equal."""

    value: Floats
    off_by: Floats


def rank_correlation(table: JointTable) -> RankCorrelation:
    """Spearman's rank correlation (1904, doi:10.2307/1412159): Pearson's of ranks, equal scores having their mean.

    A bin's rank is the mean of those in it. With u the share of the variance of ranks that is within bins, at most
    sum (c^3 - c) / (n^3 - n) over bins of c events, the ranks of a bin are at an angle of asin(sqrt(u)) to the true
    ones at most; so the correlation is off by at most the sine of both angles together (of the arc cosines).

    >>> keys = np.arange(4)
    >>> rank_correlation(joint_table(np.zeros(4, np.int64), keys, np.array([0, 1, 3, 2]), 1)).value.tolist()
    [0.8]
    """
    groups = len(table.lost)
    n = np.bincount(table.group, table.events, groups).astype(np.float64)
    own, within_own = _ranks(table.group, table.own, table.events, n)
    order = in_order(table.other)
    order = order[in_order(table.group[order])]
    ranks, within_other = _ranks(table.group[order], table.other[order], table.events[order], n)
    other = np.empty(len(order))
    other[order] = ranks
    together, of_own, of_other = (
        np.bincount(table.group, table.events * one * two, groups)
        for one, two in ((own, other), (own, own), (other, other))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where((of_own > 0) & (of_other > 0), together / np.sqrt(of_own * of_other), np.nan)
        angles = [np.arcsin(np.sqrt(np.clip(each / (n**3 - n), 0.0, 1.0))) for each in (within_own, within_other)]
    value = np.clip(value, -1.0, 1.0)
    angle = np.minimum(angles[0] + angles[1], np.pi)
    straight = np.arccos(value)
    ends = [np.cos(np.clip(straight + sign * angle, 0.0, np.pi)) for sign in (-1, 1)]
    off_by = np.maximum(ends[0] - value, value - ends[1])
    return RankCorrelation(value, np.where(table.lost > 0, off_by, 0.0))


def _ranks(group: Ints, key: Ints, count: Ints, n: Floats) -> tuple[Floats, Floats]:
    """Of rows in order of group and key: each one's mean rank less the mean of its group; and of each group the sum of
    c^3 - c over the different keys."""
    if not len(group):
        return np.zeros(0), np.zeros(len(n))
    new = np.ones(len(group), np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (key[1:] != key[:-1])
    starts = np.flatnonzero(new)
    size = np.add.reduceat(count, starts)
    before = np.cumsum(size) - size
    of_group = group[starts]
    first = np.searchsorted(of_group, np.arange(len(n)))
    before = before - np.append(before, 0)[first][of_group]
    rank = before + (size + 1) / 2 - (n[of_group] + 1) / 2
    within: Floats = np.bincount(of_group, size.astype(np.float64) ** 3 - size, len(n)).astype(np.float64)
    return rank[np.cumsum(new) - 1], within
