"""The peer: the same scores with Beam's own `RunInference`, written as Beam's documentation does.

Per-record dictionaries from `ReadFromAvro`, hourly `FixedWindows` with `CombinePerKey` for the features, a
windowed side input to join them, `KeyedModelHandler(SklearnModelHandlerNumpy)`, `WriteToAvro`. Every choice
is in its favour:
- Hourly tumbling windows: `SlidingWindows` would copy every record size/every times.
- The statistics of an hour are stamped with that hour's end, so they fall into the window of the events
  they are for: exactly docs/design.md §7 for size = every, and no event sees its own hour.
- All keys go through one `CombinePerKey`, whose partial sums are lifted before the shuffle.
- Joining by `CoGroupByKey` for each key, the other documented pattern, took 2.6 times as long.
- `RunInference` keeps its own batch sizes: 128, 512 and 1,024 at least, or batching across windows, gained
  nothing.
- `FnApiRunner` is what `DirectRunner` runs such a batch with, here without trying to start Prism first.
- `ReadFromAvro` saves the parsing and time conversion that JSON lines, the usual example input, would need.
`run_expert` is not documented anywhere: it puts the hour into the key instead of using windows, since
profiling shows half of the time in the runner's trigger code, which runs for each (key, window).
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.io.avroio import ReadFromAvro, WriteToAvro
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference
from apache_beam.ml.inference.sklearn_inference import SklearnModelHandlerNumpy
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from benchmarks import workload as wl

HOUR_S = wl.HOUR_US // 1_000_000
Record = dict[str, Any]
# The key kind ("origin", "dest", "carrier") and its value.
HistoryKey = tuple[str, str]
HourKey = tuple[str, str, int]
# Events, events with a delay, sum of delays, greatest delay.
Statistics = tuple[int, int, float, float]
NO_HISTORY: Statistics = (0, 0, 0.0, float("-inf"))
_first_event_at: list[float] = []


class HourStatistics(beam.CombineFn):
    """Count, mean and maximum of delays in one pass, as the documentation's `CombineFn` examples do."""

    def create_accumulator(self) -> Statistics:
        return NO_HISTORY

    def add_input(self, accumulator: Statistics, element: float | None) -> Statistics:
        count, valued, total, top = accumulator
        if element is None:
            return count + 1, valued, total, top
        return count + 1, valued + 1, total + element, element if element > top else top

    def merge_accumulators(self, accumulators: Iterable[Statistics]) -> Statistics:
        count, valued, total, top = NO_HISTORY
        for one in accumulators:
            count, valued, total, top = count + one[0], valued + one[1], total + one[2], max(top, one[3])
        return count, valued, total, top

    def extract_output(self, accumulator: Statistics) -> Statistics:
        return accumulator


def with_event_time(event: Record) -> TimestampedValue[Record]:
    """The event in its own time; also notes when the run saw its first event."""
    if not _first_event_at:
        _first_event_at.append(time.time())
    return TimestampedValue(event, event["departed_at"].timestamp())


def keyed_delays(event: Record) -> Iterator[tuple[HistoryKey, float | None]]:
    """One (key, delay) for each key of the event."""
    for key in wl.KEYS:
        yield (key, event[key]), event[wl.VALUE]


class AtEndOfHour(beam.DoFn):
    """Stamps an hour's statistics with its end: the beginning of the hour that they are history for."""

    def process(
        self, element: tuple[HistoryKey, Statistics], window: Any = beam.DoFn.WindowParam
    ) -> Iterator[TimestampedValue[tuple[HistoryKey, Statistics]]]:
        yield TimestampedValue(element, window.end)


def with_history(event: Record, history: dict[HistoryKey, Statistics]) -> Record:
    """The event with the windowed features of all its keys."""
    return event | {
        name: value for key in wl.KEYS for name, value in _named(key, history.get((key, event[key])))
    }


def _named(key: str, statistics: Statistics | None) -> Iterator[tuple[str, float]]:
    count, valued, total, top = statistics or NO_HISTORY
    yield f"{key}_departures_1h", float(count)
    yield f"{key}_delay_mean_1h", total / valued if valued else wl.DEFAULT
    yield f"{key}_delay_max_1h", top if valued else wl.DEFAULT


def vector(event: Record) -> tuple[Record, npt.NDArray[np.float64]]:
    """The event and the model's inputs in the order of `FEATURES`."""
    inputs = (event[name] for name in wl.FEATURES)
    return event, np.array([wl.DEFAULT if value is None else value for value in inputs], dtype=np.float64)


def probability(model: Any, batch: Sequence[npt.NDArray[np.float64]], _: dict[str, Any] | None = None) -> Any:
    """Inference function of the handler, whose default would answer with classes."""
    return model.predict_proba(np.stack(batch))[:, 1]


class ToRecords(beam.DoFn):
    """Makes the receipt (main output) and the score (tag `scores`) of a scored event."""

    def __init__(self, workload: wl.Workload) -> None:
        self._workload = workload

    def process(self, element: tuple[Record, PredictionResult]) -> Iterator[Any]:
        event, result = element[0], cast(Any, element[1])
        workload = self._workload
        score = {
            "score_id": wl.score_id(event["id"], workload.digest, workload.definitions),
            "event_id": event["id"],
            "event_time": event["departed_at"],
            "subject": event["tailnum"],
            "model": workload.model,
            "version": workload.version,
            "release": workload.release,
            "role": wl.ROLE,
            "score": float(result.inference),
            "decision": None,
            "late": False,
            "reasons": [],
            "scored_at": time.time_ns() // 1000,
        }
        yield beam.pvalue.TaggedOutput("scores", score)
        features = dict(zip(wl.FEATURES, result.example.tolist(), strict=True))
        # RunInference measures its batches only in a metric: no latency reaches the records.
        yield score | {
            "digest": workload.digest,
            "features": features,
            "latency_us": 0,
            "worker": "runinference",
        }


def run(workload: wl.Workload) -> wl.Times:
    """Scores the workload's events in the documented way into `out/scores` and `out/receipts`."""
    with _pipeline() as pipeline:
        events = _read(pipeline, workload) | "Hourly" >> beam.WindowInto(FixedWindows(HOUR_S))
        history = (
            events
            | "ByKey" >> beam.FlatMap(keyed_delays)
            | "Statistics" >> beam.CombinePerKey(HourStatistics())  # type: ignore[no-untyped-call]  # Beam's
            | "AtEndOfHour" >> beam.ParDo(AtEndOfHour())  # type: ignore[no-untyped-call]  # Beam's
            | "NextHour" >> beam.WindowInto(FixedWindows(HOUR_S))
        )
        featured = events | "AddHistory" >> beam.Map(with_history, history=beam.pvalue.AsDict(history))
        _score_and_write(featured, workload)
    return wl.Times(_first_event_at[0], time.time())


def run_expert(workload: wl.Workload) -> wl.Times:
    """The same with the hour as part of the key and everything in the global window."""
    with _pipeline() as pipeline:
        events = _read(pipeline, workload)
        history = (
            events
            | "ByKeyAndHour" >> beam.FlatMap(keyed_delays_by_hour)
            | "Statistics" >> beam.CombinePerKey(HourStatistics())  # type: ignore[no-untyped-call]  # Beam's
        )
        featured = events | "AddHistory" >> beam.Map(with_hour_before, history=beam.pvalue.AsDict(history))
        _score_and_write(featured, workload)
    return wl.Times(_first_event_at[0], time.time())


def keyed_delays_by_hour(event: Record) -> Iterator[tuple[HourKey, float | None]]:
    """One (key and hour, delay) for each key of the event."""
    hour = _hour(event)
    for key in wl.KEYS:
        yield (key, event[key], hour), event[wl.VALUE]


def with_hour_before(event: Record, history: dict[HourKey, Statistics]) -> Record:
    """The event with the windowed features of all its keys."""
    before = _hour(event) - 1
    return event | {
        name: value for key in wl.KEYS for name, value in _named(key, history.get((key, event[key], before)))
    }


def _hour(event: Record) -> int:
    return int(event["departed_at"].timestamp()) // HOUR_S


def _pipeline() -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))


def _read(pipeline: beam.Pipeline, workload: wl.Workload) -> Any:
    return (
        pipeline | "ReadEvents" >> ReadFromAvro(workload.events) | "InEventTime" >> beam.Map(with_event_time)
    )


def _score_and_write(featured: Any, workload: wl.Workload) -> None:
    handler = SklearnModelHandlerNumpy(workload.pickle, inference_fn=probability)
    records = (
        featured
        | "Vector" >> beam.Map(vector)
        | "RunInference" >> RunInference(KeyedModelHandler(handler))
        | "ToRecords" >> beam.ParDo(ToRecords(workload)).with_outputs("scores", main="receipts")
    )
    for name, schema, written in (
        ("scores", "Score", records.scores),
        ("receipts", "Receipt", records.receipts),
    ):
        prefix = str(Path(workload.out) / name / "part")
        sink = WriteToAvro(
            prefix, json.loads(wl.avro_schema(schema)), codec="zstandard", file_name_suffix=".avro"
        )
        written | f"Write_{name}" >> sink
