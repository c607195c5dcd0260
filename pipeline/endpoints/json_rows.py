"""Record batches as JSON objects, one for each row, for topics and for people."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ENCODER = msgspec.json.Encoder()  # bytes in base64, numbers that are not finite as null
_TEXT = pa.large_string()  # 64-bit offsets: the texts of a batch together may be larger than 2 GB
_ESCAPED = r'["\\\x00-\x1f]'


def json_rows(batch: pa.RecordBatch) -> list[bytes]:
    """Each row as one JSON object in UTF-8: times in RFC 3339 UTC, bytes in base64, maps as objects, NaN as null.

    Texts are made and joined by column: made row by row, the sinks' JSON took a third of a worker's time.
    """
    if batch.num_rows == 0:
        return []
    pieces: list[str | pa.Array] = [""]
    for index, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        start, texts = ("," if index else "{") + _ENCODER.encode(name).decode() + ":", _texts_or_one(column)
        pieces[-1] += start
        if isinstance(texts, str):
            pieces[-1] += texts
        else:
            pieces += [texts, ""]
    pieces[-1] += "}"
    rows: list[bytes] = _joined(*pieces).cast(pa.large_binary()).to_numpy(zero_copy_only=False).tolist()
    return rows


def _texts_or_one(column: pa.Array) -> pa.Array | str:
    """The JSON of each value, or one text where all are the same (such as version and digest), or null."""
    if column.null_count == len(column):
        return "null"
    if pa.types.is_string(column.type) and column.null_count == 0 and pc.all(pc.equal(column, column[0])).as_py():
        return _ENCODER.encode(column[0].as_py()).decode()
    return _texts(column)


def _joined(*pieces: str | pa.Array) -> pa.Array:
    """Arrays of text, and texts that are the same in each row, end to end."""
    arrays = [pa.scalar(piece, _TEXT) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(*arrays, pa.scalar("", _TEXT))


def _texts(column: pa.Array) -> pa.Array:
    """The JSON of each value (large_string, no nulls)."""
    if column.null_count == len(column):
        return pa.repeat(pa.scalar("null", _TEXT), len(column))
    for holds, convert in _CONVERTERS.items():
        if holds(column.type):
            return pc.fill_null(convert(column), "null")
    return _each(column)


def _each(column: pa.Array) -> pa.Array:
    """Value by value: rare types, and texts with characters that JSON escapes."""
    return pa.array([_ENCODER.encode(value) for value in column.to_pylist()], pa.large_binary()).cast(_TEXT)


def _plain(column: pa.Array) -> pa.Array:
    """Numbers and booleans: one JSON array of all, cut at its commas."""
    whole = _ENCODER.encode(column.to_pylist() if column.null_count else _through_numpy(column))
    return pa.array(whole[1:-1].split(b","), pa.large_binary()).cast(_TEXT)


def _through_numpy(column: pa.Array) -> list[Any]:
    """Several times as fast as Arrow's own way to Python's values."""
    values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    return values


def _quoted(column: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return _each(column)
    return _joined('"', column.cast(_TEXT), '"')


def _times(column: pa.Array) -> pa.Array:
    """Fractions only where there are any, as in `schemas.times.format_time_us`."""
    exact = column.cast(pa.int64())
    micros = exact.cast(pa.timestamp("us"))
    seconds = pc.floor_temporal(micros, unit="second").cast(pa.timestamp("s"))
    whole = pc.equal(seconds.cast(pa.timestamp("us")), micros)
    texts = pc.if_else(whole, seconds.cast(_TEXT), micros.cast(_TEXT))
    return _joined('"', pc.replace_substring(texts, " ", "T", max_replacements=1), 'Z"')


def _maps(column: pa.Array) -> pa.Array:
    """Maps from texts to numbers, texts or null (a sparse union), or to values of one type."""
    values = _union if pa.types.is_union(column.type.item_type) else _texts
    entries = _joined(_texts(column.keys), ":", values(column.items))
    lists = pa.LargeListArray.from_arrays(column.offsets.cast(pa.int64()), entries)
    objects = _joined("{", pc.binary_join(lists, pa.scalar(",", _TEXT)), "}")
    return pc.if_else(column.is_valid(), objects, pa.scalar(None, _TEXT)) if column.null_count else objects


def _union(values: pa.UnionArray) -> pa.Array:
    """Of each branch only its own values are converted to text."""
    codes = values.type_codes.to_numpy()
    indexes = [np.flatnonzero(codes == kind) for kind in np.unique(codes)]
    texts = [_texts(values.field(int(codes[own[0]])).take(pa.array(own))) for own in indexes]
    if len(texts) == 1:
        return texts[0]
    order = np.empty(len(codes), np.int64)
    order[np.concatenate(indexes)] = np.arange(len(codes))
    return pa.concat_arrays(texts).take(pa.array(order))


def _lists(column: pa.Array) -> pa.Array:
    """Lists are rare, and mostly empty."""
    lengths = pc.list_value_length(column)
    if pc.max(lengths).as_py() == 0:
        return pc.if_else(column.is_valid(), pa.scalar("[]", _TEXT), pa.scalar(None, _TEXT))
    return _each(column)


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


_CONVERTERS: Mapping[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]] = {
    _is_plain: _plain,
    pa.types.is_string: _quoted,
    pa.types.is_timestamp: _times,
    pa.types.is_map: _maps,
    pa.types.is_list: _lists,
}
