"""Batches of events with the columns of tables, and the events that have no row and need one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas import batches
from schemas.job import LookupSpec
from schemas.times import format_time_us
from transforms.lookups.as_of import NO_ROW, AsOfTable

NO_ROW_ERROR = "NoRow"
"""The error of the dead letter of an event that needs a row and has none."""
_SHOWN = 80


class Joined(NamedTuple):
    """`events`: those that may be scored, with the columns of all tables in the order of the spec; `without`: how many
    had no row, by lookup; `refused`: events that need one, with what is missing of each."""

    events: pa.RecordBatch
    without: dict[str, int]
    refused: list[tuple[pa.RecordBatch, list[str]]]


def with_lookups(events: pa.RecordBatch, lookups: Sequence[LookupSpec], tables: Sequence[AsOfTable]) -> Joined:
    """Events joined to the table of each lookup.

    Args:
        events: in `schemas.batches.event_schema`, with the columns `on` of each lookup.
        tables: of the lookups, in their order.
    """
    without, refused = dict[str, int](), list[tuple[pa.RecordBatch, list[str]]]()
    for lookup, table in zip(lookups, tables, strict=True):
        rows = table.rows_at(batches.keys_of(events, lookup.on), batches.times_us(events))
        missing = rows == NO_ROW
        number = int(np.count_nonzero(missing))
        if number:
            without[lookup.name] = number
        if number and lookup.refuses:
            lost = batches.take_rows(events, missing)
            refused.append((lost, _details(lost, lookup)))
            events, rows = batches.take_rows(events, ~missing), rows[~missing]
        events = _with_columns(events, lookup, table, rows)
    return Joined(events, without, refused)


def _with_columns(
    events: pa.RecordBatch, lookup: LookupSpec, table: AsOfTable, rows: npt.NDArray[np.int64]
) -> pa.RecordBatch:
    own = [pa.field(name, column.type) for name, column in zip(lookup.kinds, table.schema, strict=True)]
    return pa.RecordBatch.from_arrays(
        [*events.columns, *table.take(rows)], schema=pa.schema([*events.schema, *own], events.schema.metadata)
    )


def _details(events: pa.RecordBatch, lookup: LookupSpec) -> list[str]:
    keys, times = batches.keys_of(events, lookup.on).to_pylist(), batches.times_us(events).tolist()
    beginning = f"lookup {lookup.name}: the table {lookup.version} has no row"
    on = lookup.on if isinstance(lookup.on, str) else "|".join(lookup.on)
    return [
        f"{beginning} for {on} {key[:_SHOWN]!r} at {format_time_us(time)}"
        if key is not None
        else f"{beginning} for an event whose {on} is null"
        for key, time in zip(keys, times, strict=True)
    ]
