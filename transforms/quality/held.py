"""One shard of answers and labels over time, without Beam: what is held, which panes are due, and what is dropped.

The watermark is known only through `reached`. Answers are held until the last pane of their window; labels as long as
an answer that is in time may still come for them, or one that is held has them. Of answers that were dropped is known
for one more horizon that they were there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas import batches
from schemas.records import DeadLetter
from transforms.labels.label_join import LABEL_OF, LABEL_TIME, JoinedLabels, labels_table
from transforms.quality.answers import ErrorsBy, ScoredBy, Whose
from transforms.quality.joining import (
    Answers,
    LabelledAnswers,
    answered_at,
    beyond_horizon,
    by_version,
    in_windows,
    known_by,
    labelled_answers,
)
from transforms.quality.let_go import LetGo, late_labels, let_go, still_known
from transforms.quality.pairing import pairs_of
from transforms.quality.panes import Schedule
from transforms.quality.protected import FairnessRules
from transforms.quality.sums.error_sums import sums_of_errors
from transforms.quality.sums.fair_sums import sums_with_fairness
from transforms.quality.sums.group_sums import Beside, sums_of
from transforms.quality.sums.pair_sums import sums_of_pairs
from transforms.quality.sums.sums_coder import AnySums

_NEVER_US = 2**62


class Also(NamedTuple):
    """What the panes of a job have beside quality: those of errors, which detectors of changes read; and what is
    compared between groups of people."""

    errors: bool = False
    fairness: FairnessRules | None = None


ALONE = Also()


@dataclass(slots=True)
class HeldShard:
    """State of one shard; `panes`: by the start of a window, the next pane that is due of it; `let_go`: the answers
    that are no longer held."""

    answers: list[pa.RecordBatch] = field(default_factory=list)
    labels: list[pa.RecordBatch] = field(default_factory=list)
    panes: dict[int, int] = field(default_factory=dict)
    let_go: list[LetGo] = field(default_factory=list)


class WindowPane(NamedTuple):
    """A pane of a window, of one version in one role, of a pair or of errors, of one shard."""

    by: Whose
    start_us: int
    pane: int
    sums: AnySums


class Reached(NamedTuple):
    """What a step of the watermark brings: panes; of windows that are over what the join of their events counted, and
    dead letters; and how many labels were dropped that no event had."""

    panes: list[WindowPane]
    joined: list[JoinedLabels]
    letters: list[DeadLetter]
    without_event: int
    repeated: int


def in_time(rows: pa.RecordBatch, held: HeldShard, schedule: Schedule, known_us: int) -> pa.RecordBatch:
    """The answers whose windows have had no pane yet; the windows of these are held from now on."""
    starts = schedule.window_of(batches.times_us(rows))
    late = [
        start for start in np.unique(starts).tolist()
        if held.panes.get(start, 0) or (start not in held.panes and schedule.closes_us(start) <= known_us)
    ]  # fmt: skip
    kept = batches.take_rows(rows, ~np.isin(starts, late)) if late else rows
    for start in np.unique(starts).tolist():
        if start not in late:
            held.panes.setdefault(start, 0)
    return kept


def next_due_us(held: HeldShard, schedule: Schedule) -> int:
    """When the next pane is due, or where none is, when something is no longer known; 2^62 where nothing is."""
    due = [schedule.due_us(start, pane) for start, pane in held.panes.items()]
    return min(due or [each.until_us for each in held.let_go], default=_NEVER_US)


def expires_us(labels: pa.RecordBatch, schedule: Schedule, known_us: int) -> int:
    """When labels are to be looked through for those that no answer can have any more; 2^62 where there are none.
    Labels that came so late that no answer can be in time for them wait a window longer: an answer that is held may
    have them, and each look reads all that is held."""
    times = schedule.window_of(batches.times_us(labels, LABEL_TIME)) + schedule.window_us + schedule.lateness_us
    later = times[times > known_us]
    return int(later.min()) if len(later) else known_us + schedule.window_us if len(times) else _NEVER_US


def reached(
    held: HeldShard, schedule: Schedule, kind: pa.DataType, reached_us: int, at_us: int, also: Also = ALONE
) -> Reached:
    """Brings a shard to a watermark. `kind`: the type of labels; `at_us`: the clock, for dead letters; `also`: what
    panes have beside quality."""
    answers, labels = by_version(held.answers), labels_table(held.labels, kind)
    found = Reached([], [], [], 0, 0)
    for due_us in _due_times(held, schedule, reached_us):
        found = _added(found, _at(held, answers, labels, schedule, due_us, at_us, also))
    over = [start for start, pane in held.panes.items() if pane >= schedule.panes]
    known = answered_at(answers, labels[LABEL_OF].combine_chunks()) if labels.num_rows else np.zeros(0, np.int64)
    late = late_labels(held.let_go, labels, known, schedule, at_us)
    kept = _kept_labels(labels, known, over, schedule, reached_us) & ~late.which
    without_event = int(np.count_nonzero(~kept & ~late.which & (known == -_NEVER_US)))
    found = found._replace(without_event=without_event, letters=found.letters + late.letters)
    held.let_go = [*still_known(held.let_go, reached_us), *let_go(answers, over, schedule)]
    held.panes = {start: pane for start, pane in held.panes.items() if pane < schedule.panes}
    held.answers = (
        list(in_windows(answers, list(held.panes), schedule.window_us).values()) if over else list(answers.values())
    )
    held.labels = labels.filter(pa.array(kept)).combine_chunks().to_batches() if len(kept) else []
    return found


def _due_times(held: HeldShard, schedule: Schedule, reached_us: int) -> list[int]:
    times = {
        schedule.due_us(start, pane)
        for start, first in held.panes.items()
        for pane in schedule.panes_due(start, reached_us, first)
    }
    return sorted(times)


def _at(
    held: HeldShard, answers: Answers, labels: pa.Table, schedule: Schedule, due_us: int, at_us: int, also: Also
) -> Reached:
    """The panes that are due at a time, by the labels known then."""
    left = {start: pane for start, pane in held.panes.items() if pane < schedule.panes}
    due = {start: pane for start, pane in left.items() if schedule.due_us(start, pane) <= due_us}
    own = in_windows(answers, list(due), schedule.window_us)
    known = known_by(labels, due_us)
    joined = labelled_answers(own, known, schedule.horizon_us)
    panes = [
        WindowPane(by, start, due[start], sums)
        for by, whole in _all_sums(joined, schedule, also)
        for start, sums in by_window(whole)
    ]
    held.panes |= {start: pane + 1 for start, pane in due.items()}
    over = [start for start, pane in due.items() if pane == schedule.panes - 1]
    if not over or schedule.horizon_us is None:
        return Reached(panes, [], [], 0, 0)
    last = in_windows(answers, over, schedule.window_us)
    counted = labelled_answers(last, known, schedule.horizon_us)
    letters = beyond_horizon(last, labels, schedule.horizon_us, at_us)
    return Reached(panes, [counted.joined], letters, 0, counted.repeated)


def _all_sums(found: LabelledAnswers, schedule: Schedule, also: Also) -> Iterator[tuple[Whose, AnySums]]:
    """Without labels, of pairs alone."""
    for by, beside in found.beside.items() if schedule.horizon_us is not None else ():
        yield sums_by(beside, by, schedule.window_us, also.fairness)
        if also.errors:
            yield ErrorsBy(by), sums_of_errors(beside, by, schedule.window_us)
    for pair, paired in pairs_of(found):
        yield pair, sums_of_pairs(paired, pair, schedule.window_us)


def sums_by(beside: Beside, by: ScoredBy, window_us: int, fairness: FairnessRules | None) -> tuple[Whose, AnySums]:
    """The sums of one version's answers, at least one row, with those of fairness where that is measured."""
    if fairness is None or not beside.protected:
        return by, sums_of(beside, by, window_us)
    own = fairness.of(by)
    return own, sums_with_fairness(beside, own, window_us)


def by_window(sums: AnySums) -> list[tuple[int, AnySums]]:
    """The sums of each window apart."""
    starts = sorted({start for start, _ in sums.groups})
    return [
        (start, sums.chosen([index for index, (own, _) in enumerate(sums.groups) if own == start])) for start in starts
    ]


def _kept_labels(
    labels: pa.Table, known: np.ndarray, over: Sequence[int], schedule: Schedule, reached_us: int
) -> np.ndarray:
    """Which labels are still needed: an answer that is held has them, or one that is in time may come for them."""
    if not labels.num_rows:
        return np.zeros(0, np.bool_)
    times = labels[LABEL_TIME].combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
    closes = schedule.window_of(times) + schedule.window_us + schedule.lateness_us
    answered = known > -_NEVER_US
    is_over = answered & np.isin(schedule.window_of(known), over)
    return np.where(answered, ~is_over, closes > reached_us)


def _added(one: Reached, other: Reached) -> Reached:
    return Reached(
        one.panes + other.panes,
        one.joined + other.joined,
        one.letters + other.letters,
        one.without_event + other.without_event,
        one.repeated + other.repeated,
    )
