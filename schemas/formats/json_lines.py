"""JSON lines to columns, strictly typed.

`msgspec` rather than `pyarrow.json`: a line that holds `null` ends the process in pyarrow 25.0.1 (segmentation
fault), NaN is read as a number there, and two objects on one line count as two records. Input is untrusted.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, TypeAlias, TypedDict

import msgspec
import pyarrow as pa

from schemas.columns import ARROW_TYPES, TIMESTAMP
from schemas.formats.envelopes.kinds import Headers
from schemas.formats.json_faults import wrong_type
from schemas.formats.json_paths import JsonPaths, has_paths
from schemas.formats.nesting import MAX_NESTING, is_deep
from schemas.formats.raw import DecodedRows, Unreadable
from schemas.vectors import vector_of

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_TIME = str | _Int64 | float
_FIELD_TYPES: dict[str, Any] = {"number": float, "integer": _Int64, "boolean": bool, "string": str, TIMESTAMP: _TIME}
_NUMBERS = pa.list_(pa.float64())  # how many there must be is checked of all formats in one place
_NAME_OR_NUMBER = str | int
_FRACTION = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_MOST_DIGITS = 300
_EXACT = Context(prec=2 * _MOST_DIGITS)
_ESCAPED = frozenset('"\\')
_TOO_DEEP = f"nested more than {MAX_NESTING} deep"
_Read: TypeAlias = tuple[list[Any], list[bytes], tuple[Unreadable, ...]]  # records, their bytes, unreadable records


def _field_type(kind: str) -> Any:
    return _FIELD_TYPES[kind] if vector_of(kind) is None else list[float]


class _Decoder:
    """A decoder of one line. `kinds`: the types of the columns that have one; ids and times keep their JSON type."""

    def __init__(
        self,
        columns: tuple[tuple[str, str], ...],
        event_id: str,
        event_time: str,
        subject: str | None,
        envelope: str | None,
    ) -> None:
        types: dict[str, Any] = {} if subject is None else {subject: _NAME_OR_NUMBER}
        types.update({name: _field_type(kind) for name, kind in columns})
        types.update({event_id: _NAME_OR_NUMBER, event_time: _TIME})
        self.wanted = {**dict.fromkeys(types, "name"), **dict(columns), event_id: "name", event_time: "time"}
        self.kinds = {name: kind for name, kind in columns if name not in (event_id, event_time) and kind != TIMESTAMP}
        if self.kinds.get(subject or "") == "number":  # a whole number keeps its digits as a subject
            del self.kinds[subject or ""]
            types[subject or ""] = int | float
            self.wanted[subject or ""] = "number"
        self.names = tuple(types)
        self.paths = JsonPaths(self.names, envelope) if envelope or has_paths(self.names) else None
        self._types, self._exact = types, frozenset(n for n in types if types[n] in (_NAME_OR_NUMBER, _Int64))
        self.strict = self._of(types)
        self._raw = self._of({name: msgspec.Raw if name in self._exact else types[name] for name in types})

    @classmethod
    def _of(cls, types: Mapping[str, Any]) -> Any:
        plain = all(name.isprintable() and not _ESCAPED & set(name) for name in types)
        return msgspec.json.Decoder(cls._record("Line", types)) if plain else _ByName(types)

    @staticmethod
    def _record(title: str, types: Mapping[str, Any]) -> Any:
        """Fields are named f0, f1… because event columns need not be identifiers."""
        optional = [kind if kind is msgspec.Raw else kind | None for kind in types.values()]  # raw may be null too
        fields = [(f"f{index}", kind, None) for index, kind in enumerate(optional)]
        renames = {f"f{index}": name for index, name in enumerate(types)}
        return msgspec.defstruct(title, fields, rename=renames, gc=False)

    def line(self, text: bytes) -> Any:
        """Decodes one line. Whole numbers with a point or an exponent (1e3) are read by their digits, since a float
        would lose some.

        Raises what msgspec raises: `msgspec.DecodeError`, `UnicodeDecodeError`, `RecursionError`.
        """
        try:
            return self.strict.decode(text)
        except msgspec.ValidationError as problem:
            try:
                found = self._raw.decode(text)
                return type(found)(*map(self._whole, self.names, msgspec.structs.astuple(found)))
            except ValueError:
                raise problem from None

    def read(self, name: str, value: bytes) -> Any:
        """The value of a column from its JSON text. Raises `ValueError` for one of another type."""
        if name in self._exact and value != b"null":
            return self._whole(name, value)
        return msgspec.json.decode(value, type=self._types[name] | None)

    def _whole(self, name: str, value: Any) -> Any:
        """A value of a raw line. Raises `ValueError`."""
        if name not in self._exact or value is None:
            return value
        text = bytes(value)
        if _FRACTION.fullmatch(text):
            exact = Decimal(text.decode())
            if exact.adjusted() > _MOST_DIGITS or exact != exact.to_integral_value(context=_EXACT):
                raise ValueError
            text = str(int(exact)).encode()
        return msgspec.json.decode(text, type=self._types[name] | None)


class _ByName:
    """A decoder for names that msgspec's structs cannot have: with a quote, a backslash or a control character."""

    def __init__(self, types: Mapping[str, Any]) -> None:
        kinds = [kind if kind is msgspec.Raw else kind | None for kind in types.values()]
        fields = dict(zip(types, kinds, strict=True))
        line = TypedDict("line", fields, total=False)  # type: ignore[misc]  # names are data
        self._names, self._decoder = tuple(types), msgspec.json.Decoder(line)
        self._record = msgspec.defstruct("Line", [(f"f{index}", kind, None) for index, kind in enumerate(kinds)])

    def decode(self, text: bytes) -> Any:
        return self._of(self._decoder.decode(text))

    def decode_lines(self, data: bytes) -> list[Any]:
        return [self._of(found) for found in self._decoder.decode_lines(data)]

    def _of(self, found: Mapping[str, Any]) -> Any:
        return self._record(*(found.get(name) for name in self._names))


_decoder = lru_cache(maxsize=64)(_Decoder)


def decode_lines(
    data: bytes,
    columns: Sequence[tuple[str, str]],
    event_id: str,
    event_time: str,
    subject: str | None = None,
    envelope: str | None = None,
) -> DecodedRows:
    """The JSON objects of `data`, one a line, as columns; blank lines are not records.

    Columns that are not requested are ignored, missing ones are null; where no key has a column's name and this has
    dots, it is a path into objects. A line that is not one JSON object, or has a
    value of another type than its column's, is unreadable with `MalformedJson` or `WrongType`.
    """
    decoder = _decoder(tuple(columns), event_id, event_time, subject, envelope)
    lines = [line for line in data.split(b"\n") if line.strip()]
    if decoder.paths is not None:
        return _by_paths(decoder, decoder.paths, lines)
    records: list[Any] | None = None
    if max(map(len, lines), default=0) <= 2 * MAX_NESTING or not any(map(is_deep, lines)):
        records = _together(decoder, data)
    if records is None or len(records) != len(lines):  # never guess which line a record came from
        return _decoded(_one_by_one(decoder, lines, lines), decoder)
    return _decoded((records, lines, ()), decoder)


def _together(decoder: _Decoder, data: bytes) -> list[Any] | None:
    """The records of all lines; None where one of them is none: decoded one by one they show which."""
    try:
        found: list[Any] = decoder.strict.decode_lines(data)
    except Exception:  # whatever the error
        return None
    return found


def _by_paths(
    decoder: _Decoder, paths: JsonPaths, texts: Sequence[bytes], headers: Sequence[Headers] = ()
) -> DecodedRows:
    """Records that are in an envelope, or of which some columns lie within others."""
    flat = paths.flat(texts, headers)
    records = None if any(map(is_deep, flat.originals)) else _together(decoder, b"\n".join(flat.lines))
    whole = records is not None and len(records) == len(flat.lines)
    read = (records or [], flat.originals, ()) if whole else _one_by_one(decoder, flat.lines, flat.originals)
    found = _decoded(read, decoder)
    return found._replace(unreadable=(*flat.unreadable, *found.unreadable), skipped=flat.skipped)


def decode_objects(
    objects: Sequence[bytes],
    columns: Sequence[tuple[str, str]],
    event_id: str,
    event_time: str,
    subject: str | None = None,
    envelope: str | None = None,
    headers: Sequence[Headers] = (),
) -> DecodedRows:
    """As `decode_lines`, for records that arrive one by one: each is one object, however many lines it has. `headers`:
    of each, on topics."""
    decoder = _decoder(tuple(columns), event_id, event_time, subject, envelope)
    if decoder.paths is not None:
        return _by_paths(decoder, decoder.paths, objects, headers)
    if not any(b"\n" in text or not text.strip() for text in objects):
        return decode_lines(b"\n".join(objects), columns, event_id, event_time, subject)
    return _decoded(_one_by_one(decoder, objects, objects), decoder)


def _decoded(read: _Read, decoder: _Decoder) -> DecodedRows:
    records, texts, unreadable = read
    names, kinds = decoder.names, decoder.kinds
    # A third of the time of tuples, which the garbage collector looks through.
    columns = (list(map(attrgetter(f"f{index}"), records)) for index in range(len(names)))
    arrays = [_column(values, kinds.get(name)) for name, values in zip(names, columns, strict=True)]
    return DecodedRows(pa.RecordBatch.from_arrays(arrays, list(names)), pa.array(texts, pa.binary()), unreadable)


def _column(values: Sequence[Any], kind: str | None) -> pa.Array:
    """A column of one type; for ids, subjects and times of several types, a sparse union, without conversion."""
    if kind is not None:
        return pa.array(values, ARROW_TYPES[kind] if vector_of(kind) is None else _NUMBERS)
    if values and isinstance(values[0], str):
        try:
            return pa.array(values, pa.string())
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            pass  # not all are texts
    found = set(map(type, values)) - {type(None)}
    if len(found) < 2:
        return _of_one_type(values)
    codes = {one: index for index, one in enumerate(sorted(found, key=str))}
    types = [type(value) for value in values]
    children = [_of_one_type([v if t is own else None for v, t in zip(values, types, strict=True)]) for own in codes]
    return pa.UnionArray.from_sparse(pa.array([codes.get(one, 0) for one in types], pa.int8()), children)


def _of_one_type(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, OverflowError):  # integers of more than 64 bits
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _one_by_one(decoder: _Decoder, lines: Sequence[bytes], originals: Sequence[bytes]) -> _Read:
    """`originals`: the bytes of each record that a dead letter holds, where its line was made from them."""
    records, good, bad = [], [], []
    for line, original in zip(lines, originals, strict=True):
        try:
            record = decoder.line(line)
        except msgspec.ValidationError:
            bad.append(Unreadable(original, "WrongType", wrong_type(line, decoder.wanted, decoder.read)))
        except RecursionError:
            bad.append(Unreadable(original, "MalformedJson", _TOO_DEEP))
        except Exception as problem:  # msgspec's own, and those of the codecs below it that it lets through
            bad.append(Unreadable(original, "MalformedJson", str(problem)))
        else:
            if is_deep(original):
                bad.append(Unreadable(original, "MalformedJson", _TOO_DEEP))
                continue
            records.append(record)
            good.append(original)
    return records, good, tuple(bad)
