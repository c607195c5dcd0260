"""CountTooLate: how many rows arrived after their window was discarded."""

from collections.abc import Iterator
from typing import TypeAlias

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer

from transforms.flow import metrics
from transforms.flow.timers import at_or_after

WindowRows: TypeAlias = tuple[int, int]  # (end of the window in microseconds, rows of it)


class _CompareFn(beam.DoFn):
    """Python DoFns cannot read the watermark: a timer for each open window tells when it has closed."""

    CLOSED = ReadModifyWriteStateSpec("closed", VarIntCoder())
    OPEN = BagStateSpec("open", VarIntCoder())
    NEXT = TimerSpec("next", TimeDomain.WATERMARK)

    def __init__(self, lateness_us: int) -> None:
        self._lateness_us = lateness_us

    def process(  # type: ignore[no-untyped-def]  # Beam passes state and timers through defaults
        self,
        element: tuple[int, WindowRows],
        closed=beam.DoFn.StateParam(CLOSED),
        waiting=beam.DoFn.StateParam(OPEN),
        upcoming=beam.DoFn.TimerParam(NEXT),
    ) -> Iterator[WindowRows]:
        _, (end_us, rows) = element
        closes_us = end_us + self._lateness_us
        known = closed.read()
        if known is not None and closes_us <= known:
            metrics.counter(metrics.DRIFT_ROWS_TOO_LATE).inc(rows)
            yield end_us, rows
            return
        others = set(waiting.read())
        if closes_us not in others:
            waiting.add(closes_us)
        upcoming.set(at_or_after(min({closes_us} | others)))

    @on_timer(NEXT)
    def reached(  # type: ignore[no-untyped-def]
        self,
        reached=beam.DoFn.TimestampParam,
        closed=beam.DoFn.StateParam(CLOSED),
        waiting=beam.DoFn.StateParam(OPEN),
        upcoming=beam.DoFn.TimerParam(NEXT),
    ) -> None:
        closed.write(max(reached.micros, closed.read() or 0))
        remaining = {closes_us for closes_us in waiting.read() if closes_us > reached.micros}
        waiting.clear()
        for closes_us in remaining:
            waiting.add(closes_us)
        if remaining:
            upcoming.set(at_or_after(min(remaining)))


class CountTooLate(beam.PTransform[beam.PCollection[WindowRows], beam.PCollection[WindowRows]]):
    """Passes on the (window end, rows) that arrived when the watermark was past the window's end and lateness.

    Input: `WindowRows` in the global window, unbounded. Output: those that were too late, also counted in the metric
    `drift_rows_too_late`. It tracks the windows that it has seen: rows that are too late before any window has closed
    since the start are not counted. State: one number, and one for each open window, cleared when it closes.
    """

    def __init__(self, lateness_us: int) -> None:
        super().__init__()
        self._lateness_us = lateness_us

    def expand(self, pieces: beam.PCollection[WindowRows]) -> beam.PCollection[WindowRows]:
        keyed = pieces | "OneKey" >> beam.Map(_with_one_key).with_output_types(tuple[int, WindowRows])
        comparing = beam.ParDo(_CompareFn(self._lateness_us)).with_output_types(WindowRows)
        compared: beam.PCollection[WindowRows] = keyed | "Compare" >> comparing
        return compared


def _with_one_key(piece: WindowRows) -> tuple[int, WindowRows]:
    return 0, piece
