"""The advice to retrain behind a version, and the advice that was given about it."""

from collections.abc import Mapping
from typing import Any

from audit.asking.history import ModelHistory, evidence_of
from audit.asking.moments import time_text
from models.bundles.manifest import Manifest

ADVISED = "retraining_advised"


def advice_behind(history: ModelHistory, manifest: Manifest | None) -> dict[str, Any] | None:
    """The advice whose id the manifest states as the decision that caused the training; None where it states none.

    Of an id that the audit does not know only `id` is there, and `lacks`.
    """
    decision = None if manifest is None else manifest.training.get("decision")
    if not decision:
        return None
    for event in history.of(ADVISED):
        document = _document(event)
        if document["id"] == decision:
            return {**document, "lacks": ""}
    lacks = f"no {ADVISED} event of this audit has the id {decision}: the decision is known elsewhere"
    return {"id": decision, "at": None, "by": None, "version": None, "reason": None, "evidence": {}, "lacks": lacks}


def advice_about(history: ModelHistory, version: str) -> tuple[dict[str, Any], ...]:
    """What was advised about a version, by time."""
    return tuple(_document(event) for event in history.of(ADVISED, version=version))


def _document(event: Mapping[str, Any]) -> dict[str, Any]:
    evidence = evidence_of(event)
    return {
        "id": evidence.get("advice"), "at": time_text(event["at"]), "by": event["actor"],
        "version": event["version"], "reason": event["reason"], "evidence": evidence,
    }  # fmt: skip


def advice_pairs(advice: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """An advice as names with values, for people; empty without one."""
    if advice is None:
        return []
    evidence = advice["evidence"]
    scores, windows = (_mapping(evidence.get(name)) for name in ("score_ids", "windows"))
    data, ids = _mapping(evidence.get("data")), scores.get("ids") or []
    return [
        ("advice", advice["id"]),
        ("not known", advice["lacks"]),
        ("given at", advice["at"]),
        ("by", advice["by"]),
        ("about", advice["version"]),
        ("because", advice["reason"]),
        ("windows", windows and f"{windows.get('count')} from {windows.get('first')}"),
        ("data from", data and f"{data.get('from')} to {data.get('to')}, {data.get('n')} labelled events"),
        ("scores", scores and f"{scores.get('total')}, such as {', '.join(map(str, ids[:3]))}"),
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
