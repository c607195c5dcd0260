"""What a hook is to be told now: advice, stops and alarms, each kind at most so often. Pure.

What was told is in the audit, as `notified` events, and nowhere else: so a command that runs once an hour keeps the
interval too. What a hook was called for, and nobody noted since the command was killed, is told again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.keys import defaults_of
from schemas.times import parse_duration_us, parse_instant_us

KINDS = ("stop", "advice", "alarm")
"""In the order in which they are told."""
_DEFAULTS = defaults_of("job")


@dataclass(frozen=True, slots=True)
class HookSettings:
    """Whom to call: a command, or a URL, which may be `${NAME}`; when not. Times in microseconds."""

    command: tuple[str, ...]
    url: str | None
    timeout_us: int
    every_us: int
    mute: frozenset[str]
    muted_until_us: int | None


def hook_settings(section: Mapping[str, Any] | None) -> HookSettings | None:
    """The hook of the section `retraining` of a valid spec; None where it has none.

    >>> hook_settings({"hook": {"url": "https://host/it", "mute": ["alarm"]}}).timeout_us
    10000000
    """
    stated = (section or {}).get("hook")
    if not stated:
        return None
    own = {key: stated.get(key, _DEFAULTS[f"retraining.hook.{key}"]) for key in ("timeout", "every", "mute")}
    until = stated.get("muted_until")
    return HookSettings(
        command=tuple(stated.get("command", ())),
        url=stated.get("url"),
        timeout_us=parse_duration_us(own["timeout"]),
        every_us=parse_duration_us(own["every"]),
        mute=frozenset(own["mute"]),
        muted_until_us=None if until is None else parse_instant_us(until),
    )


class Happening(NamedTuple):
    """Something that a hook may be told: its kind, an id that it always has, when it was, and what it is as JSON."""

    kind: str
    id: str
    at_us: int
    document: Mapping[str, Any]


class HookCall(NamedTuple):
    """A call that the audit knows of: what it told, and whether the hook took it."""

    kind: str
    at_us: int
    ids: tuple[str, ...]
    delivered: bool


class DueCall(NamedTuple):
    """A call to be made: the last of what happened, what else it stands for, and how often it failed in a row."""

    told: Happening
    held_back: tuple[str, ...]
    failures: int


class Due(NamedTuple):
    """The calls to be made now, and why others are not, by kind."""

    calls: list[DueCall]
    silent: dict[str, str]


def due_calls(hook: HookSettings, happened: Sequence[Happening], calls: Iterable[HookCall], now_us: int) -> Due:
    """What is told now. Of each kind only the last is told; what came before it counts as told with it."""
    made, due, silent = list(calls), list[DueCall](), dict[str, str]()
    taken = {one for call in made if call.delivered for one in call.ids}
    for kind in KINDS:
        pending = sorted((each for each in happened if each.kind == kind and each.id not in taken), key=_turn)
        own = [call for call in made if call.kind == kind]
        why = _silence(hook, kind, max((call.at_us for call in own), default=None), now_us)
        if pending and why:
            silent[kind] = f"{len(pending)} not told: {why}"
        elif pending:
            *before, last = pending
            due.append(DueCall(last, tuple(each.id for each in before), _failures(own)))
    return Due(due, silent)


def _turn(one: Happening) -> tuple[int, str]:
    return one.at_us, one.id


def _silence(hook: HookSettings, kind: str, last_us: int | None, now_us: int) -> str:
    if kind in hook.mute:
        return "muted by retraining.hook.mute"
    if hook.muted_until_us is not None and now_us < hook.muted_until_us:
        return "muted by retraining.hook.muted_until"
    if last_us is not None and now_us - last_us < hook.every_us:
        return "called less than retraining.hook.every ago"
    return ""


def _failures(calls: Iterable[HookCall]) -> int:
    failed = 0
    for call in sorted(calls, key=lambda each: each.at_us):
        failed = 0 if call.delivered else failed + 1
    return failed
