"""MergePanes: the panes that shards hand on, put together and measured."""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type
from apache_beam.utils.timestamp import Timestamp

from schemas import batches
from schemas.job import ConceptDriftSpec
from transforms.flow import metrics
from transforms.flow.cells import taking
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.flow.timers import at_or_after
from transforms.quality.answers import ErrorsBy, FairnessBy, PairedBy, ScoredBy, Whose, whose
from transforms.quality.changes.detect_changes import DetectChanges, ErrorPane, changes_of_whole, error_panes
from transforms.quality.measuring.fair_records import fair_records
from transforms.quality.measuring.pair_records import pair_records
from transforms.quality.measuring.quality_records import QualityOrigin, quality_records
from transforms.quality.panes import Schedule
from transforms.quality.quality_forms import PANES_VERSION, PaneForm
from transforms.quality.sums.error_sums import ErrorSums
from transforms.quality.sums.fair_sums import WithFairness
from transforms.quality.sums.group_sums import GroupSums
from transforms.quality.sums.pair_sums import PairSums
from transforms.quality.sums.sums_coder import AnySums, QualitySums, QualitySumsCoder, added_any

ERRORS = "errors"
"""The output with panes of errors, which detectors of changes read."""
OfShard: TypeAlias = tuple[str, int, AnySums]
"""What `pane_key` makes of who answered and the start of the window, the number of the pane, and a shard's sums."""
ShardPane: TypeAlias = tuple[int, OfShard]
SHARD_PANE = convert_to_beam_type(tuple[int, tuple[str, int, QualitySums]])
"""The same, as Beam's type hint."""
ERROR_PANE = convert_to_beam_type(tuple[int, tuple[str, ErrorPane]])
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


def pane_key(by: Whose, start: int) -> str:
    """Who answered, and a number such as the start of a window, as one text."""
    return f"{start} {by.text()}"


def parts_of(key: str) -> tuple[Whose, int]:
    """The inverse of `pane_key`."""
    start, _, text = key.partition(" ")
    return whose(text), int(start)


def keyed(by: Whose, start: int, pane: int, sums: AnySums) -> ShardPane:
    """A shard's pane with a whole number as its key, the hash of that text, as the keys of other steps with state
    are."""
    text = pane_key(by, start)
    return _hashed(text), (text, pane, sums)


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class _MergeFn(beam.DoFn):
    """One window of one version in one role, or of a pair. What shards hand on of a pane is held until the next one:
    should one be later than the others, the pane is emitted again with a greater number."""

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
            yield from self._measured(added_any(parts), parts_of(held[0][0])[0], number)
            cells.emitted.write(Emitted(number, latest, len(parts)))
        left = [each for each in held if each[1] >= latest and latest < self._schedule.panes - 1]
        cells.panes.clear()
        for value in left:
            cells.panes.add(value)
        later = [self._whole_at_us(key, pane) for key, pane, _ in left if pane > latest]
        if later:
            self._wait(min(later), cells)

    def _measured(self, sums: AnySums, by: Whose, number: int) -> Iterator[Any]:
        if not isinstance(sums, ErrorSums):
            yield counted_records(sums, by, QualityOrigin(self._schedule.window_us, number, self._model, self._run))
            return
        for pane in error_panes(sums, number):
            yield beam.pvalue.TaggedOutput(ERRORS, (_hashed(by.text()), (by.text(), pane)))


def counted_records(
    sums: AnySums, by: Whose, origin: QualityOrigin, changes: ConceptDriftSpec | None = None
) -> pa.RecordBatch:
    """The records of one version in one role, of a pair, or of a version's errors by the detectors of `changes`, which
    the job's metrics count; panes of pairs are no others."""
    if isinstance(sums, ErrorSums):
        assert isinstance(by, ErrorsBy), "the key of errors"
        assert changes is not None, "errors are there where detectors read them"
        return changes_of_whole(sums, by, changes, origin)
    if isinstance(sums, PairSums):
        assert isinstance(by, PairedBy), "the key of pairs names two versions"
        records = pair_records(sums, by, origin)
    else:
        records = _of_version(sums, by, origin)
        metrics.counter(metrics.QUALITY_PANES_MEASURED).inc(len({start for start, _ in sums.groups}))
    metrics.counter(metrics.QUALITY_RECORDS_EMITTED).inc(records.num_rows)
    return records


def _of_version(sums: GroupSums | WithFairness, by: Whose, origin: QualityOrigin) -> pa.RecordBatch:
    """With the records of fairness beside the others: a pane has all of a window."""
    if isinstance(sums, WithFairness):
        assert isinstance(by, FairnessBy), "the key of fairness names its rules"
        of_groups = fair_records(sums.fairness, by, origin)
        return batches.concat_batches([quality_records(sums.whole, by.of, origin), of_groups])
    assert isinstance(by, ScoredBy), "the key of one version's answers"
    return quality_records(sums, by, origin)


class MergePanes(beam.PTransform[beam.PCollection[Any], beam.PCollection[pa.RecordBatch]]):
    """Puts together the panes of all shards and measures them.

    Input: `ShardPane` in the global window, each at the time when its pane is due. Output: batches of Quality, one for
    each (version, role, window, pane), and for each pair of versions. State for each of these keys: what shards handed
    on of the latest pane, cleared with the last one. With `changes`, detectors
    read the panes of errors (`DetectChanges`).
    """

    def __init__(
        self, schedule: Schedule, model: str, run: str | None, changes: ConceptDriftSpec | None = None
    ) -> None:
        super().__init__()
        self._schedule, self._model, self._run, self._changes = schedule, model, run, changes

    def expand(self, panes: beam.PCollection[Any]) -> beam.PCollection[pa.RecordBatch]:
        merging = beam.ParDo(_MergeFn(self._schedule, self._model, self._run)).with_input_types(SHARD_PANE)
        if self._changes is None:
            merged: beam.PCollection[pa.RecordBatch] = panes | "Merge" >> merging.with_output_types(pa.RecordBatch)
            return merged
        both = panes | "Merge" >> merging.with_outputs(ERRORS, main="records")
        both.records.element_type = pa.RecordBatch
        both[ERRORS].element_type = ERROR_PANE
        detecting = DetectChanges(self._schedule, self._changes, self._model, self._run)
        records: beam.PCollection[pa.RecordBatch] = (
            both.records, both[ERRORS] | "DetectChanges" >> detecting
        ) | "Records" >> beam.Flatten()  # fmt: skip
        return records


QualitySumsCoder()  # registered on import: what shards hand on is encoded by it
