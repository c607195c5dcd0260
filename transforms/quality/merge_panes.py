"""MergePanes: the panes that shards hand on, put together and measured."""

import hashlib
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

OfShard: TypeAlias = tuple[str, int, GroupSums]
"""What `pane_key` makes of who answered and the start of the window, the number of the pane, and a shard's sums."""
ShardPane: TypeAlias = tuple[int, OfShard]
_AFTER_US = 1_000


class Emitted(NamedTuple):
    """Of the last pane of a window that was emitted: its number in the records, its number among those that are due,
    and of how many shards it was."""

    number: int
    pane: int
    parts: int


_NOTHING_EMITTED = Emitted(-1, -1, 0)
# Another name than that of the step before: the FnApiRunner takes timers of one name for those of one step.
_DUE = TimerSpec("whole", TimeDomain.WATERMARK)


class _Cells(NamedTuple):
    panes: Any = beam.DoFn.StateParam(
        BagStateSpec("panes", VersionedStateCoder("quality_panes", PANES_VERSION, PaneForm()))
    )
    emitted: Any = beam.DoFn.StateParam(
        ReadModifyWriteStateSpec("emitted", VersionedStateCoder("quality_emitted", PANES_VERSION, Plain(Emitted)))
    )
    pending: Any = beam.DoFn.StateParam(ReadModifyWriteStateSpec("pending", VarIntCoder()))
    due: Any = beam.DoFn.TimerParam(_DUE)


def pane_key(by: ScoredBy, start: int) -> str:
    """Who answered, and a number such as the start of a window, as one text."""
    return f"{start} {by.text()}"


def parts_of(key: str) -> tuple[ScoredBy, int]:
    """The inverse of `pane_key`."""
    start, _, text = key.partition(" ")
    return msgspec.json.decode(text, type=ScoredBy), int(start)


def keyed(by: ScoredBy, start: int, pane: int, sums: GroupSums) -> ShardPane:
    """A shard's pane with a whole number as its key, the hash of that text, as the keys of other steps with state
    are."""
    text = pane_key(by, start)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1, (text, pane, sums)


class _MergeFn(beam.DoFn):
    """One window of one version in one role. What shards hand on of a pane is held until the next one: should one be
    later than the others, the pane is emitted again with a greater number."""

    def __init__(self, schedule: Schedule, model: str, run: str | None) -> None:
        self._schedule, self._model, self._run = schedule, model, run

    @taking(_Cells)
    def process(self, element: ShardPane, cells: _Cells) -> None:
        of_shard = element[1]
        cells.panes.add(of_shard)
        due_us, pending = self._whole_at_us(of_shard[0], of_shard[1]), cells.pending.read()
        if pending is None or due_us < pending:
            self._wait(due_us, cells)

    def _whole_at_us(self, key: str, pane: int) -> int:
        """All shards hand on a pane at one time: it is whole when the watermark has passed that."""
        return self._schedule.due_us(parts_of(key)[1], pane) + _AFTER_US

    def _wait(self, due_us: int, cells: _Cells) -> None:
        cells.pending.write(due_us)
        cells.due.set(at_or_after(due_us))

    @on_timer(_DUE)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def whole(self, reached: Timestamp, cells: _Cells) -> Iterator[pa.RecordBatch]:
        cells.pending.clear()
        held = list(cells.panes.read())
        found = [pane for key, pane, _ in held if self._whole_at_us(key, pane) <= reached.micros]
        before, latest = cells.emitted.read() or _NOTHING_EMITTED, max(found, default=-1)
        parts = [sums for _, pane, sums in held if pane == latest]
        if (latest, len(parts)) > (before.pane, before.parts):  # a runner may fire a timer twice
            number = max(latest, before.number + 1)
            origin = QualityOrigin(self._schedule.window_us, number, self._model, self._run)
            yield counted_records(added_sums(parts), parts_of(held[0][0])[0], origin)
            cells.emitted.write(Emitted(number, latest, len(parts)))
        left = [each for each in held if each[1] >= latest and latest < PANES - 1]
        cells.panes.clear()
        for value in left:
            cells.panes.add(value)
        later = [self._whole_at_us(key, pane) for key, pane, _ in left if pane > latest]
        if later:
            self._wait(min(later), cells)


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
