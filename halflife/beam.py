"""The steps of a job as transforms of one's own Beam pipeline.

    job = job_of(spec)
    events = rows | AsEvents(job)
    scored = events.good | WindowFeatures(job) | ScoreEvents(job)
    drift = scored.scored | MeasureDrift(job)

The steps are those of the job: the same events have the same scores, receipts and ids, to the bit. Labels of the steps
within them are constant (savepoints, job update).
"""

from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsIter

from halflife._running import spec_options
from pipeline.endpoints.lookups.open_lookups import open_lookups
from pipeline.endpoints.lookups.table_files import FileTables
from pipeline.endpoints.resolved import resolve
from pipeline.profiles import StoredProfiles
from pipeline.run import prepare
from pipeline.spec.columns import kinds_of
from pipeline.spec.job import parse_job
from schemas.job import Job
from schemas.validation import MISSING, SpecError
from transforms.arrivals.track_arrivals import TrackArrivals
from transforms.decoding.decode import DecodeEvents
from transforms.decoding.elements import GatherElements
from transforms.drift import measure_drift
from transforms.features import window_features
from transforms.releases.watch_releases import WatchReleases
from transforms.scoring import score_events

__all__ = ["AsEvents", "MeasureDrift", "ScoreEvents", "WindowFeatures", "job_of"]

Batches = beam.PCollection[pa.RecordBatch]


def job_of(
    spec: Mapping[str, Any] | str | PathLike[str], *, settings: Mapping[str, Any] | None = None
) -> Job:
    """The job that a spec describes, with which the transforms of this module are configured.

    Args:
        spec: as for `halflife.run`. A mapping may leave out `events.uri` and `events.format`; then `events.columns`
            states the types of the columns. Sinks are left to the pipeline.
        settings: values that replace those of the spec, by path.

    Raises:
        SpecError: with everything that is wrong with the spec.
        NoInput, OSError: the input that the spec names cannot be read, and it states no `columns`.
    """
    if not isinstance(spec, Mapping) or "uri" in (spec.get("events") or {}):
        return prepare(spec_options(spec, settings)).job
    events = {"uri": "events", "format": "json", **(spec.get("events") or {})}
    document = resolve(spec_options({**spec, "events": events}, settings))
    if "columns" not in document["events"]:
        raise SpecError("events.columns", MISSING, "the type of each column, where no events.uri is stated")
    columns = kinds_of(document["events"]["columns"])
    return parse_job(document, columns, lookups=open_lookups(document, columns).specs)


class JobEvents(NamedTuple):
    """`good`: batches of events for the other transforms; `dead_letters`: batches of DeadLetter."""

    good: Batches
    dead_letters: Batches


class AsEvents(beam.PTransform[beam.PCollection[Any], JobEvents]):
    """Elements of one's own pipeline as the events of a job.

    Input: dicts, `beam.Row`s or other named tuples with a value for each column (one event each), or Arrow
    RecordBatches (an event for each row); of unbounded input the timestamp of an element is no later than its event
    time. Windows are not kept: the job's windows are its own. Values are read as those of JSON and Parquet are; a time
    may be a `datetime`, a `Timestamp` of Beam's, or what the spec says.

    Outputs: `good`, `dead_letters` (stage `decode`: a value of a wrong type, no id, no time, …; stage `features`: an
    event whose id was there before). State: hashes of ids, as the job keeps them.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, elements: beam.PCollection[Any]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        spec, features = self._job.events, self._job.features
        blocks = elements | "GatherElements" >> GatherElements(spec)
        decoded = blocks | "DecodeEvents" >> DecodeEvents(spec, FileTables(), self._job.model.poll_us)
        tracked = decoded.good | "TrackArrivals" >> TrackArrivals(spec, features)
        letters = (decoded.dead_letters, tracked.dead_letters) | "DeadLetters" >> beam.Flatten()
        return JobEvents(tracked.good, letters)


class WindowFeatures(beam.PTransform[Batches, Batches]):
    """Appends the windowed features of a job, point in time: of events before each event's own step.

    Input: `good` of `AsEvents`. Output: the events with a column for each feature; of unbounded input each waits until
    the watermark has reached its step. State per key, bounded, as docs/features.md says.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, events: Batches) -> Batches:
        found: Batches = events | window_features.WindowFeatures(self._job.features)
        return found


class ScoredOutputs(NamedTuple):
    """Batches: `scores`, `receipts`, `model_events` and `dead_letters` of those records; `scored`: the events with
    `__version`, `__role`, `__digest`, `__latency_us` and `score`, a row for each (event, version), for
    `MeasureDrift`."""

    scored: Batches
    scores: Batches
    receipts: Batches
    model_events: Batches
    dead_letters: Batches


class ScoreEvents(beam.PTransform[Batches, ScoredOutputs]):
    """Scores events by the releases of the job's model: the one in force at each event's time answers.

    Input: events with all features, from `WindowFeatures`, or from `AsEvents` where the job has no windowed ones.
    Outputs: see `ScoredOutputs`. Dead-lettered: stage `unserved` and `score`. Bounded input reads the releases once;
    with unbounded input the store is polled (`model.poll`), and the pipeline never ends by itself.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, events: Batches):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        releases = events.pipeline | "WatchReleases" >> WatchReleases(self._job, events.is_bounded)
        scored = events | "ScoreEvents" >> score_events.ScoreEvents(self._job, AsIter(releases.admitted))
        model_events = (releases.model_events, scored.model_events) | "ModelEvents" >> beam.Flatten()
        return ScoredOutputs(scored.scored, scored.scores, scored.receipts, model_events, scored.dead_letters)


class MeasureDrift(beam.PTransform[Batches, Batches]):
    """How far the inputs and scores of each version are from its profile, per window of the job's `drift`.

    Input: `scored` of `ScoreEvents`. Output: batches of DriftStatistic (docs/drift.md).
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, scored: Batches) -> Batches:
        job = self._job
        found: Batches = scored | measure_drift.MeasureDrift(job.drift, StoredProfiles(job.model), job.model.name)
        return found
