"""Rows of a columnar format as JSON objects: what a dead letter holds of a record that has no bytes of its own.

Made by column, for all rows: they cost about a microsecond each, and no later step has to ask the file again.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.vectors import is_list

_TEXT = pa.large_string()
_ENCODER = msgspec.json.Encoder()
_Quoted: TypeAlias = tuple[str, pa.Array, str]


def row_texts(rows: pa.RecordBatch) -> pa.Array:
    """Each row as one JSON object in UTF-8 (binary, no nulls): times as texts with `Z` where they have a zone, numbers
    that are not finite as null, bytes in base64, and so the numbers of a list, little-endian, in the column's type: as
    digits they would take as long as all other work on an event.

    >>> row_texts(pa.record_batch({"id": ["a"], "delay": [1.5]}))[0].as_py()
    b'{"id":"a","delay":1.5}'
    """
    if not rows.num_columns:
        return pa.repeat(pa.scalar(b"{}", pa.binary()), rows.num_rows)
    pieces: list[pa.Array | str] = ["{"]
    for index, (name, column) in enumerate(zip(rows.schema.names, rows.columns, strict=True)):
        before, texts, after = _piece(column)
        pieces[-1] += ("," if index else "") + _ENCODER.encode(name).decode() + ":" + before
        pieces += [texts, after]
    pieces[-1] += "}"
    whole = [pa.scalar(piece, _TEXT) if isinstance(piece, str) else piece for piece in pieces]
    joined = pc.binary_join_element_wise(*whole, pa.scalar("", _TEXT))
    return joined.cast(pa.large_binary()).cast(pa.binary())


def _piece(column: pa.Array) -> tuple[str, pa.Array, str]:
    """A column's JSON (large_string, no nulls), and what stands before and after each of them: where there is no null,
    the quotes need not be joined to each."""
    if column.null_count == len(column):
        return "", pa.repeat(pa.scalar("null", _TEXT), len(column)), ""
    convert = next((made for holds, made in _CONVERTERS.items() if holds(column.type)), _each)
    found = convert(column)
    before, texts, after = ("", found, "") if isinstance(found, pa.Array) else found
    if (before or after) and texts.null_count:
        signs = [pa.scalar(sign, _TEXT) for sign in (before, after, "")]
        before, texts, after = "", pc.binary_join_element_wise(signs[0], texts, *signs[1:]), ""
    return before, pc.fill_null(texts, "null"), after


def _each(column: pa.Array) -> pa.Array:
    """Value by value: rare types, and texts with signs that JSON escapes."""
    return pa.array([_encoded(value) for value in column], pa.large_binary()).cast(_TEXT)


def _encoded(value: pa.Scalar) -> bytes:
    try:
        return _ENCODER.encode(value.as_py())
    except (ValueError, TypeError, OverflowError, ArithmeticError):  # what Python or JSON cannot express
        return _ENCODER.encode(str(value))


def _floats(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type)).cast(_TEXT)


def _strings(column: pa.Array) -> pa.Array | _Quoted:
    data = column.buffers()[2]
    signs = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    if ((signs < 0x20) | (signs == ord('"')) | (signs == ord("\\"))).any():
        return _each(column)
    return '"', column.cast(_TEXT), '"'


def _times(column: pa.Array) -> _Quoted:
    zone = "Z" if column.type.tz else ""
    texts = column.cast(pa.timestamp(column.type.unit)).cast(_TEXT)
    return '"', texts, f'{zone}"'


def _lists(column: pa.Array) -> pa.Array:
    if column.flatten().null_count:
        return _each(column)
    data = memoryview(column.flatten().to_numpy(zero_copy_only=False)).cast("B")
    width = column.type.value_type.bit_width // 8
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if column.null_count:  # those of fixed-size lists have a length too, but no values
        lengths = np.where(column.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    ends = np.cumsum(lengths.astype(np.int64) * width).tolist()
    texts = [b'"%b"' % b64encode(data[start:end]) for start, end in pairwise([0, *ends])]
    quoted = pa.array(texts, pa.large_binary()).cast(_TEXT)
    return pc.if_else(column.is_valid(), quoted, pa.scalar(None, _TEXT)) if column.null_count else quoted


def _is_list_of_numbers(found: pa.DataType) -> bool:
    items = found.value_type if is_list(found) else pa.null()
    return bool(pa.types.is_floating(items) or pa.types.is_integer(items))


_CONVERTERS: Mapping[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array | _Quoted]] = {
    pa.types.is_integer: lambda column: column.cast(_TEXT),
    pa.types.is_boolean: lambda column: column.cast(_TEXT),
    pa.types.is_decimal: lambda column: column.cast(pa.string()).cast(_TEXT),
    pa.types.is_floating: _floats,
    pa.types.is_string: _strings,
    pa.types.is_timestamp: _times,
    _is_list_of_numbers: _lists,
}
