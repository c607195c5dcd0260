"""The data of a first job as one table, read by the code that reads events, as far as is needed to decide."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.other_formats import fill_in
from pipeline.endpoints.files.source import read_file
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.sample import stretches
from pipeline.endpoints.uris import FILE_SCHEMES, absolute, scheme_of
from schemas import batches
from schemas.formats.csv_rows import TEXT_OF
from schemas.formats.raw import RawBlock
from schemas.validation import SpecError

MOST_ROWS = 200_000
"""More rows than these are not looked at before the job runs."""
_MOST_LEVELS = 8


class Look(NamedTuple):
    """What the data are: rows of all columns; `events`: how they are read; `whole`: whether these are all rows."""

    table: pa.Table
    events: dict[str, Any]
    files: int
    whole: bool
    guessed: str


def look_at(data: str) -> Look:
    """Reads the first rows of a file, a folder or a pattern.

    Raises:
        SpecError: it is no input of files, or of a format that is not recognised.
        NoInput, OSError: there is nothing to read.
    """
    if scheme_of(data) not in FILE_SCHEMES:
        raise SpecError("DATA", data.partition("?")[0], "a file, a folder or a pattern; topics are not looked at")
    uri = absolute(data)
    paths, said = tuple(matching_files(uri)), list[str]()
    events: dict[str, Any] = {"uri": uri}
    form = fill_in(events, paths, said.append)
    names = _names(paths, events["format"], form)
    asked = form._replace(asked=names)
    tables, rows = list[pa.Table](), 0
    blocks: Iterator[RawBlock] = (block for path in paths for block in read_file(path, events["format"], asked))
    for _, batch in stretches(blocks, events["format"], list(names)):
        tables.append(pa.Table.from_batches([batch]))
        rows += batch.num_rows
        if rows >= MOST_ROWS:
            break
    if not rows:
        raise NoInput(f"no readable record in {data}; expected: records that can be looked at; next: mend the input")
    return Look(_joined(tables, names).slice(0, MOST_ROWS), events, len(paths), rows < MOST_ROWS, "; ".join(said))


def _names(paths: tuple[str, ...], format_name: str, form: Any) -> tuple[str, ...]:
    """The columns of the first file that has a record."""
    for path in paths:
        for _, batch in stretches(read_file(path, format_name, form, sample=True), format_name, []):
            return tuple(_paths(field for field in batch.schema if not field.name.startswith(TEXT_OF)))
    return ()


def _paths(fields: Iterable[pa.Field], above: str = "") -> Iterator[str]:
    """The names of columns; of those within others, as in JSON objects, their paths."""
    for field in fields:
        if pa.types.is_struct(field.type) and above.count(".") < _MOST_LEVELS:
            yield from _paths(field.type, f"{above}{field.name}.")
        else:
            yield above + field.name


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
