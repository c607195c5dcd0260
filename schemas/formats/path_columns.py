"""Columns in the names of folders, as Hive and Spark write them: `year=2024/month=3/part-0.parquet`.

Only the folders directly above a file count, so that it does not matter through which URI the file was found.
"""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import ARROW_TYPES, TIMESTAMP
from schemas.formats.csv_rows import TEXT_OF
from schemas.formats.csv_values import EXPECTED, kind_of_texts, read_column
from schemas.formats.raw import OfPath

_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_partition(folder: str) -> bool:
    """Whether a folder's name states a column: `year=2024`."""
    return not folder.startswith(("=", ".")) and "=" in folder


def path_columns(path: str) -> tuple[OfPath, ...]:
    """The columns that the folders of a file state, the outermost first; of two with one name the inner one counts.

    >>> path_columns("s3://bucket/y=1/data/year=2024/city=S%C3%A3o%20Paulo/part-0.parquet")
    (OfPath(name='year', text='2024', kind=None), OfPath(name='city', text='São Paulo', kind=None))
    """
    found = dict[str, str | None]()
    for folder in reversed(path.split("/")[:-1]):
        if not is_partition(folder):
            break
        name, _, value = folder.partition("=")
        found.setdefault(_decoded(name), None if value == _NULL else _decoded(value))
    return tuple(OfPath(name, text) for name, text in reversed(found.items()))


def _decoded(text: str) -> str:
    """Without percent signs; as it is where these encode no UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def kinds_of_paths(paths: Sequence[str]) -> dict[str, str]:
    """The kind of each column in the names of folders, by its values in all of them.

    >>> kinds_of_paths(["year=2024/region=7/a", "year=2025/region=EU/a"])
    {'year': 'number', 'region': 'string'}
    """
    texts = dict[str, dict[str, None]]()
    for path in paths:
        for name, text, _ in path_columns(path):
            texts.setdefault(name, {}).update({} if text is None else {_text(text): None})
    kinds = {name: kind_of_texts(pa.array(list(values), pa.string()), ".", ()) for name, values in texts.items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def with_path_columns(
    rows: pa.RecordBatch, of_path: Sequence[OfPath], kinds: Mapping[str, str], identity: Collection[str] = ()
) -> pa.RecordBatch:
    """The rows with the columns of their file's path. What a record itself has in such a column stays.

    Args:
        kinds: the columns that are read as a kind; a text that is none stays a text, which does not fit then.
        identity: the columns that are read as they are written.
    """
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    for name, text, _ in of_path:
        kind = kinds.get(name)
        if kind is not None and kind not in (*EXPECTED, TIMESTAMP):
            continue  # a vector
        if name in identity:
            _put(columns, TEXT_OF + name if kind not in (None, "string") else name, text, None, rows.num_rows)
        if kind is not None:
            _put(columns, name, text, kind, rows.num_rows)
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _put(columns: dict[str, pa.Array], name: str, text: str | None, kind: str | None, count: int) -> None:
    own = columns.get(name)
    if own is not None and not (pa.types.is_null(own.type) or own.null_count):
        return
    value = _value(text, kind)
    if own is None or own.null_count == len(own):
        columns[name] = pa.repeat(value, count)
    elif own.type == value.type:
        columns[name] = pc.fill_null(own, value)
    else:
        codes = pc.is_null(own).cast(pa.int8())
        columns[name] = pa.UnionArray.from_sparse(codes, [own, pa.repeat(value, count)])


def _value(text: str | None, kind: str | None) -> pa.Scalar:
    read_as = "string" if kind in (None, TIMESTAMP) else kind or "string"  # times are read later
    if text is None:
        return pa.scalar(None, ARROW_TYPES[read_as])
    written = pa.array([_text(text)], pa.string())
    found = read_column(written, read_as, ".", ())
    return written[0] if found.unread is not None else found.values[0]


def _text(text: str) -> str:
    """A name of the file system, which need not be UTF-8, as a text."""
    return text.encode("utf-8", "replace").decode()
