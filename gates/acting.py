"""A rollout that acts: it looks, writes the release that follows, and says what it did in the audit.

It may be killed at any moment. A release is written first, with the evidence in it: what the audit lacks of it is added
by the next look. A release is written only right after the last one that the look knew, so that of several rollouts of
a model one is first, and the others look again.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from gates.policy import Policy
from gates.records import OF_QUALITY, QualityRecords
from gates.rollout import NOT_PAUSED, Move, RolloutLook, look_at, pausing
from gates.stages import evidence_text, numbers_in, stage_of, written_by
from gates.verdicts import HOLD, GateVerdict
from models.releases.release import Release
from models.store.release_log import ReleasedMeanwhile
from models.store.store import ModelStore, UnknownVersion
from schemas.records import ModelEvent

KIND = "gate"
_ATTEMPTS = 5


class Journal(Protocol):
    """Where gates say what they decided: the audit of the job."""

    def known(self) -> Iterable[Mapping[str, Any]]:
        """The `gate` events of all rollouts so far, oldest first: fields of ModelEvent."""

    def append(self, event: ModelEvent) -> None:
        """Adds one."""


class Acted(NamedTuple):
    """What one look did: what it found, the release that it wrote, and what others released meanwhile."""

    look: RolloutLook
    written: Release | None
    meanwhile: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """Who looks, and when: `at_us` by the clock, `effective_from_us` the event time from which a release serves, None:
    that of the release before. `reason`: what a person says to it."""

    by: str
    at_us: int
    effective_from_us: int | None
    reason: str = ""


class ActingRollout:
    """The rollout of one policy on the timeline of a model.

    Args:
        policy: with the version.
        store: of the model.
        records: of its quality.
        journal: where it says what it did.
        refusal: returns why the version may not serve beyond what the store says, empty if it may; asked before the
            first step only.
    """

    def __init__(
        self,
        policy: Policy,
        store: ModelStore,
        records: QualityRecords,
        journal: Journal,
        refusal: Callable[[Release], str] = lambda draft: "",
    ) -> None:
        self.policy = policy
        self._store, self._records, self._journal, self._refusal = store, records, journal, refusal

    def show(self, approved: bool = False) -> RolloutLook:
        """What a look finds now; nothing is written."""
        history, last = self._timeline()
        return self._look(history, last, approved)

    def act(self, said: Said, approved: bool = False) -> Acted:
        """Looks, and does what follows. Where others released meanwhile nothing is decided again: that is for the next
        look, since the release of the others is a step with a minimum of its own.

        Raises:
            StoreError: the store did not answer.
        """
        try:
            return self._attempted(said, lambda history, last: self._look(history, last, approved))
        except ReleasedMeanwhile as error:
            return self._lost(error)

    def pause(self, said: Said, resume: bool = False) -> Acted:
        """Pauses promotions, or lets them go on, whoever else releases at the same time.

        Raises:
            StoreError: the store did not answer, or others released every time.
        """
        meanwhile = list[str]()
        while True:
            try:
                found = self._attempted(said, lambda history, last: pausing(self.policy, history, last, resume))
            except ReleasedMeanwhile as error:
                meanwhile.append(str(error))
                if len(meanwhile) == _ATTEMPTS:
                    raise
                continue
            return found._replace(meanwhile=tuple(meanwhile))

    def _lost(self, error: ReleasedMeanwhile) -> Acted:
        """What another writer did first."""
        history, last = self._timeline()
        first = history[-1]
        why = f"release {first.sequence} by {first.by} was first ({first.reason or 'no reason given'})"
        verdict = GateVerdict(HOLD, "meanwhile", f"{why}; nothing is decided from what was there before it")
        return Acted(RolloutLook(stage_of(self.policy, history, last), verdict, None), None, (str(error),))

    def _attempted(self, said: Said, look: Callable[[Sequence[Release], int], RolloutLook]) -> Acted:
        history, last = self._timeline()
        self._catch_up(history)
        found = look(history, last)
        if found.move is None:
            self._hold(said, found)
            return Acted(found, None)
        try:
            written = self._write(said, found.verdict, found.move, history)
        except UnknownVersion as error:  # withdrawn since the look
            gone = RolloutLook(found.stage, GateVerdict(HOLD, "unusable", str(error)), None)
            self._hold(said, gone)
            return Acted(gone, None)
        self._journal.append(self._event_of(written))
        versions = ",".join(written.versions)
        self._store.record_access("rollout", said.by, release=written.sequence, versions=versions)
        return Acted(found, written)

    def _timeline(self) -> tuple[Sequence[Release], int]:
        scan = self._store.scan_releases()
        return scan.releases, scan.last

    def _look(self, history: Sequence[Release], last: int, approved: bool) -> RolloutLook:
        begun = self._has_begun(history)
        unusable = "" if begun else self._unusable(history)
        rows = self._records.latest() if begun else []
        found = look_at(self.policy, history, rows, last=last, unusable=unusable, approved=approved)
        if begun:
            return found if rows else self._without_records(found)
        if found.move is None:
            return found
        refused = self._refusal(self._draft(Said("trial", 0, 0), found.verdict, found.move, history))
        return look_at(self.policy, history, rows, last=last, unusable=refused) if refused else found

    def _without_records(self, found: RolloutLook) -> RolloutLook:
        why = f"{found.verdict.why}; {self._records.why_none()}; expected: {OF_QUALITY}"
        verdict = replace(found.verdict, why=why)
        return found if found.stage.over or found.move is not None else found._replace(verdict=verdict)

    @property
    def begun(self) -> bool:
        """Whether a release of this rollout is in the timeline."""
        return self._has_begun(self._timeline()[0])

    def _has_begun(self, history: Sequence[Release]) -> bool:
        return any((said := written_by(each)) and said.rollout == self.policy.id for each in history)

    def _unusable(self, history: Sequence[Release]) -> str:
        version = self.policy.version
        withdrawal = self._store.binding_withdrawal(version, lambda: history)
        if withdrawal is not None:
            return f"version {version!r} {withdrawal}; expected: a published version"
        if not self._store.has_version(version):
            return f"version {version!r} is not in the store; next: halflife models publish"
        return ""

    def _draft(self, said: Said, verdict: GateVerdict, move: Move, history: Sequence[Release]) -> Release:
        # An earlier beginning than that of what serves would never come to serve.
        asked_us = said.effective_from_us
        latest_us = max((each.effective_from_us for each in history), default=said.at_us)
        numbers = {"why": verdict.why, "version": self.policy.version, **verdict.evidence}
        reason = f"rollout {self.policy.name}: {move.decision}: {verdict.why}"
        return self._store.draft_release(
            champion=move.roles.champion,
            challengers=move.roles.challengers,
            shadows=move.roles.shadows,
            effective_from_us=latest_us if asked_us is None else max(asked_us, latest_us),
            split_on=self.policy.split_on,
            salt=f"rollout-{self.policy.id}",  # the same in all steps: whom it answers it keeps
            by=said.by,
            reason=f"{reason}: {said.reason}" if said.reason else reason,
            evidence=evidence_text(self.policy, move.step, move.decision, numbers),
            now_us=said.at_us,
        )

    def _write(self, said: Said, verdict: GateVerdict, move: Move, history: Sequence[Release]) -> Release:
        return self._store.append(self._draft(said, verdict, move, history), after=move.after)

    def _own(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The events of this rollout, each with its evidence."""
        found = [(each, _evidence(each)) for each in self._journal.known() if each["kind"] == KIND]
        return [(each, said) for each, said in found if said.get("rollout") == self.policy.id]

    def _catch_up(self, history: Sequence[Release]) -> None:
        """Adds to the audit what a rollout released before it was killed."""
        known = {each["release"] for each, _ in self._own()}
        for release in history:
            said = written_by(release)
            if said is not None and said.rollout == self.policy.id and release.sequence not in known:
                self._journal.append(self._event_of(release))

    def _event_of(self, release: Release) -> ModelEvent:
        said = written_by(release)
        assert said is not None  # only its own releases come here
        return self._event(
            release.at_us, release.by, release.reason, release.sequence, said.decision, said.step, numbers_in(release)
        )

    def _hold(self, said: Said, look: RolloutLook) -> None:
        """Says that nothing happens, and why: once, until the reason changes. A pause that is not to be had says so to
        who asks, and is nothing of the rollout's."""
        if look.verdict.reason == NOT_PAUSED:
            return
        own = self._own()
        latest = own[-1][1] if own else {}
        now = (HOLD, look.verdict.reason, look.stage.step)
        if (latest.get("decision"), latest.get("held"), latest.get("step")) == now:
            return
        last = None if look.stage.release is None else written_by(look.stage.release)
        if last is not None and last.has_ended:
            return  # that is said already
        numbers = {"held": look.verdict.reason, "why": look.verdict.why, **look.verdict.evidence}
        reason = f"rollout {self.policy.name}: hold: {look.verdict.why}"
        self._journal.append(self._event(said.at_us, said.by, reason, None, HOLD, look.stage.step, numbers))

    def _event(
        self,
        at_us: int,
        by: str,
        reason: str,
        release: int | None,
        decision: str,
        step: int,
        numbers: Mapping[str, Any],
    ) -> ModelEvent:
        evidence = {
            **{"rollout": self.policy.id, "policy": self.policy.name, "decision": decision},
            **{"step": step, "steps": len(self.policy.steps), **numbers},
        }
        stated = json.dumps(evidence, ensure_ascii=False)
        return ModelEvent(at_us, KIND, self._store.model, self.policy.version, None, release, by, reason, stated)


def _evidence(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The evidence of an event; empty where somebody else wrote something else into it."""
    try:
        found = json.loads(event["evidence"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
