"""The types of event columns, read off the input when the job spec does not state them."""

import difflib
from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.endpoints.matching import NoInput
from schemas.avro_datums import decode_block
from schemas.raw import RawBlock
from schemas.tf_examples import decode_examples
from schemas.validation import SpecError

_LINES = 1000


def sampled_types(
    blocks: Iterable[RawBlock], format_name: str, needed: Mapping[str, str], identity: Mapping[str, str]
) -> dict[str, str]:
    """The type of each needed column (name to path in the spec), from the first block that has readable records.

    `identity`: the columns (name to path) that must be there too, but whose type decoding finds out.

    Raises:
        SpecError: the input has no such column, or only nulls or values of several types in it.
        NoInput: no block holds a readable record.
    """
    problem, places = "no records in it", list[str]()
    for block in blocks:
        problem = block.error or problem
        place_of_block = block.source.rpartition("@")[0] or block.source
        if place_of_block not in places:
            places.append(place_of_block)
        rows = None if block.error else _SAMPLERS[format_name](block, [*identity, *needed])
        if rows is not None and rows.num_rows:
            for name, place in identity.items():
                _column_of(rows, name, place, place_of_block)
            return {name: _type_of(rows, name, place, place_of_block) for name, place in needed.items()}
    advice = "state events.columns to run nevertheless, or mend the input"
    raise NoInput(f"no readable record in {', '.join(places[:3]) or 'the input'} ({problem}); {advice}")


def _column_of(rows: pa.RecordBatch, name: str, place: str, path: str) -> pa.Array:
    index = rows.schema.get_field_index(name)
    if index < 0:
        close = difflib.get_close_matches(name, rows.schema.names, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise SpecError(place, name, f"a column of {path}: {', '.join(rows.schema.names)}{hint}")
    return rows.column(index)


def _type_of(rows: pa.RecordBatch, name: str, place: str, path: str) -> str:
    found = _column_of(rows, name, place, path).type
    for kind, fits in _KINDS:
        if fits(found):
            return kind
    allowed = "a column of numbers, booleans or texts (or state its type under events.columns)"
    raise SpecError(place, f"{name} of type {found}", allowed)


_KINDS = (
    ("boolean", pa.types.is_boolean),
    ("integer", pa.types.is_integer),
    ("number", pa.types.is_floating),
    ("string", pa.types.is_string),
)


def _avro_rows(block: RawBlock, names: Iterable[str]) -> pa.RecordBatch:
    return decode_block(block.data, block.datums, block.schema).rows


def _json_rows(block: RawBlock, names: Iterable[str]) -> pa.RecordBatch | None:
    import msgspec

    records = []
    for line in (block.records or block.data.split(b"\n", _LINES))[:_LINES]:
        try:
            record = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # decoding will make a dead letter of it
        if isinstance(record, dict):
            records.append(record)
    found = list(dict.fromkeys(name for record in records for name in record))
    arrays = [_loose([record.get(name) for record in records]) for name in found]
    return pa.RecordBatch.from_arrays(arrays, found) if records else None


def _loose(values: list[object]) -> pa.Array:
    """The commonest type wins: what does not fit it will be a dead letter, not the reason to refuse the job."""
    sane = [value for value in values if value is not None and not (isinstance(value, int) and abs(value) >= 2**63)]
    kinds = [float if type(value) is int else type(value) for value in sane]
    if not kinds:
        return pa.nulls(len(values))
    common = max(set(kinds), key=kinds.count)
    kept = [value for value, kind in zip(sane, kinds, strict=True) if kind is common]
    if any(type(value) is float for value in kept):
        kept = [float(value) for value in kept if isinstance(value, int | float)]
    try:
        return pa.array(kept + [None] * (len(values) - len(kept)))
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.nulls(len(values))


def _example_rows(block: RawBlock, names: Iterable[str]) -> pa.RecordBatch | None:
    """The first records that agree on the types of their features; only features that have a value in them."""
    pieces = decode_examples(block.records[:_LINES], list(names))
    rows: pa.RecordBatch | None = max((piece.rows for piece in pieces), key=len, default=None)
    if rows is None:
        return None
    return rows.select([field.name for field in rows.schema if not pa.types.is_null(field.type)])


_SAMPLERS = {"avro": _avro_rows, "json": _json_rows, "tfexample": _example_rows}
