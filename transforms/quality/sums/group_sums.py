"""What answers and their labels add up to per group: numbers from which every metric is computed, and mergeable.

A group is (start of the window, segment): the segment is empty for all rows, else `column=value` or `column is null`.
Counts are whole numbers and sums are exact, so partial results of any order and grouping give the same.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.flow.distinct import distinct
from transforms.flow.segments import limited_codes, limited_groups, others_of
from transforms.labels.truth import truths_by_class
from transforms.quality.answers import ErrorsBy, ScoredBy
from transforms.quality.sums.exact_sums import ExactSums, Floats, GroupTerms, Ints, add_at, added
from transforms.quality.sums.score_tables import ScoreTable, in_order, merged, score_keys, score_table

Group: TypeAlias = tuple[int, str]
SPANS = 24
"""Parts of a window, by whose losses the dependence of events in time is measured."""
CLUSTERS = "\0clusters"
"""The segment of all rows of a window whose parts are not of its time, but of subjects (`transforms.quality.clusters`).
"""
BINS = 10
"""Bins of equal width of probabilities, for the calibration error (Naeini, Cooper and Hauskrecht 2015)."""

EVENTS, LABELLED, UNUSABLE, POSITIVES, RIGHT_POSITIVES, WRONG_POSITIVES, DECIDED, RIGHT = range(8)
COUNTS = 8
"""Events; of these those with a label, with one that is no truth, of the positive class; decided as positive and
right, and wrong; decided as positive at all, labelled or not; answered right."""
LOSS, LOSS_2 = 0, 1
BRIER, BRIER_2 = 2, 3
ERROR_4, TRUTH, TRUTH_2, TRUTH_3, TRUTH_4, ERROR_2_TRUTH, ERROR_2_TRUTH_2 = range(2, 9)
GREATEST = 1e75
"""Numbers and answers that are farther from 0 are in no metric: sums of fourth powers would not be finite."""
_SMALLEST = float(np.finfo(np.float64).eps)  # as in scikit-learn: a certain answer that is wrong is not infinitely bad


class Beside(NamedTuple):
    """Answers beside their labels: `labels` null where there is none; all of the same length. `decided` and
    `protected` as in answers; `latencies_us` NaN where it is not known; `clusters`: the part of the window that each
    row's subject counts in, None where the job knows no subjects."""

    times_us: Ints
    scores: Floats
    labels: pa.Array
    segments: Mapping[str, pa.Array]
    decided: pa.Array | None = None
    latencies_us: Floats | None = None
    protected: Mapping[str, pa.Array] = MappingProxyType({})
    clusters: Ints | None = None

    def chosen(self, rows: npt.NDArray[np.bool_]) -> "Beside":
        """Some of the rows."""
        if rows.all():
            return self
        return self.taken(np.flatnonzero(rows))

    def taken(self, at: Ints) -> "Beside":
        """The rows at these indexes, in their order."""
        rows = pa.array(at)
        segments, protected = (
            {name: values.take(rows) for name, values in each.items()} for each in (self.segments, self.protected)
        )
        decided = None if self.decided is None else self.decided.take(rows)
        latencies = None if self.latencies_us is None else self.latencies_us[at]
        labels, clusters = self.labels.take(rows), None if self.clusters is None else self.clusters[at]
        return Beside(self.times_us[at], self.scores[at], labels, segments, decided, latencies, protected, clusters)


class GroupSums(NamedTuple):
    """Of each of the sorted `groups`: `counts` (groups, COUNTS); `sums` (quantities, groups) of the labelled rows;
    `in_span` (groups, SPANS), how many of them there are in each part of the window, and the sum of their `losses`
    (1, groups * SPANS); of probabilities `in_bin` (groups, BINS, 2), how many and how many of them positive, the sum
    of their scores `in_bins` (1, groups * BINS), and the `table` of scores."""

    groups: tuple[Group, ...]
    counts: Ints
    sums: ExactSums
    in_span: Ints
    losses: ExactSums
    in_bin: Ints
    in_bins: ExactSums
    table: ScoreTable

    def chosen(self, rows: Sequence[int]) -> "GroupSums":
        """The groups at these indexes, ascending."""
        if len(rows) == len(self.groups):
            return self
        at = np.array(rows, np.int64)
        spans, bins = ((at[:, None] * each + np.arange(each)).ravel() for each in (SPANS, BINS))
        return GroupSums(
            tuple(self.groups[row] for row in rows),
            self.counts[at],
            ExactSums(self.sums.low, self.sums.digits[:, :, at]),
            self.in_span[at],
            ExactSums(self.losses.low, self.losses.digits[:, :, spans]),
            self.in_bin[at],
            ExactSums(self.in_bins.low, self.in_bins.digits[:, :, bins]),
            self.table.chosen(at),
        )


class KnownTruths(NamedTuple):
    """Of the labelled rows with a truth, at the indexes `rows`: the truth, terms of each quantity, `positive`, and
    whether the answer was `right`; the others are `unusable`."""

    rows: Ints
    terms: list[Floats]
    positive: npt.NDArray[np.bool_]
    right: npt.NDArray[np.bool_]
    unusable: Ints


def sums_of(beside: Beside, by: ScoredBy, window_us: int) -> GroupSums:
    """The sums of one version's answers in one role, at least one row."""
    truths = truths_of(beside, by)
    windows, window = distinct(np.floor_divide(beside.times_us, window_us))
    parts, rows, starts = [], _rows(beside, by, truths, window_us), (windows * window_us).tolist()
    for segment, values in beside.segments.items():
        texts, codes = group_codes(segment, values, window)
        parts.append(_grouped(beside, by, rows, window * len(texts) + codes, starts, texts))
    whole = (
        _of_windows(parts[0], starts, _table(rows, window, len(starts)))
        if parts
        else _grouped(beside, by, rows, window, starts, [""])
    )
    parts.append(whole)
    if beside.clusters is not None:
        parts.append(_grouped(beside, by, _in_clusters(rows, beside.clusters), window, starts, [CLUSTERS]))
    return added_sums(parts)


def _in_clusters(rows: "_Rows", clusters: Ints) -> "_Rows":
    """The rows by the parts of their subjects, with nothing of their scores: only sums of losses are read."""
    none = np.zeros(0, np.int64)
    return rows._replace(
        span=clusters[rows.truths.rows], bin=none, scores=GroupTerms([np.zeros(0)]), keys=none, order=none
    )


def _of_windows(parts: GroupSums, starts: Sequence[int], table: ScoreTable) -> GroupSums:
    """The sums of whole windows, as those of all groups of one segment together, which is quicker than to count all
    rows again; `table`: that of whole windows."""
    first = np.searchsorted(np.array([start for start, _ in parts.groups]), starts)

    def total(numbers: Ints) -> Ints:
        found: Ints = np.add.reduceat(numbers, first, axis=0)
        return found

    def within(sums: ExactSums) -> ExactSums:
        *most, cells = sums.digits.shape
        digits = sums.digits.reshape(*most, len(parts.groups), cells // len(parts.groups))
        added_up = np.add.reduceat(digits, first, axis=2)
        return ExactSums(sums.low, added_up.reshape(*most, len(first) * digits.shape[-1]))

    groups = tuple((start, "") for start in starts)
    return GroupSums(groups, total(parts.counts), within(parts.sums), total(parts.in_span), within(parts.losses),
                     total(parts.in_bin), within(parts.in_bins), table)  # fmt: skip


def _table(rows: "_Rows", group: Ints, groups: int) -> ScoreTable:
    """The table of scores of rows that are each of a group."""
    members = group[rows.truths.rows][: len(rows.bin)]
    return score_table(members, rows.keys, rows.truths.positive[: len(rows.bin)], groups, order=rows.order)


def losses_of(beside: Beside, by: ScoredBy) -> Floats:
    """The loss of each row: log loss, absolute error, or whether the class was wrong; NaN where no truth is known."""
    found = np.full(len(beside.scores), np.nan)
    if by.of_classes or by.kind == "regression":
        truths = truths_of(beside, by)
        found[truths.rows] = truths.terms[LOSS]
        return found
    labelled = np.flatnonzero(beside.labels.is_valid().to_numpy(zero_copy_only=False))
    numbers = truths_by_class(beside.labels.take(pa.array(labelled)), by.positive)
    found[labelled] = np.where(np.isfinite(numbers), _log_loss(beside.scores[labelled], numbers > 0), np.nan)
    return found


def _log_loss(score: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    found: Floats = -np.log(np.clip(np.where(positive, score, 1 - score), _SMALLEST, 1 - _SMALLEST))
    return found


def errors_of(beside: Beside, by: ScoredBy) -> Floats:
    """The error of each row: whether its decision, or its class, was wrong (0 or 1); of probabilities that decide
    nothing the square of probability minus truth; of numbers the absolute error. NaN where no truth is known."""
    truths = truths_of(beside, by)
    found = np.full(len(beside.scores), np.nan)
    if ErrorsBy(by).are_shares:
        found[truths.rows] = ~truths.right
    else:
        found[truths.rows] = truths.terms[LOSS if by.kind == "regression" else BRIER]
    return found


def group_codes(segment: str, values: pa.Array | None, window: Ints) -> tuple[list[str], Ints]:
    """The names of the groups of a segment, and each row's index among them; of each window, which `window` says, only
    so many are told apart (`transforms.flow.segments`)."""
    if values is None:
        return [""], np.zeros(len(window), np.int64)
    encoded = values.dictionary_encode("encode")
    texts = [f"{segment} is null" if text is None else f"{segment}={text}" for text in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return [*texts, others_of(segment)], limited_codes(window, codes, texts)


def group_names(present: Ints, starts: Sequence[int], texts: Sequence[str]) -> tuple[Group, ...]:
    """The groups that are there, by the number of their window times that of texts, plus that of their text."""
    window, text = (each.tolist() for each in np.divmod(present, len(texts)))
    return tuple(zip(map(starts.__getitem__, window), map(texts.__getitem__, text), strict=True))


def truths_of(beside: Beside, by: ScoredBy) -> KnownTruths:
    """What the labels of one version's answers say, as far as they are of the kind that it answers."""
    labelled = np.flatnonzero(beside.labels.is_valid().to_numpy(zero_copy_only=False))
    labels, scores = beside.labels.take(pa.array(labelled)), beside.scores[labelled]
    if by.of_classes:
        return _of_classes(beside, labels, labelled)
    numbers = _numbers(labels) if by.kind == "regression" else truths_by_class(labels, by.positive)
    usable = np.isfinite(numbers)
    if by.kind == "regression":
        usable &= (np.abs(numbers) <= GREATEST) & (np.abs(scores) <= GREATEST)
    own, truth, score = labelled[usable], numbers[usable], scores[usable]
    none = np.zeros(len(own), np.bool_)
    if by.kind == "regression":
        return KnownTruths(own, _regression_terms(score, truth), none, none, labelled[~usable])
    positive = truth > 0
    loss, brier = _log_loss(score, positive), (score - truth) ** 2
    right = none if by.threshold is None else (score >= by.threshold) == positive
    return KnownTruths(own, [loss, loss**2, brier, brier**2], positive, right, labelled[~usable])


def _regression_terms(score: Floats, truth: Floats) -> list[Floats]:
    error = score - truth
    squares, truths = error**2, truth**2
    return [np.abs(error), squares, squares**2, truth, truths, truths * truth, truths**2, squares * truth,
            squares * truths]  # fmt: skip


def _of_classes(beside: Beside, labels: pa.Array, labelled: Ints) -> KnownTruths:
    """By the label that the model decides on, else by the number of the class."""
    if pa.types.is_string(labels.type):
        decided = (
            beside.decided.take(pa.array(labelled))
            if beside.decided is not None
            else pa.nulls(len(labels), labels.type)
        )
        right = pc.fill_null(pc.equal(decided, labels), False).to_numpy(zero_copy_only=False)
    else:
        right = beside.scores[labelled] == labels.cast(pa.float64()).to_numpy(zero_copy_only=False)
    wrong = (~right).astype(np.float64)
    return KnownTruths(labelled, [wrong, wrong], np.zeros(len(right), np.bool_), right, np.zeros(0, np.int64))


def _numbers(labels: pa.Array) -> Floats:
    if pa.types.is_floating(labels.type) or pa.types.is_integer(labels.type):
        found: Floats = labels.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return found
    return np.full(len(labels), np.nan)


class _Rows(NamedTuple):
    """Of the labelled rows with a truth: these, in which part of the window each is, the limbs of the terms; and of
    probabilities the bin, the limbs, the keys and their order of the scores, without any for other answers."""

    truths: KnownTruths
    span: Ints
    terms: GroupTerms
    bin: Ints
    scores: GroupTerms
    keys: Ints
    order: Ints


def _rows(beside: Beside, by: ScoredBy, truths: KnownTruths, window_us: int) -> _Rows:
    span = beside.times_us[truths.rows] % window_us * SPANS // window_us
    probability = by.kind != "regression" and not by.of_classes
    scores = beside.scores[truths.rows] if probability else np.zeros(0)
    bins, keys = np.clip((scores * BINS).astype(np.int64), 0, BINS - 1), score_keys(scores)
    return _Rows(truths, span, GroupTerms(truths.terms), bins, GroupTerms([scores]), keys, in_order(keys))


def _grouped(
    beside: Beside, by: ScoredBy, rows: _Rows, of_row: Ints, starts: Sequence[int], texts: Sequence[str]
) -> GroupSums:
    present, group = distinct(of_row)
    groups, truths = len(present), rows.truths
    own = group[truths.rows]
    cells = RowCells(own * SPANS + rows.span)
    sums = rows.terms.sums(cells.of_row, len(cells.found))
    members = own[: len(rows.bin)]
    bins, positive = members * BINS + rows.bin, truths.positive[: len(rows.bin)]
    in_bin = [np.bincount(each, minlength=groups * BINS) for each in (bins, bins[positive])]
    return GroupSums(
        group_names(present, starts, texts),
        _counts(beside, by, truths, group, groups),
        added([(sums, cells.found // SPANS)], groups, len(truths.terms)),
        np.bincount(own * SPANS + rows.span, minlength=groups * SPANS).reshape(groups, SPANS),
        added([(ExactSums(sums.low, sums.digits[:, :1]), cells.found)], groups * SPANS, 1),
        np.stack(in_bin, axis=1).reshape(groups, BINS, 2),
        rows.scores.sums(bins, groups * BINS),
        _table(rows, group, groups),
    )


class RowCells:
    """Rows by their cells: those that occur, ascending, and of each row the index of its own among these."""

    def __init__(self, cell: Ints) -> None:
        self.found, self.of_row = distinct(cell)

    def counted(self, only: npt.NDArray[np.bool_] | None = None) -> Ints:
        """How many rows each cell of `found` has."""
        return np.bincount(self.of_row if only is None else self.of_row[only], minlength=len(self.found))


def _counts(beside: Beside, by: ScoredBy, truths: KnownTruths, group: Ints, groups: int) -> Ints:
    own, none = group[truths.rows], np.zeros(0, np.int64)
    decided = beside.scores >= by.threshold if by.threshold is not None else np.zeros(len(group), np.bool_)
    positive_decision = decided[truths.rows]
    members = {
        EVENTS: group,
        LABELLED: own,
        UNUSABLE: group[truths.unusable],
        POSITIVES: own[truths.positive],
        RIGHT_POSITIVES: own[truths.positive & positive_decision],
        WRONG_POSITIVES: own[~truths.positive & positive_decision],
        DECIDED: group[decided],
        RIGHT: own[truths.right],
    }
    return np.stack([np.bincount(members.get(name, none), minlength=groups) for name in range(COUNTS)], axis=1)


def groups_of(parts: Sequence[tuple[Group, ...]]) -> tuple[list[Group], list[Ints]]:
    """The groups of several parts together, in order, and of each part the index of each of its groups among them."""
    every = sorted({group for part in parts for group in part})
    kept = dict(zip(every, limited_groups(every), strict=True))
    groups = sorted(set(kept.values()))
    at = {group: index for index, group in enumerate(groups)}
    return groups, [np.array([at[kept[group]] for group in part], np.int64) for part in parts]


def added_sums(parts: Sequence[GroupSums]) -> GroupSums:
    """Several sums of one version and role as one; at least one."""
    if len(parts) == 1 and list(parts[0].groups) == sorted(parts[0].groups):
        return parts[0]
    groups, rows = groups_of([part.groups for part in parts])
    number, quantities = len(groups), parts[0].sums.digits.shape[1]

    def total(field: str) -> Ints:
        first = getattr(parts[0], field)
        found = np.zeros((number, *first.shape[1:]), np.int64)
        for part, own in zip(parts, rows, strict=True):
            add_at(np.moveaxis(found, 0, -1), own, np.moveaxis(getattr(part, field), 0, -1))
        return found

    def within(field: str, cells: int) -> ExactSums:
        each = [(own[:, None] * cells + np.arange(cells)).ravel() for own in rows]
        pieces = [(getattr(part, field), own) for part, own in zip(parts, each, strict=True)]
        return added(pieces, number * cells, 1)

    sums = added([(part.sums, own) for part, own in zip(parts, rows, strict=True)], number, quantities)
    table = merged([(part.table, own) for part, own in zip(parts, rows, strict=True)], number)
    return GroupSums(tuple(groups), total("counts"), sums, total("in_span"), within("losses", SPANS), total("in_bin"),
                     within("in_bins", BINS), table)  # fmt: skip
