"""What one version's answers add up to per group of protected columns: all that fairness needs, and mergeable.

A group is (start of the window, protected column, group): the group is empty where a value is null, and `TOO_MANY`
stands for all groups of a column that has more of them in the window than the limit. Whether it has depends on the set
of its groups alone: so counts and exact sums of any order and grouping of partial results give the same.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.flow.distinct import distinct
from transforms.quality.answers import FairnessBy, ScoredBy
from transforms.quality.sums.exact_sums import ExactSums, GroupTerms, Ints, added
from transforms.quality.sums.group_sums import (
    BINS,
    SPANS,
    Beside,
    Group,
    GroupSums,
    RowCells,
    added_sums,
    sums_of,
    truths_of,
)

FairGroup: TypeAlias = tuple[int, str, str]
EVENTS, DECIDED, LABELLED, UNUSABLE, POSITIVES, RIGHT_POSITIVES, WRONG_POSITIVES = range(7)
COUNTS = 7
"""Events; of these those decided as positive, labelled or not; with a label, with one that is no truth, of the positive
class; decided as positive and right, and wrong."""
TOO_MANY = "\0"
_BRIER = 2
Bools = npt.NDArray[np.bool_]


class FairSums(NamedTuple):
    """Of the sorted `groups`; a cell, `group * SPANS + part of the window`, is there where it has events: the sorted
    `cells`, and `in_cell` (cells, COUNTS). Of each group's labelled answers `in_bin` (groups, BINS, 2), how many there
    are in each bin of scores and how many of them positive, the sum of their scores `in_bins` (1, groups * BINS), and
    of the squares of score minus truth, `squares` (1, groups). `limit`: how many groups of a column are told apart."""

    groups: tuple[FairGroup, ...]
    cells: Ints
    in_cell: Ints
    in_bin: Ints
    in_bins: ExactSums
    squares: ExactSums
    limit: int

    @property
    def counts(self) -> Ints:
        """Shape (groups, COUNTS)."""
        found = np.zeros((len(self.groups), COUNTS), np.int64)
        np.add.at(found, self.cells // SPANS, self.in_cell)
        return found

    def in_span(self, column: int) -> Ints:
        """One of COUNTS in each part of the window, shape (groups, SPANS)."""
        found = np.zeros(len(self.groups) * SPANS, np.int64)
        found[self.cells] = self.in_cell[:, column]
        return found.reshape(len(self.groups), SPANS)

    def chosen(self, rows: Sequence[int]) -> "FairSums":
        """The groups at these indexes, ascending."""
        if len(rows) == len(self.groups):
            return self
        at, group = np.array(rows, np.int64), self.cells // SPANS
        own, bins = np.isin(group, at), (at[:, None] * BINS + np.arange(BINS)).ravel()
        return FairSums(
            tuple(self.groups[row] for row in rows),
            np.searchsorted(at, group[own]) * SPANS + self.cells[own] % SPANS,
            self.in_cell[own],
            self.in_bin[at],
            ExactSums(self.in_bins.low, self.in_bins.digits[:, :, bins]),
            ExactSums(self.squares.low, self.squares.digits[:, :, at]),
            self.limit,
        )


class WithFairness(NamedTuple):
    """The sums of one version's answers in one role by segments, the `whole`, and by protected groups."""

    whole: GroupSums
    fairness: FairSums

    @property
    def groups(self) -> tuple[Group, ...]:
        """Those of segments: where they have a window, so has fairness."""
        return self.whole.groups

    def chosen(self, rows: Sequence[int]) -> "WithFairness":
        """The groups at these indexes, ascending, which are all of their windows."""
        starts = {self.groups[row][0] for row in rows}
        own = [row for row, (start, *_) in enumerate(self.fairness.groups) if start in starts]
        return WithFairness(self.whole.chosen(rows), self.fairness.chosen(own))


class _Rows(NamedTuple):
    """Of each row, shape (n,): the part of the window, and whether each of COUNTS has it. Of the labelled `rows` the
    score, the square of its distance from the truth, and whether they are positive."""

    span: Ints
    has: list[Bools]
    rows: Ints
    scores: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    positive: Bools


def sums_with_fairness(beside: Beside, by: FairnessBy, window_us: int) -> WithFairness:
    """All sums of one version's answers in one role, at least one row with at least one protected column."""
    return WithFairness(sums_of(beside, by.of, window_us), sums_of_fairness(beside, by, window_us))


def sums_of_fairness(beside: Beside, by: FairnessBy, window_us: int) -> FairSums:
    """The sums of one version's answers in one role, at least one row with at least one protected column."""
    windows, window = np.unique(np.floor_divide(beside.times_us, window_us), return_inverse=True)
    rows, parts = _rows(beside, by.of, window_us), []
    for column, groups in beside.protected.items():
        known = groups if by.of.decides else pa.nulls(len(groups), pa.string())
        encoded = pc.fill_null(known, "").dictionary_encode()
        texts, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
        named = [(start * window_us, column, text) for start in windows.tolist() for text in texts]
        parts.append(_grouped(rows, window * len(texts) + codes.astype(np.int64), named, by.max_groups))
    return added_fairness(parts)


def _rows(beside: Beside, by: ScoredBy, window_us: int) -> _Rows:
    """Where scores are not decided on, there are only events."""
    every = np.ones(len(beside.scores), np.bool_)
    span, none = beside.times_us % window_us * SPANS // window_us, np.zeros(0)
    if by.threshold is None:
        return _Rows(span, [every, *[~every] * (COUNTS - 1)], none.astype(np.int64), none, none, none > 0)
    truths, decided = truths_of(beside, by), np.asarray(beside.scores >= by.threshold)
    rows = truths.rows if by.kind != "regression" else truths.rows[:0]  # numbers are no classes
    known, unusable, positive = ~every, beside.labels.is_valid().to_numpy(zero_copy_only=False), ~every
    known[rows], positive[rows] = True, truths.positive[: len(rows)]
    has = [every, decided, known, unusable & ~known, positive, positive & decided, known & ~positive & decided]
    squares = truths.terms[_BRIER][: len(rows)]
    return _Rows(span, has, rows, beside.scores[rows], squares, truths.positive[: len(rows)])


def _grouped(rows: _Rows, of_row: Ints, named: list[FairGroup], limit: int) -> FairSums:
    present, group = distinct(of_row)
    groups = len(present)
    cells, own = RowCells(group * SPANS + rows.span), group[rows.rows]
    bins = own * BINS + np.clip((rows.scores * BINS).astype(np.int64), 0, BINS - 1)
    in_bin = [np.bincount(each, minlength=groups * BINS) for each in (bins, bins[rows.positive])]
    return FairSums(
        tuple(named[at] for at in present.tolist()),
        cells.found,
        np.stack([cells.counted(has) for has in rows.has], axis=1),
        np.stack(in_bin, axis=1).reshape(groups, BINS, 2),
        GroupTerms([rows.scores]).sums(bins, groups * BINS),
        GroupTerms([rows.squares]).sums(own, groups),
        limit,
    )


def added_with_fairness(parts: Sequence[WithFairness]) -> WithFairness:
    """Several sums of one version and role as one; at least one."""
    return WithFairness(added_sums([part.whole for part in parts]), added_fairness([part.fairness for part in parts]))


def added_fairness(parts: Sequence[FairSums]) -> FairSums:
    """Several sums of one version and role, of one limit, as one; at least one."""
    named = _named({group for part in parts for group in part.groups}, parts[0].limit)
    if len(parts) == 1 and parts[0].groups == tuple(sorted(set(named.values()))):
        return parts[0]
    groups = sorted(set(named.values()))
    at = {group: index for index, group in enumerate(groups)}
    rows = [np.array([at[named[group]] for group in part.groups], np.int64) for part in parts]
    of_parts = [own[part.cells // SPANS] * SPANS + part.cells % SPANS for part, own in zip(parts, rows, strict=True)]
    cells = np.unique(np.concatenate(of_parts))
    in_cell, in_bin = np.zeros((len(cells), COUNTS), np.int64), np.zeros((len(groups), BINS, 2), np.int64)
    for part, own, where in zip(parts, rows, of_parts, strict=True):
        np.add.at(in_cell, np.searchsorted(cells, where), part.in_cell)
        np.add.at(in_bin, own, part.in_bin)
    of_bins = [(own[:, None] * BINS + np.arange(BINS)).ravel() for own in rows]
    return FairSums(
        tuple(groups),
        cells,
        in_cell,
        in_bin,
        added([(part.in_bins, own) for part, own in zip(parts, of_bins, strict=True)], len(groups) * BINS, 1),
        added([(part.squares, own) for part, own in zip(parts, rows, strict=True)], len(groups), 1),
        parts[0].limit,
    )


def _named(groups: set[FairGroup], limit: int) -> dict[FairGroup, FairGroup]:
    """What each group is in the whole: itself, or `TOO_MANY` of its column in its window."""
    several: dict[tuple[int, str], set[str]] = {}
    for start, column, text in groups:
        if text:
            several.setdefault((start, column), set()).add(text)
    over = {key for key, texts in several.items() if len(texts) > limit or TOO_MANY in texts}
    return {
        (start, column, text): (start, column, TOO_MANY if text and (start, column) in over else text)
        for start, column, text in groups
    }
