"""What a look of a rollout shows: JSON for machines, names with values for people."""

from collections.abc import Mapping
from typing import Any

from gates.acting import Acted
from gates.policy import Policy
from gates.rollout import RolloutLook
from gates.stages import PAUSE, RESUME
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
        "paused": _is_paused(look, acted),
        "over": stage.over or None,
        "verdict": verdict.action,
        "reason": verdict.reason,
        "why": verdict.why,
        "evidence": dict(verdict.evidence),
        "would_write": _moved(look) if acted is None else None,
        "written": None if written is None else release_document(written),
        "meanwhile": list(acted.meanwhile) if acted else [],
    }


def _is_paused(look: RolloutLook, acted: Acted | None) -> bool:
    """Whether it is paused after what was done."""
    if acted is None or acted.written is None or look.verdict.reason not in (PAUSE, RESUME):
        return look.stage.paused
    return look.verdict.reason == PAUSE


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
    difference = None if numbers.get("value") is None else _difference(numbers)
    return [
        ("verdict", document["verdict"]),
        ("because", document["why"]),
        ("version", f"{document['version']} of {document['model']}"),
        ("step", f"{document['step']} of {document['steps']}"),
        ("difference", difference),
        *(("guardrail", _guardrail(each)) for each in numbers.get("guardrails", ())),
        ("paused", "by a person" if document["paused"] else None),
        ("released", released),
        ("rollout", f"{document['policy']}, {document['rollout']}"),
    ]


def _difference(numbers: Mapping[str, Any]) -> str:
    between = f"{numbers['low']:+.4g} to {numbers['high']:+.4g}"
    return f"{numbers['metric']} {numbers['value']:+.4g} ({between}) of {numbers['n']} events"


def _guardrail(numbers: Mapping[str, Any]) -> str:
    """What a guardrail shows: the difference and beyond which it stops, or why there is none."""
    beyond = f"stops above {numbers['stop_margin']:g}"
    if numbers["unmeasured"]:
        return f"{numbers['metric']} is not measured in this step: {numbers['unmeasured']} ({beyond})"
    if numbers["value"] is None:
        return f"{numbers['metric']} of {numbers['n_of_step']} events does not vary: no interval yet ({beyond})"
    return f"{_difference(numbers)}, {beyond}"
