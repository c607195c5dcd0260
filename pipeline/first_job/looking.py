"""The data of a first job as one table, read by the code that reads events, as far as is needed to decide."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.other_formats import fill_in
from pipeline.endpoints.files.source import read_file
from pipeline.endpoints.kafka import address as kafka_address
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.sample import stretches
from pipeline.endpoints.uris import FILE_SCHEMES, absolute, scheme_of
from pipeline.first_job.envelopes import FirstBlocks, columns_within, envelope_of, paths_of
from pipeline.first_job.topics import look_at_topic
from schemas import batches
from schemas.formats.csv_rows import TEXT_OF
from schemas.formats.raw import RawBlock
from schemas.validation import SpecError

MOST_ROWS = 200_000
"""More rows than these are not looked at before the job runs."""
Blocks = Callable[[tuple[str, ...]], Iterator[RawBlock]]


class Look(NamedTuple):
    """What the data are: rows of all columns; `events`: how they are read; `files`: how many these were read from, 0
    of a topic; `whole`: whether these are all rows. `uri` is what the spec says."""

    table: pa.Table
    events: dict[str, Any]
    files: int
    whole: bool
    guessed: str
    uri: str


def look_at(data: str) -> Look:
    """Reads the first rows of a file, a folder, a pattern or a topic.

    Raises:
        SpecError: it is none of these, or of a format that is not recognised.
        NoInput, OSError: there is nothing to read.
    """
    if scheme_of(data) == kafka_address.SCHEME:
        return _of_topic(data)
    if scheme_of(data) not in FILE_SCHEMES:
        raise SpecError("DATA", data.partition("?")[0], "a file, a folder, a pattern or a topic of Kafka")
    uri = absolute(data)
    paths, said = tuple(matching_files(uri)), list[str]()
    events: dict[str, Any] = {"uri": uri}
    form = fill_in(events, paths, said.append)

    def blocks(names: tuple[str, ...], sample: bool = False) -> Iterator[RawBlock]:
        asked = form._replace(asked=names)
        return (block for path in paths for block in read_file(path, events["format"], asked, sample))

    found = _looked(events, blocks, lambda: blocks((), sample=True))
    if not found.num_rows:
        raise NoInput(f"no readable record in {data}; expected: records that can be looked at; next: mend the input")
    guessed = "; ".join([*said, *_of_envelope(events)])
    return Look(found, events, len(paths), found.num_rows < MOST_ROWS, guessed, data)


def _of_topic(data: str) -> Look:
    looked = look_at_topic(data, MOST_ROWS)
    events = looked.events
    found = _looked(events, lambda names: iter(looked.blocks), lambda: looked.blocks)
    if not found.num_rows:
        public = data.partition("?")[0]
        raise NoInput(f"no readable record in {public}; expected: records that can be looked at; next: mend the input")
    guessed = "; ".join([f"events.format: {events['format']}, guessed from the first records", *_of_envelope(events)])
    return Look(found, events, 0, looked.whole, guessed, str(events["uri"]))


def _of_envelope(events: dict[str, Any]) -> list[str]:
    return [f"events.envelope: {events['envelope']}, guessed from the first records"] if "envelope" in events else []


def _looked(events: dict[str, Any], blocks: Blocks, first: FirstBlocks) -> pa.Table:
    """The first rows, of all columns; states in `events` which envelope they are in, if they are in one."""
    format_name = events["format"]
    envelope = envelope_of(first(), format_name)
    if envelope is None:
        names = _names(first(), format_name)
    else:
        events["envelope"] = envelope
        names = columns_within(first, format_name, envelope)
    tables, rows = list[pa.Table](), 0
    inside = (block._replace(envelope=envelope) for block in blocks(names))
    for _, batch in stretches(inside, format_name, list(names)):
        tables.append(pa.Table.from_batches([batch]))
        rows += batch.num_rows
        if rows >= MOST_ROWS:
            break
    return _joined(tables, names).slice(0, MOST_ROWS) if rows else pa.table({})


def _names(first: Iterable[RawBlock], format_name: str) -> tuple[str, ...]:
    """The columns of the first records."""
    for _, batch in stretches(first, format_name, []):
        return tuple(paths_of(field for field in batch.schema if not field.name.startswith(TEXT_OF)))
    return ()


def _joined(tables: list[pa.Table], asked: tuple[str, ...]) -> pa.Table:
    """The tables under each other; a column that has several types as its texts, unless one holds the others."""
    there = {name for table in tables for name in table.column_names}
    return pa.table({name: _column(tables, name) for name in asked if name in there})


def _column(tables: list[pa.Table], name: str) -> pa.ChunkedArray:
    found = [_chunk(table, name) for table in tables]
    kinds = {chunk.type for chunk in found if not pa.types.is_null(chunk.type)}
    kind = _common(kinds) if kinds else pa.null()
    return pa.chunked_array([_as(chunk, kind) for chunk in found], kind)


def _chunk(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows)
    whole = table[name].combine_chunks()
    column = whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _common(kinds: set[pa.DataType]) -> pa.DataType:
    if len(kinds) == 1:
        return next(iter(kinds))
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    return pa.string()


def _as(chunk: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_null(chunk.type):
        return pa.nulls(len(chunk), kind)
    if chunk.type == kind:
        return chunk
    if pa.types.is_string(kind) and not pa.types.is_union(chunk.type):
        return batches.as_texts(chunk)
    if pa.types.is_union(chunk.type):
        return pa.array([None if value is None else str(value) for value in chunk.to_pylist()], kind)
    return pc.cast(chunk, kind, safe=False)
