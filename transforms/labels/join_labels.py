"""DecodeLabels and JoinLabels: labels read as events are, and joined to batches that have an id and a time."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from schemas import batches
from schemas.columns import ARROW_TYPES
from schemas.dead_letter_stages import LABELS
from schemas.formats.raw import RawBlock
from schemas.job import LabelsSpec
from schemas.records import DeadLetter
from schemas.times import now_us
from transforms.decoding.decode import Decoded
from transforms.decoding.decode_raw import decode_raw
from transforms.decoding.letter_subjects import subject_within
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS, counted_batch
from transforms.flow.hiding import hiding_of
from transforms.flow.sharding import hash_ids, split_by_shard
from transforms.labels.label_join import LABEL, LABEL_OF, LABEL_TIME, JoinedLabels, join_labels, labels_table
from transforms.labels.time_split import OF_ROW, OF_ROW_TIME
from transforms.labels.truth import truth_of

OUTCOME = "__label_outcome"
"""What came of a row: an index of `transforms.labels.label_join.OUTCOMES` (int8)."""
_ROWS, _KNOWN = "rows", "known"


class DecodedLabels(NamedTuple):
    """The labels of a stretch of input (`event_id`, `label`, `label_time`; None: it has none), a letter for every
    record that is none, and how many records have no time: their labels are not known yet."""

    labels: pa.RecordBatch | None
    letters: list[DeadLetter]
    pending: int = 0


def decode_labels(block: RawBlock, spec: LabelsSpec, at_us: int) -> DecodedLabels:
    """The labels of one raw stretch.

    Raises:
        UnfitComparison: the column is of another kind than the value that `positive` compares it with.
    """
    decoded = decode_raw(block, spec.records, at_us)
    letters = [letter._replace(stage=LABELS) for letter in decoded.letters if not _is_pending(letter)]
    pending = len(decoded.letters) - len(letters)
    if decoded.events is None:
        return DecodedLabels(None, letters, pending)
    found, (name, kind) = decoded.events, spec.column
    truth = truth_of(found.column(name), kind, spec.positive)
    columns = {LABEL_OF: found.column(batches.EVENT_ID), LABEL: truth, LABEL_TIME: found.column(batches.EVENT_TIME)}
    return DecodedLabels(pa.RecordBatch.from_pydict(columns), letters, pending)


def _is_pending(letter: DeadLetter) -> bool:
    """Whether a record lacks its time: the id is read first, so what is missing beside an id is that."""
    return letter.error == "MissingValue" and bool(letter.event_id)


class _DecodeLabelsFn(beam.DoFn):
    def __init__(self, spec: LabelsSpec) -> None:
        self._spec = spec

    def setup(self) -> None:
        self._hides = hiding_of(self._spec.records)

    def process(self, block: RawBlock) -> Iterator[Any]:
        labels, letters, pending = decode_labels(block, self._spec, now_us())
        metrics.counter(metrics.LABELS_READ).inc((0 if labels is None else labels.num_rows) + len(letters) + pending)
        metrics.counter(metrics.LABELS_PENDING).inc(pending)
        metrics.counter(metrics.LABELS_UNREADABLE).inc(len(letters))
        if letters:
            events = [] if self._hides is None else self._events(letters, block)
            yield beam.pvalue.TaggedOutput(DEAD_LETTERS, counted_batch(letters, hides=self._hides, events=events))
        if labels is not None:
            yield labels

    def _events(self, letters: list[DeadLetter], block: RawBlock) -> list[str | None]:
        """The event that each label is of, as far as its record still says so."""
        spec = replace(self._spec.records, subject=self._spec.records.event_id)
        payloads = [letter.payload.removeprefix(block.prefix) for letter in letters]
        within = [subject_within(payload, spec, block.schema) for payload in payloads]
        return [letter.event_id or event_id for letter, event_id in zip(letters, within, strict=True)]


class DecodeLabels(beam.PTransform[beam.PCollection[RawBlock], Decoded]):
    """Makes batches of labels of raw stretches of their input.

    Input: `RawBlock` in the global window. Outputs: `good`, batches of `event_id`, `label`, `label_time`;
    `dead_letters` (stage labels) of what cannot be read, as for events. No state.
    """

    def __init__(self, spec: LabelsSpec) -> None:
        super().__init__()
        self._spec = spec

    def expand(self, raw: beam.PCollection[RawBlock]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        decoded = raw | "Decode" >> beam.ParDo(_DecodeLabelsFn(self._spec)).with_outputs(DEAD_LETTERS, main="good")
        decoded.good.element_type = pa.RecordBatch
        decoded[DEAD_LETTERS].element_type = pa.RecordBatch
        return Decoded(decoded.good, decoded[DEAD_LETTERS])


class _ShardFn(beam.DoFn):
    """Cuts batches by the shard of the event's id in a column of this name."""

    def __init__(self, column: str, shards: int) -> None:
        self._column, self._shards = column, shards

    def process(self, batch: pa.RecordBatch) -> list[tuple[int, pa.RecordBatch]]:
        return split_by_shard(batch, hash_ids(batch.column(self._column)), self._shards)


class _JoinFn(beam.DoFn):
    def __init__(self, spec: LabelsSpec) -> None:
        self._horizon_us = spec.horizon_us
        self._kind = pa.bool_() if spec.positive else ARROW_TYPES[spec.column[1]]

    def process(self, shard: tuple[int, dict[str, Iterable[pa.RecordBatch]]]) -> Iterator[pa.RecordBatch]:
        rows = [batch for batch in shard[1][_ROWS] if batch.num_rows]
        labels = labels_table(list(shard[1][_KNOWN]), self._kind)
        ids, times = (
            pa.chunked_array([batch.column(name) for batch in rows], kind)
            for name, kind in ((batches.EVENT_ID, pa.string()), (batches.EVENT_TIME, batches.TIME_TYPE))
        )
        joined = join_labels(ids, times, labels, self._horizon_us)
        _count(joined)
        start = 0
        for batch in rows:
            end = start + batch.num_rows
            outcomes = pa.array(joined.outcomes[start:end])
            columns = (joined.values.slice(start, end - start), joined.times.slice(start, end - start), outcomes)
            for name, column in zip((OF_ROW, OF_ROW_TIME, OUTCOME), columns, strict=True):
                batch = batch.append_column(pa.field(name, column.type), column)
            yield batch
            start = end


def _count(joined: JoinedLabels) -> None:
    for outcome, number in joined.counts().items():
        metrics.counter(metrics.LABEL_OUTCOMES_PREFIX + outcome).inc(number)
    metrics.counter(metrics.LABELS_REPEATED).inc(joined.repeated)
    metrics.counter(metrics.LABELS_CONTRADICTED).inc(joined.contradicted)
    metrics.counter(metrics.LABELS_WITHOUT_EVENT).inc(joined.without_event)


class JoinLabels(beam.PTransform[Any, beam.PCollection[pa.RecordBatch]]):
    """Joins labels to events by id, point in time (`transforms.labels.label_join`).

    Input: batches with `__event_id` and `__event_time`, and batches of labels, both bounded, in the global window.
    Output: the same rows with `__label`, `__label_time` and `__label_outcome`, whatever came of them. No state: a shard
    of the ids is grouped, and is in memory while it is joined.
    """

    def __init__(self, spec: LabelsSpec, shards: int) -> None:
        super().__init__()
        self._spec, self._shards = spec, shards

    def expand(
        self, inputs: tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]
    ) -> beam.PCollection[pa.RecordBatch]:
        rows, labels = inputs
        keyed = tuple[int, pa.RecordBatch]
        by_id = rows | "ShardRows" >> beam.ParDo(_ShardFn(batches.EVENT_ID, self._shards)).with_output_types(keyed)
        of_ids = labels | "ShardLabels" >> beam.ParDo(_ShardFn(LABEL_OF, self._shards)).with_output_types(keyed)
        together = {_ROWS: by_id, _KNOWN: of_ids} | "Group" >> beam.CoGroupByKey()
        joined: beam.PCollection[pa.RecordBatch] = together | "Join" >> beam.ParDo(
            _JoinFn(self._spec)
        ).with_output_types(pa.RecordBatch)
        return joined


