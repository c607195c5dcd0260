"""Whom a record is about that could not be decoded, as far as its bytes still say so."""

import json
from typing import Any

from schemas.job import EventsSpec


def subject_within(payload: bytes, spec: EventsSpec) -> str | None:
    """The subject in the bytes of a record in JSON, of which another value did not fit; None where they do not say it.

    >>> spec = EventsSpec("", "json", "id", "at", "who.name", 0, (), (0, 0), "us")
    >>> subject_within(b'{"who": {"name": "N14228"}, "delay": "slow"}', spec), subject_within(b'{"who": ', spec)
    ('N14228', None)
    """
    if spec.subject is None or spec.format != "json":
        return None
    try:
        found: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and spec.subject in found:
        return _text(found[spec.subject])
    for name in spec.subject.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return _text(found)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
