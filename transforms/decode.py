"""DecodeEvents: raw stretches of input to batches of events in the job's columns."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from schemas import batches
from schemas.avro_datums import decode_block
from schemas.job import EventsSpec
from schemas.json_lines import decode_lines, decode_objects
from schemas.raw import DecodedRows, RawBlock
from schemas.records import DeadLetter, now_us, record_batch
from schemas.tf_examples import decode_examples
from transforms import metrics
from transforms.conform import conform
from transforms.dead_letters import DEAD_LETTERS
from transforms.places import Places


class Decoded(NamedTuple):
    """`good`: batches of events; `dead_letters`: batches of DeadLetter."""

    good: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]


def _decode_avro(block: RawBlock, spec: EventsSpec) -> list[DecodedRows]:
    decoded = decode_block(block.data, block.datums, block.schema)
    if not decoded.unreadable or len(block.parts) < 2:
        return [decoded]
    pieces, start = [], 0
    for datums, size in block.parts:
        pieces.append(decode_block(block.data[start : start + size], datums, block.schema))
        start += size
    return pieces


def _decode_json(block: RawBlock, spec: EventsSpec) -> list[DecodedRows]:
    if block.records:
        return [decode_objects(block.records, spec.columns, spec.event_id, spec.event_time, spec.subject)]
    return [decode_lines(block.data, spec.columns, spec.event_id, spec.event_time, spec.subject)]


def _decode_examples(block: RawBlock, spec: EventsSpec) -> list[DecodedRows]:
    wanted = [spec.event_id, spec.event_time, *([spec.subject] if spec.subject else []), *dict(spec.columns)]
    return decode_examples(block.records, list(dict.fromkeys(wanted)))


FORMATS: dict[str, Callable[[RawBlock, EventsSpec], list[DecodedRows]]] = {
    "avro": _decode_avro,
    "json": _decode_json,
    "tfexample": _decode_examples,
}


def decode_raw(block: RawBlock, spec: EventsSpec, at_us: int) -> tuple[pa.RecordBatch | None, list[DeadLetter]]:
    """The events of one raw stretch, and a dead letter with the original bytes for every record that is not one."""
    places = Places(block)
    if block.error:
        detail = f"{places.of(block.data)}: {block.error}"
        return None, [DeadLetter("decode", "UnreadableInput", detail, block.data, None, None, at_us)]
    events: list[pa.RecordBatch] = []
    letters: list[DeadLetter] = []
    for piece in FORMATS[spec.format](block, spec):
        letters += [
            DeadLetter("decode", bad.error, f"{places.of(bad.payload)}: {bad.detail}", bad.payload, None, None, at_us)
            for bad in piece.unreadable
        ]
        if piece.rows.num_rows:
            conformed = conform(piece.rows, piece.payloads, spec, at_us)
            events.append(conformed.events)
            letters += [places.stated(letter) for letter in conformed.dead_letters]
    return (batches.concat_batches(events) if events else None), letters


class _DecodeFn(beam.DoFn):
    def __init__(self, spec: EventsSpec) -> None:
        self._spec = spec

    def setup(self) -> None:
        self._began = False

    def process(self, block: RawBlock) -> Iterator[Any]:
        if not self._began:
            self._began = True
            metrics.distribution(metrics.DECODE_BEGAN_MS).update(now_us() // 1000)
        events, letters = decode_raw(block, self._spec, now_us())
        good = 0 if events is None else events.num_rows
        metrics.counter(metrics.RECORDS_READ).inc(good + len(letters))
        metrics.counter(metrics.EVENTS_DECODED).inc(good)
        if good:
            yield events
        if letters:
            metrics.dead_letters("decode").inc(len(letters))
            yield beam.pvalue.TaggedOutput(DEAD_LETTERS, record_batch("DeadLetter", letters))


class DecodeEvents(beam.PTransform[beam.PCollection[RawBlock], Decoded]):
    """Decodes raw stretches of input into batches of events.

    Input: `RawBlock`, any windowing. Outputs: `good`, batches in `schemas.batches.event_schema`; `dead_letters`.
    Dead-lettered (stage decode): what cannot be framed or decoded, has a wrong type, no id or no time, a number that
    is not finite, or a time outside `spec.time_range_us`. No state.
    """

    def __init__(self, spec: EventsSpec) -> None:
        super().__init__()
        self._spec = spec

    def expand(self, raw: beam.PCollection[RawBlock]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        decoded = raw | "Decode" >> beam.ParDo(_DecodeFn(self._spec)).with_outputs(DEAD_LETTERS, main="good")
        decoded.good.element_type = pa.RecordBatch
        decoded[DEAD_LETTERS].element_type = pa.RecordBatch
        return Decoded(decoded.good, decoded[DEAD_LETTERS])
