"""ServeCandidates: the releases of a replay, in place of those of the store: named versions for every event."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa

from models.releases.release import AdmittedRelease
from schemas.job import Job, Start
from schemas.records import ModelEvent, record_batch
from schemas.times import now_us
from transforms.lookups.table_events import known_at_start
from transforms.releases.run_started import run_of, run_started
from transforms.releases.watch_releases import MODEL_EVENTS, Watched

_ACTOR = "replay"


class _ServeFn(beam.DoFn):
    def __init__(self, job: Job, start: Start, admitted: AdmittedRelease, warnings: Mapping[str, tuple[str, ...]]):
        self._job, self._start, self._admitted, self._warnings = job, start, admitted, warnings

    def process(self, element: int) -> Iterator[Any]:
        run, at_us = run_of(self._start, None), now_us()
        release = self._admitted.release
        events = [run_started(self._job, self._start, run, at_us, release.versions)]
        events += known_at_start(self._job.events.lookups, at_us)
        for version, digest in self._admitted.digests.items():
            told = self._warnings.get(digest)
            evidence = json.dumps({"warnings": list(told)}) if told else "{}"
            events.append(ModelEvent(at_us, "admitted", release.model, version, digest, None, _ACTOR, "", evidence))
        yield beam.pvalue.TaggedOutput(MODEL_EVENTS, record_batch("ModelEvent", events))
        yield replace(self._admitted, run=run)


class ServeCandidates(beam.PTransform[beam.pvalue.PBegin, Watched]):
    """One synthetic release, of versions that were admitted before, which serves every event of bounded input.

    Input: the pipeline's begin. Outputs: as `WatchReleases`; `model_events` are `run_started`, whose evidence names
    the versions as `replays`, and an `admitted` for each. No state.
    """

    def __init__(self, admitted: AdmittedRelease, warnings: Mapping[str, tuple[str, ...]], job: Job, start: Start):
        super().__init__()
        self._given = (job, start, admitted, warnings)

    def expand(self, begin: beam.pvalue.PBegin):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        serving = beam.ParDo(_ServeFn(*self._given)).with_outputs(MODEL_EVENTS, main="admitted")
        served = begin | "Once" >> beam.Create([0]) | "Serve" >> serving
        served[MODEL_EVENTS].element_type = pa.RecordBatch
        return Watched(served.admitted, served[MODEL_EVENTS])
