"""Telling the hook of a job what happened, and the audit that it was told."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audit.asking.history import evidence_of
from gates.acting import KIND as GATE
from gates.acting import Journal
from gates.retraining.advice import RetrainingAdvice
from gates.retraining.drifts import DriftWindow
from gates.retraining.telling import Due, DueCall, Happening, HookCall, HookSettings, due_calls
from gates.verdicts import STOP
from models.errors import StoreError, one_line
from models.redaction import hide_values
from pipeline.commands.advise.hook import call_hook, hook_name
from pipeline.reporting.printer import note
from schemas.records import ModelEvent
from schemas.times import format_time_us

ADVISED, NOTIFIED = "retraining_advised", "notified"
_DELIVERED = "delivered"
KINDS = (GATE, ADVISED, NOTIFIED)
"""Of the events that say what there is to tell, and what was told."""


class HookTeller:
    """Calls the hook of a job for what it was not told yet; its failure is said and counted, and stops nothing.

    Args:
        hook: of the job.
        journal: which knows the events of `KINDS`.
        job: the name of the job, for the hook.
        model: whose versions it is about.
        by: who calls.
    """

    def __init__(self, hook: HookSettings, journal: Journal, job: str | None, model: str, by: str) -> None:
        self._hook, self._journal, self._job, self._model, self._by = hook, journal, job, model, by
        self._said: dict[str, str] = {}

    def tell_stops(self, now_us: int) -> None:
        """Tells of versions that gates stopped, and of nothing else."""
        events = self._events()
        self._tell(due_calls(self._hook, _stopped(events), _calls(events), now_us), now_us)

    def tell(self, alarms: Sequence[Happening], now_us: int) -> dict[str, Any]:
        """Makes the calls that are due; returns what was called, and what was not and why."""
        events = self._events()
        happened = [*_advised(events), *_stopped(events), *alarms]
        return self._tell(due_calls(self._hook, happened, _calls(events), now_us), now_us)

    def _events(self) -> list[Mapping[str, Any]]:
        return [each for each in self._journal.known() if each["model"] == self._model]

    def _tell(self, due: Due, now_us: int) -> dict[str, Any]:
        for kind, why in due.silent.items():
            if self._said.get(kind) != why:
                note(f"the hook is not called for {kind}: {why}")
        self._said = due.silent
        called = [self._call(each, now_us) for each in due.calls]
        return {"hook": hook_name(self._hook), "called": called, "not_called": due.silent}

    def _call(self, due: DueCall, now_us: int) -> dict[str, Any]:
        one, began = due.told, time.monotonic()
        told = {"about": one.kind, "id": one.id, "at": format_time_us(one.at_us), "job": self._job,
                "model": self._model, **one.document, "held_back": len(due.held_back)}  # fmt: skip
        failure = hide_values(call_hook(self._hook, told))
        failures = due.failures + 1 if failure else 0
        said = {"about": one.kind, "ids": [one.id, *due.held_back], "hook": hook_name(self._hook),
                "seconds": round(time.monotonic() - began, 3), "failure": failure or None,
                "failures": failures}  # fmt: skip
        if failure:
            note(f"hook {said['hook']} failed for {one.kind} {one.id}, {failures} in a row: {failure}", "error")
        self._write(one, "failed" if failure else _DELIVERED, said, now_us)
        return said

    def _write(self, one: Happening, outcome: str, said: Mapping[str, Any], now_us: int) -> None:
        version = one.document.get("version")
        evidence = json.dumps(said, ensure_ascii=False)
        event = ModelEvent(now_us, NOTIFIED, self._model, version, None, None, self._by, outcome, evidence)
        try:
            self._journal.append(event)
        except StoreError as error:
            note(f"that the hook was called is not in the audit, and it is called again: {one_line(error)}", "error")


def _advised(events: Iterable[Mapping[str, Any]]) -> list[Happening]:
    found = [(each, evidence_of(each)) for each in events if each["kind"] == ADVISED]
    return [_happening("advice", str(said["advice"]), each, said) for each, said in found if "advice" in said]


def _stopped(events: Iterable[Mapping[str, Any]]) -> list[Happening]:
    found = [(each, evidence_of(each)) for each in events if each["kind"] == GATE]
    return [
        _happening("stop", f"{said.get('rollout')}:{each['release']}", each, said)
        for each, said in found
        if said.get("decision") == STOP
    ]


def _happening(kind: str, name: str, event: Mapping[str, Any], said: Mapping[str, Any]) -> Happening:
    document = {"version": event["version"], "release": event["release"], "reason": event["reason"], "evidence": said}
    return Happening(kind, name, event["at"], document)


def _calls(events: Iterable[Mapping[str, Any]]) -> list[HookCall]:
    found = [(each, evidence_of(each)) for each in events if each["kind"] == NOTIFIED]
    return [
        HookCall(str(said.get("about")), each["at"], tuple(map(str, said["ids"])), each["reason"] == _DELIVERED)
        for each, said in found
        if isinstance(said.get("ids"), list)  # else somebody else wrote it
    ]


def alarms_of(advice: RetrainingAdvice, drift: Sequence[DriftWindow]) -> list[Happening]:
    """Each window in which the version drifted, and the last change of its loss if that rose. `at` is of event time."""
    found = [
        Happening("alarm", f"drift:{each.version}:{format_time_us(each.start_us)}", each.end_us, _drift(each))
        for each in drift
        if each.version == advice.version and each.columns
    ]
    changed = advice.stretches
    if changed is not None and changed.rises:
        since = format_time_us(changed.now[0].start_us)
        said = {"version": advice.version, "reason": f"{advice.policy.metric} rose on {since}: {advice.why}"}
        found.append(Happening("alarm", f"loss:{advice.version}:{since}", changed.now[0].end_us, said))
    return found


def _drift(window: DriftWindow) -> dict[str, Any]:
    named = [each.column for each in window.columns]
    evidence = {"end": format_time_us(window.end_us), "columns": [each._asdict() for each in window.columns]}
    return {"version": window.version, "reason": f"drifted: {', '.join(named[:3])}", "evidence": evidence}


