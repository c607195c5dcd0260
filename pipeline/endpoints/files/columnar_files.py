"""Parquet and Arrow files: only the columns that a job reads, a row group or record batch at a time.

Both formats are written in columns, so a row has no bytes of its own: its letter holds what was read of it as JSON.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.endpoints.files.compressed import DAMAGE_BYTES
from pipeline.endpoints.files.csv_files import FileForm
from pipeline.endpoints.files.inflaters import compression_of
from pipeline.endpoints.reading.stored import open_stored
from pipeline.endpoints.uris import beam_path, scheme_of
from schemas.batches import ROW_HASH, WHOLE_BYTES
from schemas.expectations import wants
from schemas.formats.arrow_columns import column_at, path_of, plain, plain_type
from schemas.formats.raw import DecodedRows, RawBlock, Unreadable
from schemas.formats.row_texts import row_texts
from schemas.reasons import of_error

ROW = "row"
_BATCH_ROWS, _SAMPLE_ROWS = 65_536, 4_096
_VALUE_BYTES = 8
_ARROW_FILE, _FEATHER_1 = b"ARROW1\0\0", b"FEA1"
_PARQUET, _ENCRYPTED = b"PAR1", b"PARE"
_BROKEN = (pa.ArrowException, OSError, EOFError, ValueError, MemoryError, OverflowError)
_MOST_WORDS = 300


def read_columns(path: str, format_name: str, form: FileForm, sample: bool = False) -> Iterator[RawBlock]:
    """The blocks of a Parquet or Arrow file, with the columns of `form.names`; a `sample` has the first rows of these,
    and of the other columns the types. Damage is returned as blocks with `error`.

    Raises:
        OSError: it cannot be opened.
    """
    if compression_of(path) is not None:
        why = f"{format_name} is not read from compressed files; {wants('compression within the file')}"
        yield RawBlock(f"{path}@0", error=why)
        return
    with _opened(path) as source:
        yield from _READERS[format_name](_Reading(path, source, form, sample))


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The file as Arrow reads it: the disk by its own code."""
    if scheme_of(path) == "file":
        with pa.OSFile(beam_path(path)) as source:
            yield source
        return
    with open_stored(path) as stream:
        yield pa.PythonFile(stream, mode="r")


class _Reading:
    """One file that is being read; counts its rows."""

    def __init__(self, path: str, source: Any, form: FileForm, sample: bool) -> None:
        self.path, self.source, self.sample = path, source, sample
        self._names = sorted(form.names)
        self.row = 1
        self.size = source.size()

    def leaves(self, schema: pa.Schema) -> list[str]:
        """The columns to read, as paths. Raises `ValueError` for a name that several columns have."""
        if ROW_HASH in self._names:
            self._names = sorted({*self._names, *schema.names} - {ROW_HASH})
        for name in self._names:
            if len(schema.get_all_field_indices(name)) > 1:
                raise ValueError(f"several columns are called {name!r}; {wants('one column of that name')}")
        return [name for name in self._names if path_of(schema, name) is not None]

    def blocks(self, batch: pa.RecordBatch, schema: pa.Schema, where: str) -> Iterator[RawBlock]:
        """A batch of the file as blocks. Raises what is in `_BROKEN` for values that cannot be."""
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            part = batch.slice(start, _BATCH_ROWS)
            columns = {name: plain(found) for name in self._names if (found := column_at(part, name)) is not None}
            rows = _decoded(columns, part.num_rows, self.row)
            if self.sample:
                others = {each.name: pa.nulls(len(rows.rows), plain_type(each.type)) for each in schema}
                rows = rows._replace(rows=_batch({**others, **_columns_of(rows.rows)}, len(rows.rows)))
            self.row += part.num_rows
            yield RawBlock(f"{self.path}@{where}", rows=(rows,))

    def damaged(self, where: str, why: str, span: tuple[int, int]) -> RawBlock:
        """Damage as one block, with the first of the file's bytes in that span."""
        start, end = span
        self.source.seek(start)
        data = self.source.read(min(max(end - start, 0), DAMAGE_BYTES))
        return RawBlock(f"{self.path}@{where}", data=data, error=why)

    def unreadable(self, why: str) -> RawBlock:
        return self.damaged("0", why, (0, self.size))


def _columns_of(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    return dict(zip(rows.schema.names, rows.columns, strict=True))


def _batch(columns: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    """The columns side by side; where there are none, so many rows nevertheless."""
    whole = columns or {"__none": pa.nulls(rows)}
    return pa.RecordBatch.from_arrays(list(whole.values()), list(whole))


def _decoded(columns: dict[str, pa.Array], count: int, first: int) -> DecodedRows:
    """Rows with their texts; one with a text that is not UTF-8 is unreadable by itself."""
    numbers = pa.array(np.arange(first, first + count), pa.int64())
    bad: dict[int, str] = {}
    for name, column in columns.items():
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            if not pa.types.is_string(column.type):
                raise
            for row in _not_utf8(column):
                bad.setdefault(row, name)
    if not bad:
        rows = _batch(columns, count)
        texts = row_texts(rows if columns else rows.select([]))
        return DecodedRows(rows, texts if columns else _bare(count), (), numbers, ROW)
    good = pa.array([row not in bad for row in range(count)])
    kept = {name: column.filter(good) for name, column in columns.items()}
    unreadable = []
    for row, name in bad.items():
        value = columns[name].view(pa.binary())[row].as_py()
        detail = f"{name}: {value!r:.100} is not allowed; {wants('a text in UTF-8')}"
        unreadable.append(Unreadable(value, "WrongType", detail, first + row))
    rows = _batch(kept, count - len(bad))
    return DecodedRows(rows, row_texts(rows), tuple(unreadable), numbers.filter(good), ROW)


def _bare(count: int) -> pa.Array:
    return pa.repeat(pa.scalar(b"{}", pa.binary()), count)


def _not_utf8(column: pa.Array) -> list[int]:
    found = []
    for row, value in enumerate(column.view(pa.binary())):
        try:
            (value.as_py() or b"").decode()
        except UnicodeDecodeError:
            found.append(row)
    return found


def _parquet(reading: _Reading) -> Iterator[RawBlock]:
    import pyarrow.parquet as pq

    if why := _no_parquet(reading):
        yield reading.unreadable(why)
        return
    try:
        file = pq.ParquetFile(reading.source, page_checksum_verification=True, pre_buffer=not reading.sample)
        leaves = reading.leaves(file.schema_arrow)
    except _BROKEN as problem:
        yield reading.unreadable(_parquet_words(problem))
        return
    for group in range(file.num_row_groups):
        done = False
        for block in _row_group(reading, file, group, leaves):
            yield block
            done = done or not block.error
            if reading.sample and done:
                return


def _row_group(reading: _Reading, file: Any, group: int, leaves: list[str]) -> Iterator[RawBlock]:
    where = f"row group {group}"
    meta = file.metadata.row_group(group)
    first, end = reading.row, reading.row + meta.num_rows
    try:
        for batch in _batches(reading, file, group, leaves, meta.num_rows):
            yield from reading.blocks(batch, file.schema_arrow, where)
    except _BROKEN as problem:
        found = f"{where} is damaged: rows {reading.row} to {end - 1} are lost: {_parquet_words(problem)}"
        yield reading.damaged(where, found, _span(meta, leaves))
    if reading.row not in (first, end) or not reading.sample:
        reading.row = end


def _batches(reading: _Reading, file: Any, group: int, leaves: list[str], count: int) -> Iterator[pa.RecordBatch]:
    if leaves:
        size = min(_SAMPLE_ROWS if reading.sample else _BATCH_ROWS, _rows_in_memory(file, group, leaves))
        yield from file.iter_batches(batch_size=size, row_groups=[group], columns=leaves, use_threads=False)
        return
    for start in range(0, count, _BATCH_ROWS):  # none of the columns is there: each row lacks its id
        yield _batch({}, min(_BATCH_ROWS, count - start))


def _rows_in_memory(file: Any, group: int, leaves: list[str]) -> int:
    """How many rows may be in memory at a time; those of lists can be large, and small in the file."""
    meta = file.metadata.row_group(group)
    values: int = sum(meta.column(index).num_values for index in _chunks(meta, leaves))
    rows: int = max(meta.num_rows, 1)
    return max(1, WHOLE_BYTES * rows // max(values * _VALUE_BYTES, 1))


def _chunks(meta: Any, leaves: list[str]) -> list[int]:
    """The column chunks of a row group that a job reads."""
    names = ((index, meta.column(index).path_in_schema) for index in range(meta.num_columns))
    return [index for index, name in names if any(name == leaf or name.startswith(f"{leaf}.") for leaf in leaves)]


def _span(meta: Any, leaves: list[str]) -> tuple[int, int]:
    """Where the column chunks of a row group are that a job reads."""
    spans = []
    for chunk in map(meta.column, _chunks(meta, leaves)):
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        spans.append((start, start + chunk.total_compressed_size))
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else (0, 0)


def _no_parquet(reading: _Reading) -> str:
    """Why the file cannot be one, by its first and last bytes; empty where these are right."""
    source, size = reading.source, reading.size
    head = source.read(len(_PARQUET))
    if size < 3 * len(_PARQUET) or head not in (_PARQUET, _ENCRYPTED):
        return f"it does not begin as Parquet does; {wants('PAR1 as its first bytes')}" if size else "an empty file"
    source.seek(size - len(_PARQUET))
    tail = source.read(len(_PARQUET))
    source.seek(0)
    if _ENCRYPTED in (head, tail):
        return f"the Parquet file is encrypted; {wants('a file that can be read without keys')}"
    if tail != _PARQUET:
        return f"the Parquet file is cut off: it ends at byte {size} without its footer, which says where columns are"
    return ""


def _parquet_words(problem: BaseException) -> str:
    words = of_error(problem, most=_MOST_WORDS)
    is_key = any(word in words.lower() for word in ("decrypt", "encrypted"))
    return f"it is encrypted; {wants('a file that can be read without keys')}" if is_key else words


def _arrow(reading: _Reading) -> Iterator[RawBlock]:
    head = reading.source.read(len(_ARROW_FILE))
    reading.source.seek(0)
    if head.startswith(_FEATHER_1):
        yield reading.unreadable(f"Feather of version 1; {wants('Feather of version 2, which is an Arrow file')}")
        return
    if head == _ARROW_FILE and (file := _arrow_file(reading)) is not None:
        yield from _arrow_batches(reading, file)
        return
    yield from _arrow_stream(reading, len(_ARROW_FILE) if head == _ARROW_FILE else 0)


def _options(reading: _Reading, schema: pa.Schema) -> pa.ipc.IpcReadOptions:
    paths = (path_of(schema, leaf) for leaf in reading.leaves(schema))
    fields = {schema.get_field_index(path[0]) for path in paths if path is not None}
    return pa.ipc.IpcReadOptions(included_fields=sorted(fields) or [0], use_threads=False)


def _arrow_file(reading: _Reading) -> tuple[Any, pa.Schema] | None:
    """The reader of an Arrow file; None where its footer cannot be read: what is before it may be."""
    try:
        schema = pa.ipc.open_file(reading.source).schema
        return pa.ipc.open_file(reading.source, options=_options(reading, schema)), schema
    except pa.ArrowException:
        return None


def _arrow_batches(reading: _Reading, opened: tuple[Any, pa.Schema]) -> Iterator[RawBlock]:
    file, schema = opened
    for number in range(file.num_record_batches):
        where = f"record batch {number}"
        try:
            yield from reading.blocks(file.get_batch(number), schema, where)
        except _BROKEN as problem:
            yield reading.damaged(where, f"{where} is damaged: {of_error(problem, most=_MOST_WORDS)}", (0, 0))
            continue
        if reading.sample:
            return


def _arrow_stream(reading: _Reading, start: int) -> Iterator[RawBlock]:
    number = 0
    try:
        reading.source.seek(start)
        schema = pa.ipc.open_stream(reading.source).schema
        reading.source.seek(start)
        stream = pa.ipc.open_stream(reading.source, options=_options(reading, schema))
        while True:
            try:
                batch = stream.read_next_batch()
            except StopIteration:
                break
            yield from reading.blocks(batch, schema, f"record batch {number}")
            number += 1
            if reading.sample:
                return
    except _BROKEN as problem:
        words = of_error(problem, most=_MOST_WORDS)
        at = reading.source.tell()
        why = f"the Arrow data end after record batch {number - 1}: {words}" if number else words
        yield reading.damaged(f"record batch {number}", why, (min(at, reading.size), reading.size))
        return
    if start:  # a file whose batches are whole, but not its footer
        yield reading.damaged("footer", "the Arrow file is cut off: it has no footer", (0, 0))


_READERS: Mapping[str, Callable[[_Reading], Iterator[RawBlock]]] = {"parquet": _parquet, "arrow": _arrow}
COLUMNAR = tuple(_READERS)
