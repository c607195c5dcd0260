"""ScoreEvents: every event scored by the release in force at its event time."""

import secrets
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import BytesCoder
from apache_beam.transforms.userstate import BagStateSpec

from models.errors import NotScored
from models.releases.release import AdmittedRelease
from models.releases.timeline import Timeline
from models.scorers.asking import unseen_in
from models.serving.cache import LoadedModel, worker_name
from models.serving.choosing import ModelSource
from models.serving.serving import Plan, serving_of
from schemas import batches
from schemas.dead_letter_stages import SCORE, UNSERVED
from schemas.job import Job, ModelSpec
from schemas.records import arrow_schema, record_batch
from schemas.times import now_us
from transforms.arrivals.done_before import Earlier, events_to_score
from transforms.features.join_features import stamped
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS, counted, letters_of, of_rows
from transforms.flow.hiding import hiding_of
from transforms.releases.spread_releases import ADMITTED, EventsOrReleases, SpreadReleases, decoded
from transforms.releases.watch_releases import MODEL_EVENTS
from transforms.scoring import scoring
from transforms.scoring.explaining import Explaining
from transforms.scoring.receipts import Definitions, ReceiptOrigin, Stamp, receipts_of

SCORES, RECEIPTS = "scores", "receipts"
VERSION, ROLE, DIGEST = "__version", "__role", "__digest"


class ScoredEvents(NamedTuple):
    """`scored`: events with `__version`, `__role`, `__digest`, `__latency_us` and `score`, one row per (event,
    version), and the event's own column of that name as `__score`; `scores`, `receipts`, `model_events`,
    `dead_letters`: batches of those records."""

    scored: beam.PCollection[pa.RecordBatch]
    scores: beam.PCollection[pa.RecordBatch]
    receipts: beam.PCollection[pa.RecordBatch]
    model_events: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]


def source_of(job: Job, waits: bool) -> ModelSource:
    """Where the job's models come from; events may be as late as its order of events and its features allow."""
    model, horizon_us = job.model, job.events.max_out_of_orderness_us + job.features.allowed_lateness_us
    return ModelSource(model.store, model.name, model.allow_pickle, waits, horizon_us)


class StoreSilent(NotScored):
    """A process that has no model yet cannot get one, since the store does not answer. Transient: the runner retries
    the bundle, so no event is lost."""


class _ScoreFn(beam.DoFn):
    def __init__(self, spec: ModelSpec, source: ModelSource, stamp: Stamp, earlier: Earlier | None = None) -> None:
        self._spec, self._source, self._stamp, self._earlier = spec, source, stamp, earlier
        self._definitions = Definitions(stamp.features)
        self._job = secrets.token_hex(8)  # two jobs in one process share only the cache

    def setup(self) -> None:
        self._worker = worker_name()
        self._hides = hiding_of(self._stamp.events)
        explain, quotes = self._stamp.explain, self._hides is None
        self._explaining = None if explain is None else Explaining(explain, self._job, quotes)
        self._serving = serving_of(self._job, self._source)

    def process(self, batch: pa.RecordBatch, timeline: Iterable[AdmittedRelease]) -> Iterator[Any]:
        if self._earlier is not None:
            batch = events_to_score(batch, self._earlier, self._hides)
        if batch.num_rows == 0:
            return
        entries = Timeline(timeline)
        if not len(entries):
            detail = f"model {self._spec.name!r} has no admitted release in {self._spec.store}"
            yield of_rows(UNSERVED, "NoRelease", detail, batch, now_us(), self._hides)
            return
        plan = self._serving.plan(entries, batches.times_us(batch))
        origin = ReceiptOrigin(self._stamp.job, self._stamp.run or entries.run, self._worker)
        for by in scoring.assigned(batch, entries, plan.serving):
            yield from self._scored(batches.keep_rows(batch, by.rows), by, plan, origin)
        self._measure(entries, plan)
        events = self._serving.drain()
        if events:
            yield beam.pvalue.TaggedOutput(MODEL_EVENTS, record_batch("ModelEvent", events))

    def _measure(self, timeline: Timeline, plan: Plan) -> None:
        metrics.gauge(metrics.LIVE_VERSIONS).set(self._serving.live_versions())
        metrics.gauge(metrics.LOADS_UNLOGGED).set(self._serving.unlogged_loads())
        metrics.distribution(metrics.SWAP_STALL_MS).update(plan.stall_ms)
        metrics.counter(metrics.EVENTS_SUBSTITUTED).inc(plan.substituted)
        if not self._source.waits:  # the age of a release means something only beside events of the present
            metrics.distribution(metrics.NEWEST_RELEASE_UNSERVED_MS).update(self._serving.staleness_ms(timeline))

    def _scored(
        self, events: pa.RecordBatch, by: scoring.Assigned, plan: Plan, origin: ReceiptOrigin
    ) -> Iterator[Any]:
        model = plan.models.get(by.entry.digests[by.version])
        if model is None:
            yield from self._unscored(events, by, plan)
            return
        outcome = scoring.score_rows(model, events)
        metrics.distribution(metrics.SCORE_BATCH_US).update(outcome.latency_us)
        yield from self._failures(events, outcome, by)
        if len(outcome.rows):
            good = batches.keep_rows(events, outcome.rows)
            if by.role != scoring.SHADOW and not by.entry.release.is_replay:
                self._serving.answered(by.entry, int(batches.times_us(good).min()))
            for name, number in unseen_in(model.scorer, outcome.inputs).items():
                metrics.unseen_categories(by.version, name).inc(number)
            meanings = self._definitions.of_rows(model.manifest, good)
            ids = None if self._hides is None else self._hides.event_ids(good)
            receipts = receipts_of(good, outcome, by, model, meanings, origin, ids)
            if self._explaining is not None:
                receipts = self._explaining.with_reasons(receipts, outcome.inputs, model)
            yield from self._records(good, receipts, by, model)

    def _unscored(self, events: pa.RecordBatch, by: scoring.Assigned, plan: Plan) -> Iterator[Any]:
        """The rows of a version without a model: none for a shadow, whose events are answered anyway; else dead
        letters.

        Raises `StoreSilent` in a stream whose store does not answer: the runner then retries the bundle.
        """
        failure = plan.failures.get(by.entry.digests[by.version])
        if by.role == scoring.SHADOW:
            name = metrics.SHADOW_SCORES_SKIPPED if failure is None else metrics.SHADOW_SCORES_FAILED
            metrics.counter(name).inc(events.num_rows)
            return
        if failure is not None and failure.store_silent and not self._source.waits:
            raise StoreSilent(f"{events.num_rows} events wait: {failure}")
        detail = str(failure) if failure else f"version {by.version!r} was not loaded, nor any other"
        yield of_rows(UNSERVED, "LoadFailed", detail, events, now_us(), self._hides)

    def _records(
        self, events: pa.RecordBatch, receipts: pa.RecordBatch, by: scoring.Assigned, model: LoadedModel
    ) -> Iterator[Any]:
        count = events.num_rows
        metrics.counter(metrics.RECEIPTS_WRITTEN).inc(count)
        metrics.scores(model.manifest.version, by.role).inc(count)
        stored = receipts if self._hides is None else self._hides.receipts(receipts)
        yield beam.pvalue.TaggedOutput(RECEIPTS, stored)
        if by.role != scoring.SHADOW:
            metrics.counter(metrics.EVENTS_SCORED).inc(count)
            metrics.answers_by(by.entry.release.sequence).inc(count)
        if by.is_answer:
            plain = receipts.select(arrow_schema("Score").names)
            yield beam.pvalue.TaggedOutput(
                SCORES, plain if self._hides is None else self._hides.scores(plain, stored)
            )
        scored = events.drop_columns([batches.PAYLOAD])
        manifest = model.manifest
        for name, value in ((VERSION, manifest.version), (ROLE, by.recorded_role), (DIGEST, manifest.digest)):
            scored = scored.append_column(name, pa.repeat(pa.scalar(value), count))
        scored = scored.append_column(batches.LATENCY, receipts.column("latency_us"))
        yield stamped(batches.with_scores(scored, receipts.column(batches.SCORE)))

    def _failures(self, events: pa.RecordBatch, outcome: scoring.Scored, by: scoring.Assigned) -> Iterator[Any]:
        """Dead letters for rows without a score; a shadow's failure is only counted, since its event is answered."""
        if not outcome.failures:
            return
        if by.role == scoring.SHADOW:
            metrics.counter(metrics.SHADOW_SCORES_FAILED).inc(len(outcome.failures))
            return
        failed = batches.take_rows(events, outcome.failed_rows)
        for error in sorted({error for error, _ in outcome.failures}):
            indexes = np.array([index for index, failure in enumerate(outcome.failures) if failure[0] == error])
            details = [outcome.failures[index][1] for index in indexes]
            own = batches.take_rows(failed, indexes)
            yield counted(letters_of(SCORE, error, pa.array(details), own, now_us(), self._hides))


class _FollowFn(_ScoreFn):
    """Scores a shard of unbounded events by the timeline that it receives; until the first release they wait."""

    RELEASES = BagStateSpec("releases", ADMITTED)
    WAITING = BagStateSpec("waiting", BytesCoder())

    def process(  # type: ignore[no-untyped-def]  # Beam passes state through defaults
        self,
        element: EventsOrReleases,
        releases=beam.DoFn.StateParam(RELEASES),
        waiting=beam.DoFn.StateParam(WAITING),
    ) -> Iterator[Any]:
        batch, known = element[1], list(releases.read())
        if isinstance(batch, bytes):
            if known:
                yield from super().process(decoded(batch), known)
            else:
                waiting.add(batch)
            return
        arrived = [ADMITTED.decode(release) for release in batch]
        for release in arrived:
            releases.add(release)
        self._serving.foresee(Timeline([*known, *arrived]))
        if not known:
            for encoded in waiting.read():
                yield from super().process(decoded(encoded), arrived)
            waiting.clear()


class ScoreEvents(beam.PTransform[beam.PCollection[pa.RecordBatch], ScoredEvents]):
    """Scores events by the release in force at each one's event time.

    Input: batches of events with all features, any windowing; `timeline`: the admitted releases as a side input;
    `run`: the id of this start in receipts; None takes it from the releases. `earlier`: of bounded input, what earlier
    runs did; their events are not scored.
    Outputs: see `ScoredEvents`; shadows have receipts but no scores. Dead-lettered: `unserved` (no release, or no
    version that loads), `score` (an input that is null and may not be, a row that the scorer fails on, NaN).
    Unbounded input never waits for a load while another release can answer, and waits for the first release. Bounded
    input waits for the model in force (docs/decisions/model-loading.md). State, for unbounded input only, per shard:
    the releases so far, and the events that wait for the first (docs/decisions/timeline-in-state.md); each process
    holds its loaded versions in `models.serving.serving`.
    """

    def __init__(
        self, job: Job, timeline: beam.pvalue.AsIter, run: str | None = None, earlier: Earlier | None = None
    ) -> None:
        super().__init__()
        self._job, self._timeline, self._run, self._earlier = job, timeline, run, earlier

    def expand(self, events: beam.PCollection[pa.RecordBatch]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        tags = (SCORES, RECEIPTS, MODEL_EVENTS, DEAD_LETTERS)
        stamp = Stamp(self._job.name, self._run, self._job.features, self._job.explain, self._job.events)
        using = (self._job.model, source_of(self._job, waits=events.is_bounded), stamp)
        if events.is_bounded:
            scoring_fn = _ScoreFn(*using, self._earlier)
            outputs = events | "Score" >> beam.ParDo(scoring_fn, self._timeline).with_outputs(*tags, main="scored")
        else:
            spread = events | "SpreadReleases" >> SpreadReleases(self._timeline.pvalue)
            outputs = spread | "Score" >> beam.ParDo(_FollowFn(*using)).with_outputs(*tags, main="scored")
        for tag in ("scored", *tags):
            outputs[tag].element_type = pa.RecordBatch
        return ScoredEvents(outputs.scored, *(outputs[tag] for tag in tags))
