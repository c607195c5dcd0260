"""Who did anything with a version, or read what is about a person: from the access log and the model events."""

from collections.abc import Iterable
from typing import Any

from audit.asking.moments import time_text
from audit.asking.sources import AuditSources

PERSONAL = {"score_id", "event_id", "subject"}
"""Details of entries that are about one person's records, and not about a version."""

OF_ALL = "subjects"
"""A detail of entries: of how many persons records were read together, too many to name each."""


def accessed_version(sources: AuditSources, model: str, version: str, digest: str | None) -> tuple[dict[str, Any], ...]:
    """Who did anything with a version, by time: from the access log and the model events."""
    logged = [
        entry.document()
        for entry in sources.accesses_of(model)
        if not PERSONAL & entry.detail.keys()
        and (entry.detail.get("version") == version or (digest and entry.detail.get("digest") == digest))
    ]
    told = [
        {"at": time_text(event["at"]), "actor": event["actor"], "action": event["kind"], "reason": event["reason"]}
        for event in sources.history_of(model).of("accessed", version=version)
    ]
    return by_time([*logged, *told])


def by_time(entries: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Entries in the order of their times."""
    return tuple(sorted(entries, key=lambda each: str(each["at"])))
