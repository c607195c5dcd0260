"""WatchReleases: new releases of the object store, admitted or refused, as the timeline that scoring reads."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms import trigger, window
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from models.admission.watcher import PolledReleases, Progress, Watcher, heartbeat
from models.errors import StoreError, one_line
from models.releases.release import AdmittedRelease
from schemas.job import UNNAMED, Job, Start
from schemas.records import record_batch
from schemas.times import now_us
from transforms.flow import metrics
from transforms.flow.examples import keep_example
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.lookups.table_events import known_at_start
from transforms.releases.guard_watcher import GuardWatcher
from transforms.releases.offered_columns import columns_of
from transforms.releases.release_forms import PROGRESS_VERSION, ProgressForm
from transforms.releases.run_started import run_of, run_started

MODEL_EVENTS = "model_events"
RELEASES = "releases"
_INVALID_RELEASE = "invalid_release"
ADMITTED, REFUSED, UNREADABLE = "admitted", "refused", "unreadable"
_RUN_VERSION = 2


class Watched(NamedTuple):
    """`admitted`: each admitted release once; `model_events`: batches of ModelEvent (run_started, admitted, released,
    refused, heartbeat)."""

    admitted: beam.PCollection[AdmittedRelease]
    model_events: beam.PCollection[pa.RecordBatch]


class _WatchFn(beam.DoFn):
    """One key for the one watcher of a job; its progress and the id of the run survive in state."""

    PROGRESS = ReadModifyWriteStateSpec("progress", VersionedStateCoder("progress", PROGRESS_VERSION, ProgressForm()))
    RUN = ReadModifyWriteStateSpec("run", VersionedStateCoder("run", _RUN_VERSION, Plain(str)))

    def __init__(self, job: Job, start: Start, bounded: bool) -> None:
        self._job, self._spec, self._start, self._bounded = job, job.model, start, bounded

    def setup(self) -> None:
        # Half a poll interval: what is admitted within it is emitted now, and the next poll is still on time.
        patience_s = None if self._bounded else self._spec.poll_us / 2e6
        self._watcher = Watcher(self._spec, columns_of(self._job), patience_s, self._job.name)

    def process(  # type: ignore[no-untyped-def]  # Beam passes state through defaults
        self,
        element: tuple[int, Any],
        progress=beam.DoFn.StateParam(PROGRESS),
        running=beam.DoFn.StateParam(RUN),
    ) -> Iterator[Any]:
        started_us, known = now_us(), running.read()
        run = run_of(self._start, known)
        if run != known:
            running.write(run)
            begun = [run_started(self._job, self._start, run, started_us)]
            begun += known_at_start(self._job.events.lookups, started_us)
            yield beam.pvalue.TaggedOutput(MODEL_EVENTS, record_batch("ModelEvent", begun))
        seen = progress.read() or Progress()
        polled = self._poll(seen)
        progress.write(polled.progress)
        metrics.distribution(metrics.ADMISSION_BEGAN_MS).update(started_us // 1000)
        metrics.distribution(metrics.ADMISSION_MS).update((now_us() - started_us) // 1000)
        metrics.counter(metrics.RELEASES_ADMITTED).inc(len(polled.admitted))
        metrics.counter(metrics.RELEASES_REFUSED).inc(sum(event.kind == "refused" for event in polled.events))
        _count_outcomes(polled)
        yield from (replace(admitted, run=run) for admitted in polled.admitted)
        events = list(polled.events)
        if not self._bounded:
            metrics.gauge(metrics.WATCHER_POLLED_AT_MS).set(now_us() // 1000)
            events.append(heartbeat(self._spec.name, now_us(), polled.progress, polled.unanswered))
        if events:
            yield beam.pvalue.TaggedOutput(MODEL_EVENTS, record_batch("ModelEvent", events))

    def _poll(self, seen: Progress) -> PolledReleases:
        """One poll; where the store does not answer, an unbounded job continues without new releases."""
        try:
            polled = self._watcher.poll(seen, now_us())
        except StoreError as error:
            if self._bounded:
                raise
            polled = PolledReleases([], [], seen, [one_line(error)])
        if polled.unanswered:
            if self._bounded:
                raise StoreError(polled.unanswered[0])
            metrics.counter(metrics.POLLS_FAILED).inc()  # the next tick asks again; scoring continues meanwhile
        return polled


def _count_outcomes(polled: PolledReleases) -> None:
    """What was decided on each release, and why, by sequence."""
    for admitted in polled.admitted:
        metrics.release_outcome(admitted.release.sequence, ADMITTED).inc()
    for event in polled.events:
        if event.kind == "refused" and event.release is not None:
            outcome = UNREADABLE if event.reason == _INVALID_RELEASE else REFUSED
            metrics.release_outcome(event.release, outcome, event.reason).inc()
            detail = json.loads(event.evidence)["detail"]
            said = f"version {event.version!r}: {detail}" if event.version else detail
            keep_example((RELEASES, str(event.release), event.reason), said)


class WatchReleases(beam.PTransform[beam.pvalue.PBegin, Watched]):
    """The admitted releases of a model, each emitted once, and the audit of admission and of the start of the run.

    Input: the pipeline's begin. Outputs: `admitted`, to be read with `AsIter` (an accumulating global window: the
    singleton pattern never updates on Flink); `model_events`, first of them `run_started`, once for each start. A
    bounded job lists the store once and fails if it cannot; an unbounded one polls every `spec.poll_us`, goes on
    without an answer, emits a `heartbeat` for each poll and is guarded by `GuardWatcher`. State, under one key: the
    last sequence seen, the releases that are being admitted, at most `MOST_INCOMPLETE` releases whose bundle is still
    missing, and the id of the run.
    """

    def __init__(self, job: Job, bounded: bool, start: Start = UNNAMED) -> None:
        super().__init__()
        self._job, self._spec, self._bounded, self._start = job, job.model, bounded, start

    def expand(self, begin: beam.pvalue.PBegin):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        ticks = begin | "Tick" >> (
            beam.Create([0]) if self._bounded else PeriodicImpulse(fire_interval=self._spec.poll_us / 1e6)
        )
        watch = beam.ParDo(_WatchFn(self._job, self._start, self._bounded))
        watched = ticks | "Key" >> beam.WithKeys(0).with_output_types(tuple[int, Any]) | "Watch" >> watch.with_outputs(
            MODEL_EVENTS, main="admitted"
        )
        watched[MODEL_EVENTS].element_type = pa.RecordBatch
        each = trigger.Repeatedly(trigger.AfterCount(1))
        admitted = watched.admitted | "Accumulate" >> beam.WindowInto(
            window.GlobalWindows(), trigger=each, accumulation_mode=trigger.AccumulationMode.ACCUMULATING
        )
        if self._bounded:
            return Watched(admitted, watched[MODEL_EVENTS])
        guard = GuardWatcher(self._spec.name, self._spec.poll_us)
        silences = watched[MODEL_EVENTS] | "GuardWatcher" >> guard
        return Watched(admitted, (watched[MODEL_EVENTS], silences) | "Told" >> beam.Flatten())
