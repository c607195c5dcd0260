"""ArrivingFn: a shard of answers and labels of a stream, held in state until their windows are over."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from schemas.job import EventsSpec
from schemas.times import now_us
from transforms.flow import metrics
from transforms.flow.cells import taking
from transforms.flow.dead_letters import DEAD_LETTERS, counted_batch
from transforms.flow.hiding import Hides, hiding_of
from transforms.flow.state import Form, Plain, VersionedStateCoder
from transforms.flow.timers import at_or_after
from transforms.labels.label_join import JoinedLabels
from transforms.quality import held as of
from transforms.quality.answers import is_answers
from transforms.quality.held import ALONE, Also, HeldShard, Reached
from transforms.quality.let_go import LetGo
from transforms.quality.merge_panes import keyed
from transforms.quality.panes import Schedule
from transforms.quality.quality_forms import (
    ANSWERS_VERSION,
    LABELS_VERSION,
    LET_GO_VERSION,
    WINDOWS_VERSION,
    BatchForm,
)

_NEVER_US = 2**62
_MAX_BATCHES = 64  # of answers in one bag, before they are put together
_DUE = TimerSpec("due", TimeDomain.WATERMARK)


def _bag(name: str, version: int, form: Form) -> Any:
    return beam.DoFn.StateParam(BagStateSpec(name, VersionedStateCoder(f"quality_{name}", version, form)))


def _value(name: str, coder: Any) -> Any:
    return beam.DoFn.StateParam(ReadModifyWriteStateSpec(name, coder))


class _Cells(NamedTuple):
    """What a shard keeps; `panes`: of each window that is held, the next pane that is due. `pending`: when the timer
    fires: if it were set again while it waits, answers that arrive all the time would postpone it for ever."""

    answers: Any = _bag("answers", ANSWERS_VERSION, BatchForm(answers=True))
    labels: Any = _bag("labels", LABELS_VERSION, BatchForm(answers=False))
    let_go: Any = _bag("let_go", LET_GO_VERSION, Plain(LetGo))
    panes: Any = _value("windows", VersionedStateCoder("quality_windows", WINDOWS_VERSION, Plain(dict[int, int])))
    known: Any = _value("known", VarIntCoder())
    pending: Any = _value("pending", VarIntCoder())
    due: Any = beam.DoFn.TimerParam(_DUE)


class ArrivingFn(beam.DoFn):
    """Takes (shard, batch of answers or labels), in any order; hands on the panes of a shard when they are due.
    `also`: what these have beside quality."""

    def __init__(self, schedule: Schedule, kind: pa.DataType, records: EventsSpec | None, also: Also = ALONE) -> None:
        self._schedule, self._kind, self._records, self._also = schedule, kind, records, also

    def setup(self) -> None:
        self._hides = hiding_of(self._records)

    @taking(_Cells)
    def process(self, element: tuple[int, pa.RecordBatch], cells: _Cells) -> None:
        batch, known = element[1], cells.known.read()
        known_us = -_NEVER_US if known is None else known
        if not is_answers(batch):
            cells.labels.add(batch)
            self._wait(of.expires_us(batch, self._schedule, known_us), cells)
            return
        held = HeldShard(panes=cells.panes.read() or {})
        kept = of.in_time(batch, held, self._schedule, known_us)
        metrics.counter(metrics.QUALITY_ANSWERS_TOO_LATE).inc(batch.num_rows - kept.num_rows)
        if kept.num_rows:
            cells.answers.add(kept)
            cells.panes.write(held.panes)
            self._wait(of.next_due_us(held, self._schedule), cells)

    def _wait(self, due_us: int, cells: _Cells) -> None:
        pending = cells.pending.read()
        if due_us < _NEVER_US and (pending is None or due_us < pending):
            cells.pending.write(due_us)
            cells.due.set(at_or_after(due_us))

    @on_timer(_DUE)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def reached(self, fired: Timestamp, cells: _Cells) -> Iterator[Any]:
        cells.pending.clear()
        cells.known.write(int(fired.micros))
        bags = [list(each.read()) for each in (cells.answers, cells.labels, cells.let_go)]
        held = HeldShard(bags[0], bags[1], cells.panes.read() or {}, bags[2])
        answers, before, let_go = held.answers, dict(held.panes), held.let_go
        at_us = int(fired.micros)
        found = of.reached(held, self._schedule, self._kind, at_us, now_us(), self._also)
        if len(before) != len(held.panes) or len(answers) > _MAX_BATCHES:
            _rewrite(cells.answers, held.answers)
        _rewrite(cells.labels, held.labels)
        if held.let_go[: len(let_go)] != let_go:
            _rewrite(cells.let_go, held.let_go)
        else:
            _add(cells.let_go, held.let_go[len(let_go) :])
        cells.panes.write(held.panes) if held.panes else cells.panes.clear()
        # Labels that an answer has go with its window: only what may still expire is waited for.
        labels = [of.expires_us(batch, self._schedule, int(fired.micros)) for batch in held.labels]
        panes = of.next_due_us(held, self._schedule)
        self._wait(min([panes, *(each for each in labels if each < panes)]), cells)
        yield from handed_on(found, self._hides)


def _rewrite(cell: Any, values: Iterable[Any]) -> None:
    cell.clear()
    _add(cell, values)


def _add(cell: Any, values: Iterable[Any]) -> None:
    for value in values:
        cell.add(value)


def handed_on(found: Reached, hides: Hides | None) -> Iterator[Any]:
    """What a shard hands on, after its counts; `hides`: of a job with privacy."""
    metrics.counter(metrics.QUALITY_ANSWERS_REPEATED).inc(found.repeated)
    metrics.counter(metrics.LABELS_WITHOUT_EVENT).inc(found.without_event)
    for joined in found.joined:
        count_outcomes(joined)
    for each in found.panes:
        yield keyed(each.by, each.start_us, each.pane, each.sums)
    if found.letters:
        yield beam.pvalue.TaggedOutput(DEAD_LETTERS, counted_batch(found.letters, hides=hides))


def count_outcomes(joined: JoinedLabels) -> None:
    """Counts what came of the events of windows that are over."""
    for outcome, number in joined.counts().items():
        metrics.counter(metrics.LABEL_OUTCOMES_PREFIX + outcome).inc(number)
    if pa.types.is_boolean(joined.values.type):
        metrics.counter(metrics.LABELS_TRUE).inc(joined.values.true_count)
        metrics.counter(metrics.LABELS_FALSE).inc(joined.values.false_count)
    metrics.counter(metrics.LABELS_REPEATED).inc(joined.repeated)
    metrics.counter(metrics.LABELS_CONTRADICTED).inc(joined.contradicted)
