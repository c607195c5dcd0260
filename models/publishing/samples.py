"""A sample of the model's input columns, as `halflife features` writes it or as people have it."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from models.errors import one_line
from models.publishing.description import CannotPublish
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.formats.csv_dialect import with_guesses
from schemas.job import CsvSpec
from schemas.vectors import is_list, with_lengths

_ALLOWED = "a .parquet, .arrow, .csv, .json or .avro file, or a folder of such files of one kind"
_HEAD_BYTES = 256 * 1024
_ARROW_FILE = b"ARROW1"


def read_sample(path: Path, texts: Collection[str] = ()) -> pa.Table:
    """All rows of `--sample`: of a file, or of a folder's files in the order of their names.

    `texts` are columns read from CSV as text: "01" stays no number and "2024-01-01" no date.

    Raises:
        CannotPublish: there is none, it is damaged, or it has no rows.
    """
    return read_rows("--sample", path, texts)


def read_rows(option: str, path: Path, texts: Collection[str] = ()) -> pa.Table:
    """As `read_sample`, for another option, which messages name.

    Raises:
        CannotPublish: as `read_sample` does.
    """
    if not path.exists():
        raise CannotPublish(f"{option} {path}: there is no such file or folder; expected: {_ALLOWED}")
    files = [path] if path.is_file() else sorted(each for each in path.glob("*") if each.suffix in _READERS)
    if not files or any(each.suffix not in _READERS for each in files):
        raise CannotPublish(f"{option} {path} is not allowed; expected: {_ALLOWED}")
    try:
        table = pa.concat_tables([_READERS[each.suffix](each, texts) for each in files])
    except (pa.ArrowException, OSError, ValueError, RecursionError, OverflowError) as error:
        raise CannotPublish(f"{option} {path} is not readable: {one_line(error)}; expected: {_ALLOWED}") from None
    if table.num_rows == 0:
        raise CannotPublish(f"{option} {path} has no rows; allowed: one or more")
    return _with_vectors(table)


def _with_vectors(table: pa.Table) -> pa.Table:
    """Columns of lists of one length as vectors."""
    for index, column in enumerate(table.columns):
        if is_list(column.type):
            table = table.set_column(index, table.schema.names[index], with_lengths(column.combine_chunks()))
    return table


def _parquet(path: Path, texts: Collection[str]) -> pa.Table:
    return parquet.read_table(path)


def _csv(path: Path, texts: Collection[str]) -> pa.Table:
    """Delimiter, decimal sign and encoding are guessed as those of events are."""
    with path.open("rb") as file:
        form = with_guesses(file.read(_HEAD_BYTES), CsvSpec())
    return csv.read_csv(
        path,
        csv.ReadOptions(encoding=form.encoding or "utf-8"),
        csv.ParseOptions(delimiter=form.delimiter or ",", newlines_in_values=True),
        csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string()), decimal_point=form.decimal or "."),
    )


def _arrow(path: Path, texts: Collection[str]) -> pa.Table:
    with pa.OSFile(str(path)) as source:
        is_file = source.read(len(_ARROW_FILE)) == _ARROW_FILE
        source.seek(0)
        opened = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        return opened.read_all()


def _json(path: Path, texts: Collection[str]) -> pa.Table:
    """Lines, or one array. Not by `pyarrow.json`, which a line `null` ends with the process."""
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    rows = (
        json.loads(data) if data.lstrip().startswith(b"[") else [json.loads(each) for each in data.splitlines() if each]
    )
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a record is not a JSON object")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})


def _avro(path: Path, texts: Collection[str]) -> pa.Table:
    batches = []
    with path.open("rb") as file:
        for block in read_blocks(file):
            if block.error:
                raise ValueError(block.error)
            decoded = decode_block(block.data, block[1], block.schema)  # `.count` is also a tuple's method
            if decoded.unreadable:
                raise ValueError(decoded.unreadable[0].detail)
            batches.append(decoded.rows)
    return pa.Table.from_batches(batches) if batches else pa.table({})


_READERS: Mapping[str, Callable[[Path, Collection[str]], pa.Table]] = {
    ".parquet": _parquet,
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), _arrow),
    **dict.fromkeys((".csv", ".tsv"), _csv),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), _json),
    ".avro": _avro,
}
