"""What the records of quality say of a step: `promote`, `hold` or `stop`, with the evidence as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gates.betting import OutOfBounds
from gates.intervals import DifferenceInterval, PlannedLook, interval_of, planned_looks
from gates.lacking import has_one_class, why_no_records, why_unmeasured
from gates.policy import Guarded, Policy, PolicyStep
from gates.records import QualityRow
from gates.stages import NOTHING_KNOWN, KnownBefore, role_of
from gates.step_records import StepRecords
from gates.windows import (
    CHAMPION,
    UNLABELLED,
    WindowDifference,
    named_as,
    pool,
    window_differences,
)
from schemas.times import format_duration_us, format_time_us

PROMOTE, HOLD, STOP = "promote", "hold", "stop"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What is to happen, the reason (a fixed word) and why in words, and the numbers that it rests on.

    Reasons: of `promote` and `stop` the metric that decided, `maximum`, or `begin`; of `hold` `over, cannot_begin,
    unusable, bounds, labels, one_class, unmeasured, waits, undecided, maximum, paused, approval, pause, resume,
    not_paused, meanwhile`.
    """

    action: str
    reason: str
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class StepServed(NamedTuple):
    """What serves: the champion that the version is compared with, since when the rollout and its step serve
    (microseconds of event time), and the step; `known`: what the step before of the same role has measured."""

    champion: str
    began_us: int
    step_began_us: int
    step: PolicyStep
    known: KnownBefore = NOTHING_KNOWN

    @property
    def records(self) -> StepRecords:
        """Only what the version does in the role of the step counts for leaving it."""
        return StepRecords(role_of(self.step), self.step_began_us, *self.known)


class _Counted(NamedTuple):
    """A metric with the windows that count, those of them in which the version served as this step says, those whose
    labels are awaited or never came, and the interval. `lacks`: why no window of the step measures it; empty if one
    does. `recorded`: whether a record of the version has it; `one_class`: whether the labels of all windows are of one
    class, so that they say nothing."""

    guarded: Guarded
    windows: Sequence[WindowDifference]
    of_step: Sequence[WindowDifference]
    uncovered: Sequence[WindowDifference]
    interval: DifferenceInterval | None
    lacks: str
    recorded: bool
    one_class: bool


def judge(policy: Policy, served: StepServed, rows: Sequence[QualityRow]) -> GateVerdict:
    """The verdict on a version that a rollout serves, from the records since it began.

    `stop` comes first: no minimum, pause or missing label delays it. Pure: equal records give equal verdicts.
    """
    since = [row for row in rows if row.window_start >= served.began_us]
    now_us = max((row.window_end for row in since if row.version == policy.version), default=served.began_us)
    none = why_no_records(rows, policy.version, served.records)
    try:
        counted = [_count(policy, served, since, each, none) for each in (policy.metric, *policy.guardrails)]
    except OutOfBounds as error:
        return GateVerdict(HOLD, "bounds", f"the bounds of the policy are not those of the records: {error}")
    evidence = _evidence(policy, served, counted, now_us)
    for each in counted:
        if _is_worse(policy, each) and not each.one_class:
            return GateVerdict(STOP, each.guarded.metric, _why_stopped(policy, each), evidence)
    of_step = served.records.of(since, policy.version)
    served_us = max((row.window_end for row in of_step), default=served.step_began_us) - served.step_began_us
    return replace(_judged(policy, served, counted, now_us, served_us), evidence=evidence)


def _count(policy: Policy, served: StepServed, rows: Sequence[QualityRow], guarded: Guarded, none: str) -> _Counted:
    """`none`: why there is no record of this step at all; empty if there is one."""
    version, champion, step = policy.version, served.champion, served.records
    windows = window_differences(rows, guarded.metric, guarded.sign, version, champion, step.role, step.since_us)
    covered = [each for each in windows if each.coverage >= policy.coverage]
    uncovered = [each for each in windows if each.coverage < policy.coverage]
    of_step = [each for each in covered if step.has(each, each.start_us, each.end_us)]
    lacks = "" if of_step else none
    if not (of_step or none):
        sides = step.of(rows, version) + step.beside(rows, champion, CHAMPION)
        awaited = any(step.has(each, each.start_us, each.end_us) for each in uncovered)
        few = f"no window of this step has labels of {policy.coverage:g} of its events yet"
        lacks = few if awaited else why_unmeasured(sides, guarded.metric, version, champion)
    one_class = guarded.metric not in UNLABELLED and has_one_class(rows, version, covered)
    recorded = any(row.version == version and row.metric in named_as(guarded.metric) for row in rows)
    interval = interval_of(policy, covered, policy.rate_of_each)
    return _Counted(guarded, covered, of_step, uncovered, interval, lacks, recorded, one_class)


def _is_worse(policy: Policy, counted: _Counted) -> bool:
    interval = counted.interval
    if interval is None or interval.pooled.worth < policy.least_n_of_stop:
        return False
    return interval.low > counted.guarded.margin


def _judged(
    policy: Policy, served: StepServed, all_counted: Sequence[_Counted], now_us: int, served_us: int
) -> GateVerdict:
    """`served_us`: how long the step has served, as its records show."""
    step, counted = served.step, all_counted[0]
    silent = _labels_stopped(policy, counted, served.began_us, now_us)
    if silent:
        return GateVerdict(HOLD, "labels", silent)
    if counted.one_class:
        return GateVerdict(HOLD, "one_class", _why_one_class(counted))
    waits = _too_early(step, _of_step(policy, counted), served_us, counted)
    enough = _maximum(policy, counted, now_us - served.began_us)
    unmeasured = _unmeasured(all_counted)
    if not waits and not unmeasured and _is_good(policy, counted, step.margin):
        return GateVerdict(
            PROMOTE, counted.guarded.metric, f"the difference is below {step.margin:g}: {_shown(policy, counted)}"
        )
    if enough and not ((unmeasured or waits) and policy.at_most == PROMOTE):
        return GateVerdict(policy.at_most, "maximum", f"{enough}, and nothing is decided: {_shown(policy, counted)}")
    if waits and (served_us <= 0 or counted.recorded):
        return GateVerdict(HOLD, "waits", waits)
    if unmeasured:
        return GateVerdict(HOLD, "unmeasured", unmeasured)
    return GateVerdict(HOLD, "undecided", f"not decided yet: {_shown(policy, counted)}")


def _unmeasured(all_counted: Sequence[_Counted]) -> str:
    """Which metrics no window of the step measures, and why; a version is not promoted past them."""
    said = [f"{each.guarded.metric} is not measured in this step: {each.lacks}" for each in all_counted if each.lacks]
    return "; ".join(said)


def _why_one_class(counted: _Counted) -> str:
    since, until = format_time_us(counted.windows[0].start_us), format_time_us(counted.windows[-1].end_us)
    found = f"all labels from {since} to {until} are of one class, of which {counted.guarded.metric} says nothing"
    return f"{found}; expected: labels of both; next: see whether labels.positive of the job is right"


def _labels_stopped(policy: Policy, counted: _Counted, began_us: int, now_us: int) -> str:
    """Why no later window counts, where its labels should be there by now."""
    if counted.guarded.metric in UNLABELLED or not counted.recorded:
        return ""
    last_us = max((each.end_us for each in counted.windows), default=began_us)
    if now_us - policy.wait_us <= last_us:
        return ""
    late = [each for each in counted.uncovered if last_us < each.end_us <= now_us - policy.wait_us]
    found = f"the label coverage of {late[-1].coverage:.2g}" if late else "no labels"
    until = f"labels have stopped coming: since {format_time_us(last_us)} windows that ended"
    return f"{until} {format_duration_us(policy.wait_us)} ago or more have {found}; expected: {policy.coverage:g}"


def _of_step(policy: Policy, counted: _Counted) -> tuple[int, float]:
    """The labelled events of the step, and what they are worth."""
    pooled = pool(counted.of_step, policy.recurring)
    return sum(each.n for each in counted.of_step), pooled.worth if pooled else 0.0


def _too_early(step: PolicyStep, found: tuple[int, float], served_us: int, counted: _Counted) -> str:
    """Why the step may not be left yet. Dependent events count for what they are worth: few clusters show neither what
    is to be expected nor how much it varies."""
    n, worth = found
    what = "events" if counted.guarded.metric in UNLABELLED else "labelled events"
    if worth < step.least_n:
        until = f"; the last of them before {format_time_us(counted.of_step[-1].end_us)}" if counted.of_step else ""
        depend = f" ({n}, which depend on each other)" if worth < 0.9 * n else ""
        return f"{worth:.0f} of {step.least_n} {what} in this step{depend}{until or f'; {counted.lacks}'}"
    if served_us < step.least_us:
        served = f"{format_duration_us(max(served_us, 0))} of {format_duration_us(step.least_us)}"
        return f"this step has served {served}"
    return ""


def _maximum(policy: Policy, counted: _Counted, served_us: int) -> str:
    n = sum(each.n for each in counted.windows)
    if policy.most_n is not None and n >= policy.most_n:
        return f"the maximum of {policy.most_n} events is reached"
    if policy.most_us is not None and served_us >= policy.most_us:
        return f"the maximum of {format_duration_us(policy.most_us)} is reached"
    return ""


def _is_good(policy: Policy, counted: _Counted, margin: float) -> bool:
    if counted.interval is None:
        return False
    if policy.looks is None:
        return counted.interval.high < margin
    return any(look.statistic >= look.bound for look in _looks(policy, counted, margin))


def _looks(policy: Policy, counted: _Counted, margin: float) -> list[PlannedLook]:
    return planned_looks(policy, counted.windows, margin, policy.rate_of_each / 2)


def _shown(policy: Policy, counted: _Counted) -> str:
    if counted.interval is None:
        return f"no window compares {counted.guarded.metric} yet"
    low, high, pooled = counted.interval
    held = f"{counted.guarded.metric} {pooled.value:+.4g} ({low:+.4g} to {high:+.4g}, n {pooled.n})"
    return held if policy.looks is None else f"{held}, by {policy.looks} planned looks"


def _why_stopped(policy: Policy, counted: _Counted) -> str:
    return f"worse than the champion by more than {counted.guarded.margin:g}: {_shown(policy, counted)}"


def _evidence(policy: Policy, served: StepServed, counted: Sequence[_Counted], now_us: int) -> dict[str, Any]:
    first = counted[0]
    covered = [each for each in (*first.windows, *first.uncovered) if each.events]
    events = sum(each.events for each in covered)
    coverage = sum(each.coverage * each.events for each in covered) / events if events else None
    of_step = _of_step(policy, first)
    said = {
        **_numbers(policy, first),
        "champion": served.champion,
        "share": served.step.share,
        "promote_margin": served.step.margin,
        "n_effective_of_step": of_step[1],
        "label_coverage": coverage,
        "events": events,
        "until": format_time_us(now_us),
        "method": policy.method,
        "error_rate": policy.rate_of_each,
        "guardrails": [_numbers(policy, each) for each in counted[1:]],
    }
    if policy.looks is not None:
        said["looks"] = [look._asdict() for look in _looks(policy, first, served.step.margin)]
    return said


def _numbers(policy: Policy, counted: _Counted) -> dict[str, Any]:
    """The numbers of a metric; its value is more than 0 where the version is worse."""
    stated = {"metric": counted.guarded.metric, "stop_margin": counted.guarded.margin}
    stated |= {"n_of_step": sum(each.n for each in counted.of_step), "unmeasured": counted.lacks or None}
    if counted.interval is None:
        return {**stated, "value": None, "low": None, "high": None, "n": 0, "n_effective": None, "windows": 0}
    low, high, pooled = counted.interval
    return {
        **stated,
        **{"value": pooled.value, "low": low, "high": high, "n": pooled.n, "n_effective": pooled.worth},
        **{"windows": pooled.windows, "first_window": format_time_us(pooled.first_us)},
        "last_window_end": format_time_us(pooled.last_us),
    }
