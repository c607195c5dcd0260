"""JSON lines to columns, strictly typed.

`msgspec` rather than `pyarrow.json`: a line that holds `null` ends the process in pyarrow 25.0.1 (segmentation
fault), NaN passes as a number there, and two objects on one line count as two records. Input is untrusted.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Annotated, Any, TypeAlias

import msgspec
import pyarrow as pa

from schemas.batches import COLUMN_ARROW_TYPES
from schemas.raw import DecodedRows, Unreadable

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_FIELD_TYPES: dict[str, Any] = {"number": float, "integer": _Int64, "boolean": bool, "string": str}
_NAME_OR_NUMBER = str | _Int64
_TIME = str | _Int64 | float
_Read: TypeAlias = tuple[list[Any], list[bytes], tuple[Unreadable, ...]]  # records, their bytes, what is no record


@lru_cache(maxsize=64)
def _decoder(columns: tuple[tuple[str, str], ...], event_id: str, event_time: str, subject: str | None) -> Any:
    """A decoder of one line; fields are named f0, f1… because event columns need not be identifiers."""
    types: dict[str, Any] = {} if subject is None else {subject: _NAME_OR_NUMBER}
    types.update({name: _FIELD_TYPES[kind] for name, kind in columns})
    types.update({event_id: _NAME_OR_NUMBER, event_time: _TIME})
    fields = [(f"f{index}", types[name] | None, None) for index, name in enumerate(types)]
    renames = {f"f{index}": name for index, name in enumerate(types)}
    record = msgspec.defstruct("Line", fields, rename=renames, gc=False)
    return msgspec.json.Decoder(record), tuple(types)


def decode_lines(
    data: bytes, columns: Sequence[tuple[str, str]], event_id: str, event_time: str, subject: str | None = None
) -> DecodedRows:
    """The JSON objects of `data`, one a line, as columns; blank lines are no records.

    Columns that are not asked for are ignored, missing ones are null. A line that is not one JSON object, or has a
    value of another type than its column's, is unreadable with `MalformedJson` or `WrongType`.
    """
    decoder, names = _decoder(tuple(columns), event_id, event_time, subject)
    lines = [line for line in data.split(b"\n") if line.strip()]
    try:
        records = decoder.decode_lines(data)
        unreadable: tuple[Unreadable, ...] = ()
    except (msgspec.DecodeError, UnicodeDecodeError):
        records, lines, unreadable = _one_by_one(decoder, lines)
    if len(records) != len(lines):  # never guess which line a record came from
        records, lines, unreadable = _one_by_one(decoder, lines)
    return _decoded((records, lines, unreadable), names, _kinds(columns, event_id, event_time))


def decode_objects(
    objects: Sequence[bytes],
    columns: Sequence[tuple[str, str]],
    event_id: str,
    event_time: str,
    subject: str | None = None,
) -> DecodedRows:
    """As `decode_lines`, for records that came one by one: each is one object, however many lines it has."""
    if not any(b"\n" in text or not text.strip() for text in objects):
        return decode_lines(b"\n".join(objects), columns, event_id, event_time, subject)
    decoder, names = _decoder(tuple(columns), event_id, event_time, subject)
    return _decoded(_one_by_one(decoder, objects), names, _kinds(columns, event_id, event_time))


def _kinds(columns: Sequence[tuple[str, str]], event_id: str, event_time: str) -> dict[str, str]:
    """The types of the columns that have one; ids and times keep what they came as."""
    return {name: kind for name, kind in columns if name not in (event_id, event_time)}


def _decoded(read: _Read, names: tuple[str, ...], kinds: Mapping[str, str]) -> DecodedRows:
    records, texts, unreadable = read
    columns = zip(*map(msgspec.structs.astuple, records), strict=True) if records else repeat((), len(names))
    arrays = [_column(values, kinds.get(name)) for name, values in zip(names, columns, strict=True)]
    return DecodedRows(pa.RecordBatch.from_arrays(arrays, list(names)), pa.array(texts, pa.binary()), unreadable)


def _column(values: Sequence[Any], kind: str | None) -> pa.Array:
    if kind is not None:
        return pa.array(values, COLUMN_ARROW_TYPES[kind])
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # ids or times of mixed types: as text, which both can be
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _one_by_one(decoder: Any, lines: Sequence[bytes]) -> _Read:
    records, good, bad = [], [], []
    for line in lines:
        try:
            records.append(decoder.decode(line))
            good.append(line)
        except msgspec.ValidationError as problem:
            bad.append(Unreadable(line, "WrongType", str(problem)))
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            bad.append(Unreadable(line, "MalformedJson", str(problem)))
    return records, good, tuple(bad)
