"""What served when: the releases of a store by event time, and what the model events say became of each."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from audit.asking.moments import time_text
from models.releases.release import Release
from models.releases.timeline import roles_of, serving_order


class Span(NamedTuple):
    """A release and the event times that it serves, microseconds since 1970, the end not included (None: open). The
    first span serves earlier events too."""

    release: Release
    begins_us: int
    ends_us: int | None

    def document(self) -> dict[str, Any]:
        """Version, release and times as JSON."""
        return {
            "version": self.release.champion,
            "release": self.release.sequence,
            "from": time_text(self.begins_us),
            "until": None if self.ends_us is None else time_text(self.ends_us),
        }


class ReleasedVersion(NamedTuple):
    """A release that names a version in a `role`. `span`: the event times that it serves; None where it serves none:
    one that begins at the same time replaced it (`replaced_by`), or it was refused."""

    release: Release
    role: str
    span: Span | None
    replaced_by: Release | None

    def document(self) -> dict[str, Any]:
        """As JSON. What replaced a release ends it where it begins; when that was is `replaced_at`."""
        begins = time_text(self.release.effective_from_us)
        ends = begins if self.span is None else self.span.document()["until"]
        return {
            "release": self.release.sequence,
            "role": self.role,
            "from": begins,
            "until": ends,
            "by": self.release.by,
            "reason": self.release.reason,
            "refused": self.span is None and self.replaced_by is None,
            "replaced_by": None if self.replaced_by is None else self.replaced_by.sequence,
            "replaced_at": None if self.replaced_by is None else time_text(self.replaced_by.at_us),
        }


class ModelHistory:
    """Releases of one model in the order in which they serve, with what jobs said about them.

    Args:
        releases: those of the store.
        events: all model events of the audit, as `Audit.model_events` yields them.
        model: the model's name.
        known_at_us: only what was said until then, microseconds since 1970; None: all.
    """

    def __init__(
        self,
        releases: Iterable[Release],
        events: Iterable[Mapping[str, Any]],
        model: str,
        known_at_us: int | None = None,
    ) -> None:
        known = known_at_us is None
        self.events = [
            event for event in events if event["model"] == model and (known or event["at"] <= (known_at_us or 0))
        ]
        told = {kind: self._sequences(kind) for kind in ("released", "refused")}
        said = [each for each in releases if known or each.at_us <= (known_at_us or 0)]
        # A release that was refused first and admitted later serves; one of which nothing is told may do so.
        self.refused = [each for each in serving_order(said) if each.sequence in told["refused"] - told["released"]]
        self.serving = [each for each in serving_order(said) if each not in self.refused]
        self.spans = _spans(self.serving)

    def _sequences(self, kind: str) -> set[int]:
        return {event["release"] for event in self.events if event["kind"] == kind and event["release"] is not None}

    def of(self, kind: str, **said: Any) -> list[Mapping[str, Any]]:
        """The events of a kind whose fields are as given, by time."""
        found = [
            event
            for event in self.events
            if event["kind"] == kind and all(event[name] == value for name, value in said.items())
        ]
        return sorted(found, key=lambda event: (event["at"], event["version"] or "", event["release"] or 0))

    def span_at(self, at_us: int) -> Span | None:
        """What is in force at an event time; None without any release. The first serves earlier events too."""
        begun = [span for span in self.spans if span.begins_us <= at_us]
        return begun[-1] if begun else next(iter(self.spans), None)

    def releases_of(self, version: str) -> tuple[ReleasedVersion, ...]:
        """All releases that name a version, in the order in which they serve, or would."""
        spans = {span.release.sequence: span for span in self.spans}
        after = {one.sequence: other for one, other in pairwise(self.serving)}
        found = list[ReleasedVersion]()
        for release in serving_order([*self.serving, *self.refused]):
            role, span = roles_of(release).get(version), spans.get(release.sequence)
            if role is not None:
                found.append(ReleasedVersion(release, role, span, None if span else after.get(release.sequence)))
        return tuple(found)

    def around(self, sequence: int, version: str) -> tuple[Span | None, Span | None]:
        """The spans before and after the stretch of releases, with this one among them, that name a version in some
        role; both None for a release that did not serve."""
        index = next((i for i, span in enumerate(self.spans) if span.release.sequence == sequence), None)
        if index is None:
            return None, None
        named = [version in span.release.versions for span in self.spans]
        first, last = index, index
        while first > 0 and named[first - 1] and self._as(first - 1, version) == self._as(index, version):
            first -= 1
        while last + 1 < len(named) and named[last + 1] and self._as(last + 1, version) == self._as(index, version):
            last += 1
        after = self.spans[last + 1] if last + 1 < len(self.spans) else None
        return (self.spans[first - 1] if first else None), after

    def _as(self, index: int, version: str) -> str:
        return roles_of(self.spans[index].release)[version].partition(" ")[0]


def _spans(releases: Sequence[Release]) -> list[Span]:
    """The releases that serve some time: of several that begin at one time only the last does."""
    starts = [release.effective_from_us for release in releases]
    ends = [*starts[1:], None] if starts else []
    found = zip(releases, starts, ends, strict=True)
    return [Span(release, start, end) for release, start, end in found if end is None or end > start]


def evidence_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The details of a model event; what cannot be read is shown as it is."""
    try:
        found = json.loads(event["evidence"] or "{}")
    except ValueError:
        return {"unreadable": event["evidence"]}
    return found if isinstance(found, dict) else {"unreadable": event["evidence"]}


def event_document(event: Mapping[str, Any]) -> dict[str, Any]:
    """A model event as JSON."""
    return {**event, "at": time_text(event["at"]), "evidence": evidence_of(event)}
