"""GuardWatcher: reports when the watcher of releases has fallen silent."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Duration, Timestamp

from schemas.records import ModelEvent, record_batch
from schemas.times import now_us
from transforms.flow import metrics
from transforms.flow.state import Plain, VersionedStateCoder

POLLS = 3
"""A watcher that was silent for this many polls counts as dead."""
_STATE_VERSION = 2


class _GuardFn(beam.DoFn):
    SILENCES = ReadModifyWriteStateSpec("silences", VersionedStateCoder("silences", _STATE_VERSION, Plain(int)))
    ALARM = TimerSpec("alarm", TimeDomain.REAL_TIME)

    def __init__(self, model: str, poll_us: int, clock_us: Callable[[], int]) -> None:
        self._model, self._patience, self._clock_us = model, Duration(micros=POLLS * poll_us), clock_us

    def process(  # type: ignore[no-untyped-def]  # Beam's parameters have no types
        self,
        element: tuple[int, pa.RecordBatch],
        silences=beam.DoFn.StateParam(SILENCES),
        alarm=beam.DoFn.TimerParam(ALARM),
    ) -> None:
        silences.clear()
        alarm.set(Timestamp(micros=self._clock_us()) + self._patience)

    @on_timer(ALARM)
    def silent(  # type: ignore[no-untyped-def]  # as above
        self,
        silences=beam.DoFn.StateParam(SILENCES),
        alarm=beam.DoFn.TimerParam(ALARM),
    ) -> Iterator[Any]:
        count = (silences.read() or 0) + 1
        silences.write(count)
        metrics.counter(metrics.WATCHER_SILENCES).inc()
        evidence = json.dumps({"silent_ms_at_least": count * int(self._patience.micros) // 1000})
        now = Timestamp(micros=self._clock_us())
        alarm.set(now + self._patience)
        reason = "watcher_silent"
        event = ModelEvent(now.micros, "heartbeat", self._model, None, None, None, "job", reason, evidence)
        yield record_batch("ModelEvent", [event])


class GuardWatcher(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """Watches the watcher: an event of kind `heartbeat` with reason `watcher_silent` for each three polls of silence.

    Input: batches of the watcher's ModelEvents, one or more for each poll, in the global window. Output: batches of
    ModelEvent. State, under one key: how often it was silent in a row, and a timer in processing time, both reset
    by each input.
    """

    def __init__(self, model: str, poll_us: int, clock_us: Callable[[], int] = now_us) -> None:
        super().__init__()
        self._model, self._poll_us, self._clock_us = model, poll_us, clock_us

    def expand(self, model_events: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        keyed = model_events | "Key" >> beam.WithKeys(0).with_output_types(tuple[int, pa.RecordBatch])
        guard = beam.ParDo(_GuardFn(self._model, self._poll_us, self._clock_us)).with_output_types(pa.RecordBatch)
        silences: beam.PCollection[pa.RecordBatch] = keyed | "Guard" >> guard
        return silences
