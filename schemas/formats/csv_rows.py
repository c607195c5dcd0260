"""CSV to columns, by Arrow's reader: whole blocks at a time, and the original bytes of each record beside them.

Arrow reads every column as text first: a type that one value does not fit would cost the whole block. The texts are
then read as the kinds that the job wants, column by column.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.expectations import wants
from schemas.formats.csv_records import Records, find_records, scanned
from schemas.formats.csv_values import EXPECTED, kind_of_texts, read_column, shown
from schemas.formats.raw import DecodedRows, Unreadable

LINE = "line"
TEXT_OF = "__text:"
"""Before the name of a column: its texts as they are written, where the column itself has been read as another kind."""
_MALFORMED, _WRONG_TYPE = "MalformedCsv", "WrongType"
_WHOLE_TEXT = 80


class CsvTable(NamedTuple):
    """The form of one CSV file: its column names, and how its values are written. `nulls`: None for the usual ones."""

    names: tuple[str, ...]
    delimiter: str = ","
    decimal: str = "."
    quote: str = '"'
    nulls: tuple[str, ...] | None = None
    encoding: str = "utf-8"


def schema_of(table: CsvTable) -> str:
    """The form as JSON text, by which a line alone can be read.

    >>> table_of(schema_of(CsvTable(("id", "at"), ";"))) == CsvTable(("id", "at"), ";")
    True
    """
    return json.dumps(table._asdict())


def table_of(schema: str) -> CsvTable:
    """The form that such a text says. Raises `ValueError`, `TypeError` or `KeyError` for another text."""
    said = json.loads(schema)
    nulls = said.pop("nulls")
    return CsvTable(tuple(said.pop("names")), nulls=None if nulls is None else tuple(nulls), **said)


class Wanted(NamedTuple):
    """What a job reads of each record: columns as texts, and columns of a kind. None for `texts`: all columns, each as
    what its values look like."""

    texts: tuple[str, ...] | None
    kinds: tuple[tuple[str, str], ...] = ()


class CsvBlock(NamedTuple):
    """Decoded records of a block, and where in its data the first begins that the data do not hold whole; `lines`: how
    many line ends lie before that."""

    rows: DecodedRows
    rest: int
    lines: int


def decode_csv(data: bytes, table: CsvTable, wanted: Wanted, line: int, final: bool) -> CsvBlock:
    """The records of data that begin with one, `line` being the number of the first line (from 1).

    A record with too few or too many fields, a quoted field that does not end, a NUL byte, or bytes that are not text
    is unreadable with `MalformedCsv`, one with a value of another kind than its column's with `WrongType`. `final`:
    nothing follows the data. Columns that the table lacks are left out.
    """
    records = find_records(data, table.delimiter, table.quote, final)
    rows = _of_records(data, records, table, wanted)
    if rows is None:  # Arrow counts the records in another way, or not all of it is text
        records = scanned(data, table.delimiter, table.quote, final)
        rows = _one_by_one(data, records, table, wanted)
    newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    lines = int(np.searchsorted(newlines, records.rest))
    starts = np.searchsorted(newlines, rows.starts) + line
    bad = [_unreadable(data, each.start, each.end, each.why, newlines, line) for each in records.bad]
    bad += [_unreadable(data, start, end, why, newlines, line) for start, end, why in rows.bad]
    decoded = _typed(rows.texts, rows.payloads, starts, table, wanted)
    ordered = sorted([*bad, *decoded.unreadable], key=lambda each: each.number)
    return CsvBlock(decoded._replace(unreadable=tuple(ordered)), records.rest, lines)


class _Texts(NamedTuple):
    """The wanted columns of good records as texts, their bytes, where they start; and the others with the reason."""

    texts: dict[str, pa.Array]
    payloads: pa.Array
    starts: npt.NDArray[np.int64]
    bad: Sequence[tuple[int, int, str]] = ()


def _unreadable(data: bytes, start: int, end: int, why: str, newlines: Any, line: int) -> Unreadable:
    payload = data[start:end].removesuffix(b"\r")
    found = f"{shown(payload.decode('utf-8', 'backslashreplace'), _WHOLE_TEXT)} is not a record: {why}"
    return Unreadable(payload, _MALFORMED, found, int(np.searchsorted(newlines, start)) + line)


def _of_records(data: bytes, records: Records, table: CsvTable, wanted: Wanted) -> _Texts | None:
    """All records at once; None where the result cannot be assigned to them for sure."""
    count = len(records.starts)
    names = _read_names(table, wanted)
    if not count:
        return _Texts({name: pa.array([], pa.string()) for name in names}, pa.array([], pa.binary()), records.starts)
    body = data[: records.rest]
    if records.bad:
        body = b"\n".join(data[start:end] for start, end in zip(records.starts, records.ends, strict=True)) + b"\n"
    try:
        text = _as_utf8(body, table.encoding)
        found, refused = _parsed(text, table, names)
    except (pa.ArrowInvalid, UnicodeError):
        return None
    if found.num_rows + len(refused) != count:
        return None
    payloads, starts = _payloads(data, records), records.starts
    bad: list[tuple[int, int, str]] = []
    if refused:
        good = np.ones(count, np.bool_)
        good[[number - 1 for number, _ in refused]] = False
        bad = [(int(starts[number - 1]), int(records.ends[number - 1]), why) for number, why in refused]
        payloads, starts = payloads.filter(pa.array(good)), starts[good]
    columns = {name: _whole(found.column(str(index))) for name, index in names.items()}
    return _Texts(columns, payloads, starts, bad)


def _read_names(table: CsvTable, wanted: Wanted) -> dict[str, int]:
    """The columns to read, with their index."""
    positions = {name: index for index, name in reversed(list(enumerate(table.names)))}
    if wanted.texts is None:
        return {name: positions[name] for name in dict.fromkeys(table.names)}
    names = dict.fromkeys([*wanted.texts, *dict(wanted.kinds)])
    return {name: positions[name] for name in names if name in positions}


def _as_utf8(data: bytes, encoding: str) -> bytes:
    """Raises `UnicodeError` for bytes that are not text."""
    if data.isascii():
        return data
    text = data.decode(encoding)
    return data if encoding == "utf-8" else text.encode()


def _parsed(data: bytes, table: CsvTable, names: Mapping[str, int]) -> tuple[pa.Table, list[tuple[int, str]]]:
    """The columns as texts, and the records with another number of fields: their number among all (from 1), and why.

    Raises:
        pa.ArrowInvalid: Arrow cannot read the block.
    """
    from pyarrow import csv

    refused = list[tuple[int, str]]()
    expected = len(table.names)

    def skip(row: Any) -> str:
        why = f"a record of {row.actual_columns} fields; {wants(f'{expected} fields, as the header has')}"
        refused.append((row.number, why))
        return "skip"

    columns = [str(index) for index in range(expected)]
    read = csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=columns)
    parse = csv.ParseOptions(
        delimiter=table.delimiter,
        quote_char=table.quote or False,
        newlines_in_values=True,
        invalid_row_handler=skip,
    )
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        include_columns=[str(index) for index in names.values()] or columns[:1],
        null_values=["", *(table.nulls or ())],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return csv.read_csv(pa.BufferReader(data), read, parse, convert), refused


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _payloads(data: bytes, records: Records) -> pa.Array:
    """The bytes of each record, without its line end."""
    starts, ends = records.starts, records.ends
    lengths = ends - starts
    total, last = int(lengths.sum()), int(ends[-1])
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]).astype(np.int32)
    plain = data[: records.rest].translate(None, b"\r\n")
    if len(plain) != total:  # line ends within records, or bytes that are not a record
        kept = np.zeros(last + 1, np.int8)
        kept[starts] = 1
        kept[ends] = -1
        plain = np.frombuffer(data, np.uint8, last)[np.cumsum(kept[:-1]).astype(np.bool_)].tobytes()
    return pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(plain)])


def _one_by_one(data: bytes, records: Records, table: CsvTable, wanted: Wanted) -> _Texts:
    """Each record by itself: what is not exactly one row of text is bad."""
    good, bad = list[int](), list[tuple[int, int, str]]()
    for index, (start, end) in enumerate(zip(records.starts.tolist(), records.ends.tolist(), strict=True)):
        why = _fault(data[start:end], table)
        if why:
            bad.append((start, end, why))
        else:
            good.append(index)
    rows = Records(records.starts[good], records.ends[good], records.bad or ((),), records.rest)  # type: ignore[arg-type]  # only whether there are any
    found = _of_records(data, rows, table, wanted)
    if found is None:
        raise AssertionError("records that Arrow reads one by one, but not together")
    return found._replace(bad=[*found.bad, *bad])


def _fault(record: bytes, table: CsvTable) -> str:
    try:
        text = _as_utf8(record, table.encoding)
    except UnicodeError as problem:
        return f"bytes that are not {table.encoding} ({problem}); {wants('a text in events.csv.encoding')}"
    try:
        found, refused = _parsed(text + b"\n", table, {"": 0})
    except pa.ArrowInvalid as problem:
        return str(problem)
    return "" if found.num_rows + len(refused) == 1 else "it is not one record"


@lru_cache(maxsize=64)
def _uses(wanted: Wanted) -> tuple[tuple[str, str | None], ...]:
    """The columns to make: the name of each, and its kind where it has one."""
    kinds = dict(wanted.kinds)
    texts = tuple((TEXT_OF + name if name in kinds else name, None) for name in wanted.texts or ())
    return (*texts, *kinds.items())


def _typed(
    texts: Mapping[str, pa.Array], payloads: pa.Array, lines: npt.NDArray[np.int64], table: CsvTable, wanted: Wanted
) -> DecodedRows:
    """The columns read as their kinds; a record with a value that is of another kind is unreadable."""
    if wanted.texts is None:
        looks = {name: _looking(column, table) for name, column in texts.items()}
        return DecodedRows(_batch(looks, len(payloads)), payloads, (), pa.array(lines, pa.int64()), LINE)
    uses = _uses(wanted)
    columns, codes = dict[str, pa.Array](), np.zeros(len(payloads), np.int16)
    faulty = list[tuple[str, str]]()
    for name, kind in uses:
        column = texts.get(name.removeprefix(TEXT_OF) if kind is None else name)
        if column is None:
            continue
        if kind is not None:
            column, unread = read_column(column, kind, table.decimal, table.nulls)
            if unread is not None:
                faulty.append((name, kind))
                codes[unread & (codes == 0)] = len(faulty)
        columns[name] = column
    rows, numbers = _batch(columns, len(payloads)), pa.array(lines, pa.int64())
    if not faulty:
        return DecodedRows(rows, payloads, (), numbers, LINE)
    details = {row: _wrong(texts, row, faulty[codes[row] - 1], table) for row in np.flatnonzero(codes).tolist()}
    unreadable = tuple(
        Unreadable(payloads[row].as_py(), _WRONG_TYPE, detail, int(lines[row])) for row, detail in details.items()
    )
    good = pa.array(codes == 0)
    return DecodedRows(rows.filter(good), payloads.filter(good), unreadable, numbers.filter(good), LINE)


def _batch(columns: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    """The columns side by side; where there are none, so many rows nevertheless."""
    whole = columns or {"__none": pa.nulls(rows)}
    return pa.RecordBatch.from_arrays(list(whole.values()), list(whole))


def _looking(texts: pa.Array, table: CsvTable) -> pa.Array:
    """A column as what most of its values look like; what does not is null."""
    kind = kind_of_texts(texts, table.decimal, table.nulls)
    return pa.nulls(len(texts)) if kind is None else read_column(texts, kind, table.decimal, table.nulls).values


def _wrong(texts: Mapping[str, pa.Array], row: int, column: tuple[str, str], table: CsvTable) -> str:
    """Why a row's value is none of the column's kind."""
    name, kind = column
    expected = EXPECTED[kind]
    if kind == "number" and table.decimal != ".":
        expected += f" with '{table.decimal}' before its fraction"
    return f"{name}: {shown(texts[name][row].as_py())} is not allowed; {wants(expected)}"


def repeated(names: Sequence[str], wanted: Collection[str]) -> dict[str, list[int]]:
    """The wanted names that stand for several columns, with the number of each of these (from 1)."""
    several = [name for name in dict.fromkeys(names) if name in wanted and names.count(name) > 1]
    return {name: [index + 1 for index, each in enumerate(names) if each == name] for name in several}
