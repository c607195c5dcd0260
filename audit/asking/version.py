"""`audit version V`: what a version is, who let it serve, where it served, and what it answered."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from audit.asking.access import accessed_version
from audit.asking.at import refusals
from audit.asking.history import ModelHistory, Span, evidence_of
from audit.asking.moments import time_text
from audit.asking.sources import AuditSources, UnknownToAudit, missing
from audit.files.audit import ReceiptFilter
from models.bundles.manifest import Manifest
from models.errors import BundleRefused
from models.releases.timeline import roles_of
from models.strict_json import parse_object


class VersionPage(NamedTuple):
    """What is known of a version; `manifest` is None where the store has none any more, for the reason `lacks`.

    `spans`: the releases that name it, with its role and the event times that they serve; `scores`: scores by role;
    `first_us`, `last_us`: the event times of the first and last score, microseconds since 1970.
    """

    model: str
    version: str
    manifest: Manifest | None
    lacks: str
    admitted: tuple[dict[str, Any], ...]
    refused: tuple[dict[str, Any], ...]
    spans: tuple[tuple[Span, str], ...]
    scores: Mapping[str, int]
    first_us: int | None
    last_us: int | None
    accessed: tuple[dict[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "model": self.model,
            "version": self.version,
            "digest": None if self.manifest is None else self.manifest.digest,
            "manifest": None if self.manifest is None else parse_object(self.manifest.raw),
            "lacks": self.lacks,
            "admitted": list(self.admitted),
            "refused": list(self.refused),
            "releases": [{"release": span.release.sequence, "role": role, **_times(span)} for span, role in self.spans],
            "scores": dict(self.scores),
            "first_event": None if self.first_us is None else time_text(self.first_us),
            "last_event": None if self.last_us is None else time_text(self.last_us),
            "accessed": list(self.accessed),
        }


def _times(span: Span) -> dict[str, Any]:
    said = span.document()
    return {"from": said["from"], "until": said["until"], "by": span.release.by, "reason": span.release.reason}


def version_page(sources: AuditSources, model: str, version: str) -> VersionPage:
    """Everything about a version; that it is read is written to the access log first.

    Raises:
        UnknownToAudit: neither the store nor the audit knows it.
        StoreError: the access could not be written; nothing may be shown then.
    """
    history, scores = sources.history_of(model), _scores(sources, model, version)
    manifest, lacks = _manifest(sources, model, version)
    told = [event for event in history.events if event["version"] == version]
    if manifest is None and not told and not scores.counts:
        seen = f"looked through {sources.audit.looked_through} in {sources.audit.url} and store {sources.store_url}"
        raise UnknownToAudit(f"version {version!r} of {model!r} is not known: {seen}; next: halflife models list")
    sources.record_access(model, "version", version=version)
    admitted = [
        {"at": time_text(each["at"]), "release": each["release"], "job": each["job"], **evidence_of(each)}
        for each in history.of("admitted", version=version)
    ]
    digest = None if manifest is None else manifest.digest
    return VersionPage(
        model, version, manifest, lacks, tuple(admitted), _refused(history, version), _spans(history, version),
        scores.counts, scores.first_us, scores.last_us, accessed_version(sources, model, version, digest),
    )  # fmt: skip


def _manifest(sources: AuditSources, model: str, version: str) -> tuple[Manifest | None, str]:
    try:
        return sources.store_of(model).read_manifest(version), ""
    except BundleRefused as error:
        return None, missing(error)


def _refused(history: ModelHistory, version: str) -> tuple[dict[str, Any], ...]:
    return tuple(each for each in refusals(history) if each["version"] == version)


def _spans(history: ModelHistory, version: str) -> tuple[tuple[Span, str], ...]:
    named = ((span, roles_of(span.release).get(version)) for span in history.spans)
    return tuple((span, role) for span, role in named if role is not None)


class _Scores(NamedTuple):
    counts: Mapping[str, int]
    first_us: int | None
    last_us: int | None


def _scores(sources: AuditSources, model: str, version: str) -> _Scores:
    """The scores of a version by role, each counted once, with the first and last event times."""
    ids, times = dict[str, list[pa.Array]](), list[int]()
    for rows in sources.audit.columns(("score_id", "model", "role", "event_time"), ReceiptFilter(version=version)):
        own = rows.filter(pc.equal(rows.column("model"), model))
        if not own.num_rows:
            continue
        for role in own.column("role").unique().to_pylist():
            ids.setdefault(role, []).append(own.column("score_id").filter(pc.equal(own.column("role"), role)))
        times += pc.min_max(own.column("event_time").cast(pa.int64())).as_py().values()
    counts = {role: pc.count_distinct(pa.chunked_array(found)).as_py() for role, found in sorted(ids.items())}
    return _Scores(counts, min(times, default=None), max(times, default=None))
