"""MergePanes: the panes that shards hand on, put together and measured."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import msgspec
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from transforms.flow import metrics
from transforms.flow.cells import taking
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.flow.timers import at_or_after
from transforms.quality.answers import ScoredBy
from transforms.quality.measuring.quality_records import QualityOrigin, quality_records
from transforms.quality.panes import PANES, Schedule
from transforms.quality.quality_forms import PANES_VERSION, PaneForm
from transforms.quality.sums.group_sums import GroupSums, added_sums
from transforms.quality.sums.sums_coder import GroupSumsCoder

PaneKey: TypeAlias = tuple[str, int]
"""Who answered, as `ScoredBy.text`, and the start of the window."""
ShardPane: TypeAlias = tuple[PaneKey, tuple[int, GroupSums]]
_AFTER_US = 1_000  # all shards hand on a pane at one time: it is whole when the watermark has passed that


class Emitted(NamedTuple):
    """Of the last pane of a window that was emitted: its number in the records, its number among those that are due,
    and of how many shards it was."""

    number: int
    pane: int
    parts: int


_NOTHING_EMITTED = Emitted(-1, -1, 0)
_DUE = TimerSpec("due", TimeDomain.WATERMARK)


class _Cells(NamedTuple):
    panes: Any = beam.DoFn.StateParam(
        BagStateSpec("panes", VersionedStateCoder("quality_panes", PANES_VERSION, PaneForm()))
    )
    emitted: Any = beam.DoFn.StateParam(
        ReadModifyWriteStateSpec("emitted", VersionedStateCoder("quality_emitted", PANES_VERSION, Plain(Emitted)))
    )
    pending: Any = beam.DoFn.StateParam(ReadModifyWriteStateSpec("pending", VarIntCoder()))
    due: Any = beam.DoFn.TimerParam(_DUE)


class _MergeFn(beam.DoFn):
    """One window of one version in one role. What shards hand on of a pane is held until the next one: should one be
    later than the others, the pane is emitted again with a greater number."""

    def __init__(self, schedule: Schedule, model: str, run: str | None) -> None:
        self._schedule, self._model, self._run = schedule, model, run

    @taking(_Cells)
    def process(self, element: ShardPane, cells: _Cells) -> None:
        (_, start_us), (pane, sums) = element
        cells.panes.add((pane, sums))
        due_us, pending = self._schedule.due_us(start_us, pane) + _AFTER_US, cells.pending.read()
        if pending is None or due_us < pending:
            self._wait(due_us, cells)

    def _wait(self, due_us: int, cells: _Cells) -> None:
        cells.pending.write(due_us)
        cells.due.set(at_or_after(due_us))

    @on_timer(_DUE)
    def whole(  # type: ignore[no-untyped-def]  # Beam passes state and timers through defaults
        self,
        key=beam.DoFn.KeyParam,
        reached=beam.DoFn.TimestampParam,
        panes=_Cells._field_defaults["panes"],
        emitted=_Cells._field_defaults["emitted"],
        pending=_Cells._field_defaults["pending"],
        due=_Cells._field_defaults["due"],
    ) -> Iterator[pa.RecordBatch]:
        cells = _Cells(panes, emitted, pending, due)
        pending.clear()
        yield from self._reached(key, reached, cells)

    def _reached(self, key: PaneKey, reached: Timestamp, cells: _Cells) -> Iterator[pa.RecordBatch]:
        by_text, start_us = key
        held = list(cells.panes.read())
        whole = [pane for pane, _ in held if self._schedule.due_us(start_us, pane) <= reached.micros]
        before = cells.emitted.read() or _NOTHING_EMITTED
        latest = max(whole, default=-1)
        parts = [sums for pane, sums in held if pane == latest]
        if (latest, len(parts)) > (before.pane, before.parts):  # a runner may fire a timer twice
            number = max(latest, before.number + 1)
            origin = QualityOrigin(self._schedule.window_us, number, self._model, self._run)
            yield counted_records(added_sums(parts), msgspec.json.decode(by_text, type=ScoredBy), origin)
            cells.emitted.write(Emitted(number, latest, len(parts)))
        left = [(pane, sums) for pane, sums in held if pane >= latest and latest < PANES - 1]
        cells.panes.clear()
        for value in left:
            cells.panes.add(value)
        later = [pane for pane, _ in left if pane > latest]
        if later:
            self._wait(self._schedule.due_us(start_us, min(later)) + _AFTER_US, cells)


def counted_records(sums: GroupSums, by: ScoredBy, origin: QualityOrigin) -> pa.RecordBatch:
    """The records of one version in one role, which the job's metrics count."""
    records = quality_records(sums, by, origin)
    metrics.counter(metrics.QUALITY_PANES_MEASURED).inc(len({start for start, _ in sums.groups}))
    metrics.counter(metrics.QUALITY_RECORDS_EMITTED).inc(records.num_rows)
    return records


class MergePanes(beam.PTransform[beam.PCollection[ShardPane], beam.PCollection[pa.RecordBatch]]):
    """Puts together the panes of all shards and measures them.

    Input: `ShardPane` in the global window, each at the time when its pane is due. Output: batches of Quality, one for
    each (version, role, window, pane). State for each of these keys: what shards handed on of the latest pane, cleared
    with the last one.
    """

    def __init__(self, schedule: Schedule, model: str, run: str | None) -> None:
        super().__init__()
        self._schedule, self._model, self._run = schedule, model, run

    def expand(self, panes: beam.PCollection[ShardPane]) -> beam.PCollection[pa.RecordBatch]:
        merging = beam.ParDo(_MergeFn(self._schedule, self._model, self._run)).with_output_types(pa.RecordBatch)
        merged: beam.PCollection[pa.RecordBatch] = panes | "Merge" >> merging
        return merged


GroupSumsCoder()  # registered on import: what shards hand on is encoded by it
