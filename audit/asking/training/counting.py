"""How many training records of a file name something: read by columns wherever its kind has columns."""

import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from audit.asking.sources import missing
from audit.asking.training.named import Sought, number_of
from audit.asking.training.texts import texts_in
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.errors import UnusableData
from schemas.expectations import wants

_FEW = 4
_LINE_BYTES = 16 * 1024 * 1024
_HEAD_BYTES = 64 * 1024
_BATCH = 65_536
_SPACE = b" \t\v\f\x1c\x1d\x1e\x1f"


def count_named(raw: bytes, path: str, values: Collection[str]) -> int:
    """How many records of a file (CSV, lines of text or of JSON, Parquet, Avro, by its name) have one of the values.

    Raises:
        UnusableData: it cannot be read as what its name says.

    >>> count_named(b"event_id,subject\\ne1,ann\\ne2,bob\\n", "records.csv", {"bob", "e1"})
    2
    """
    suffix = path.rpartition(".")[2].lower()
    count = _COUNTERS.get(suffix, _count_text)
    try:
        return count(raw, Sought(values))
    except (ValueError, csv.Error, pa.ArrowException, RecursionError) as error:
        found = f"the training records in {path} cannot be read: {missing(error)}"
        raise UnusableData(f"{found}; {wants('CSV, lines of text or JSON, Parquet, Avro')}") from None


def _count_rows(rows: Iterable[Iterable[str]], sought: Sought) -> int:
    return sum(1 for row in rows if any(value in sought.values for value in row))


def _may_be_in(raw: bytes, sought: Sought) -> bool:
    """Whether these bytes may have a value: that they do not is known of a few alone."""
    return len(sought.values) > _FEW or any(_is_in(raw, value) for value in sought.values)


def _is_in(raw: bytes, value: str) -> bool:
    """A quote is doubled in CSV, and what is no UTF-8 is read as a replacement."""
    return '"' in value or not value.isprintable() or "\ufffd" in value or value.encode() in raw


def _count_text(raw: bytes, sought: Sought) -> int:
    """Of lines whose cells are separated by a comma, semicolon, tab or bar."""
    if not _may_be_in(raw, sought):
        return 0
    first = raw[: raw.find(b"\n") + 1] or raw
    separator = max(",;\t|", key=first.decode("utf-8", "replace").count)
    if raw.count(b"\r") == raw.count(b"\r\n") and not first.count(b'"') % 2:  # as Python's reader ends lines
        heads = list(_text_rows(first, separator))
        with suppress(pa.ArrowException):  # lines of different lengths, or what is no UTF-8
            cells = len(heads[0]) if heads else 0
            return _count_rows(heads, sought) + _count_table(raw[len(first) :], cells, separator, sought)
    return _count_rows(_text_rows(raw, separator), sought)


def _text_rows(raw: bytes, separator: str) -> Iterator[list[str]]:
    rows = csv.reader(io.StringIO(raw.decode("utf-8-sig", "replace")), delimiter=separator)
    return ([cell.strip() for cell in row] for row in rows)


def _count_table(raw: bytes, cells: int, separator: str, sought: Sought) -> int:
    """Raises `ArrowException` where a line has another number of cells, or is no UTF-8."""
    if not raw.strip() or not cells:
        return 0
    if sought.only_texts:  # what is a number takes less time than a text, and is none of them
        numbers = _columns_of_numbers(raw[: raw.find(b"\n", _HEAD_BYTES)], cells, separator)
        with suppress(pa.ArrowInvalid):
            return _count_columns(raw, [pa.float64() if each else pa.string() for each in numbers], separator, sought)
    return _count_columns(raw, [pa.string()] * cells, separator, sought)


def _columns_of_numbers(head: bytes, cells: int, separator: str) -> list[bool]:
    rows = [row for row in _text_rows(head, separator) if len(row) == cells]
    return [all(number_of(row[index]) is not None for row in rows) for index in range(cells)]


def _count_columns(raw: bytes, kinds: Sequence[pa.DataType], separator: str, sought: Sought) -> int:
    quoted = b'"' in raw
    named = {f"f{index}": kind for index, kind in enumerate(kinds)}
    read = pa_csv.open_csv(
        pa.BufferReader(raw),
        pa_csv.ReadOptions(column_names=list(named), block_size=_LINE_BYTES),
        pa_csv.ParseOptions(delimiter=separator, quote_char='"' if quoted else False, newlines_in_values=quoted),
        pa_csv.ConvertOptions(column_types=named, strings_can_be_null=False, null_values=[""]),
    )
    if not _has_space(raw, separator):
        return sum(map(sought.rows_in, read))
    return sum(sought.rows_in(_trimmed(batch)) for batch in read)


def _trimmed(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [pc.utf8_trim_whitespace(each) if pa.types.is_string(each.type) else each for each in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _has_space(raw: bytes, separator: str) -> bool:
    """Whether a cell may begin or end with what is trimmed."""
    return not raw.isascii() or any(bytes([each]) in raw for each in _SPACE if chr(each) != separator)


def _count_json(raw: bytes, sought: Sought) -> int:
    """Of lines, or of a list of documents."""
    if sought.only_texts:
        if b"\\" not in raw and not _may_be_in(raw, sought):
            return 0
        with suppress(pa.ArrowException):  # a list, fields of several types, or no JSON
            return _count_json_lines(raw, sought)
    return _count_rows(_json_rows(raw), sought)


def _count_json_lines(raw: bytes, sought: Sought) -> int:
    """Raises `ArrowException` where its columns have no type each; times among them are no texts that are sought."""
    table = pa_json.read_json(pa.BufferReader(raw), pa_json.ReadOptions(block_size=_LINE_BYTES))
    return sum(map(sought.rows_in, table.to_batches()))


def _json_rows(raw: bytes) -> Iterator[list[str]]:
    text = raw.decode("utf-8-sig")
    lines = text.splitlines() if not text.lstrip().startswith("[") else [text]
    for line in filter(str.strip, lines):
        document = json.loads(line)
        for each in document if isinstance(document, list) else [document]:
            yield list(texts_in(each))


def _count_parquet(raw: bytes, sought: Sought) -> int:
    """Only columns are read that can hold a value, and only groups of rows whose statistics do not exclude it."""
    file = pq.ParquetFile(pa.BufferReader(raw))
    names = [field.name for field in file.schema_arrow if sought.may_be_in(field.type)]
    groups = [each for each in range(file.num_row_groups) if _may_be_in_group(file.metadata.row_group(each), sought)]
    if not names or not groups:
        return 0
    return sum(map(sought.rows_in, file.iter_batches(_BATCH, row_groups=groups, columns=names)))


def _may_be_in_group(group: pq.RowGroupMetaData, sought: Sought) -> bool:
    """Whether a value may be in a group of rows: of columns of text their least and greatest values say it."""
    if not sought.only_texts:
        return True
    return any(_may_be_in_column(group.column(index), sought) for index in range(group.num_columns))


def _may_be_in_column(column: pq.ColumnChunkMetaData, sought: Sought) -> bool:
    if column.physical_type not in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
        return False  # numbers, truth values and times
    said = column.statistics
    if said is None or not said.has_min_max or not isinstance(said.min, str) or not isinstance(said.max, str):
        return True
    least, most = said.min.encode(), said.max.encode()
    return any(least <= value.encode() <= most for value in sought.values)


def _count_avro(raw: bytes, sought: Sought) -> int:
    count, prefilter = 0, sought.only_texts
    for block in read_blocks(io.BytesIO(raw)):
        if block.error:
            raise UnusableData(block.error)
        if prefilter and not _may_be_in(block.data, sought):
            continue
        count += sought.rows_in(decode_block(block.data, block.datums, block.schema).rows)
    return count


_COUNTERS: dict[str, Callable[[bytes, Sought], int]] = {
    "json": _count_json,
    "jsonl": _count_json,
    "ndjson": _count_json,
    "parquet": _count_parquet,
    "avro": _count_avro,
}
