"""Whether a retraining pays, as the records say: `retrain`, `look` or `wait`, with all that led to it. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gates.records import QualityRow
from gates.retraining.changes import LevelWindow, level_changes
from gates.retraining.drifts import DriftWindow
from gates.retraining.losses import (
    LossWindow,
    LossWindows,
    WornBy,
    events_per_day,
    fresh_loss,
    loss_windows,
    worn_by,
)
from gates.retraining.policy import RetrainingPolicy
from gates.retraining.seen_changes import DetectedStarts, detected_starts
from gates.retraining.waiting import LossOfWaiting, TrainingSpan, loss_of_waiting, training_span
from schemas.times import format_duration_us

RETRAIN, LOOK, WAIT = "retrain", "look", "wait"
DRIFT = "drift"
"""The reason of an advice that rests on drift alone."""


class Lacking(NamedTuple):
    """What is not there, and which setting would give it."""

    what: str
    setting: str


WINDOWS = "windows"
"""What dates changes where no detector of the job does: the means of windows."""


class LossStretches(NamedTuple):
    """The windows since the last change of the loss, those between it and the change before, and how many changes
    there were; `rises`: whether the loss rose in the last one, None without any; `by`: what dated them, `windows`
    or the name of a detector."""

    now: list[LossWindow]
    before: list[LossWindow]
    changes: int
    rises: bool | None
    by: str = WINDOWS


@dataclass(frozen=True, slots=True)
class RetrainingAdvice:
    """What is to be done about a version, a fixed word for the reason, the same for people, and the evidence."""

    model: str
    version: str
    digest: str | None
    verdict: str
    reason: str
    why: str
    policy: RetrainingPolicy
    lacking: tuple[Lacking, ...] = ()
    stretches: LossStretches | None = None
    worn: WornBy | None = None
    waiting: LossOfWaiting | None = None
    data: TrainingSpan | None = None
    drifted: tuple[DriftWindow, ...] = ()

    @property
    def id(self) -> str:
        """16 hex digits of version, policy and the windows that led to it: equal evidence has the same advice."""
        windows = [] if self.stretches is None else [*self.stretches.before, *self.stretches.now]
        stated = {
            "about": [self.model, self.version, self.digest, self.policy.id, self.verdict, self.reason],
            "windows": [[each.start_us, each.end_us, each.pane, each.n, each.value] for each in windows],
            "drifted": [[*each[:3], [column.column for column in each.columns]] for each in self.drifted],
        }
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def windows_us(self) -> tuple[tuple[int, int], ...]:
        """Start and end of the windows that led to it, in order: those that drifted, or those of the loss."""
        windows: Sequence[LossWindow | DriftWindow] = self.drifted
        if self.reason != DRIFT and self.stretches is not None:
            windows = self.stretches.now
        return tuple((each.start_us, each.end_us) for each in windows)


def advise(
    policy: RetrainingPolicy,
    about: tuple[str, str, str | None],
    rows: Sequence[QualityRow],
    drift: Sequence[DriftWindow],
    lacking: Sequence[Lacking] = (),
) -> RetrainingAdvice:
    """What the records say now. The same records give the same advice.

    Args:
        policy: of the job.
        about: model, version and the digest of its manifest.
        rows: the records of quality of the model.
        drift: its windows of drift.
        lacking: what the job's settings do not give.
    """
    model, version, digest = about
    found = loss_windows(rows, policy, version)
    drifted = _recently_drifted(policy, drift, version, found.counted)
    start = RetrainingAdvice(model, version, digest, WAIT, "", "", policy, tuple(lacking), drifted=drifted)
    if not found.counted:
        return _without_losses(start, found, rows)
    stretches = _stretches(found.counted, detected_starts(rows, version, policy.metric, found.counted))
    start = replace(start, stretches=stretches)
    fresh = fresh_loss(policy, stretches.now, stretches.before)
    if fresh is None:
        what = f"what {policy.metric} a fresh model has: its manifest states none, and no change was seen"
        setting = f"models publish --quality {policy.metric}=…, or retraining.reference"
        return _look_or_wait(_lacks(start, what, setting), "no_reference", "there is nothing to compare the loss with")
    worn = worn_by(policy, stretches.now, fresh, stretches.changes + 1)
    if worn is None:
        return _look_or_wait(start, "no_variance", "the windows do not say how much their loss varies")
    start = replace(start, worn=worn)
    if worn.low <= 0:
        return _look_or_wait(start, "not_worn", f"{_worn_text(start, worn)}: not shown to be worse")
    return _worn(start, worn, stretches)


def _recently_drifted(
    policy: RetrainingPolicy, drift: Sequence[DriftWindow], version: str, counted: Sequence[LossWindow]
) -> tuple[DriftWindow, ...]:
    """The windows that drifted lately and are later than those whose labels say what it cost."""
    last = max((each.end_us for each in drift), default=0)
    since = max(last - policy.recent_us, counted[-1].end_us if counted else 0)
    return tuple(each for each in drift if each.version == version and each.columns and each.start_us >= since)


def _without_losses(start: RetrainingAdvice, found: LossWindows, rows: Sequence[QualityRow]) -> RetrainingAdvice:
    metric, others = start.policy.metric, sorted({each.version for each in rows} - {start.version})
    if found.awaiting:
        what = f"labels of {start.policy.coverage:.0%} of the events of a window: {found.awaiting} windows have fewer"
        lacks = _lacks(start, what, "retraining.coverage, or wait until they have come")
        return _look_or_wait(lacks, "no_labels", "no window has enough labels yet")
    if found.without:
        what = f"a value of {metric}: {found.without} windows have none ({found.why or 'no reason is given'})"
        return _look_or_wait(_lacks(start, what, "labels"), "no_labels", "no window has a loss")
    if rows:
        there = f"records are of {', '.join(others)}" if others else f"there are others, none of {metric} as champion"
        lacks = _lacks(start, f"{metric} of {start.version} as champion: {there}", "retraining.metric, --version")
        return _look_or_wait(lacks, "no_records", "nothing measured the version's loss")
    lacks = start if start.lacking else _lacks(start, "records of quality: no run has written any", "a run with labels")
    return _look_or_wait(lacks, "no_records", "nothing measured the version's loss")


def _stretches(windows: list[LossWindow], detected: DetectedStarts | None) -> LossStretches:
    """By the detectors that read every label, where the job has them; else by the means of windows."""
    if detected is not None:
        starts = [0, *detected.starts]
        before = windows[starts[-2] : starts[-1]] if detected.starts else []
        return LossStretches(windows[starts[-1] :], before, len(detected.starts), detected.rises, detected.detector)
    changes = level_changes([LevelWindow(each.value, each.variance) for each in windows])
    starts = [0, *(each.begins for each in changes)]
    before = windows[starts[-2] : starts[-1]] if changes else []
    return LossStretches(windows[starts[-1] :], before, len(changes), changes[-1].rises if changes else None)


def _worn(start: RetrainingAdvice, worn: WornBy, stretches: LossStretches) -> RetrainingAdvice:
    """It has worn: whether a retraining pays."""
    policy, said = start.policy, f"{_worn_text(start, worn)}"
    waiting = loss_of_waiting(policy, worn, events_per_day(stretches.now))
    data = training_span(policy, stretches.now, None if waiting is None else waiting.within[1])
    start = replace(start, waiting=waiting, data=data)
    if policy.price is None:
        start = _lacks(start, "what a retraining costs", "retraining.price")
    if policy.value is None:
        start = _lacks(start, "what a unit of loss is worth", "retraining.value")
    if policy.price is None or waiting is None:
        return replace(start, verdict=LOOK, reason="no_price", why=f"{said}; whether a retraining pays is not known")
    days = format_duration_us(policy.pays_us)
    unit = f" {policy.unit}" if policy.unit else ""
    value, low, high = waiting.within
    priced = f"waiting {days} loses {amount(value)}{unit} ({amount(low)} to {amount(high)}), "
    priced += f"a retraining costs {amount(data.price)}"
    if data.n < policy.least_n:
        why = f"{said}, but since then only {data.n} events have labels, of {policy.least_n} that a training needs"
        return replace(start, reason="little_data", why=why)
    if low >= data.price:
        return replace(start, verdict=RETRAIN, reason="pays", why=f"{said}; {priced}")
    reason = "undecided" if high >= data.price else "does_not_pay"
    return replace(start, reason=reason, why=f"{said}; {priced}: not shown to pay")


def amount(value: float) -> str:
    """A sum of money or a number of events, for people: four digits, and from a thousand on whole.

    >>> amount(10482.7), amount(-1234.5), amount(349.31), amount(0.012345)
    ('10,483', '-1,234', '349.3', '0.01235')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _worn_text(start: RetrainingAdvice, worn: WornBy) -> str:
    known = f"{worn.fresh.value:.4g} ({worn.fresh.kind})"
    between = f"{worn.value:+.4g} ({worn.low:+.4g} to {worn.high:+.4g})"
    return f"{start.policy.metric} is {worn.now.value:.4g} in {worn.now.windows} windows, fresh {known}: {between}"


def _look_or_wait(start: RetrainingAdvice, reason: str, why: str) -> RetrainingAdvice:
    """Drift alone says that something moved, not that it costs anything: one may look, and no price is said."""
    if not start.drifted:
        return replace(start, reason=reason, why=why)
    columns = dict.fromkeys(column.column for window in start.drifted for column in window.columns)
    named = ", ".join(list(columns)[:3])
    windows = f"{len(start.drifted)} window{'' if len(start.drifted) == 1 else 's'}"
    said = f"{windows} drifted ({named}) whose labels are not there; {why}"
    return replace(start, verdict=LOOK, reason=DRIFT, why=said)


def _lacks(start: RetrainingAdvice, what: str, setting: str) -> RetrainingAdvice:
    return replace(start, lacking=(*start.lacking, Lacking(what, setting)))
