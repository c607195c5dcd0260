"""What a look of a rollout shows: JSON for machines, names with values for people."""

from collections.abc import Mapping
from typing import Any

from gates.acting import Acted
from gates.policy import Policy
from gates.rollout import RolloutLook
from models.releases.release import release_document
from pipeline.commands.output import print_pairs
from pipeline.reporting.printer import note, out, print_json
from schemas.times import format_time_us


def document_of(policy: Policy, model: str, look: RolloutLook, acted: Acted | None = None) -> dict[str, Any]:
    """One look as data."""
    stage, verdict, written = look.stage, look.verdict, acted.written if acted else None
    return {
        "rollout": policy.id,
        "policy": policy.name,
        "model": model,
        "version": policy.version,
        "step": stage.step,
        "steps": len(policy.steps),
        "share": None if stage.step == 0 else policy.steps[stage.step - 1].share,
        "since": format_time_us(stage.since_us) if stage.begun else None,
        "release": None if stage.release is None else stage.release.sequence,
        "paused": stage.paused,
        "over": stage.over or None,
        "verdict": verdict.action,
        "reason": verdict.reason,
        "why": verdict.why,
        "evidence": dict(verdict.evidence),
        "would_write": _moved(look) if acted is None else None,
        "written": None if written is None else release_document(written),
        "meanwhile": list(acted.meanwhile) if acted else [],
    }


def _moved(look: RolloutLook) -> dict[str, Any] | None:
    return None if look.move is None else {"decision": look.move.decision, "step": look.move.step}


def show(document: Mapping[str, Any], as_json: bool) -> None:
    """Prints one look."""
    for line in document["meanwhile"]:
        note(f"another writer was first: {line}")
    if as_json:
        print_json(document)
    else:
        print_pairs(_pairs(document))
    out().flush()  # who follows reads it as it comes


def _pairs(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    numbers, written = document["evidence"], document["written"]
    released = None if written is None else f"{written['sequence']}, from {written['effective_from']}"
    difference = None
    if numbers.get("value") is not None:
        between = f"{numbers['low']:+.4g} to {numbers['high']:+.4g}"
        difference = f"{numbers['metric']} {numbers['value']:+.4g} ({between}) of {numbers['n']} events"
    return [
        ("verdict", document["verdict"]),
        ("because", document["why"]),
        ("version", f"{document['version']} of {document['model']}"),
        ("step", f"{document['step']} of {document['steps']}"),
        ("difference", difference),
        ("paused", "by a person" if document["paused"] else None),
        ("released", released),
        ("rollout", f"{document['policy']}, {document['rollout']}"),
    ]
