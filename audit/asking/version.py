"""`audit version V`: what a version is, who let it serve, where it served, and what it answered."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from audit.asking.access import accessed_version
from audit.asking.advice import advice_about, advice_behind
from audit.asking.at import refusals
from audit.asking.history import ModelHistory, ReleasedVersion, evidence_of
from audit.asking.moments import time_text
from audit.asking.sources import AuditSources, UnknownToAudit, missing
from audit.asking.tallies import scores_of
from models.bundles.manifest import Manifest
from models.errors import BundleRefused
from models.strict_json import parse_object


class VersionPage(NamedTuple):
    """What is known of a version; `manifest` is None where the store has none any more, for the reason `lacks`.

    `advice`: that it was trained on, None where its manifest names none; `advised`: what was advised about it;
    `gates`: what gates decided about it, with their evidence; `changes`: of its errors, as detectors saw them;
    `releases`: all that name it, with its role and the event times that they serve; `scores`: scores by role;
    `first_us`, `last_us`: the event times of the first and last score, microseconds since 1970.
    """

    model: str
    version: str
    manifest: Manifest | None
    lacks: str
    admitted: tuple[dict[str, Any], ...]
    refused: tuple[dict[str, Any], ...]
    advice: dict[str, Any] | None
    advised: tuple[dict[str, Any], ...]
    gates: tuple[dict[str, Any], ...]
    releases: tuple[ReleasedVersion, ...]
    scores: Mapping[str, int]
    first_us: int | None
    last_us: int | None
    accessed: tuple[dict[str, Any], ...]
    changes: tuple[dict[str, Any], ...] = ()

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
            "advice": self.advice,
            "advised": list(self.advised),
            "gates": list(self.gates),
            "releases": [each.document() for each in self.releases],
            "scores": dict(self.scores),
            "first_event": None if self.first_us is None else time_text(self.first_us),
            "last_event": None if self.last_us is None else time_text(self.last_us),
            "accessed": list(self.accessed),
            "changes": list(self.changes),
        }


def version_page(sources: AuditSources, model: str, version: str) -> VersionPage:
    """Everything about a version; that it is read is written to the access log first.

    Raises:
        UnknownToAudit: neither the store nor the audit knows it.
        StoreError: the access could not be written; nothing may be shown then.
    """
    history, scores = sources.history_of(model), scores_of(sources.audit, model, version)
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
        model, version, manifest, lacks, tuple(admitted), _refused(history, version),
        advice_behind(history, manifest), advice_about(history, version), _gates(history, version),
        history.releases_of(version), scores.counts, scores.first_us, scores.last_us,
        accessed_version(sources, model, version, digest),
    )  # fmt: skip


def _manifest(sources: AuditSources, model: str, version: str) -> tuple[Manifest | None, str]:
    try:
        return sources.store_of(model).read_manifest(version), ""
    except BundleRefused as error:
        return None, missing(error)


def _gates(history: ModelHistory, version: str) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            **{"at": time_text(each["at"]), "release": each["release"], "by": each["actor"], "reason": each["reason"]},
            "evidence": evidence_of(each),
        }
        for each in history.of("gate", version=version)
    )


def _refused(history: ModelHistory, version: str) -> tuple[dict[str, Any], ...]:
    return tuple(each for each in refusals(history) if each["version"] == version)
