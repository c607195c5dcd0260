"""`halflife features`: a point-in-time training set, written by the same transforms that feed the scorer."""

from typing import Any

import apache_beam as beam
import pyarrow as pa

from schemas import batches
from schemas.formats.raw import RawBlock
from schemas.job import Job
from transforms.arrivals.track_arrivals import TrackArrivals
from transforms.decoding.decode import DecodeEvents
from transforms.features.window_features import WindowFeatures

_IDENTITY = {batches.EVENT_ID: "event_id", batches.EVENT_TIME: "event_time", batches.SUBJECT: "subject"}


def training_rows(events: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """Id, time, subject and all features of the job, in spec order: what a model may be trained on.

    A feature keeps its name; an identity column of the same name is then called `__event_id`, `__event_time` or
    `__subject`.
    """
    features = list(job.features.names)
    identity = [own if name in features else name for own, name in _IDENTITY.items()]
    return events.select([*_IDENTITY, *features]).rename_columns([*identity, *features])


class _RowsFn(beam.DoFn):
    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, events: pa.RecordBatch) -> list[pa.RecordBatch]:
        return [training_rows(events, self._job)]


def build_features(raw: beam.PCollection[RawBlock], job: Job) -> tuple[Any, Any]:
    """The first half of the job's graph: training rows and dead letters, as batches."""
    decoded = raw | "DecodeEvents" >> DecodeEvents(job.events)
    tracked = decoded.good | "TrackArrivals" >> TrackArrivals(job.events, job.features)
    featured = tracked.good | "WindowFeatures" >> WindowFeatures(job.features)
    rows = featured | "TrainingRows" >> beam.ParDo(_RowsFn(job)).with_output_types(pa.RecordBatch)
    letters = (decoded.dead_letters, tracked.dead_letters) | "DeadLetters" >> beam.Flatten()
    return rows, letters
