"""`halflife features`: a point-in-time training set, written by the same transforms that feed the scorer."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.formats.raw import RawBlock
from schemas.job import Job, LabelsSpec
from transforms.arrivals.track_arrivals import TrackArrivals
from transforms.decoding.decode import DecodeEvents
from transforms.features.window_features import WindowFeatures
from transforms.flow import metrics
from transforms.flow.hiding import hiding_of
from transforms.labels.join_labels import DecodeLabels, JoinLabels
from transforms.labels.time_split import CROSSES_SPLIT, OF_ROW, OF_ROW_TIME, TEST, TRAIN, SplitRule
from transforms.lookups.held_tables import Tables

_IDENTITY = {batches.EVENT_ID: "event_id", batches.EVENT_TIME: "event_time", batches.SUBJECT: "subject"}
_LABEL = {OF_ROW: "label", OF_ROW_TIME: "label_time"}


class TrainingSet(NamedTuple):
    """`rows`: batches by part, one without a name where the set is not split; `dead_letters`."""

    rows: dict[str, Any]
    dead_letters: Any


def training_rows(events: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """Id, time, subject, the label and its time where there is one, and all features of the job, in spec order.

    A feature keeps its name; another column of the same name is then called `__event_id`, `__event_time`, `__subject`,
    `__label` or `__label_time`.
    """
    features = list(job.features.names)
    own = {**_IDENTITY, **{name: shown for name, shown in _LABEL.items() if name in events.schema.names}}
    names = [name if shown in features else shown for name, shown in own.items()]
    return events.select([*own, *features]).rename_columns([*names, *features])


class _RowsFn(beam.DoFn):
    """The rows that are written, by part; what is left out is counted."""

    def __init__(self, job: Job, labelled: bool, split: SplitRule | None) -> None:
        self._job, self._labelled, self._split = job, labelled, split

    def setup(self) -> None:
        self._hides = hiding_of(self._job.events)

    def process(self, events: pa.RecordBatch) -> Iterator[Any]:
        if self._labelled:
            events = events.filter(pc.is_valid(events.column(OF_ROW)))
        parts = {"": events} if self._split is None else self._split.parts(events)
        for part, rows in parts.items():
            if self._split is not None:
                metrics.counter(metrics.TRAINING_PARTS_PREFIX + part).inc(rows.num_rows)
            if rows.num_rows and part != CROSSES_SPLIT:
                made = training_rows(rows, self._job)
                if self._hides is not None:
                    made = self._hides.training_rows(made, rows)
                yield beam.pvalue.TaggedOutput(part, made) if part == TEST else made


class _OnlyFn(beam.DoFn):
    """What labels are joined to: identity and features, without the events' bytes."""

    def __init__(self, job: Job) -> None:
        self._names = [*_IDENTITY, *job.features.names]

    def process(self, events: pa.RecordBatch) -> list[pa.RecordBatch]:
        return [events.select(self._names)]


def build_features(
    raw: beam.PCollection[RawBlock],
    job: Job,
    labels: tuple[beam.PCollection[RawBlock], LabelsSpec] | None = None,
    split: SplitRule | None = None,
    tables: Tables | None = None,
) -> TrainingSet:
    """The first half of the job's graph: training rows and dead letters, as batches; with labels, only labelled rows.

    `labels`: raw stretches of their input, bounded as `raw` must be then, and how they are read. `tables`: reads those
    of the job's lookups.
    """
    decoded = raw | "DecodeEvents" >> DecodeEvents(job.events, tables, job.model.poll_us)
    tracked = decoded.good | "TrackArrivals" >> TrackArrivals(job.events, job.features)
    featured = tracked.good | "WindowFeatures" >> WindowFeatures(job.features)
    letters = [decoded.dead_letters, tracked.dead_letters]
    if labels is not None:
        known = labels[0] | "DecodeLabels" >> DecodeLabels(labels[1])
        letters.append(known.dead_letters)
        only = featured | "OnlyFeatures" >> beam.ParDo(_OnlyFn(job)).with_output_types(pa.RecordBatch)
        featured = (only, known.good) | "JoinLabels" >> JoinLabels(labels[1], job.features.shards)
    making = beam.ParDo(_RowsFn(job, labels is not None, split)).with_outputs(TEST, main=TRAIN)
    rows = featured | "TrainingRows" >> making
    rows[TRAIN].element_type = rows[TEST].element_type = pa.RecordBatch
    parts = {"": rows[TRAIN]} if split is None else {TRAIN: rows[TRAIN], TEST: rows[TEST]}
    return TrainingSet(parts, letters | "DeadLetters" >> beam.Flatten())
