"""The release that answers when the one in force cannot: the nearest one whose models are loaded."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.releases.release import AdmittedRelease
from models.releases.shares import answering
from models.releases.timeline import Timeline
from models.serving.cache import LoadedModel, LoadFailed, ModelCache, ModelHandle


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a job's models come from and how it serves them.

    `waits`: events wait for the model of the release in force (bounded input, whose answer must not depend on how
    long a load takes). `horizon_us`: how far behind the newest event time releases stay selectable, microseconds.
    """

    store_url: str
    model: str
    allow_pickle: bool
    waits: bool
    horizon_us: int

    def handle(self, version: str, digest: str) -> ModelHandle:
        """The version's name for the cache."""
        return ModelHandle(self.store_url, self.model, version, digest, self.allow_pickle)

    def answering(self, entry: AdmittedRelease) -> list[ModelHandle]:
        """The versions that answer events of a release; one with a share of 0 answers none, so it is not loaded."""
        return [self.handle(version, entry.digests[version]) for version in answering(entry.release)]

    def shadows(self, entry: AdmittedRelease) -> list[ModelHandle]:
        """The versions that are scored in addition to the answers of a release."""
        return [self.handle(version, entry.digests[version]) for version in entry.release.shadows]


class Choice:
    """Chooses for one batch, and keeps the results: `models` and `failures` by digest, `waited_s` in seconds.

    Args:
        source: where models come from, and whether events wait.
        timeline: the admitted releases.
        cache: the process's cache.
        begin: starts loading a release's versions.
        waits: whether events wait for the release in force, also where another one is loaded.
    """

    def __init__(
        self,
        source: ModelSource,
        timeline: Timeline,
        cache: ModelCache,
        begin: Callable[[AdmittedRelease], None],
        waits: bool,
    ) -> None:
        self._source, self._timeline, self._cache, self._begin = source, timeline, cache, begin
        self._waits = waits
        self.models: dict[str, LoadedModel] = {}
        self.failures: dict[str, LoadFailed] = {}
        self.waited_s = 0.0

    def release_for(self, index: int) -> int:
        """The index of the release that answers events of the release `index`; `index` itself if no other can
        either."""
        if self._answers(index, wait=self._waits):
            return index
        if not self._waits:
            for other in self._others(index):
                if self._answers(other, wait=False):
                    return other
        # Nothing is loaded (the first model of a process), or what is loaded must not answer.
        for other in [index, *self._others(index)]:
            if self._answers(other, wait=True):
                return other
            if self._store_failed(other):
                break
        return index

    def _others(self, index: int) -> Iterator[int]:
        yield from range(index - 1, -1, -1)
        if not self._source.waits:
            yield from range(index + 1, len(self._timeline))

    def _answers(self, index: int, wait: bool) -> bool:
        """Whether all answering versions of a release are loaded; takes its loaded shadows along."""
        entry = self._timeline.entries[index]
        if wait:
            self._begin(entry)
        answering = self._source.answering(entry)
        for handle in answering:
            self._find(handle, wait)
        ready = all(handle.digest in self.models for handle in answering)
        if ready:
            for handle in self._source.shadows(entry):
                self._find(handle, wait=self._source.waits)
        return ready

    def _find(self, handle: ModelHandle, wait: bool) -> None:
        if handle.digest in self.models:
            return
        found = self._cache.outcome(handle)
        if wait and not isinstance(found, LoadedModel):
            found = self._awaited(handle)
        if isinstance(found, LoadedModel):
            self.models[handle.digest] = found
        elif found is not None:
            self.failures[handle.digest] = found

    def _awaited(self, handle: ModelHandle) -> LoadedModel | LoadFailed:
        started = time.perf_counter()
        try:
            return handle.load(self._cache)
        except LoadFailed as failure:
            return failure
        finally:
            self.waited_s += time.perf_counter() - started

    def _store_failed(self, index: int) -> bool:
        """Whether the store failed: no verdict on a model, so no reason to let another one answer."""
        handles = self._source.answering(self._timeline.entries[index])
        failures = [self.failures[handle.digest] for handle in handles if handle.digest in self.failures]
        return any(not failure.final for failure in failures)
