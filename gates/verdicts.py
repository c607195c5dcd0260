"""What the records of quality say of a step: `promote`, `hold` or `stop`, with the evidence as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gates.betting import OutOfBounds
from gates.intervals import DifferenceInterval, PlannedLook, interval_of, planned_looks
from gates.policy import Guarded, Policy, PolicyStep
from gates.records import QualityRow
from gates.windows import UNLABELLED, WindowDifference, pool, window_differences
from schemas.times import format_duration_us, format_time_us

PROMOTE, HOLD, STOP = "promote", "hold", "stop"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What is to happen, the reason (a fixed word) and why in words, and the numbers that it rests on.

    Reasons: of `promote` and `stop` the metric that decided, `maximum`, or `begin`; of `hold` `over, cannot_begin,
    unusable, bounds, labels, waits, undecided, maximum, paused, approval, pause, resume`.
    """

    action: str
    reason: str
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class StepServed(NamedTuple):
    """What serves: the champion that the version is compared with, since when the rollout and its step serve
    (microseconds of event time), and the step."""

    champion: str
    began_us: int
    step_began_us: int
    step: PolicyStep


class _Counted(NamedTuple):
    """A metric with the windows that count, those whose labels are awaited or never came, and the interval."""

    guarded: Guarded
    windows: Sequence[WindowDifference]
    uncovered: Sequence[WindowDifference]
    interval: DifferenceInterval | None


def judge(policy: Policy, served: StepServed, rows: Sequence[QualityRow]) -> GateVerdict:
    """The verdict on a version that a rollout serves, from the records since it began.

    `stop` comes first: no minimum, pause or missing label delays it. Pure: equal records give equal verdicts.
    """
    since = [row for row in rows if row.window_start >= served.began_us]
    now_us = max((row.window_end for row in since if row.version == policy.version), default=served.began_us)
    try:
        counted = [_count(policy, served, since, each) for each in (policy.metric, *policy.guardrails)]
    except OutOfBounds as error:
        return GateVerdict(HOLD, "bounds", f"the bounds of the policy are not those of the records: {error}")
    evidence = _evidence(policy, served, counted, now_us)
    for each in counted:
        if _is_worse(policy, each):
            return GateVerdict(STOP, each.guarded.metric, _why_stopped(policy, each), evidence)
    return replace(_judged(policy, served, counted[0], now_us), evidence=evidence)


def _count(policy: Policy, served: StepServed, rows: Sequence[QualityRow], guarded: Guarded) -> _Counted:
    windows = window_differences(rows, guarded.metric, guarded.sign, policy.version, served.champion)
    covered = [each for each in windows if each.coverage >= policy.coverage]
    uncovered = [each for each in windows if each.coverage < policy.coverage]
    return _Counted(guarded, covered, uncovered, interval_of(policy, covered, policy.rate_of_each))


def _is_worse(policy: Policy, counted: _Counted) -> bool:
    interval = counted.interval
    if interval is None or interval.pooled.worth < policy.least_n_of_stop:
        return False
    return interval.low > counted.guarded.margin


def _judged(policy: Policy, served: StepServed, counted: _Counted, now_us: int) -> GateVerdict:
    step = served.step
    silent = _labels_stopped(policy, counted, served.began_us, now_us)
    if silent:
        return GateVerdict(HOLD, "labels", silent)
    waits = _too_early(step, _of_step(policy, served, counted), now_us - served.step_began_us, counted)
    enough = _maximum(policy, counted, now_us - served.began_us)
    if not waits and _is_good(policy, counted, step.margin):
        return GateVerdict(
            PROMOTE, counted.guarded.metric, f"the difference is below {step.margin:g}: {_shown(policy, counted)}"
        )
    if enough:
        return GateVerdict(policy.at_most, "maximum", f"{enough}, and nothing is decided: {_shown(policy, counted)}")
    if waits:
        return GateVerdict(HOLD, "waits", waits)
    return GateVerdict(HOLD, "undecided", f"not decided yet: {_shown(policy, counted)}")


def _labels_stopped(policy: Policy, counted: _Counted, began_us: int, now_us: int) -> str:
    """Why no later window counts, where its labels should be there by now."""
    if counted.guarded.metric in UNLABELLED:
        return ""
    last_us = max((each.end_us for each in counted.windows), default=began_us)
    if now_us - policy.wait_us <= last_us:
        return ""
    late = [each for each in counted.uncovered if last_us < each.end_us <= now_us - policy.wait_us]
    found = f"the label coverage of {late[-1].coverage:.2g}" if late else "no labels"
    until = f"labels have stopped coming: since {format_time_us(last_us)} windows that ended"
    return f"{until} {format_duration_us(policy.wait_us)} ago or more have {found}; expected: {policy.coverage:g}"


def _of_step(policy: Policy, served: StepServed, counted: _Counted) -> tuple[int, float]:
    """The labelled events of the step, and what they are worth."""
    windows = [each for each in counted.windows if each.start_us >= served.step_began_us]
    pooled = pool(windows, policy.recurring)
    return sum(each.n for each in windows), pooled.worth if pooled else 0.0


def _too_early(step: PolicyStep, found: tuple[int, float], served_us: int, counted: _Counted) -> str:
    """Why the step may not be left yet. Dependent events count for what they are worth: few clusters show neither what
    is to be expected nor how much it varies."""
    n, worth = found
    what = "events" if counted.guarded.metric in UNLABELLED else "labelled events"
    if worth < step.least_n:
        until = f"; the last of them before {format_time_us(counted.windows[-1].end_us)}" if counted.windows else ""
        depend = f" ({n}, which depend on each other)" if worth < 0.9 * n else ""
        return f"{worth:.0f} of {step.least_n} {what} in this step{depend}{until}"
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
    of_step = _of_step(policy, served, first)
    said = {
        **_numbers(policy, first),
        "champion": served.champion,
        "share": served.step.share,
        "promote_margin": served.step.margin,
        "n_of_step": of_step[0],
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
    if counted.interval is None:
        return {**stated, "value": None, "low": None, "high": None, "n": 0, "n_effective": None, "windows": 0}
    low, high, pooled = counted.interval
    return {
        **stated,
        **{"value": pooled.value, "low": low, "high": high, "n": pooled.n, "n_effective": pooled.worth},
        **{"windows": pooled.windows, "first_window": format_time_us(pooled.first_us)},
        "last_window_end": format_time_us(pooled.last_us),
    }
