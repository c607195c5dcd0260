"""The models of a job in one process: which version answers each event, what is loaded, and its events."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.releases.release import AdmittedRelease
from models.releases.timeline import Timeline
from models.serving.cache import LoadedModel, LoadFailed, ModelCache, ModelHandle, shared_cache, worker_name
from models.serving.choosing import Choice, ModelSource
from models.serving.overtaken import Overtaken
from schemas.records import ModelEvent
from schemas.times import now_us

AHEAD = 2
"""Releases after the one in force whose versions are loaded before they take effect."""
KEPT_FOR_S = 60.0
"""Seconds that a version behind the horizon is kept after an event asked for it."""
Int64s = npt.NDArray[np.int64]


class Plan(NamedTuple):
    """Which releases answer a batch of n events: `wanted` and `serving` are indexes into the timeline, shape (n,).

    They differ where the release in force could not answer. `models` and `failures` are by digest, of the versions
    of the serving releases; a shadow that is still loading is in neither. `stall_ms` is the time spent waiting.
    """

    wanted: Int64s
    serving: Int64s
    models: Mapping[str, LoadedModel]
    failures: Mapping[str, LoadFailed]
    stall_ms: int

    @property
    def substituted(self) -> int:
        """Events that are answered by another release than the one in force at their time."""
        return int(np.count_nonzero(self.wanted != self.serving))


class Serving:
    """Shared by all threads of a process that score for a job.

    Where events do not wait, an event whose release is not loaded is answered by the nearest earlier release that
    is, else by the nearest later one. It waits only if there is none, or if this process has answered nothing yet. A
    release whose model is refused at loading is skipped in both modes: the one before it stays in force. Receipts name
    the release that answered.

    Args:
        source: where models come from, and whether events wait for them.
        cache: holds them.
        clock_us: the time, microseconds since 1970.
        clock_s: monotonic seconds.
        name: the holder of these models, as opposed to other jobs in the same cache.
    """

    def __init__(
        self,
        source: ModelSource,
        cache: ModelCache,
        clock_us: Callable[[], int] = now_us,
        clock_s: Callable[[], float] = time.monotonic,
        name: str | None = None,
    ) -> None:
        self._source, self._cache, self._clock_us, self._clock_s = source, cache, clock_us, clock_s
        self._name = name or secrets.token_hex(8)
        self._lock = threading.RLock()
        self._handles: dict[str, tuple[ModelHandle, int]] = {}
        self._asked_at: dict[str, float] = {}
        self._selectable: dict[int, AdmittedRelease] = {}
        self._overtaken = Overtaken()
        self._answered: set[int] = set()
        self._reported: set[tuple[str, str]] = set()
        self._events: list[ModelEvent] = []
        self._newest_us: int | None = None

    def plan(self, timeline: Timeline, times_us: Int64s) -> Plan:
        """Which releases answer events with these times (microseconds, n ≥ 1) by a timeline that is not empty."""
        wanted = timeline.in_force(times_us)
        if not self._source.waits:
            self._look_ahead(timeline, times_us)
        indices = np.unique(wanted).tolist()
        # Nothing is known about later events of bounded input, but mostly they are in order.
        for index in [*indices, *range(indices[-1] + 1, min(indices[-1] + 1 + AHEAD, len(timeline)))]:
            self._begin(timeline.entries[index])
        # A process that has answered nothing yet lags behind all others already: a release ahead of its events, which
        # it happens to have loaded, must not answer them.
        waits = self._source.waits or not self._answered
        choice, serving = Choice(self._source, timeline, self._cache, self._begin, waits), wanted.copy()
        for index in indices:
            serving[wanted == index] = choice.release_for(index)
        plan = Plan(wanted, serving, choice.models, choice.failures, round(choice.waited_s * 1000))
        with self._lock:
            for index in indices:
                passed = int(np.count_nonzero((wanted == index) & (serving != index)))
                self._overtaken.substituted(timeline.entries[index].release.sequence, passed)
            if not self._source.waits:
                self._overtaken.scored(times_us)
        return plan

    def foresee(self, timeline: Timeline) -> None:
        """Start loading, when a release becomes known, what may answer the coming events; the timeline is not empty.

        Before the first events their time is not known: events of the present are expected.
        """
        with self._lock:
            newest_us = self._clock_us() if self._newest_us is None else self._newest_us
            (present,) = timeline.in_force(np.array([newest_us])).tolist()
            for entry in timeline.entries[present : present + 1 + AHEAD]:
                self._begin(entry)

    def answered(self, entry: AdmittedRelease, first_event_time_us: int) -> None:
        """Record that a release answered; the first time in this process makes its `activated` event.

        Its evidence counts the events from `effective_from` on that another release had answered here: before this
        one was known, or while its model was not loaded.
        """
        release = entry.release
        with self._lock:
            if release.sequence in self._answered:
                return
            self._answered.add(release.sequence)
            evidence = {
                "effective_from_us": release.effective_from_us,
                "first_event_time_us": first_event_time_us,
                "events_answered_by_another_release": self._overtaken.take(release.sequence),
            }
            self._tell("activated", _champion(entry), release.sequence, release.reason, evidence)

    def live_versions(self) -> int:
        """How many versions of this job are loaded now."""
        with self._lock:
            return sum(isinstance(self._cache.outcome(handle), LoadedModel) for handle, _ in self._handles.values())

    def unlogged_loads(self) -> int:
        """How many loads in this process could not be written to the store's access log."""
        return self._cache.unlogged_loads

    def staleness_ms(self, timeline: Timeline) -> int:
        """How long the newest admitted release has existed without having answered here, milliseconds; else 0."""
        newest = max(timeline.entries, key=lambda entry: entry.release.sequence).release
        with self._lock:
            answered = newest.sequence in self._answered
        return 0 if answered else max(self._clock_us() - newest.at_us, 0) // 1000

    def drain(self) -> list[ModelEvent]:
        """The events since the last call: loaded, load_failed, activated, retired, unloaded."""
        with self._lock:
            for digest in self._handles:
                self._report(digest)
            events, self._events = self._events, []
        return events

    def _look_ahead(self, timeline: Timeline, times_us: Int64s) -> None:
        """Start loading what may answer soon, and release what can no longer answer."""
        with self._lock:
            # An event with a time in the future must not move all others behind the horizon.
            newest_us = min(int(times_us.max()), self._clock_us())
            self._newest_us = newest_us if self._newest_us is None else max(self._newest_us, newest_us)
            horizon_us = self._newest_us - self._source.horizon_us
            self._overtaken.see(timeline, horizon_us)
            first, last = timeline.in_force(np.array([horizon_us, self._newest_us])).tolist()
            selectable = {entry.release.sequence: entry for entry in timeline.entries[first : last + 1 + AHEAD]}
            for sequence in self._selectable.keys() - selectable.keys():
                entry = self._selectable[sequence]
                self._tell("retired", _champion(entry), sequence, "", {"horizon_us": horizon_us})
            self._selectable = selectable
            for entry in selectable.values():
                self._begin(entry)
            now_s = self._clock_s()
            asked = {digest for digest, at_s in self._asked_at.items() if now_s - at_s < KEPT_FOR_S}
            self._free(asked.union(*(self._digests(entry) for entry in selectable.values())))

    def _begin(self, entry: AdmittedRelease) -> None:
        """Start loading a release's versions, the answering ones first."""
        with self._lock:
            for handle in (*self._source.answering(entry), *self._source.shadows(entry)):
                self._handles.setdefault(handle.digest, (handle, entry.release.sequence))
                if entry.release.sequence not in self._selectable:
                    self._asked_at[handle.digest] = self._clock_s()
                self._cache.prefetch(handle, self._name)

    def _digests(self, entry: AdmittedRelease) -> set[str]:
        return {handle.digest for handle in (*self._source.answering(entry), *self._source.shadows(entry))}

    def _free(self, needed: set[str]) -> None:
        gone = self._handles.keys() - needed
        for digest in gone:
            self._report(digest)
        freed = {manifest.digest for manifest in self._cache.drop(gone, self._name)}
        for digest in gone:
            handle, sequence = self._handles.pop(digest)
            self._asked_at.pop(digest, None)
            self._reported -= {("loaded", digest), ("load_failed", digest)}
            if digest in freed:
                self._tell("unloaded", handle, sequence, "", {})

    def _report(self, digest: str) -> None:
        handle, sequence = self._handles[digest]
        outcome = self._cache.outcome(handle)
        kind = "loaded" if isinstance(outcome, LoadedModel) else "load_failed"
        if outcome is None or (kind, digest) in self._reported:
            return
        self._reported.add((kind, digest))
        if isinstance(outcome, LoadedModel):
            self._tell(kind, handle, sequence, "", {"seconds": round(outcome.seconds, 6), "bytes": outcome.bytes})
        else:
            self._tell(kind, handle, sequence, outcome.reason, {"detail": outcome.detail})

    def _tell(
        self, kind: str, what: ModelHandle | tuple[str, str], sequence: int, reason: str, evidence: Mapping[str, object]
    ) -> None:
        version, digest = (what.version, what.digest) if isinstance(what, ModelHandle) else what
        worker = worker_name()
        text = json.dumps({**evidence, "worker": worker})
        event = ModelEvent(self._clock_us(), kind, self._source.model, version, digest, sequence, worker, reason, text)
        self._events.append(event)


def _champion(entry: AdmittedRelease) -> tuple[str, str]:
    return entry.release.champion, entry.digests[entry.release.champion]


def serving_of(job: str, source: ModelSource) -> Serving:
    """The one `Serving` of this process for a job (any text that names the run), on the shared cache."""
    with _LOCK:
        if job not in _SHARED:
            _SHARED[job] = Serving(source, shared_cache(), name=job)
        return _SHARED[job]


_LOCK = threading.Lock()
_SHARED: dict[str, Serving] = {}
