"""Batches of events with the columns of tables, and the events that have no row and need one."""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas import batches
from schemas.dead_letter_stages import FEATURES
from schemas.job import LookupSpec
from schemas.times import format_time_us, now_us
from transforms.flow import metrics
from transforms.flow.dead_letters import counted, letters_of
from transforms.flow.hiding import Hides
from transforms.lookups.answers import Answering, TableAnswer

NO_ROW_ERROR = "NoRow"
"""The error of the dead letter of an event that needs a row and has none."""
_SHOWN = 80


ANSWERED = "__table."
"""The beginning of the column that says which version of a table in a store answered an event, before the name of the
lookup."""


class Joined(NamedTuple):
    """`events`: those that may be scored, with the columns of all tables in the order of the spec; `without`: how many
    had no row, by lookup; `refused`: events that need one, with what is missing of each."""

    events: pa.RecordBatch
    without: dict[str, int]
    refused: list[tuple[pa.RecordBatch, list[str]]]


def with_lookups(events: pa.RecordBatch, lookups: Sequence[LookupSpec], tables: Sequence[Answering]) -> Joined:
    """Events joined to the table of each lookup; of one in a store with the version that answered, as `ANSWERED`.

    Args:
        events: in `schemas.batches.event_schema`, with the columns `on` of each lookup.
        tables: of the lookups, in their order.
    """
    without, refused = dict[str, int](), list[tuple[pa.RecordBatch, list[str]]]()
    for lookup, table in zip(lookups, tables, strict=True):
        found = table.answer(batches.keys_of(events, lookup.on), batches.times_us(events))
        number = int(np.count_nonzero(found.missing))
        if number:
            without[lookup.name] = number
        if number and lookup.refuses:
            lost = batches.take_rows(events, found.missing)
            refused.append((lost, _details(lost, lookup, found.of(found.missing).versions)))
            events, found = batches.take_rows(events, ~found.missing), found.of(~found.missing)
        events = _with_columns(events, lookup, found)
    return Joined(events, without, refused)


def joined_events(
    events: pa.RecordBatch,
    lookups: Sequence[LookupSpec],
    tables: Sequence[Answering],
    hides: Hides | None = None,
) -> Generator[Any, None, pa.RecordBatch]:
    """Returns the events with the columns of tables; yields counted dead letters for those that lack a row. `hides`: of
    a job with privacy."""
    joined, without, refused = with_lookups(events, lookups, tables)
    for name, number in without.items():
        metrics.counter(metrics.WITHOUT_ROW_PREFIX + name).inc(number)
    for rows, details in refused:
        yield counted(letters_of(FEATURES, NO_ROW_ERROR, pa.array(details), rows, now_us(), hides))
    return joined


def _with_columns(events: pa.RecordBatch, lookup: LookupSpec, found: TableAnswer) -> pa.RecordBatch:
    own = [pa.field(name, column.type) for name, column in zip(lookup.kinds, found.columns, strict=True)]
    columns = [*events.columns, *found.columns]
    if found.versions is not None:
        own.append(pa.field(f"{ANSWERED}{lookup.name}", pa.string()))
        columns.append(found.versions)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([*events.schema, *own], events.schema.metadata))


def _details(events: pa.RecordBatch, lookup: LookupSpec, versions: pa.Array | None) -> list[str]:
    keys, times = batches.keys_of(events, lookup.on).to_pylist(), batches.times_us(events).tolist()
    answered = [lookup.version] * len(keys) if versions is None else versions.to_pylist()
    on = lookup.on if isinstance(lookup.on, str) else "|".join(lookup.on)
    return [
        _detail(lookup.name, version, on, key, format_time_us(time))
        for key, time, version in zip(keys, times, answered, strict=True)
    ]


def _detail(lookup: str, version: str | None, on: str, key: str | None, at: str) -> str:
    if version is None:
        return f"lookup {lookup}: no version of the table is in force at {at}"
    beginning = f"lookup {lookup}: the table {version} has no row"
    return f"{beginning} for {on} {key[:_SHOWN]!r} at {at}" if key is not None else (
        f"{beginning} for an event whose {on} is null"
    )
