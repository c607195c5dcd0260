"""WatchReleases: new releases of the object store, admitted or refused, as the timeline that scoring reads."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms import trigger, window
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from models.admission import Admission, Refusal, Verdict
from models.errors import StoreError
from models.releases import AdmittedRelease, Release
from models.store import ModelStore
from schemas.job import Job, ModelSpec
from schemas.records import ModelEvent, now_us, record_batch
from transforms import metrics
from transforms.state import VersionedStateCoder

MODEL_EVENTS = "model_events"
SPLIT_COLUMNS = ("event_id", "subject")
_STATE_VERSION = 1


class Watched(NamedTuple):
    """`admitted`: each admitted release once; `model_events`: batches of ModelEvent (admitted, released, refused)."""

    admitted: beam.PCollection[AdmittedRelease]
    model_events: beam.PCollection[pa.RecordBatch]


def columns_of(job: Job) -> dict[str, str]:
    """Every column a model may read in this job, with its type: the event columns and the windowed features."""
    types = dict(job.events.columns)
    windowed = {f.name: feature_kind(f.aggregate, types.get(f.column or "")) for f in job.features.windowed}
    return types | windowed


def feature_kind(aggregate: str, column_kind: str | None) -> str:
    """The type of a windowed feature: integer for counts, the column's own for last and top, else number."""
    if aggregate in ("count", "distinct"):
        return "integer"
    return column_kind if aggregate in ("last", "top") and column_kind else "number"


class Progress(NamedTuple):
    """What a watcher has seen: the last sequence listed, and releases whose bundle may still arrive."""

    last: int = 0
    incomplete: tuple[Release, ...] = ()


class Watcher:
    """Reads what is new in a model's releases and admits it; keeps no state but verdicts by digest."""

    def __init__(self, spec: ModelSpec, columns: Mapping[str, str]) -> None:
        self._store = ModelStore(spec.store, spec.name)
        self._columns = dict(columns)
        self._admission = Admission(
            self._store, self._columns, spec.allow_pickle, spec.max_bundle_bytes, spec.trusted_key
        )

    def poll(self, seen: Progress, at_us: int) -> tuple[list[AdmittedRelease], list[ModelEvent], Progress]:
        """Newly admitted releases, what is to be audited, and the progress to poll from next.

        Raises:
            StoreError: the store did not answer; poll again with the same progress.
        """
        scan = self._store.scan_releases(seen.last)
        admitted: list[AdmittedRelease] = []
        events = [
            self._event(at_us, "refused", None, sequence, "invalid_release", str(error))
            for sequence, error in scan.broken.items()
        ]
        incomplete = []
        for release in (*seen.incomplete, *scan.releases):
            outcome = self._decide(release)
            if isinstance(outcome, AdmittedRelease):
                admitted.append(outcome)
                events += self._admissions(outcome, at_us)
                continue
            if not outcome.verdict.final:
                incomplete.append(release)
            if release not in seen.incomplete or outcome.verdict.final:
                verdict = outcome.verdict
                reason = verdict.reason or "refused"
                events.append(self._event(at_us, "refused", verdict, release.sequence, reason, verdict.detail))
        return admitted, events, Progress(scan.last, tuple(incomplete))

    def _decide(self, release: Release) -> AdmittedRelease | Refusal:
        if release.split_on not in (*SPLIT_COLUMNS, *self._columns):
            allowed = ", ".join((*SPLIT_COLUMNS, *sorted(self._columns)))
            detail = f"release {release.sequence}: split_on {release.split_on!r} is no column; allowed: {allowed}"
            return Refusal(release, Verdict(False, "wrong_inputs", detail, release.champion, "", None))
        return self._admission.admit_release(release)

    def _admissions(self, admitted: AdmittedRelease, at_us: int) -> list[ModelEvent]:
        release = admitted.release
        versions = [
            ModelEvent(at_us, "admitted", release.model, version, digest, release.sequence, "job", "", "{}")
            for version, digest in admitted.digests.items()
        ]
        evidence = json.dumps({"effective_from_us": release.effective_from_us, "stated": release.evidence})
        digest = admitted.digests[release.champion]
        return [
            *versions,
            ModelEvent(
                at_us,
                "released",
                release.model,
                release.champion,
                digest,
                release.sequence,
                release.by,
                release.reason,
                evidence,
            ),
        ]

    def _event(
        self, at_us: int, kind: str, verdict: Verdict | None, sequence: int, reason: str, detail: str
    ) -> ModelEvent:
        version, digest = (None, None) if verdict is None else (verdict.version, verdict.digest)
        evidence = json.dumps({"detail": detail})
        return ModelEvent(at_us, kind, self._store.model, version, digest, sequence, "job", reason, evidence)


class _WatchFn(beam.DoFn):
    """One key for the one watcher of a job; its progress survives in state."""

    PROGRESS = ReadModifyWriteStateSpec("progress", VersionedStateCoder("progress", _STATE_VERSION))

    def __init__(self, spec: ModelSpec, columns: Mapping[str, str], must_answer: bool) -> None:
        self._spec, self._columns, self._must_answer = spec, dict(columns), must_answer

    def setup(self) -> None:
        self._watcher = Watcher(self._spec, self._columns)

    def process(self, element: tuple[int, Any], progress=beam.DoFn.StateParam(PROGRESS)) -> Iterator[Any]:  # type: ignore[no-untyped-def]
        started_us = now_us()
        try:
            admitted, events, seen = self._watcher.poll(progress.read() or Progress(), now_us())
        except StoreError:
            if self._must_answer:
                raise
            metrics.counter(metrics.POLLS_FAILED).inc()  # the next tick asks again; scoring goes on meanwhile
            return
        progress.write(seen)
        metrics.distribution(metrics.ADMISSION_BEGAN_MS).update(started_us // 1000)
        metrics.distribution(metrics.ADMISSION_MS).update((now_us() - started_us) // 1000)
        metrics.counter(metrics.RELEASES_ADMITTED).inc(len(admitted))
        metrics.counter(metrics.RELEASES_REFUSED).inc(sum(event.kind == "refused" for event in events))
        yield from admitted
        if events:
            yield beam.pvalue.TaggedOutput(MODEL_EVENTS, record_batch("ModelEvent", events))


class WatchReleases(beam.PTransform[beam.pvalue.PBegin, Watched]):
    """The admitted releases of a model, each emitted once, and the audit of admission.

    Input: the pipeline's begin. Outputs: `admitted`, to be read with `AsIter` (an accumulating global window: the
    singleton pattern never updates on Flink); `model_events`. A bounded job lists the store once and fails if it
    cannot; an unbounded one polls every `spec.poll_us` and goes on without an answer. State, under one key: the last
    sequence seen and the releases whose bundle is not complete yet.
    """

    def __init__(self, job: Job, bounded: bool) -> None:
        super().__init__()
        self._spec, self._columns, self._bounded = job.model, columns_of(job), bounded

    def expand(self, begin: beam.pvalue.PBegin):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        ticks = begin | "Tick" >> (
            beam.Create([0]) if self._bounded else PeriodicImpulse(fire_interval=self._spec.poll_us / 1e6)
        )
        watch = beam.ParDo(_WatchFn(self._spec, self._columns, self._bounded))
        watched = ticks | "Key" >> beam.WithKeys(0).with_output_types(tuple[int, Any]) | "Watch" >> watch.with_outputs(
            MODEL_EVENTS, main="admitted"
        )
        watched[MODEL_EVENTS].element_type = pa.RecordBatch
        each = trigger.Repeatedly(trigger.AfterCount(1))
        admitted = watched.admitted | "Accumulate" >> beam.WindowInto(
            window.GlobalWindows(), trigger=each, accumulation_mode=trigger.AccumulationMode.ACCUMULATING
        )
        return Watched(admitted, watched[MODEL_EVENTS])
