"""The types of event columns, inferred from the input where the job spec does not state them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import TypeVar

import pyarrow as pa

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.other_formats import HEAD_BYTES, other_format
from pipeline.endpoints.matching import NoRecords
from schemas.avro.datums import decode_block
from schemas.columns import holding, kind_of
from schemas.expectations import QUOTE, did_you_mean
from schemas.formats.envelopes.avro_envelopes import names_within, opened_rows
from schemas.formats.json_paths import JsonPaths
from schemas.formats.path_columns import with_path_columns
from schemas.formats.raw import RawBlock
from schemas.formats.tf_examples import decode_examples
from schemas.problems import Problems
from schemas.validation import SpecError
from schemas.vectors import with_lengths

_LINES = 1000
_T = TypeVar("_T")
_PIECES = 100


def sampled_types(
    blocks: Iterable[RawBlock], format_name: str, needed: Mapping[str, str], identity: Mapping[str, str]
) -> dict[str, str]:
    """The type of each needed column (name to path in the spec), from the first readable records that have it.

    `identity`: the columns (name to path) that must exist too, but whose type decoding determines. Records without a
    value in a needed column leave its type open: up to `_PIECES` stretches of the input are examined.

    Raises:
        SpecError: the input has no such columns, or only nulls or values of several types in them; all are named.
        NoRecords: the input holds no record at all.
        NoInput: no block holds a readable record.
    """
    looked = _Looked()
    for location, rows in islice(stretches(blocks, format_name, [*identity, *needed], looked), _PIECES):
        looked.first = looked.first or location
        looked.add(rows, identity, needed)
        if looked.complete(identity, needed):
            return {name: looked.types[name] for name in needed}
    if not looked.first:
        advice = other_format(looked.head, format_name) or _ADVICE
        kind = NoInput if looked.held else NoRecords
        raise kind(f"no readable record in {looked.where} ({looked.problem_of(format_name)}); {advice}")
    problems = Problems()
    problems.add(looked.missing(identity, needed))
    problems.check()
    return {}


def unlike_format(blocks: Iterable[RawBlock], format_name: str) -> str:
    """What the input is instead of a format in which none of its first records can be read; empty where its bytes do
    not show it."""
    looked = _Looked()
    if next(stretches(islice(blocks, _PIECES), format_name, [], looked), None) is not None:
        return ""
    shows = other_format(looked.head, format_name)
    return f"no readable record in {looked.where} ({looked.problem_of(format_name)}); {shows}" if shows else ""


NOTHING = "no records in it"
_ADVICE = "next: mend the input, or state events.columns to run nevertheless"


@dataclass(slots=True)
class _Looked:
    """What is known from the input so far: the names and Arrow types of columns, and the job's types of those that have
    one."""

    first: str = ""
    held: bool = False  # anything but blank lines, readable or not
    problem: str = NOTHING
    head: bytes = b""  # how the input begins
    locations: list[str] = field(default_factory=list)
    columns: dict[str, pa.DataType] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return ", ".join(self.locations[:3]) or "the input"

    def problem_of(self, format_name: str) -> str:
        return self.problem if self.problem != NOTHING or not self.held else f"nothing in it is {format_name}"

    def add(self, rows: pa.RecordBatch, identity: Iterable[str], needed: Iterable[str]) -> None:
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            found = with_lengths(column, most_common=True).type
            if pa.types.is_null(self.columns.setdefault(name, found)):
                self.columns[name] = found
        self.types |= {
            name: kind
            for name in needed
            if name not in self.types and name in self.columns and (kind := _kind_of(self.columns[name])) is not None
        }

    def complete(self, identity: Iterable[str], needed: Iterable[str]) -> bool:
        return all(name in self.columns for name in identity) and all(name in self.types for name in needed)

    def missing(self, identity: Mapping[str, str], needed: Mapping[str, str]) -> Iterator[SpecError]:
        """An error for each column that does not exist, or whose type cannot be inferred."""
        uses = [*identity.items(), *needed.items()]
        for name, spec_path in uses:
            if name not in self.columns:
                hint = did_you_mean(name, self.columns, QUOTE)
                yield SpecError(spec_path, name, f"a column of {self.first}: {', '.join(self.columns)}{hint}")
        for name, spec_path in needed.items():
            if name in self.columns and name not in self.types:
                yield self._untyped(name, spec_path)

    def _untyped(self, name: str, spec_path: str) -> SpecError:
        found = self.columns[name]
        if pa.types.is_null(found):
            allowed = "a column with values in it (or state its type under events.columns)"
            return SpecError(spec_path, f"{name}, null in all records that were looked at", allowed)
        return SpecError(spec_path, f"{name} of type {found}", "a column of numbers, booleans, texts, times or vectors")


def stretches(
    blocks: Iterable[RawBlock], format_name: str, names: list[str], looked: _Looked | None = None
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Readable rows of the input with their location; unreadable ones are recorded in `looked`."""
    looked = _Looked() if looked is None else looked
    for block in blocks:
        looked.problem = block.error or looked.problem
        looked.held = looked.held or bool(block.error or block.rows or block.records or block.data.strip())
        looked.head = looked.head or head_of(block)
        location = block.source.rpartition("@")[0] or block.source
        if location not in looked.locations:
            looked.locations.append(location)
        for rows in () if block.error else _SAMPLERS[format_name](block, names):
            if rows.num_rows:
                yield (
                    location,
                    with_path_columns(
                        rows, block.of_path, {each.name: each.kind or "string" for each in block.of_path}
                    ),
                )


def head_of(block: RawBlock) -> bytes:
    """The first bytes of what was read."""
    return (block.records[0] if block.records else block.data)[:HEAD_BYTES]


def _kind_of(found: pa.DataType) -> str | None:
    """The job's type for a column of this Arrow type: for a union the widest of its branches. None where no type can
    hold it."""
    if pa.types.is_union(found):
        branches = [found.field(index).type for index in range(found.num_fields)]
        kinds = {_kind_of(branch) for branch in branches if not pa.types.is_null(branch)}
        return holding(kinds)
    if pa.types.is_decimal(found):
        return "number" if found.scale else "integer"
    return "string" if pa.types.is_binary(found) else kind_of(found)


def _batched(records: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(records)
    while piece := list(islice(rest, size)):
        yield piece


def _avro_rows(block: RawBlock, names: Iterable[str]) -> Iterator[pa.RecordBatch]:
    wanted = list(names)
    if block.envelope is None:
        yield decode_block(block.data, block.datums, block.schema, wanted).rows
        return
    found = decode_block(block.data, block.datums, block.schema, names_within(wanted, block.envelope))
    yield opened_rows(found, wanted, block.envelope, [origin.headers for origin in block.origins]).rows


def _json_rows(block: RawBlock, names: Iterable[str]) -> Iterator[pa.RecordBatch]:
    import msgspec

    lines = block.records or (line for line in block.data.split(b"\n") if line.strip())
    headers = [origin.headers for origin in block.origins]
    paths = JsonPaths([name for name in names if "." in name or block.envelope], block.envelope)
    for piece in _batched(zip_longest(lines, headers, fillvalue=()), _LINES):
        records = []
        for line, own in piece:
            try:
                record = {name: msgspec.json.decode(value) for name, value in paths.fields(bytes(line), own).items()}
            except Exception:
                continue  # decoding will make it a dead letter, or skip it
            if record:
                records.append(record)
        found = list(dict.fromkeys(name for record in records for name in record))
        if records:
            yield pa.RecordBatch.from_arrays(
                [_loose([record.get(name) for record in records]) for name in found], found
            )


def _loose(values: list[object]) -> pa.Array:
    """The most common type is inferred: records that do not fit it become dead letters, and are no reason to refuse the
    job."""
    sane = [value for value in values if value is not None and not (isinstance(value, int) and abs(value) >= 2**63)]
    kinds = [float if type(value) is int else type(value) for value in sane]
    if not kinds:
        return pa.nulls(len(values))
    common = max(set(kinds), key=kinds.count)
    kept = [value for value, kind in zip(sane, kinds, strict=True) if kind is common]
    if any(type(value) is float for value in kept):
        kept = [float(value) for value in kept if isinstance(value, int | float)]
    if common is list:
        kept = [value for value in kept if isinstance(value, list) and _are_numbers(value)]
    try:
        return pa.array(kept + [None] * (len(values) - len(kept)))
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.nulls(len(values))


def _are_numbers(values: list[object]) -> bool:
    return set(map(type, values)) <= {int, float}


def _example_rows(block: RawBlock, names: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The first records that agree on the types of their features; only features that have a value in them."""
    for piece in _batched(block.records, _LINES):
        pieces = decode_examples(piece, list(names), lists=None)
        rows: pa.RecordBatch | None = max((piece.rows for piece in pieces), key=len, default=None)
        if rows is not None:
            yield rows.select([column.name for column in rows.schema if not pa.types.is_null(column.type)])


def _columns(block: RawBlock, names: Iterable[str]) -> Iterator[pa.RecordBatch]:
    yield from (piece.rows for piece in block.rows)


_SAMPLERS = {
    "csv": _columns,
    "parquet": _columns,
    "json": _json_rows,
    "avro": _avro_rows,
    "tfexample": _example_rows,
    "arrow": _columns,
}
