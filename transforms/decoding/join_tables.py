"""JoinTables: events of a stream joined to tables in the store, by timelines that grow while it runs.

The releases of tables come as elements of the same keyed stream as the events, and are kept in state, as those of the
model are (docs/decisions/timeline-in-state.md).
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas import batches
from schemas.job import EventsSpec, LookupSpec
from transforms.decoding.deriving import with_derived
from transforms.flow.coders import decode_batch, encode_batch
from transforms.flow.dead_letters import DEAD_LETTERS
from transforms.flow.gathering import GatheringFn
from transforms.flow.hiding import hiding_of
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.lookups.answers import Answering
from transforms.lookups.following import FollowedTable
from transforms.lookups.held_tables import Tables, answering_table
from transforms.lookups.joining import joined_events
from transforms.lookups.watch_tables import ReleasedTable

_SHARDS = 32
_FORM = VersionedStateCoder("tables", 1, Plain(ReleasedTable))
# (shard, an encoded batch of events or the encoded releases of one poll)
EventsOrTables = tuple[int, Any]


class _KeyEventsFn(GatheringFn):
    def of_whole(self, batch: pa.RecordBatch) -> Iterator[EventsOrTables]:
        # Any key will do: all have the same timelines.
        yield zlib.crc32(batch.column(batches.EVENT_ID)[0].as_py().encode()) % _SHARDS, encode_batch(batch)


class _SpreadTablesFn(beam.DoFn):
    """All releases of a bundle, which is one poll, go to every shard as one element."""

    def start_bundle(self) -> None:
        self._releases: list[bytes] = []
        self._at: Timestamp | None = None

    def process(self, release: ReleasedTable, at: Timestamp = beam.DoFn.TimestampParam) -> None:  # type: ignore[assignment]  # Beam's way to ask for it
        self._releases.append(_FORM.encode(release))
        self._at = at if self._at is None else min(at, self._at)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._at is not None:
            for shard in range(_SHARDS):
                yield GlobalWindows.windowed_value((shard, tuple(self._releases)), self._at)


class _JoinFn(beam.DoFn):
    TABLES = BagStateSpec("tables", _FORM)

    def __init__(self, spec: EventsSpec, tables: Tables) -> None:
        self._spec, self._source = spec, tables

    def setup(self) -> None:
        horizon_us, self._hides = self._spec.max_out_of_orderness_us, hiding_of(self._spec)
        self._tables: dict[str, Answering] = {
            lookup.name: answering_table(lookup, self._source)
            if lookup.stored is None
            else FollowedTable(lookup, horizon_us)
            for lookup in self._spec.lookups
        }

    def process(  # type: ignore[no-untyped-def]  # Beam passes state through defaults
        self, element: EventsOrTables, tables=beam.DoFn.StateParam(TABLES)
    ) -> Iterator[Any]:
        content = element[1]
        if not isinstance(content, bytes):
            arrived = [_FORM.decode(release) for release in content]
            for release in arrived:
                tables.add(release)
            self._hear(arrived)
            return
        self._hear(tables.read())
        tables = list(self._tables.values())
        events = yield from joined_events(decode_batch(content), self._spec.lookups, tables, self._hides)
        if events.num_rows:
            events = with_derived(events, self._spec.derived) if self._spec.derived else events
            yield TimestampedValue(events, Timestamp(micros=int(np.min(batches.times_us(events)))))

    def _hear(self, releases: Iterable[ReleasedTable]) -> None:
        """Every shard of a process knows what one of them was told."""
        for each in releases:
            table = self._tables.get(each.lookup)  # None: the job was changed since
            if isinstance(table, FollowedTable):
                table.hear(each.release)


class JoinTables(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Events with the columns of all tables and what is computed of each, of unbounded input.

    Input: batches of decoded events in the global window; `released`: the releases of tables that came after the job
    began. Outputs: `good` and the tag of dead letters (stage `features`: an event without a row that it needs). Nothing
    waits for a table that came while the job runs: until it is loaded the former one answers. State, per shard: the
    releases that came.
    """

    def __init__(
        self, spec: EventsSpec, tables: Tables, released: beam.PCollection[ReleasedTable]
    ) -> None:
        super().__init__()
        self._spec, self._tables, self._released = spec, tables, released

    def expand(self, events: beam.PCollection[pa.RecordBatch]):  # type: ignore[no-untyped-def]  # as its output
        key = beam.ParDo(_KeyEventsFn())  # type: ignore[no-untyped-call]  # Beam's DoFn has no types
        spread = beam.ParDo(_SpreadTablesFn())  # type: ignore[no-untyped-call]  # likewise
        keyed = events | "KeyEvents" >> key.with_output_types(EventsOrTables)
        plain = self._released | "Plain" >> beam.WindowInto(GlobalWindows())
        told = plain | "SpreadTables" >> spread.with_output_types(EventsOrTables)
        join = beam.ParDo(_JoinFn(self._spec, self._tables)).with_outputs(DEAD_LETTERS, main="good")
        joined = (keyed, told) | "Together" >> beam.Flatten() | "Join" >> join
        joined.good.element_type = pa.RecordBatch
        joined[DEAD_LETTERS].element_type = pa.RecordBatch
        return joined


def stored_lookups(spec: EventsSpec) -> dict[str, LookupSpec]:
    """The lookups of tables in a store, by name."""
    return {lookup.name: lookup for lookup in spec.lookups if lookup.stored is not None}
