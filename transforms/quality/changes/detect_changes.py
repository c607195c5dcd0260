"""DetectChanges: in a stream, what detectors say of each window of a version's errors, when its panes are due."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from schemas.job import ConceptDriftSpec
from transforms.flow import metrics
from transforms.flow.cells import taking
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.flow.timers import at_or_after
from transforms.quality.answers import ErrorsBy
from transforms.quality.changes.change_records import (
    WindowReading,
    change_records,
    first_needed_us,
    readings,
    windows_of,
)
from transforms.quality.changes.error_changes import WindowErrors
from transforms.quality.measuring.quality_records import QualityOrigin
from transforms.quality.panes import PANES, Schedule
from transforms.quality.sums.error_sums import ErrorSums

STATE_VERSION = 1
_AFTER_US = 2_000  # after the step before has put together what shards hand on
# Another name than those of the steps before, as these say.
_DUE = TimerSpec("read", TimeDomain.WATERMARK)


class ErrorPane(NamedTuple):
    """A pane of a window of errors, as state keeps it: arrays as little-endian bytes; `told`: the detectors whose
    changes in it are counted."""

    start_us: int
    pane: int
    events: int
    in_part: bytes
    totals: bytes
    told: tuple[str, ...] = ()

    def errors(self) -> WindowErrors:
        """What detectors read."""
        in_part, totals = np.frombuffer(self.in_part, "<i8"), np.frombuffer(self.totals, "<f8")
        return WindowErrors(self.start_us, self.events, in_part, totals)


def error_panes(sums: ErrorSums, pane: int) -> list[ErrorPane]:
    """The panes of sums whose windows are all in one."""
    return [
        ErrorPane(
            one.start_us, pane, one.events, one.in_part.astype("<i8").tobytes(), one.totals.astype("<f8").tobytes()
        )
        for one in windows_of(sums)
    ]


def _cell(spec: Any) -> Any:
    return beam.DoFn.StateParam(spec)


class _Cells(NamedTuple):
    """`waiting`: panes that are not read yet; `windows`: of each window that detectors may read again the latest."""

    waiting: Any = _cell(
        BagStateSpec("waiting", VersionedStateCoder("changes_waiting", STATE_VERSION, Plain(tuple[str, ErrorPane])))
    )
    windows: Any = _cell(
        ReadModifyWriteStateSpec(
            "windows", VersionedStateCoder("changes_windows", STATE_VERSION, Plain(list[ErrorPane]))
        )
    )
    pending: Any = _cell(ReadModifyWriteStateSpec("pending", VarIntCoder()))
    due: Any = beam.DoFn.TimerParam(_DUE)


class _ChangesFn(beam.DoFn):
    """One version in one role. A pane is read when it is due, by the panes of earlier windows that were due by then."""

    def __init__(self, schedule: Schedule, spec: ConceptDriftSpec, model: str, run: str | None) -> None:
        self._schedule, self._spec, self._model, self._run = schedule, spec, model, run

    @taking(_Cells)
    def process(self, element: tuple[int, tuple[str, ErrorPane]], cells: _Cells) -> None:
        cells.waiting.add(element[1])
        due_us, pending = self._due_us(element[1][1]), cells.pending.read()
        if pending is None or due_us < pending:
            self._wait(due_us, cells)

    def _due_us(self, pane: ErrorPane) -> int:
        return self._schedule.due_us(pane.start_us, min(pane.pane, PANES - 1)) + _AFTER_US

    def _wait(self, due_us: int, cells: _Cells) -> None:
        cells.pending.write(due_us)
        cells.due.set(at_or_after(due_us))

    @on_timer(_DUE)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def read(self, fired: Timestamp, cells: _Cells) -> Iterator[pa.RecordBatch]:
        cells.pending.clear()
        held, reached_us = list(cells.waiting.read()), int(fired.micros)
        due = [(self._due_us(pane), pane) for _, pane in held if self._due_us(pane) <= reached_us]
        known = {pane.start_us: pane for pane in cells.windows.read() or []}
        for at_us in sorted({each for each, _ in due}):
            panes = [pane for each, pane in due if each == at_us]
            yield from self._read(held[0][0], panes, known)
        later = [each for each in held if self._due_us(each[1]) > reached_us]
        cells.waiting.clear()
        for each in later:
            cells.waiting.add(each)
        cells.windows.write(self._kept(known, reached_us))
        if later:
            self._wait(min(self._due_us(pane) for _, pane in later), cells)

    def _read(self, text: str, panes: Iterable[ErrorPane], known: dict[int, ErrorPane]) -> Iterator[pa.RecordBatch]:
        new = dict[int, ErrorPane]()
        for pane in sorted(panes, key=lambda each: (each.start_us, each.pane)):
            before = known.get(pane.start_us)
            if before is None or pane.pane > before.pane:
                new[pane.start_us] = pane._replace(told=before.told if before else ())
                known[pane.start_us] = new[pane.start_us]
        by, window_us = ErrorsBy.of(text), self._schedule.window_us
        windows = [known[start].errors() for start in sorted(known)]
        found = readings(windows, self._spec, window_us, shares=by.are_shares, wanted=new)
        for each in found:
            pane = known[each.window.start_us]
            if each.change and each.detector not in pane.told:
                count_change(each)
                known[pane.start_us] = pane._replace(told=(*pane.told, each.detector))
        for number in sorted({pane.pane for pane in new.values()}):
            own = [each for each in found if new[each.window.start_us].pane == number]
            yield counted(change_records(own, by, QualityOrigin(window_us, number, self._model, self._run)))

    def _kept(self, known: dict[int, ErrorPane], reached_us: int) -> list[ErrorPane]:
        """What the windows need that may still have a pane."""
        schedule = self._schedule
        oldest_us = reached_us - (schedule.horizon_us or 0) - schedule.lateness_us - 2 * schedule.window_us
        first_us = first_needed_us(oldest_us, schedule.window_us)
        return [known[start] for start in sorted(known) if start >= first_us]


def count_change(reading: WindowReading) -> None:
    """Counts a change that a detector saw."""
    metrics.counter(metrics.CHANGES_SEEN_PREFIX + reading.detector).inc()


def counted(records: pa.RecordBatch) -> pa.RecordBatch:
    """Records that are counted as those of quality are."""
    metrics.counter(metrics.QUALITY_RECORDS_EMITTED).inc(records.num_rows)
    return records


def changes_of_whole(sums: ErrorSums, by: ErrorsBy, spec: ConceptDriftSpec, origin: QualityOrigin) -> pa.RecordBatch:
    """The records of all windows of bounded input."""
    found = readings(windows_of(sums), spec, origin.window_us, shares=by.are_shares)
    for each in found:
        if each.change:
            count_change(each)
    return counted(change_records(found, by, origin))


class DetectChanges(beam.PTransform[beam.PCollection[Any], beam.PCollection[pa.RecordBatch]]):
    """Lets detectors read the errors of each version and role in order of event time.

    Input: (key, (text of `ErrorsBy`, `ErrorPane`)) in the global window, each at the time when its pane is due. Output:
    batches of Quality: of each window, pane and detector a record. State for each version and role: of at most 1,024
    windows and those whose labels may still come 400 bytes each; detectors themselves are never in it.
    """

    def __init__(self, schedule: Schedule, spec: ConceptDriftSpec, model: str, run: str | None) -> None:
        super().__init__()
        self._schedule, self._spec, self._model, self._run = schedule, spec, model, run

    def expand(self, panes: beam.PCollection[Any]) -> beam.PCollection[pa.RecordBatch]:
        reading = beam.ParDo(_ChangesFn(self._schedule, self._spec, self._model, self._run))
        found: beam.PCollection[pa.RecordBatch] = panes | "Read" >> reading.with_output_types(pa.RecordBatch)
        return found
