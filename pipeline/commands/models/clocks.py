"""Differences between clocks: two machines may disagree whether a release is in force yet."""

from collections.abc import Sequence

from models.releases.release import Release
from models.store.store import ModelStore
from schemas.times import format_duration_us, format_time_us

_SECOND_US = 1_000_000
_TOLERANCE_US = 2 * _SECOND_US  # stores report whole seconds


def clock_findings(
    store: ModelStore, history: Sequence[Release], written: Release, began_us: int, ended_us: int
) -> list[str]:
    """The signs that this machine's clock or another's is wrong, a line each; none where all clocks agree.

    Args:
        store: where the release was written.
        history: the releases before it.
        written: the release.
        began_us: this machine's clock before the release was written, microseconds since 1970.
        ended_us: the same after it.
    """
    found = [_behind_another(history, written, ended_us), _unlike_the_store(store, written, began_us, ended_us)]
    return [line for line in found if line]


def _behind_another(history: Sequence[Release], written: Release, now_us: int) -> str:
    last = max(history, key=lambda release: release.at_us, default=None)
    if last is None or last.at_us - now_us <= _TOLERANCE_US:
        return ""
    first = f"release {last.sequence} by {last.by} was written at {format_time_us(last.at_us)}"
    ahead = f"{_said(last.at_us - now_us)} later than it is here: one of the two clocks is wrong"
    return f"{first}, {ahead}; release {written.sequence} serves from {format_time_us(written.effective_from_us)} on"


def _unlike_the_store(store: ModelStore, written: Release, began_us: int, ended_us: int) -> str:
    stored_us = store.stored_at_us(written.sequence)
    if stored_us is None or began_us - _TOLERANCE_US <= stored_us <= ended_us + _TOLERANCE_US:
        return ""
    ahead = stored_us < began_us
    skew = _said(began_us - stored_us if ahead else stored_us - ended_us)
    first = f"this machine's clock is {skew} {'ahead of' if ahead else 'behind'} the store's"
    at, left_us = format_time_us(written.effective_from_us), written.effective_from_us - stored_us
    if left_us > 0:
        return f"{first}: release {written.sequence} is in force from {at} on, by the store's clock in {_said(left_us)}"
    return (
        f"{first}: release {written.sequence} is in force from {at} on, by the store's clock since {_said(-left_us)}; "
        "events scored before a worker knows it keep the release that served them"
    )


def _said(duration_us: int) -> str:
    """A duration in whole seconds, from a day on in whole minutes."""
    unit_us = _SECOND_US if duration_us < 86_400 * _SECOND_US else 60 * _SECOND_US
    return format_duration_us(max(duration_us // unit_us, 1) * unit_us)
