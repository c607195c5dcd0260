"""Which envelope the records of a first job are in, and the columns that a job would read out of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from pipeline.endpoints.sample import stretches
from schemas.formats.envelopes.kinds import CLOUDEVENTS, DEBEZIUM, FORMATS, HEADERS, OPERATIONS, VERSION, WITHIN
from schemas.formats.raw import RawBlock

_ATTRIBUTES = {VERSION, "id", "source", "type"}
"""What every CloudEvent has."""
_TAKEN = {DEBEZIUM: ("ts_ms",), CLOUDEVENTS: ("id", "time", "subject", "type", "source")}
"""What of an envelope may be a column of the job, where the record within has none of the name."""
_ENVELOPE = {
    DEBEZIUM: ("before", "after", "source", "op", "transaction", "ts_ms", "ts_us", "ts_ns", "schema", "payload"),
    CLOUDEVENTS: (*_ATTRIBUTES, "time", "subject", "data", "data_base64", "datacontenttype", "dataschema"),
}
_MOST_LEVELS = 8
FirstBlocks = Callable[[], Iterable[RawBlock]]
"""Reads the first records, each time anew."""


def envelope_of(blocks: Iterable[RawBlock], format_name: str) -> str | None:
    """The envelope that the first readable records are in; None: in none, or their format has none."""
    if format_name not in FORMATS:
        return None
    seen = list[RawBlock]()
    rows = next((rows for _, rows in stretches(_kept(blocks, seen), format_name, [])), None)
    if rows is None:
        return None
    if _in_headers(seen) or _ATTRIBUTES.issubset(rows.schema.names):
        return CLOUDEVENTS
    return DEBEZIUM if _is_change(rows) or _is_change(_fields(rows, "payload")) else None


def columns_within(first: FirstBlocks, format_name: str, envelope: str) -> tuple[str, ...]:
    """The columns of the records within an envelope, and after them those of the envelope that a job may use."""
    seen = list[RawBlock]()
    bare = _first_rows(_kept(first(), seen), format_name, [])
    inner = [_fields(each, WITHIN[envelope]) for each in (bare, _fields(bare, "payload"))]
    found = list(dict.fromkeys(name for each in inner for name in paths_of(each.schema)))
    if envelope == CLOUDEVENTS and _in_headers(seen):
        found = list(paths_of(bare.schema))
    inside = (block._replace(envelope=envelope) for block in first())
    opened = _first_rows(inside, format_name, [*found, *_TAKEN[envelope]])
    if not found:  # such as in base64
        found = [name for name in paths_of(opened.schema) if name.partition(".")[0] not in _ENVELOPE[envelope]]
    return (*found, *(name for name in _TAKEN[envelope] if name in opened.schema.names and name not in found))


def _first_rows(blocks: Iterable[RawBlock], format_name: str, names: list[str]) -> pa.RecordBatch:
    _, rows = next(stretches(blocks, format_name, names), ("", pa.RecordBatch.from_pydict({})))
    return rows


def paths_of(fields: Iterable[pa.Field], above: str = "") -> Iterator[str]:
    """The names of columns; of those within others, as in JSON objects, their paths."""
    for field in fields:
        if pa.types.is_struct(field.type) and above.count(".") < _MOST_LEVELS:
            yield from paths_of(field.type, f"{above}{field.name}.")
        else:
            yield above + field.name


def _kept(blocks: Iterable[RawBlock], seen: list[RawBlock]) -> Iterator[RawBlock]:
    for block in blocks:
        seen.append(block)
        yield block


def _in_headers(blocks: Sequence[RawBlock]) -> bool:
    names = {name for block in blocks for origin in block.origins for name, _ in origin.headers}
    return any(f"{each}{VERSION}" in names for each in HEADERS)


def _fields(rows: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """The fields of a column of records; none where it is no such column."""
    index = rows.schema.get_field_index(name)
    if index < 0 or not pa.types.is_struct(rows.column(index).type):
        return pa.RecordBatch.from_pydict({})
    return pa.RecordBatch.from_struct_array(rows.column(index))


def _is_change(rows: pa.RecordBatch) -> bool:
    names = set(rows.schema.names)
    if "op" not in names or not names & {"before", "after"}:
        return False
    found = set(rows.column("op").to_pylist()) - {None}
    return bool(found) and found <= set(OPERATIONS)
