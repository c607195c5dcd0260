"""Avro records in envelopes, opened: columns of the record, and beside them those of the envelope."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.expectations import wants
from schemas.formats.envelopes.kinds import (
    CLOUDEVENTS,
    DEBEZIUM,
    EXPECTED_OP,
    OPERATIONS,
    VERSION,
    WITHIN,
    Headers,
    MalformedEnvelope,
    attributes_of,
)
from schemas.formats.raw import DecodedRows, Unreadable


class _Verdict(NamedTuple):
    """Of one record: what it is counted as where it is no event, or what is wrong with it; both empty: an event."""

    skipped: str = ""
    fault: str = ""


def names_within(names: Sequence[str], envelope: str) -> list[str]:
    """The columns to decode so that `opened_rows` finds the named ones."""
    return [*(f"{WITHIN[envelope]}.{name}" for name in names), *names]


def opened_rows(
    found: DecodedRows, names: Sequence[str], envelope: str, headers: Sequence[Headers] = ()
) -> DecodedRows:
    """The records in envelopes with the named columns: each that of the record, else that of the envelope.

    Args:
        found: decoded with `names_within`.
        headers: of each of the rows and unreadable records, in order, on topics.
    """
    rows, count = found.rows, found.rows.num_rows
    known = headers if len(headers) == count else ()
    verdicts = _JUDGES[envelope](rows, known)
    good = np.array([not each.skipped and not each.fault for each in verdicts], np.bool_)
    columns = {name: column for name in names if (column := _column(rows, name, envelope)) is not None}
    if envelope == CLOUDEVENTS and known:
        columns |= _of_headers(known, [name for name in names if name not in columns])
    whole = columns or {"__none": pa.nulls(count)}
    opened = pa.RecordBatch.from_arrays(list(whole.values()), list(whole))
    faults = tuple(
        Unreadable(found.payloads[row].as_py(), MalformedEnvelope.__name__, each.fault,
                   headers=tuple(known[row]) if known else ())
        for row, each in enumerate(verdicts)
        if each.fault
    )  # fmt: skip
    skipped = Counter(each.skipped for each in verdicts if each.skipped)
    if not good.all():
        opened = opened.filter(pa.array(good))
    payloads = found.payloads if good.all() else found.payloads.filter(pa.array(good))
    return DecodedRows(opened, payloads, (*found.unreadable, *faults), skipped=tuple(skipped.items()))


def _column(rows: pa.RecordBatch, name: str, envelope: str) -> pa.Array | None:
    for each in (f"{WITHIN[envelope]}.{name}", name):
        index = rows.schema.get_field_index(each)
        if index >= 0:
            return rows.column(index)
    return None


def _texts(rows: pa.RecordBatch, name: str) -> list[str | None]:
    index = rows.schema.get_field_index(name)
    if index < 0 or not pa.types.is_string(rows.column(index).type):
        return [None] * rows.num_rows
    texts: list[str | None] = rows.column(index).to_pylist()
    return texts


def _holds_record(rows: pa.RecordBatch, name: str) -> list[bool]:
    index = rows.schema.get_field_index(name)
    if index < 0 or not pa.types.is_struct(rows.column(index).type):
        return [False] * rows.num_rows
    valid: list[bool] = rows.column(index).is_valid().to_pylist()
    return valid


def _debezium(rows: pa.RecordBatch, headers: Sequence[Headers]) -> list[_Verdict]:
    return list(map(_of_change, _texts(rows, "op"), _holds_record(rows, "after")))


def _of_change(operation: str | None, has_record: bool) -> _Verdict:
    if operation is None or operation not in OPERATIONS:
        shown = "null" if operation is None else f"{operation!r:.80}"
        return _Verdict(fault=f"op: {shown} is not allowed; {wants(EXPECTED_OP)} (Debezium's)")
    if OPERATIONS[operation]:
        return _Verdict(OPERATIONS[operation])
    return _Verdict(fault="" if has_record else f"after: null is not allowed; {wants('a record')}")


def _cloudevents(rows: pa.RecordBatch, headers: Sequence[Headers]) -> list[_Verdict]:
    versions, records = _texts(rows, VERSION), _holds_record(rows, "data")
    return [_of_event(*each) for each in zip(versions, records, headers or [()] * rows.num_rows, strict=True)]


def _of_event(version: str | None, has_record: bool, headers: Headers) -> _Verdict:
    try:
        if attributes_of(headers).texts is not None:
            return _Verdict()
    except MalformedEnvelope as fault:
        return _Verdict(fault=str(fault))
    if version is None:
        return _Verdict(fault=f"{VERSION}: null is not allowed; {wants('a CloudEvent, which has one')}")
    return _Verdict(fault="" if has_record else f"data: no record is there; {wants('a record')}")


_JUDGES: Mapping[str, Callable[[pa.RecordBatch, Sequence[Headers]], list[_Verdict]]] = {
    DEBEZIUM: _debezium,
    CLOUDEVENTS: _cloudevents,
}


def _of_headers(headers: Sequence[Headers], names: Sequence[str]) -> dict[str, pa.Array]:
    texts = []
    for each in headers:
        try:
            texts.append(attributes_of(each).texts or {})
        except MalformedEnvelope:
            texts.append({})
    found = {name: pa.array([each.get(name) for each in texts], pa.string()) for name in names}
    return {name: column for name, column in found.items() if column.null_count < len(column)}
