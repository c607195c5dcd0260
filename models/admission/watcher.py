"""Looks for new releases of a model and has them admitted, poll by poll, without waiting for slow models."""

import json
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import NamedTuple

from models.admission.admission import Admission, Refusal, Verdict
from models.admission.admitted import record_admitted
from models.daemons import DaemonThreads
from models.errors import StoreError, one_line
from models.releases.release import AdmittedRelease, Release
from models.store.store import ModelStore
from schemas.job import ModelSpec
from schemas.records import ModelEvent

MOST_INCOMPLETE = 100
"""How many releases may wait for their bundle at a time; the oldest beyond that are given up, so that polls and state
stay small."""
_THREADS = 2
_ACTOR = "job"
_LOG = logging.getLogger(__name__)


class Progress(NamedTuple):
    """What a watcher has seen: the sequence of the last valid release, the releases that are not decided yet, the
    sequences of those of them that were reported as incomplete, and those of unreadable releases after the last one.

    It is kept in the state of jobs."""

    last: int = 0
    pending: tuple[Release, ...] = ()
    reported: frozenset[int] = frozenset()
    unreadable: frozenset[int] = frozenset()


class PolledReleases(NamedTuple):
    """One poll: newly admitted releases, events for the audit, the progress to poll from next, and which requests the
    store did not answer (a line each; those releases are requested again)."""

    admitted: list[AdmittedRelease]
    events: list[ModelEvent]
    progress: Progress
    unanswered: list[str]


class Watcher:
    """Reads what is new in a model's releases and has it admitted in background threads.

    A release that is not decided within a poll's patience stays pending, and polling continues. A refusal is reported
    once. Keeps verdicts by digest and the decisions in progress; losing either does no harm. Releases whose versions
    are all admitted already have threads of their own, so that a rollback never waits for bundles that are still being
    checked; and a store that delays a download delays only that download.

    Args:
        spec: the model and its store.
        columns: the job's columns (name → type).
        patience_s: seconds that a poll waits for decisions; None waits as long as they take.
        job: the job's name, under which the access log records what it admitted; "" for a job without one.
    """

    def __init__(self, spec: ModelSpec, columns: Mapping[str, str], patience_s: float | None, job: str = "") -> None:
        self._job = job
        self._store = ModelStore(spec.store, spec.name)
        self._columns = dict(columns)
        self._patience_s = patience_s
        timeout_s = spec.admission_timeout_us / 1e6
        self._admission = Admission(
            self._store,
            self._columns,
            spec.allow_pickle,
            spec.max_bundle_bytes,
            spec.trusted_key,
            timeout_s=timeout_s,
            job=job,
            trust=spec.trust,
        )
        self._lookups: DaemonThreads[None] = DaemonThreads(_THREADS, "look-up", timeout_s)
        self._trials: DaemonThreads[None] = DaemonThreads(_THREADS, "admit", timeout_s)
        self._recorded: set[str] = set()
        self._deciding: dict[int, Future[AdmittedRelease | Refusal]] = {}

    def poll(self, seen: Progress, at_us: int) -> PolledReleases:
        """List new releases and collect the decisions that have been made.

        Raises:
            StoreError: the store did not list its releases; poll again with the same progress.
        """
        scan = self._store.scan_releases(seen.last, seen.unreadable)
        events = [
            self._refused(at_us, None, sequence, "invalid_release", str(error))
            for sequence, error in scan.broken.items()
        ]
        candidates = (*seen.pending, *scan.releases)
        self._decide(candidates)
        unreadable = frozenset(each for each in seen.unreadable.union(scan.broken) if each > scan.last)
        polled = PolledReleases([], events, Progress(scan.last, (), seen.reported, unreadable), [])
        pending: list[Release] = []
        for release in candidates:
            if not self._settle(release, polled, seen.reported, at_us):
                pending.append(release)
        return polled._replace(progress=self._progress(pending, polled, at_us))

    def _decide(self, candidates: Iterable[Release]) -> None:
        for release in candidates:
            if release.sequence not in self._deciding:
                decision = self._deciding[release.sequence] = Future()
                self._lookups.submit(partial(self._look_up, release, decision))
        wait(self._deciding.values(), timeout=self._patience_s)

    def _settle(self, release: Release, polled: PolledReleases, reported: frozenset[int], at_us: int) -> bool:
        """Add the decision on a release to the poll's result; False while it is not final."""
        if not self._deciding[release.sequence].done():
            return False
        try:
            outcome = self._deciding.pop(release.sequence).result()
        except StoreError as error:
            polled.unanswered.append(one_line(error))
            return False
        if isinstance(outcome, AdmittedRelease):
            polled.admitted.append(outcome)
            polled.events.extend(_admissions(outcome, at_us, self._admission))
            return True
        verdict = outcome.verdict
        if verdict.final or release.sequence not in reported:
            reason = verdict.reason or "refused"
            polled.events.append(self._refused(at_us, verdict, release.sequence, reason, verdict.detail))
        return verdict.final

    def _progress(self, pending: list[Release], polled: PolledReleases, at_us: int) -> Progress:
        """The progress to poll from next; gives up the oldest releases where too many bundles do not arrive."""
        told = {event.release for event in polled.events if event.kind == "refused"} | polled.progress.reported
        waited_for = [release for release in pending if release.sequence in told]
        given_up = waited_for[: max(len(waited_for) - MOST_INCOMPLETE, 0)]
        for release in given_up:
            detail = f"no longer waited for; allowed: at most {MOST_INCOMPLETE} releases without their bundle at a time"
            polled.events.append(self._refused(at_us, None, release.sequence, "incomplete", detail))
            self._deciding.pop(release.sequence, None)
        kept = tuple(release for release in pending if release not in given_up)
        reported = frozenset(release.sequence for release in kept if release.sequence in told)
        return polled.progress._replace(pending=kept, reported=reported)

    def _look_up(self, release: Release, decision: Future[AdmittedRelease | Refusal]) -> None:
        """Decide on a release whose versions are all admitted already; any other release waits for its turn."""
        try:
            known = self._admission.remembered(release)
        except Exception:  # the check meets the same error again, and reports it
            known = None
        if known is None:
            self._trials.submit(partial(self._try, release, decision))
        else:
            decision.set_result(known)

    def _try(self, release: Release, decision: Future[AdmittedRelease | Refusal]) -> None:
        try:
            outcome = self._admission.admit_release(release)
            if isinstance(outcome, AdmittedRelease):
                self._record(outcome)
            decision.set_result(outcome)
        except BaseException as error:  # the poll handles an outage; a bug of this project stops the job there
            decision.set_exception(error)

    def _record(self, admitted: AdmittedRelease) -> None:
        """Records each version once in the access log, from which a later start knows what this job has already
        served."""
        for version, digest in admitted.digests.items():
            if digest in self._recorded:
                continue
            for warning in self._admission.warnings(digest):
                _LOG.warning("version %s of %s: %s", version, self._store.model, warning)
            self._recorded.add(digest)
            try:
                record_admitted(self._store, self._job, version, digest)
            except StoreError as error:  # it serves anyway; only an upgrade of its library would read the entry
                _LOG.warning("version %s is not in the access log as admitted: %s", version, error)

    def _refused(self, at_us: int, verdict: Verdict | None, sequence: int, reason: str, detail: str) -> ModelEvent:
        version, digest = (None, None) if verdict is None else (verdict.version, verdict.digest)
        evidence = json.dumps({"detail": detail})
        return ModelEvent(at_us, "refused", self._store.model, version, digest, sequence, _ACTOR, reason, evidence)


def heartbeat(model: str, at_us: int, progress: Progress, unanswered: Iterable[str]) -> ModelEvent:
    """The event of one poll: the last sequence known, what is pending, and what the store did not answer."""
    lines = list(unanswered)
    evidence = {"last_sequence": progress.last, "pending": len(progress.pending), "unanswered": lines[:3]}
    waiting = "" if progress.last else "no_release"
    reason = "store_unavailable" if lines else waiting
    return ModelEvent(at_us, "heartbeat", model, None, None, None, _ACTOR, reason, json.dumps(evidence))


def _admissions(admitted: AdmittedRelease, at_us: int, admission: Admission) -> list[ModelEvent]:
    release = admitted.release
    versions = []
    for version, digest in admitted.digests.items():
        warnings = admission.warnings(digest)
        told = json.dumps({"warnings": list(warnings)}) if warnings else "{}"
        versions.append(
            ModelEvent(at_us, "admitted", release.model, version, digest, release.sequence, _ACTOR, "", told)
        )
    evidence = json.dumps({"effective_from_us": release.effective_from_us, "stated": release.evidence})
    champion, digest = release.champion, admitted.digests[release.champion]
    released = ModelEvent(
        at_us, "released", release.model, champion, digest, release.sequence, release.by, release.reason, evidence
    )
    return [*versions, released]
