"""From the columns of a format to the columns of a job: identity, time, types, and what does not fit.

Pure functions on whole batches. The first check that a row fails names its error.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.columns import ARROW_TYPES, TIMESTAMP
from schemas.dead_letter_stages import DECODE
from schemas.expectations import wants
from schemas.formats.csv_rows import TEXT_OF
from schemas.formats.csv_values import NULLS
from schemas.job import EventsSpec
from schemas.records import DeadLetter
from schemas.times import format_time_us
from schemas.vectors import vector_of
from transforms.decoding.event_times import event_times, expected_once, expected_times, with_numbers
from transforms.decoding.readings import Mask, mask_of, nulls_of, read, read_texts
from transforms.decoding.vectors import Shows, read_vectors

# Years 1 to 9999, which readers of Avro timestamps can represent. Dead letters carry no times outside them.
_FIRST_SHOWN_US, _NOT_SHOWN_US = -62_135_596_800_000_000, 253_402_300_800_000_000
_ID_DIGITS = 32
IDENTITY = "a text, a whole number, a decimal or bytes"


class Conformed(NamedTuple):
    """Events in the job's columns (`__late` false), and a dead letter for every row that does not fit, with the index
    of each of these rows, and whom each is about where that could be read."""

    events: pa.RecordBatch
    dead_letters: list[DeadLetter]
    refused: tuple[int, ...] = ()
    subjects: tuple[str | None, ...] = ()


class ReadColumns(NamedTuple):
    """The columns of the rows whose values fit, the indexes of these rows, and (error, detail) of each other row by its
    index."""

    columns: pa.RecordBatch
    rows: npt.NDArray[np.int64]
    refused: dict[int, tuple[str, str]]


class _Verdicts:
    """The first error of each row, kept as an index into a list of (error, column) pairs; 0 is none."""

    def __init__(self, rows: int) -> None:
        self.codes = np.zeros(rows, np.int16)
        self.kinds: list[tuple[str, str, str, Shows | None]] = [("", "", "", None)]

    def refuse(self, bad: Mask, error: str, column: str, allowed: str, shows: Shows | None = None) -> None:
        """Records this error for the rows of `bad` that have none yet; `shows` says of a row what is wrong with it,
        where the value itself would not tell."""
        if bad.any():
            self.kinds.append((error, column, allowed, shows))
            self.codes[bad & (self.codes == 0)] = len(self.kinds) - 1


def conform(
    rows: pa.RecordBatch, payloads: pa.Array, spec: EventsSpec, at_us: int, of_path: bytes = b""
) -> Conformed:
    """Rows of any format as a batch of the job's event schema. `of_path`: what the file's path says of each, which
    belongs to the id of records that have none.

    Errors: `MissingColumn` and `MissingValue` (id or time), `WrongType`, `NotFinite` (NaN or infinity),
    `TimeOutOfRange`, `MalformedTime`, `AmbiguousTime`, `WrongLength` (of a vector). Extra columns are dropped, missing
    feature columns are null.
    """
    verdicts = _Verdicts(rows.num_rows)
    ids = row_hashes(payloads, of_path) if spec.event_id == batches.ROW_HASH else _identifiers(rows, spec, verdicts)
    times = _event_times(rows, spec, verdicts)
    columns = _feature_columns(rows, spec, verdicts)
    subjects = _subjects(rows, spec.subject, verdicts)
    arrays = [ids, times, subjects, payloads, pa.repeat(pa.scalar(False), rows.num_rows), *columns]
    schema = batches.event_schema(spec.columns)
    good = verdicts.codes == 0
    if good.all():
        return Conformed(pa.RecordBatch.from_arrays(arrays, schema=schema), [])
    loose = pa.RecordBatch.from_arrays(arrays, names=schema.names)
    events = batches.take_rows(loose, good).cast(schema)
    letters, refused = _dead_letters(rows, loose, verdicts, at_us), np.flatnonzero(~good)
    about = loose.column(batches.SUBJECT).take(pa.array(refused)).to_pylist()
    return Conformed(events, letters, tuple(refused.tolist()), tuple(about))


def read_columns(rows: pa.RecordBatch, columns: Sequence[tuple[str, str]]) -> ReadColumns:
    """The columns of these names in these kinds, as `conform` reads those of events; one that is absent is null. Times
    are of Arrow's types, RFC 3339 texts or microseconds since 1970."""
    return columns_as_stated(rows, EventsSpec("", "arrow", "", "", None, 0, tuple(columns), (0, 0), "us"))


def columns_as_stated(rows: pa.RecordBatch, spec: EventsSpec) -> ReadColumns:
    """As `read_columns`, of the columns of `spec`, which says how they are written."""
    verdicts = _Verdicts(rows.num_rows)
    arrays = _feature_columns(rows, spec, verdicts)
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in spec.columns])
    read_all = pa.RecordBatch.from_arrays(arrays, schema=schema)
    good = verdicts.codes == 0
    refused = {row: (error, detail) for row, error, detail in _faults(rows, verdicts)}
    return ReadColumns(batches.take_rows(read_all, good), np.flatnonzero(good), refused)


def _faults(rows: pa.RecordBatch, verdicts: _Verdicts) -> Iterator[tuple[int, str, str]]:
    """The index of each row that does not fit, with the name of its error and what is wrong."""
    for row in np.flatnonzero(verdicts.codes).tolist():
        error, column, allowed, shows = verdicts.kinds[verdicts.codes[row]]
        found = shows(row) if shows is not None else f"{_value(rows, column, row)!r:.200}"
        yield row, error, f"{column}: {found} is not allowed; {wants(allowed)}"


def _dead_letters(rows: pa.RecordBatch, loose: pa.RecordBatch, verdicts: _Verdicts, at_us: int) -> list[DeadLetter]:
    letters = []
    times_us = loose.column(batches.EVENT_TIME).cast(pa.int64())
    for row, error, detail in _faults(rows, verdicts):
        time_us = times_us[row].as_py()
        letters.append(
            DeadLetter(
                DECODE,
                error,
                detail,
                loose.column(batches.PAYLOAD)[row].as_py(),
                loose.column(batches.EVENT_ID)[row].as_py(),
                time_us if time_us is not None and _FIRST_SHOWN_US <= time_us < _NOT_SHOWN_US else None,
                at_us,
            )
        )
    return letters


def _value(rows: pa.RecordBatch, name: str, row: int) -> Any:
    """A value as people read it; a time that Python cannot represent as a date is shown as its number."""
    column = _column(rows, name)
    if column is None:
        return None
    try:
        return column[row].as_py()
    except (OverflowError, ValueError):
        return column[row].value


def _column(rows: pa.RecordBatch, name: str) -> pa.Array | None:
    index = rows.schema.get_field_index(name)
    return None if index < 0 else rows.column(index)


def _written(rows: pa.RecordBatch, name: str) -> pa.Array | None:
    """A column as it is written, where the format has its texts beside the values of the column's kind."""
    index = rows.schema.get_field_index(TEXT_OF + name)
    return _column(rows, name) if index < 0 else rows.column(index)


def row_hashes(payloads: pa.Array, of_path: bytes = b"") -> pa.Array:
    """Ids of records that have none: the first 32 hex digits of the sha256 of each one's bytes, behind `of_path`.

    >>> row_hashes(pa.array([b"a;1", b"a;2"], pa.binary())).to_pylist()
    ['935913517b6b60006a7bf873ec19ecbf', 'd0b40f1ceaedd862a2b8ea8690fdfb30']
    """
    hashes = (sha256(of_path + payload).hexdigest() for payload in payloads.to_pylist())
    return pa.array([each[:_ID_DIGITS] for each in hashes], pa.string())


def _identifiers(rows: pa.RecordBatch, spec: EventsSpec, verdicts: _Verdicts) -> pa.Array:
    name, count = spec.event_id, rows.num_rows
    values = _written(rows, name)
    if values is None:
        verdicts.refuse(np.ones(count, np.bool_), "MissingColumn", name, "a column with the event's id")
        return pa.nulls(count, pa.string())
    values, wrong = read_texts(values)
    verdicts.refuse(wrong, "WrongType", name, IDENTITY)
    missing = mask_of(values.is_null()) | mask_of(pc.equal(values, ""))
    verdicts.refuse(missing, "MissingValue", name, "a string that is not empty")
    return values


def _event_times(rows: pa.RecordBatch, spec: EventsSpec, verdicts: _Verdicts) -> pa.Array:
    name, count = spec.event_time, rows.num_rows
    values = _written(rows, name)
    if values is None:
        verdicts.refuse(np.ones(count, np.bool_), "MissingColumn", name, "a column with the event's time")
        return pa.nulls(count, batches.TIME_TYPE)
    if spec.format == "csv" and spec.time_format is None:
        values = with_numbers(values)
    missing = nulls_of(values)
    verdicts.refuse(missing, "MissingValue", name, "a time")
    times, twice_or_never = event_times(values, spec)
    verdicts.refuse(twice_or_never, "AmbiguousTime", name, expected_once(spec))
    unread = mask_of(times.is_null()) & ~missing
    verdicts.refuse(unread, "MalformedTime", name, expected_times(spec))
    low, high = spec.time_range_us
    numbers = pc.fill_null(times.cast(pa.int64()), low).to_numpy(zero_copy_only=False)
    span = f"{format_time_us(low)} until {format_time_us(high)}"
    verdicts.refuse((numbers < low) | (numbers >= high), "TimeOutOfRange", name, span)
    return times


def _moments(rows: pa.RecordBatch, name: str, spec: EventsSpec, verdicts: _Verdicts) -> pa.Array:
    """A column of times, which are written as the events' own; of any time that Avro can hold."""
    values = _column(rows, name)
    if values is None or pa.types.is_null(values.type):
        return pa.nulls(rows.num_rows, batches.TIME_TYPE)
    if spec.format == "csv":
        spelled = pa.array(NULLS if spec.csv.nulls is None else spec.csv.nulls, pa.string())
        values = pc.if_else(pc.is_in(values, value_set=spelled), pa.scalar(None, values.type), values)
        values = with_numbers(values) if spec.time_format is None else values
    times, twice_or_never = event_times(values, spec)
    verdicts.refuse(twice_or_never, "AmbiguousTime", name, expected_once(spec))
    verdicts.refuse(mask_of(times.is_null()) & ~nulls_of(values), "MalformedTime", name, expected_times(spec))
    numbers = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    outside = (numbers < _FIRST_SHOWN_US) | (numbers >= _NOT_SHOWN_US)
    verdicts.refuse(outside, "TimeOutOfRange", name, "a year from 1 to 9999")
    return times


def _feature_columns(rows: pa.RecordBatch, spec: EventsSpec, verdicts: _Verdicts) -> list[pa.Array]:
    signs = dict(spec.texts)
    return [
        _moments(rows, name, spec, verdicts)
        if kind == TIMESTAMP
        else _feature_column(rows, name, kind, verdicts, signs.get(name))
        for name, kind in spec.columns
    ]


def _feature_column(
    rows: pa.RecordBatch, name: str, kind: str, verdicts: _Verdicts, sign: str | None = None
) -> pa.Array:
    values, wanted, vector = _column(rows, name), ARROW_TYPES[kind], vector_of(kind)
    if values is None or pa.types.is_null(values.type):
        return pa.nulls(rows.num_rows, wanted)
    if vector is not None:
        vectors, faults = read_vectors(values, vector, sign)
        for fault in faults:
            verdicts.refuse(fault.rows, fault.error, name, fault.allowed, fault.shows)
        return vectors
    found, wrong = read(values, kind)
    verdicts.refuse(wrong, "WrongType", name, f"{'an' if kind == 'integer' else 'a'} {kind}")
    if kind == "number":
        verdicts.refuse(mask_of(pc.invert(pc.is_finite(found))), "NotFinite", name, "a finite number")
    return found


def _subjects(rows: pa.RecordBatch, name: str | None, verdicts: _Verdicts) -> pa.Array:
    """Whom events are about; null where the record has no subject. A value that cannot be read as a text is an error,
    never null."""
    values = None if name is None else _written(rows, name)
    if name is None or values is None:
        return pa.nulls(rows.num_rows, pa.string())
    found, wrong = read_texts(values)
    verdicts.refuse(wrong, "WrongType", name, IDENTITY)
    return found
