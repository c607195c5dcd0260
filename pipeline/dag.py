"""The whole job in one function: nouns, labels and nothing else."""

from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsIter

from pipeline.profiles import StoredProfiles
from pipeline.quality import EarlierRuns, quality_of
from schemas.formats.raw import RawBlock
from schemas.job import UNNAMED, Job, Start
from transforms.arrivals.track_arrivals import TrackArrivals
from transforms.decoding.decode import DecodeEvents
from transforms.drift.measure_drift import MeasureDrift
from transforms.features.window_features import WindowFeatures
from transforms.lookups.held_tables import Tables
from transforms.releases.watch_releases import WatchReleases
from transforms.scoring.score_events import ScoreEvents


class Outputs(NamedTuple):
    """What leaves the job: batches of Score, Receipt, ModelEvent, DriftStatistic and DeadLetter, and of Quality
    where labels are read."""

    scores: beam.PCollection[pa.RecordBatch]
    receipts: beam.PCollection[pa.RecordBatch]
    model_events: beam.PCollection[pa.RecordBatch]
    drift: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]
    quality: beam.PCollection[pa.RecordBatch] | None = None


class Serves(Protocol):
    """Makes the source of the releases that a graph serves."""

    def __call__(self, job: Job, bounded: bool, start: Start, /) -> beam.PTransform[Any, Any]: ...


def build(  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
    raw: beam.PCollection[RawBlock],
    job: Job,
    start: Start = UNNAMED,
    serves: Serves = WatchReleases,
    earlier: EarlierRuns | None = None,
    tables: Tables | None = None,
    labels: beam.PCollection[RawBlock] | None = None,
):
    """The job's graph over raw input, on any runner; the labels are API (savepoints, job update).

    `serves`: the timeline of the store, or the candidates of a replay. `earlier`: what earlier runs did, whose events
    are read for their features, not scored, and measured again. `tables`: reads those of the job's lookups.
    `labels`: raw stretches of the input of `job.labels`.
    """
    decoded = raw | "DecodeEvents" >> DecodeEvents(job.events, tables, job.model.poll_us)
    tracked = decoded.good | "TrackArrivals" >> TrackArrivals(job.events, job.features)
    featured = tracked.good | "WindowFeatures" >> WindowFeatures(job.features)
    releases = raw.pipeline | "WatchReleases" >> serves(job, raw.is_bounded, start)
    scored = featured | "ScoreEvents" >> ScoreEvents(job, AsIter(releases.admitted), start.run, earlier)
    profiles = StoredProfiles(job.model)
    drift = scored.scored | "MeasureDrift" >> MeasureDrift(job.drift, profiles, job.model.name, start.run)
    quality = quality_of(scored.scored, labels, job, start.run, featured, earlier)
    told = (releases.model_events, scored.model_events, *decoded.model_events)
    model_events = told | "ModelEvents" >> beam.Flatten()
    letters = (decoded.dead_letters, tracked.dead_letters, scored.dead_letters, *quality.dead_letters)
    dead_letters = letters | "DeadLetters" >> beam.Flatten()
    return Outputs(scored.scores, scored.receipts, model_events, drift, dead_letters, quality.records)
