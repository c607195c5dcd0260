"""Sums of windows that follow one another put end to end: nothing is added, as no two of them share a window.

What is measured of sums takes much more for each call than for each group.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np

from transforms.quality.sums.exact_sums import ExactSums, Ints
from transforms.quality.sums.group_sums import SPANS, GroupSums
from transforms.quality.sums.joint_tables import JointTable
from transforms.quality.sums.pair_sums import PairSums
from transforms.quality.sums.score_tables import ScoreTable

_Table = TypeVar("_Table", ScoreTable, JointTable)
_Sums = TypeVar("_Sums", GroupSums, PairSums)


class _Parts(NamedTuple):
    """Parts of one kind in the order of their windows, and how many groups come before each."""

    sums: Sequence[Any]
    before: list[int]

    def arrays(self, name: str) -> Ints:
        return np.concatenate([getattr(part, name) for part in self.sums])

    def exact(self, name: str) -> ExactSums:
        each = [getattr(part, name) for part in self.sums]
        some = [sums for sums in each if len(sums.digits)]
        low = min((sums.low for sums in some), default=0)
        limbs = max((sums.low + len(sums.digits) for sums in some), default=0) - low
        _, quantities, _ = each[0].digits.shape
        total, start = np.zeros((limbs, quantities, sum(sums.digits.shape[2] for sums in each)), np.int64), 0
        for sums in each:
            end, first = start + sums.digits.shape[2], sums.low - low if len(sums.digits) else 0
            total[first : first + len(sums.digits), :, start:end] = sums.digits
            start = end
        return ExactSums(low, total)

    def table(self, name: str, kind: Callable[..., _Table]) -> _Table:
        """A table of rows that are each of a group, of which its first column has the number."""
        each = [getattr(part, name) for part in self.sums]
        groups = np.concatenate([table.group + before for table, before in zip(each, self.before, strict=True)])
        return kind(groups, *(np.concatenate(columns) for columns in zip(*(table[1:] for table in each), strict=True)))


def end_to_end(parts: Sequence[_Sums]) -> _Sums:
    """Sums of one version in one role, or of one pair of versions, of which no two share a window, as one; at least
    one."""
    if len(parts) == 1:
        return parts[0]
    ordered = sorted(parts, key=_first)
    numbers = [len(part.groups) for part in ordered]
    whole = _Parts(ordered, [sum(numbers[:at]) for at in range(len(numbers))])
    groups = tuple(chain.from_iterable(part.groups for part in ordered))
    first = ordered[0]
    if isinstance(first, GroupSums):
        return GroupSums(
            groups,
            *(whole.arrays("counts"), whole.exact("sums"), whole.arrays("in_span"), whole.exact("losses")),
            *(whole.arrays("in_bin"), whole.exact("in_bins"), whole.table("table", ScoreTable)),
        )
    cells = [part.cells + SPANS * before for part, before in zip(ordered, whole.before, strict=True)]
    return PairSums(
        groups,
        *(np.concatenate(cells), whole.arrays("in_cell"), whole.arrays("decided"), whole.exact("sums")),
        *(whole.exact("squares"), whole.table("differences", ScoreTable), whole.table("joint", JointTable)),
    )


def _first(sums: GroupSums | PairSums) -> tuple[int, str]:
    return sums.groups[0]
