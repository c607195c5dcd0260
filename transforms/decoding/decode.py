"""DecodeEvents: raw stretches of input to batches of events in the job's columns.

Decoding is one function, `decode_raw`, wherever it is done. Files and messages are decoded in this step. A topic's
records are decoded where they are read, since the watermark needs the event times: their blocks come `decoded`, and
this step only counts them, puts them together and takes out the dead letters.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas import batches
from schemas.dead_letter_stages import FEATURES
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.records import DeadLetter
from schemas.times import format_time_us, now_us
from transforms.decoding.decode_raw import decode_raw
from transforms.decoding.deriving import chosen, with_derived
from transforms.decoding.join_tables import JoinTables, stored_lookups
from transforms.decoding.letter_subjects import subject_within
from transforms.decoding.written_schemas import MOST_TOLD, schema_event
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS, counted, counted_batch, letters_of
from transforms.flow.examples import keep_example
from transforms.flow.gathering import WHOLE_ROWS
from transforms.flow.hiding import Hides, hiding_of
from transforms.lookups.held_tables import NoTables, Tables, answering_table
from transforms.lookups.joining import joined_events
from transforms.lookups.watch_tables import WatchTables

_POLL_US = 10_000_000
_SCHEMAS = "schemas"
_YEAR_US = 365 * 86_400_000_000


class Decoded(NamedTuple):
    """`good`: batches of events; `dead_letters`: batches of DeadLetter; `model_events`: collections of batches of
    ModelEvent: the schemas that records are written with, and the releases of tables that come while a stream runs."""

    good: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]
    model_events: tuple[beam.PCollection[pa.RecordBatch], ...] = ()


def _count_1970(events: pa.RecordBatch, named: bool) -> None:
    """Counts events of 1970, which times in another unit than the job's look like, and keeps one as an example, with
    its id where it may be `named`."""
    times = events.column(batches.EVENT_TIME).cast(pa.int64())
    found = np.flatnonzero(pc.and_(pc.greater_equal(times, 0), pc.less(times, _YEAR_US)))
    if len(found):
        metrics.counter(metrics.EVENTS_IN_1970).inc(len(found))
        one = events.slice(int(found[0]), 1)
        name, at_us = one.column(batches.EVENT_ID)[0].as_py(), times[int(found[0])].as_py()
        who = f"{name!r:.80}" if named else "one"
        keep_example((metrics.EVENTS_IN_1970,), f"{who} at {format_time_us(at_us)}")


class _DecodeFn(beam.DoFn):
    """Small blocks of one bundle, such as those of a topic's partitions or of single messages, become one batch: the
    steps after it cost as much for ten events as for a thousand."""

    def __init__(self, spec: EventsSpec, tables: Tables) -> None:
        self._spec, self._source = spec, tables

    def setup(self) -> None:
        self._began, self._hides = False, hiding_of(self._spec)
        self._told = set[str]()
        self._tables = [answering_table(lookup, self._source) for lookup in self._spec.lookups]

    def start_bundle(self) -> None:
        self._small: list[pa.RecordBatch] = []
        self._rows, self._bytes, self._at = 0, 0, MAX_TIMESTAMP

    def process(self, block: RawBlock, at: Timestamp = beam.DoFn.TimestampParam) -> Iterator[Any]:  # type: ignore[assignment]  # Beam's way to ask for it
        if not self._began:
            self._began = True
            metrics.distribution(metrics.DECODE_BEGAN_MS).update(now_us() // 1000)
        if block.schema and block.schema not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(block.schema)
            yield beam.pvalue.TaggedOutput(_SCHEMAS, schema_event(block.schema, self._spec.format, now_us()))
        events, letters, skipped, subjects = decode_raw(block, self._spec, now_us())
        good = 0 if events is None else events.num_rows
        metrics.counter(metrics.RECORDS_READ).inc(good + len(letters) + sum(number for _, number in skipped))
        for kind, number in skipped:
            metrics.counter(metrics.RECORDS_SKIPPED_PREFIX + kind).inc(number)
        metrics.counter(metrics.EVENTS_DECODED).inc(good)
        if events is not None and good:
            events = yield from self._chosen(events)
            good = events.num_rows
        if events is not None and good:
            self._small.append(events)
            self._rows, self._at = self._rows + good, min(at, self._at)
            self._bytes += events.nbytes
        if self._rows >= WHOLE_ROWS or self._bytes >= batches.WHOLE_BYTES:
            yield TimestampedValue(*self._together())
        if letters:
            yield beam.pvalue.TaggedOutput(DEAD_LETTERS, self._stored(letters, subjects, block))

    def _stored(
        self, letters: Sequence[DeadLetter], subjects: Sequence[str | None], block: RawBlock
    ) -> pa.RecordBatch:
        if self._hides is None:
            return counted_batch(letters)
        pairs = zip(subjects or [None] * len(letters), letters, strict=True)
        about = [
            subject or subject_within(letter.payload.removeprefix(block.prefix), self._spec, block.schema)
            for subject, letter in pairs
        ]
        return counted_batch(letters, about, self._hides)

    def _chosen(self, events: pa.RecordBatch) -> Generator[Any, None, pa.RecordBatch]:
        """Returns the events that are scored, with the columns of tables and what is computed of each; yields dead
        letters for those that lack a row of a table."""
        if self._spec.where is not None:
            decoded = events.num_rows
            events = chosen(events, self._spec.where)
            metrics.counter(metrics.EVENTS_FILTERED).inc(decoded - events.num_rows)
        if self._hides is not None:
            events = yield from _of_known(events, self._hides)
        if self._tables:
            events = yield from joined_events(events, self._spec.lookups, self._tables, self._hides)
        return with_derived(events, self._spec.derived) if self._spec.derived else events

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._small:
            yield GlobalWindows.windowed_value(*self._together())

    def _together(self) -> tuple[pa.RecordBatch, Timestamp]:
        """The events kept so far, and the earliest timestamp of their blocks."""
        whole, at = batches.concat_batches(self._small), self._at
        times = pc.min_max(whole.column(batches.EVENT_TIME))
        latest_us = times["max"].value
        if times["min"].value < _YEAR_US:
            _count_1970(whole, named=not self._spec.hides_ids)
        metrics.distribution(metrics.LATEST_EVENT_S).update(latest_us // 1_000_000)
        self.start_bundle()
        return whole, at


def _of_known(events: pa.RecordBatch, hides: Hides) -> Generator[Any, None, pa.RecordBatch]:
    """Returns the events but for those of erased subjects that are refused; yields letters of these, without bytes."""
    erased = hides.erased(events)
    if not erased.any():
        return events
    rows, why = batches.take_rows(events, erased), "its subject was erased, and privacy.after_erasure is refuse"
    letters = letters_of(FEATURES, "SubjectErased", pa.repeat(pa.scalar(why), rows.num_rows), rows, now_us())
    yield counted(hides.emptied(letters))
    return batches.take_rows(events, ~erased)


class DecodeEvents(beam.PTransform[beam.PCollection[RawBlock], Decoded]):
    """Makes batches of events of raw stretches of input: decodes them unless their reader did, and counts them.

    Input: `RawBlock` in the global window; those of a topic come decoded. Outputs: `good`, batches in
    `schemas.batches.event_schema`, then the columns of `spec.lookups`, whose tables each process reads by `tables`, and
    what is computed of each event, without the events for which `spec.where` is not true; `dead_letters`;
    `model_events`, with the text of each schema that a process reads records by, once.
    Dead-lettered (stage decode): what cannot be framed or decoded, has a wrong type, no id or no time, a number that is
    not finite, or a time outside `spec.time_range_us`; (stage features): an event without a row that it needs, or of an
    erased subject that is refused. No
    state, but in a stream with tables in the store, whose new releases are looked for every `poll_us`: see
    `WatchTables` and `JoinTables`.
    """

    def __init__(self, spec: EventsSpec, tables: Tables | None = None, poll_us: int = _POLL_US) -> None:
        super().__init__()
        self._spec, self._tables, self._poll_us = spec, NoTables() if tables is None else tables, poll_us

    def expand(self, raw: beam.PCollection[RawBlock]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        stored = {} if raw.is_bounded else stored_lookups(self._spec)
        spec = replace(self._spec, lookups=(), derived=()) if stored else self._spec
        decoding = beam.ParDo(_DecodeFn(spec, self._tables))
        decoded = raw | "Decode" >> decoding.with_outputs(DEAD_LETTERS, _SCHEMAS, main="good")
        for each in (decoded.good, decoded[DEAD_LETTERS], decoded[_SCHEMAS]):
            each.element_type = pa.RecordBatch
        if not stored:
            return Decoded(decoded.good, decoded[DEAD_LETTERS], (decoded[_SCHEMAS],))
        watched = raw.pipeline | "WatchTables" >> WatchTables(stored, self._poll_us)
        joined = decoded.good | "JoinTables" >> JoinTables(self._spec, self._tables, watched.released)
        letters = (decoded[DEAD_LETTERS], joined[DEAD_LETTERS]) | "Letters" >> beam.Flatten()
        return Decoded(joined.good, letters, (decoded[_SCHEMAS], watched.events))
