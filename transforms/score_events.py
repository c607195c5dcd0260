"""ScoreEvents: every event scored by the release in force at its event time."""

import json
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa

from models.cache import LoadedModel, LoadFailed, shared_cache
from models.releases import AdmittedRelease, Timeline
from schemas import batches
from schemas.job import ModelSpec
from schemas.records import ModelEvent, arrow_schema, now_us, record_batch
from transforms import metrics, scoring
from transforms.dead_letters import DEAD_LETTERS, letters_of, of_rows
from transforms.join_features import stamped
from transforms.watch_releases import MODEL_EVENTS

SCORES, RECEIPTS = "scores", "receipts"
VERSION, ROLE, DIGEST, SCORE = "__version", "__role", "__digest", "score"


class ScoredEvents(NamedTuple):
    """`scored`: events with `__version`, `__role`, `__digest` and `score`, one row per (event, version); `scores`,
    `receipts`, `model_events`, `dead_letters`: batches of those records."""

    scored: beam.PCollection[pa.RecordBatch]
    scores: beam.PCollection[pa.RecordBatch]
    receipts: beam.PCollection[pa.RecordBatch]
    model_events: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]


def receipts_of(
    events: pa.RecordBatch, outcome: scoring.Scored, by: scoring.Assigned, model: LoadedModel, worker: str
) -> pa.RecordBatch:
    """Receipts of the rows of `events` that have a score; `events` are those rows, in the order of the scores."""
    count, at_us = events.num_rows, now_us()
    digest, release = by.entry.digests[by.version], by.entry.release
    columns: dict[str, pa.Array] = {
        "score_id": scoring.score_ids(events.column(batches.EVENT_ID), digest, by.role),
        "event_id": events.column(batches.EVENT_ID),
        "event_time": events.column(batches.EVENT_TIME),
        "subject": events.column(batches.SUBJECT),
        "score": pa.array(outcome.scores),
        "decision": scoring.decisions(outcome.scores, model.manifest.output),
        "late": events.column(batches.LATE),
        "features": scoring.features_map(outcome.inputs),
    }
    constants: dict[str, Any] = {
        "model": release.model,
        "version": by.version,
        "release": release.sequence,
        "role": by.role,
        "scored_at": at_us,
        "digest": digest,
        "latency_us": outcome.latency_us,
        "worker": worker,
    }
    arrays = []
    for field in arrow_schema("Receipt"):
        if field.name == "reasons":  # explanations are not computed yet: an empty list, as the schema's default
            empty = pa.array(np.zeros(count + 1, np.int32))
            arrays.append(pa.ListArray.from_arrays(empty, pa.array([], field.type.value_type), type=field.type))
        elif field.name in columns:
            arrays.append(columns[field.name])
        else:
            arrays.append(pa.repeat(pa.scalar(constants[field.name], field.type), count))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema("Receipt"))


class _ScoreFn(beam.DoFn):
    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def setup(self) -> None:
        self._worker = f"{socket.gethostname()}-{os.getpid()}"
        self._activated: set[int] = set()
        self._reported: set[str] = set()

    def process(self, batch: pa.RecordBatch, timeline: Iterable[AdmittedRelease]) -> Iterator[Any]:
        entries = Timeline(timeline)
        if not len(entries):
            detail = f"model {self._spec.name!r} has no admitted release in {self._spec.store}"
            yield of_rows("unserved", "NoRelease", detail, batch, now_us())
            return
        for entry in entries.entries:
            for version, digest in entry.digests.items():
                self._prefetch(version, digest)
        for by in scoring.assigned(batch, entries):
            yield from self._scored(batches.take_rows(batch, by.rows), by)

    def _prefetch(self, version: str, digest: str) -> None:
        spec = self._spec
        shared_cache().prefetch(spec.store, spec.name, version, digest, spec.allow_pickle)

    def _scored(self, events: pa.RecordBatch, by: scoring.Assigned) -> Iterator[Any]:
        spec, digest = self._spec, by.entry.digests[by.version]
        try:
            model = shared_cache().load(spec.store, spec.name, by.version, digest, spec.allow_pickle)
        except LoadFailed as failure:
            yield from self._load_failed(events, by, failure)
            return
        if digest not in self._reported:
            self._reported.add(digest)
            evidence = json.dumps({"seconds": round(model.seconds, 6), "bytes": model.bytes})
            yield self._event("loaded", by, "", evidence)
        outcome = scoring.score_rows(model, events)
        metrics.distribution(metrics.SCORE_BATCH_US).update(outcome.latency_us)
        yield from self._failures(events, outcome, by)
        if len(outcome.rows):
            good = events if len(outcome.rows) == events.num_rows else batches.take_rows(events, outcome.rows)
            yield from self._activation(good, by)
            yield from self._records(good, outcome, by, model)

    def _records(
        self, events: pa.RecordBatch, outcome: scoring.Scored, by: scoring.Assigned, model: LoadedModel
    ) -> Iterator[Any]:
        count = events.num_rows
        receipts = receipts_of(events, outcome, by, model, self._worker)
        metrics.counter(metrics.RECEIPTS_WRITTEN).inc(count)
        metrics.scores(by.version, by.role).inc(count)
        yield beam.pvalue.TaggedOutput(RECEIPTS, receipts)
        if by.role != scoring.SHADOW:
            metrics.counter(metrics.EVENTS_SCORED).inc(count)
            metrics.counter(f"{metrics.RELEASE_PREFIX}{by.entry.release.sequence}").inc(count)
            yield beam.pvalue.TaggedOutput(SCORES, receipts.select(arrow_schema("Score").names))
        scored = events.drop_columns([batches.PAYLOAD])
        for name, value in ((VERSION, by.version), (ROLE, by.role), (DIGEST, by.entry.digests[by.version])):
            scored = scored.append_column(name, pa.repeat(pa.scalar(value), count))
        yield stamped(batches.with_column(scored, SCORE, pa.array(outcome.scores)))

    def _failures(self, events: pa.RecordBatch, outcome: scoring.Scored, by: scoring.Assigned) -> Iterator[Any]:
        """Dead letters for rows without a score; a shadow's failure is counted only: its event is answered."""
        if not outcome.failures:
            return
        if by.role == scoring.SHADOW:
            metrics.counter(metrics.SHADOW_SCORES_FAILED).inc(len(outcome.failures))
            return
        failed = batches.take_rows(events, outcome.failed_rows)
        metrics.dead_letters("score").inc(failed.num_rows)
        for error in sorted({error for error, _ in outcome.failures}):
            places = np.array([place for place, failure in enumerate(outcome.failures) if failure[0] == error])
            details = pa.array([outcome.failures[place][1] for place in places])
            letters = letters_of("score", error, details, batches.take_rows(failed, places), now_us())
            yield beam.pvalue.TaggedOutput(DEAD_LETTERS, letters)

    def _load_failed(self, events: pa.RecordBatch, by: scoring.Assigned, failure: LoadFailed) -> Iterator[Any]:
        if failure.digest not in self._reported:
            self._reported.add(failure.digest)
            yield self._event("load_failed", by, failure.reason, json.dumps({"detail": failure.detail}))
        if by.role == scoring.SHADOW:
            metrics.counter(metrics.SHADOW_SCORES_FAILED).inc(events.num_rows)
        else:
            yield of_rows("unserved", "LoadFailed", str(failure), events, now_us())

    def _activation(self, events: pa.RecordBatch, by: scoring.Assigned) -> Iterator[Any]:
        sequence = by.entry.release.sequence
        if sequence not in self._activated and by.role != scoring.SHADOW:
            self._activated.add(sequence)
            evidence = json.dumps({"first_event_time_us": int(batches.times_us(events).min()), "worker": self._worker})
            yield self._event("activated", by, by.entry.release.reason, evidence)

    def _event(
        self, kind: str, by: scoring.Assigned, reason: str, evidence: str
    ) -> beam.pvalue.TaggedOutput[str, pa.RecordBatch]:
        release, digest = by.entry.release, by.entry.digests[by.version]
        event = ModelEvent(
            now_us(), kind, release.model, by.version, digest, release.sequence, self._worker, reason, evidence
        )
        return beam.pvalue.TaggedOutput(MODEL_EVENTS, record_batch("ModelEvent", [event]))


class ScoreEvents(beam.PTransform[beam.PCollection[pa.RecordBatch], ScoredEvents]):
    """Scores events by the release in force at each one's event time.

    Input: batches of events with all features, any windowing; `timeline`: the admitted releases as a side input.
    Outputs: see `ScoredEvents`; shadows have receipts but no scores. Dead-lettered: `unserved` (no release, or a
    version that does not load), `score` (an input that is null and may not be, a row that the scorer fails on, NaN).
    No keyed state; each process holds its loaded versions in `models.cache`.
    """

    def __init__(self, spec: ModelSpec, timeline: beam.pvalue.AsIter) -> None:
        super().__init__()
        self._spec, self._timeline = spec, timeline

    def expand(self, events: beam.PCollection[pa.RecordBatch]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        tags = (SCORES, RECEIPTS, MODEL_EVENTS, DEAD_LETTERS)
        scoring_events = beam.ParDo(_ScoreFn(self._spec), self._timeline)
        outputs = events | "Score" >> scoring_events.with_outputs(*tags, main="scored")
        for tag in ("scored", *tags):
            outputs[tag].element_type = pa.RecordBatch
        return ScoredEvents(outputs.scored, *(outputs[tag] for tag in tags))
