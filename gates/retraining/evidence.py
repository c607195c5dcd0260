"""An advice as data: the evidence of its event, and what a command prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from gates.retraining.advice import LossStretches, RetrainingAdvice
from gates.retraining.drifts import DriftWindow
from gates.retraining.losses import LossWindow, events_per_day
from schemas.times import format_duration_us, format_time_us

_MOST_WINDOWS = 366


def advice_document(advice: RetrainingAdvice) -> dict[str, Any]:
    """The advice with all that led to it; of what is not known the key is there with null."""
    policy, change = advice.policy, advice.stretches
    return {
        "advice": advice.id,
        "verdict": advice.verdict,
        "reason": advice.reason,
        "why": advice.why,
        "model": advice.model,
        "version": advice.version or None,
        "digest": advice.digest,
        "policy": policy.id,
        "metric": policy.metric,
        "loss": _loss(advice),
        "change": None if change is None else _change(change),
        "waiting": _waiting(advice),
        "price": {"retraining": policy.price, "of_event": policy.price_of_event, "value": policy.value,
                  "unit": policy.unit or None, "total": None if policy.price is None else _total(advice)},
        "data": _data(advice),
        "windows": None if change is None else windows_document(change.now),
        "drifted": [_drifted(each) for each in advice.drifted[-_MOST_WINDOWS:]],
        "lacking": [each._asdict() for each in advice.lacking],
    }  # fmt: skip


def _loss(advice: RetrainingAdvice) -> dict[str, Any] | None:
    worn = advice.worn
    if worn is None:
        return None
    return {
        "now": worn.now.value, "windows": worn.now.windows, "n": worn.now.n, "n_effective": worn.now.worth,
        "fresh": worn.fresh.value, "fresh_by": worn.fresh.kind,
        "worse_by": worn.value, "low": worn.low, "high": worn.high, "error_rate": worn.error_rate,
    }  # fmt: skip


def _change(found: LossStretches) -> dict[str, Any]:
    kind = {None: None, True: "worse", False: "better"}[found.rises]
    since = format_time_us(found.now[0].start_us) if found.changes else None
    return {"since": since, "to": kind, "changes": found.changes, "by": found.by}


def _waiting(advice: RetrainingAdvice) -> dict[str, Any] | None:
    if advice.waiting is None or advice.stretches is None:
        return None
    return {
        "events_per_day": events_per_day(advice.stretches.now),
        "per_day": _interval(advice.waiting.per_day),
        "within": format_duration_us(advice.policy.pays_us),
        "loses": _interval(advice.waiting.within),
    }


def _interval(values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("value", "low", "high"), values, strict=True))


def _total(advice: RetrainingAdvice) -> float | None:
    return None if advice.data is None else advice.data.price


def _data(advice: RetrainingAdvice) -> dict[str, Any] | None:
    data = advice.data
    if data is None:
        return None
    return {
        "from": format_time_us(data.from_us), "to": format_time_us(data.to_us), "n": data.n,
        "shortened": data.shortened,
    }  # fmt: skip


def windows_document(windows: Sequence[LossWindow]) -> dict[str, Any]:
    """How many windows there are, and the last of them."""
    listed = [
        {
            **{"start": format_time_us(each.start_us), "end": format_time_us(each.end_us), "pane": each.pane},
            **{"value": each.value, "n": each.n, "events": each.events},
        }
        for each in windows[-_MOST_WINDOWS:]
    ]
    return {"count": len(windows), "first": format_time_us(windows[0].start_us), "listed": listed}


def _drifted(window: DriftWindow) -> Mapping[str, Any]:
    return {
        "start": format_time_us(window.start_us), "end": format_time_us(window.end_us), "pane": window.pane,
        "columns": [each._asdict() for each in window.columns],
    }  # fmt: skip
