"""The steps of a job as transforms of one's own Beam pipeline.

    job = job_of(spec)
    events = rows | AsEvents(job)
    scored = events.good | WindowFeatures(job) | ScoreEvents(job)
    drift = scored.scored | MeasureDrift(job)

The steps are those of the job: the same events have the same scores, receipts and ids, to the bit. Labels of the steps
within them are constant (savepoints, job update).
"""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsIter
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from halflife._frames import column_of
from halflife._running import spec_options
from pipeline.endpoints.resolved import resolve
from pipeline.profiles import StoredProfiles
from pipeline.run import prepare
from pipeline.spec.job import parse_job
from schemas.formats.arrow_columns import column_at, plain
from schemas.formats.raw import DecodedRows, RawBlock
from schemas.formats.row_texts import row_texts
from schemas.job import EventsSpec, Job
from schemas.validation import MISSING, SpecError
from transforms.arrivals.track_arrivals import TrackArrivals
from transforms.decoding.decode import DecodeEvents
from transforms.drift import measure_drift
from transforms.features import window_features
from transforms.releases.watch_releases import WatchReleases
from transforms.scoring import score_events

__all__ = ["AsEvents", "MeasureDrift", "ScoreEvents", "WindowFeatures", "job_of"]

_ROWS = 4_096
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
    return parse_job(document, document["events"]["columns"])


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
        whole = elements | "Global" >> beam.WindowInto(GlobalWindows())
        blocks = whole | "Gather" >> beam.ParDo(_BlockFn(spec)).with_output_types(RawBlock)
        decoded = blocks | "DecodeEvents" >> DecodeEvents(spec)
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
    `__version`, `__role`, `__digest` and `score`, a row for each (event, version), for `MeasureDrift`."""

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


class _BlockFn(beam.DoFn):
    """Gathers the elements of a bundle, with the earliest of their timestamps."""

    def __init__(self, spec: EventsSpec) -> None:
        named = (spec.event_id, spec.event_time, spec.subject, *(name for name, _ in spec.columns))
        self._names = tuple(dict.fromkeys(name for name in named if name is not None))

    def start_bundle(self) -> None:
        self._records: list[Mapping[str, Any]] = []
        self._at = MAX_TIMESTAMP

    def process(self, element: Any, at: Timestamp = beam.DoFn.TimestampParam) -> Iterator[RawBlock]:  # type: ignore[assignment]  # Beam's way to ask for it
        if isinstance(element, pa.RecordBatch):
            yield _block(_columns_of(element, self._names), element.num_rows)
            return
        self._records.append(_as_mapping(element))
        self._at = min(at, self._at)

    def finish_bundle(self) -> Iterator[Any]:
        for start in range(0, len(self._records), _ROWS):
            records = self._records[start : start + _ROWS]
            columns = {name: column_of([_value(record, name) for record in records], False) for name in self._names}
            yield GlobalWindows.windowed_value(_block(columns, len(records)), self._at)


def _block(columns: Mapping[str, pa.Array], rows: int) -> RawBlock:
    """The columns as a stretch of input; a row's letter holds it as JSON."""
    if not columns:
        columns = {"": pa.nulls(rows)}
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    return RawBlock("element@0", rows=(DecodedRows(batch, row_texts(batch), ()),))


def _columns_of(batch: pa.RecordBatch, names: Sequence[str]) -> dict[str, pa.Array]:
    found = {name: column_at(batch, name) for name in names}
    return {name: plain(column) for name, column in found.items() if column is not None}


def _as_mapping(element: Any) -> Mapping[str, Any]:
    """The fields of one event. Raises `TypeError` for an element that has none."""
    if isinstance(element, Mapping):
        return element
    fields = getattr(element, "_asdict", None) or getattr(element, "as_dict", None)
    if fields is None:
        raise TypeError(f"an element is a {type(element).__name__}; expected: a dict, a Row or an Arrow RecordBatch")
    found: Mapping[str, Any] = fields()
    return found


def _value(record: Mapping[str, Any], name: str) -> Any:
    """The value of a column, or of a path into mappings within; null where there is none."""
    value: Any = record.get(name)
    if name not in record and "." in name:
        value = record
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return value.to_utc_datetime(has_tz=True) if isinstance(value, Timestamp) else value
