"""`audit at TIME`: what served events of a time, by whose decision and on what evidence, and what was refused."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from audit.asking.history import ModelHistory, Span, evidence_of
from audit.asking.moments import time_text
from audit.asking.sources import AuditSources, UnknownToAudit
from audit.asking.tallies import answered_by_another
from audit.files.audit import ReceiptFilter
from models.releases.release import Release, release_document


class ServingThen(NamedTuple):
    """What was in force at an event time (microseconds since 1970), and what was not, and why.

    `versions`: each with its role and the evidence of its admission; `refused`: the releases that should have been in
    force by then; `overtaken`: ids of the events of the span that another release answered, None: not asked for;
    `changes`: of the errors of these versions, the last that began by then.
    """

    model: str
    at_us: int
    span: Span
    versions: tuple[dict[str, Any], ...]
    activated: tuple[dict[str, Any], ...]
    refused: tuple[dict[str, Any], ...]
    overtaken: tuple[str, ...] | None
    changes: tuple[dict[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        span = self.span.document()
        events = None if self.overtaken is None else {"count": len(self.overtaken), "event_ids": list(self.overtaken)}
        return {
            "model": self.model,
            "at": time_text(self.at_us),
            "release": release_document(self.span.release),
            "since": span["from"],
            "until": span["until"],
            "versions": list(self.versions),
            "activated": list(self.activated),
            "refused": list(self.refused),
            "answered_by_another_release": events,
            "changes": list(self.changes),
        }


def serving_at(sources: AuditSources, model: str, at_us: int, events: bool) -> ServingThen:
    """What served events of that time; with `events` it is looked for those that another release answered, whose ids
    may be shown, so that the access log says first who asks.

    Raises:
        UnknownToAudit: the model had no release, or the store, which has no such model, has no access log.
        StoreError: the store does not answer, or the access was not written; nothing may be shown then.
    """
    history = sources.history_of(model)
    span = history.span_at(at_us)
    if span is None:
        said = f"model {model!r} in {sources.store_url} has no release that a job admitted"
        raise UnknownToAudit(f"{said}; next: halflife models timeline")
    if events:
        sources.record_access(model, "at", event_time=time_text(at_us))
    release = span.release
    roles: list[tuple[str, str, float | None]] = [(release.champion, "champion", None)]
    roles += [(each.version, "challenger", each.share) for each in release.challengers]
    roles += [(version, "shadow", None) for version in release.shadows]
    versions = [_version(history, release, version, role, share) for version, role, share in roles]
    activated = [_activated(event) for event in history.of("activated", release=release.sequence)]
    overtaken = _overtaken(sources, history, model, span) if events else None
    return ServingThen(model, at_us, span, tuple(versions), tuple(activated), refusals(history, at_us), overtaken)


def _version(history: ModelHistory, release: Release, version: str, role: str, share: float | None) -> dict[str, Any]:
    """A version of a release with what its admission said: when, by which job, with which warnings."""
    admitted = history.of("admitted", release=release.sequence, version=version)
    return {
        "version": version,
        "role": role,
        "share": share,
        "digest": admitted[-1]["digest"] if admitted else None,
        "admitted": [{"at": time_text(event["at"]), "job": event["job"], **evidence_of(event)} for event in admitted],
    }


def _activated(event: Mapping[str, Any]) -> dict[str, Any]:
    told = evidence_of(event)
    first = told.get("first_event_time_us")
    return {
        "at": time_text(event["at"]),
        "worker": event["actor"],
        "first_event": time_text(first) if isinstance(first, int) else None,
        "events_answered_by_another_release": told.get("events_answered_by_another_release"),
    }


def refusals(history: ModelHistory, until_us: int | None = None) -> tuple[dict[str, Any], ...]:
    """The refusals of releases that should have been in force by a time, or of which that is not known."""
    starts = {each.sequence: each for each in (*history.serving, *history.refused)}
    found = []
    for event in history.of("refused"):
        release = starts.get(event["release"])
        if release is not None and until_us is not None and release.effective_from_us > until_us:
            continue
        found.append(
            {
                "release": event["release"],
                "effective_from": None if release is None else time_text(release.effective_from_us),
                "released_by": None if release is None else release.by,
                "version": event["version"],
                "at": time_text(event["at"]),
                "job": event["job"],
                "reason": event["reason"],
                "detail": evidence_of(event).get("detail"),
                "admitted_later": release is not None and release in history.serving,
            }
        )
    return tuple(found)


def _overtaken(sources: AuditSources, history: ModelHistory, model: str, span: Span) -> tuple[str, ...]:
    """The events of a span that another release answered, sorted by id."""
    first = span == history.spans[0]
    wanted = ReceiptFilter(since_us=None if first else span.begins_us, until_us=span.ends_us)
    return answered_by_another(sources.audit, model, span.release.sequence, wanted)
