"""What two versions' answers to the same events add up to per group: all that their comparison needs, and mergeable.

Groups are those of `group_sums`. Counts are whole numbers, sums are exact, and tables do not depend on the order of
rows, so partial results of any order and grouping give the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.flow.distinct import distinct
from transforms.quality.answers import PairedBy, ScoredBy
from transforms.quality.sums.exact_sums import ExactSums, Floats, GroupTerms, Ints, add_at, added
from transforms.quality.sums.group_sums import (
    CLUSTERS,
    GREATEST,
    SPANS,
    Beside,
    Group,
    RowCells,
    group_codes,
    group_names,
    groups_of,
    losses_of,
)
from transforms.quality.sums.joint_tables import JointTable, joint_order, joint_table, merged_joint
from transforms.quality.sums.score_tables import ScoreTable, in_order, merged, score_keys, score_table

PAIRS, TO_POSITIVE, TO_NEGATIVE, TIMED, LABELLED, UNUSABLE = range(6)
COUNTS = 6
"""Pairs; of these those that only the version decides as positive, or only the other; whose latencies are known; both
of whose losses are known; with a label that is no truth."""
DIFFERENCE, LATENCY, LOSS = range(3)
QUANTITIES = 3
_NONE: Ints = np.zeros(0, np.int64)
MAX_DIFFERENCES = 8_192
"""Different differences of scores of a group that are told apart: 320 KiB."""


class Paired(NamedTuple):
    """Two versions' answers to the same events, row by row."""

    own: Beside
    other: Beside

    def chosen(self, rows: npt.NDArray[np.bool_]) -> "Paired":
        """Some of the rows."""
        return Paired(self.own.chosen(rows), self.other.chosen(rows))


class PairSums(NamedTuple):
    """Of the sorted `groups`; a cell, `group * SPANS + part of the window`, is there where it has pairs, so that many
    small segments need little: the sorted `cells`, `in_cell` (cells, COUNTS), and the `sums` of differences
    (QUANTITIES, cells). Of each group `decided` (groups, 2, 2), how many events the version, and the other one, decide
    as positive, and how many of these have a label; the `squares` of differences (QUANTITIES, groups); how often each
    difference of scores occurs, as the positives of a table; and each pair of scores."""

    groups: tuple[Group, ...]
    cells: Ints
    in_cell: Ints
    decided: Ints
    sums: ExactSums
    squares: ExactSums
    differences: ScoreTable
    joint: JointTable

    @property
    def counts(self) -> Ints:
        """Shape (groups, COUNTS)."""
        found = np.zeros((len(self.groups), COUNTS), np.int64)
        add_at(found.T, self.cells // SPANS, self.in_cell.T)
        return found

    @property
    def totals(self) -> ExactSums:
        """The sums of whole groups, shape (QUANTITIES, groups)."""
        return added([(self.sums, self.cells // SPANS)], len(self.groups), QUANTITIES)

    def in_span(self, column: int) -> Ints:
        """One of COUNTS in each part of the window, shape (groups, SPANS)."""
        found = np.zeros(len(self.groups) * SPANS, np.int64)
        found[self.cells] = self.in_cell[:, column]
        return found.reshape(len(self.groups), SPANS)

    def of_span(self, quantity: int) -> Floats:
        """The sum of a quantity in each part of the window, shape (groups, SPANS)."""
        found = np.zeros(len(self.groups) * SPANS)
        found[self.cells] = self.sums.floats(quantity)
        return found.reshape(len(self.groups), SPANS)

    def chosen(self, rows: Sequence[int]) -> "PairSums":
        """The groups at these indexes, ascending."""
        if len(rows) == len(self.groups):
            return self
        at, group = np.array(rows, np.int64), self.cells // SPANS
        own = np.isin(group, at)
        return PairSums(
            tuple(self.groups[row] for row in rows),
            np.searchsorted(at, group[own]) * SPANS + self.cells[own] % SPANS,
            self.in_cell[own],
            self.decided[at],
            ExactSums(self.sums.low, self.sums.digits[:, :, own]),
            ExactSums(self.squares.low, self.squares.digits[:, :, at]),
            self.differences.chosen(at),
            self.joint.chosen(at),
        )


class _Rows(NamedTuple):
    """Of each row, shape (n,): in which part of the window it is, and whether each of COUNTS, and of `decided`, has it;
    terms of the quantities, 0 where they are not known, and their squares, in limbs; and of scores of one scale the
    keys of the difference and both scores, the order of the first and that of the others together."""

    span: Ints
    has: list[npt.NDArray[np.bool_]]
    decided: list[npt.NDArray[np.bool_]]
    terms: GroupTerms
    squares: GroupTerms
    keys: list[Ints]
    orders: tuple[Ints, Ints]


def sums_of_pairs(paired: Paired, by: PairedBy, window_us: int) -> PairSums:
    """The sums of a pair of versions, at least one row."""
    own, rows = paired.own, _rows(paired, by, window_us)
    windows, window = distinct(np.floor_divide(own.times_us, window_us))
    parts, starts = [], (windows * window_us).tolist()
    for segment, values in own.segments.items():
        texts, codes = group_codes(segment, values, window)
        parts.append(_grouped(rows, window * len(texts) + codes, starts, texts))
    whole = (
        _of_windows(parts[0], starts, _tables(rows, window, len(starts)))
        if parts
        else _grouped(rows, window, starts, [""])
    )
    parts.append(whole)
    if own.clusters is not None:
        in_clusters = rows._replace(span=own.clusters, keys=[_NONE] * 3, orders=(_NONE, _NONE))
        parts.append(_grouped(in_clusters, window, starts, [CLUSTERS]))
    return added_pairs(parts)


def _of_windows(parts: PairSums, starts: Sequence[int], tables: tuple[ScoreTable, JointTable]) -> PairSums:
    """The sums of whole windows, as those of all groups of one segment together, which is quicker than to count all
    rows again; `tables`: those of whole windows."""
    of_group = np.searchsorted(starts, np.array([start for start, _ in parts.groups], np.int64))
    cells = of_group[parts.cells // SPANS] * SPANS + parts.cells % SPANS
    order = in_order(cells)
    found, row = distinct(cells[order])
    in_cell, decided = np.zeros((len(found), COUNTS), np.int64), np.zeros((len(starts), 2, 2), np.int64)
    add_at(in_cell.T, row, parts.in_cell[order].T)
    add_at(np.moveaxis(decided, 0, -1), of_group, np.moveaxis(parts.decided, 0, -1))
    ordered = ExactSums(parts.sums.low, parts.sums.digits[:, :, order])
    sums = added([(ordered, row)], len(found), QUANTITIES)
    squares = added([(parts.squares, of_group)], len(starts), QUANTITIES)
    return PairSums(tuple((start, "") for start in starts), found, in_cell, decided, sums, squares, *tables)


def _tables(rows: "_Rows", group: Ints, groups: int) -> tuple[ScoreTable, JointTable]:
    """How often each difference of scores, and each pair of scores, occurs in each group."""
    difference, own, other = rows.keys
    members = group[: len(own)]
    every = np.ones(len(members), np.bool_)
    return (
        score_table(members, difference, every, groups, MAX_DIFFERENCES, rows.orders[0]),
        joint_table(members, own, other, groups, order=rows.orders[1]),
    )


def _rows(paired: Paired, by: PairedBy, window_us: int) -> _Rows:
    own, other = paired
    span = own.times_us % window_us * SPANS // window_us
    difference = _differences(own.scores, other.scores) if by.same_scale else np.zeros(len(own.scores))
    latency = _latencies(own) - _latencies(other)
    loss = np.full(len(own.scores), np.nan)
    if by.same_loss:
        loss = losses_of(own, by.version) - losses_of(other, by.against)
    every = np.ones(len(difference), np.bool_)
    positive, positive_other = _positive(own, by.version), _positive(other, by.against)
    flips = [positive & ~positive_other, ~positive & positive_other] if by.decide else [~every, ~every]
    timed, known = np.isfinite(latency), np.isfinite(loss)
    unusable = own.labels.is_valid().to_numpy(zero_copy_only=False) & ~known
    terms = [difference, np.where(timed, latency, 0.0), np.where(known, loss, 0.0)]
    keys = [score_keys(each) for each in (difference, own.scores, other.scores)] if by.same_scale else [_NONE] * 3
    return _Rows(
        span,
        [every, *flips, timed, known, unusable],
        [positive, positive & known, positive_other, positive_other & known],
        GroupTerms(terms),
        GroupTerms([each**2 for each in terms]),
        keys,
        (in_order(keys[0]), joint_order(keys[1], keys[2])),
    )


def _differences(own: Floats, other: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.clip(own - other, -GREATEST, GREATEST)


def _positive(beside: Beside, by: ScoredBy) -> npt.NDArray[np.bool_]:
    return np.asarray(beside.scores >= (np.inf if by.threshold is None else by.threshold))


def _latencies(beside: Beside) -> Floats:
    return np.full(len(beside.scores), np.nan) if beside.latencies_us is None else beside.latencies_us


def _grouped(rows: _Rows, of_row: Ints, starts: Sequence[int], texts: Sequence[str]) -> PairSums:
    present, group = distinct(of_row)
    groups = len(present)
    cells = RowCells(group * SPANS + rows.span)
    sums, squares = rows.terms.sums(cells.of_row, len(cells.found)), rows.squares.sums(group, groups)
    in_cell = [cells.counted(None if has.all() else has) for has in rows.has]
    decided = np.stack([np.bincount(group[has], minlength=groups) for has in rows.decided], axis=1)
    return PairSums(
        group_names(present, starts, texts),
        cells.found,
        np.stack(in_cell, axis=1),
        decided.reshape(groups, 2, 2),
        sums,
        squares,
        *_tables(rows, group, groups),
    )


def added_pairs(parts: Sequence[PairSums]) -> PairSums:
    """Several sums of one pair of versions as one; at least one."""
    if len(parts) == 1 and list(parts[0].groups) == sorted(parts[0].groups):
        return parts[0]
    groups, rows = groups_of([part.groups for part in parts])
    of_parts = [own[part.cells // SPANS] * SPANS + part.cells % SPANS for part, own in zip(parts, rows, strict=True)]
    cells = np.unique(np.concatenate(of_parts))
    where = [np.searchsorted(cells, each) for each in of_parts]
    in_cell, decided = np.zeros((len(cells), COUNTS), np.int64), np.zeros((len(groups), 2, 2), np.int64)
    for part, own, index in zip(parts, rows, where, strict=True):
        np.add.at(in_cell, index, part.in_cell)
        np.add.at(decided, own, part.decided)
    return PairSums(
        tuple(groups),
        cells,
        in_cell,
        decided,
        added([(part.sums, index) for part, index in zip(parts, where, strict=True)], len(cells), QUANTITIES),
        added([(part.squares, own) for part, own in zip(parts, rows, strict=True)], len(groups), QUANTITIES),
        merged([(part.differences, own) for part, own in zip(parts, rows, strict=True)], len(groups), MAX_DIFFERENCES),
        merged_joint([(part.joint, own) for part, own in zip(parts, rows, strict=True)], len(groups)),
    )
