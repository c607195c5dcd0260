"""Giving an advice: once for equal evidence, as an event of the audit with the scores that it rests on."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from audit.asking.history import evidence_of
from gates.retraining.advice import WAIT, Lacking, RetrainingAdvice
from gates.retraining.evidence import advice_document
from models.errors import BundleRefused
from models.store.store import ModelStore
from pipeline.commands.advise.score_ids import scores_of_windows
from pipeline.commands.advise.telling import ADVISED
from pipeline.commands.rollout.journal import AuditJournal
from schemas.records import ModelEvent
from schemas.times import format_time_us, parse_time_us


class GivenAdvice(NamedTuple):
    """An advice as data, and the event by which it is given now; None where it is given already, or says to wait."""

    document: dict[str, Any]
    event: ModelEvent | None


class GivingAdvice:
    """Gives advice about the versions of a model.

    Args:
        journal: the audit, with its events of the kind `retraining_advised`.
        store: of the model, whose access log says that scores were read.
        by: who asks.
    """

    def __init__(self, journal: AuditJournal, store: ModelStore, by: str) -> None:
        self._journal, self._store, self._by = journal, store, by

    def show(self, advice: RetrainingAdvice) -> GivenAdvice:
        """What is found; nothing is written, and no score is looked for."""
        return GivenAdvice(self._document(advice, None, self._earlier(advice)), None)

    def give(self, advice: RetrainingAdvice, now_us: int) -> GivenAdvice:
        """Writes the advice where it says to do something and nobody said the same before.

        Raises:
            StoreUnavailable, BrokenChain: the audit cannot be read or written.
            StoreError: the access could not be written; nothing is read then.
        """
        earlier = self._earlier(advice)
        windows = advice.windows_us
        if advice.verdict == WAIT or earlier is not None or not windows:
            return GivenAdvice(self._document(advice, None, earlier), None)
        first, last = format_time_us(windows[0][0]), format_time_us(windows[-1][1])
        self._store.record_access(
            "advise", self._by, version=advice.version, advice=advice.id, first=first, last=last
        )
        most = advice.policy.most_ids
        scores = scores_of_windows(self._journal.audit, advice.model, advice.version, windows, most)
        if not scores.total:
            what = f"the scores of these windows: looked through {scores.looked_through}"
            absent = Lacking(what, "the sinks.audit of the runs that scored")
            advice = replace(advice, lacking=(*advice.lacking, absent))
        said = scores._asdict()
        evidence = {**advice_document(advice), "span": {"from": first, "to": last}, "score_ids": said}
        reason = f"{advice.verdict}: {advice.why}"
        event = ModelEvent(
            now_us, ADVISED, advice.model, advice.version, advice.digest, None, self._by, reason,
            json.dumps(evidence, ensure_ascii=False),
        )  # fmt: skip
        self._journal.append(event)
        return GivenAdvice(self._document(advice, said, None, now_us), event)

    def _document(
        self, advice: RetrainingAdvice, scores: Mapping[str, Any] | None, earlier: str | None, at_us: int | None = None
    ) -> dict[str, Any]:
        given = earlier if at_us is None else format_time_us(at_us)
        return {
            **advice_document(advice),
            "score_ids": scores,
            "given": given,
            "written": at_us is not None,
            "trained": self._trained(advice),
        }

    def _trained(self, advice: RetrainingAdvice) -> list[str]:
        """The versions that were trained on advice about this version: they may wait for a release."""
        ids = {evidence_of(each).get("advice") for each in self._about(advice)} - {None}
        found = list[str]()
        for version in self._store.versions() if ids else ():
            with suppress(BundleRefused):  # what cannot be read says nothing
                if self._store.read_manifest(version).training.get("decision") in ids:
                    found.append(version)
        return found

    def _about(self, advice: RetrainingAdvice) -> list[Mapping[str, Any]]:
        """The events of advice about its version, oldest first."""
        about = advice.model, advice.version
        known = self._journal.known()
        return [each for each in known if each["kind"] == ADVISED and (each["model"], each["version"]) == about]

    def _earlier(self, advice: RetrainingAdvice) -> str | None:
        """When the same was said: by the same evidence, or by windows that end less than `again` earlier."""
        if advice.verdict == WAIT or not advice.windows_us:
            return None
        ends = advice.windows_us[-1][1]
        for event in reversed(self._about(advice)):
            said = evidence_of(event)
            same = [said.get(key) for key in ("digest", "policy", "verdict", "reason")]
            means = same == [advice.digest, advice.policy.id, advice.verdict, advice.reason]
            if said.get("advice") == advice.id or (means and ends < _ended(said) + advice.policy.again_us):
                return f"{format_time_us(event['at'])} as {said.get('advice')}"
        return None


def _ended(evidence: Mapping[str, Any]) -> int:
    """The end of the windows that led to an earlier advice; long ago where that is not known."""
    try:
        return parse_time_us(str(evidence["span"]["to"]))
    except (KeyError, TypeError, ValueError):
        return -(2**62)
