"""Whom a record is about that could not be decoded, as far as its bytes still say so."""

import binascii
import csv
import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from schemas.avro.datums import decode_block
from schemas.avro.schema import MalformedSchema
from schemas.formats.csv_rows import table_of
from schemas.formats.envelopes.avro_envelopes import names_within
from schemas.formats.envelopes.kinds import DEBEZIUM, WITHIN
from schemas.formats.tf_examples import decode_examples
from schemas.job import EventsSpec


def subject_within(payload: bytes, spec: EventsSpec, schema: str = "") -> str | None:
    """The subject in the bytes of a record of which another value did not fit; None where they do not say it for sure,
    or their format does not let anybody read one value alone. `schema`: what the record is read by, as in `RawBlock`.
    Within an envelope it is that of the record, else that of the envelope, also where the envelope itself is wrong.

    >>> spec = EventsSpec("", "json", "id", "at", "who.name", 0, (), (0, 0), "us")
    >>> subject_within(b'{"who": {"name": "N14228"}, "delay": "slow"}', spec), subject_within(b'{"who": ', spec)
    ('N14228', None)
    """
    read = _READERS.get(spec.format)
    if spec.subject is None or read is None:
        return None
    try:
        return read(payload, spec, schema)
    except (ValueError, TypeError, KeyError, RecursionError, csv.Error, binascii.Error, MalformedSchema):
        return None


def _of_json(payload: bytes, spec: EventsSpec, _: str) -> str | None:
    found, subject = json.loads(payload), spec.subject or ""
    if spec.envelope is not None:
        found = _opened(found, spec.envelope)
    if isinstance(found, dict) and subject in found:
        return _text(found[subject])
    for name in subject.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return _text(found)


def _opened(found: Any, envelope: str) -> Any:
    """The fields of the record in an envelope, and those of the envelope that it does not have."""
    if not isinstance(found, dict):
        return found
    if envelope == DEBEZIUM and "op" not in found and isinstance(found.get("payload"), dict):
        found = found["payload"]
    within = found.get(WITHIN[envelope])
    if envelope != DEBEZIUM and isinstance(found.get("data_base64"), str):
        within = json.loads(b64decode(found["data_base64"], validate=True))
    return {**found, **within} if isinstance(within, dict) else found


def _of_avro(payload: bytes, spec: EventsSpec, schema: str) -> str | None:
    """Of a datum in an envelope: a datum alone that cannot be read is damaged, and nobody knows from where on."""
    if spec.envelope is None or spec.subject is None:
        return None
    names = names_within([spec.subject], spec.envelope)
    found = decode_block(payload, 1, schema, names)
    if found.unreadable or found.rows.num_rows != 1:
        return None
    values = [_text(found.rows.column(name)[0].as_py()) for name in names if name in found.rows.schema.names]
    return next((value for value in values if value is not None), None)


def _of_csv(payload: bytes, spec: EventsSpec, schema: str) -> str | None:
    table = table_of(schema)
    form: dict[str, Any] = {"quotechar": table.quote} if table.quote else {"quoting": csv.QUOTE_NONE}
    rows = list(csv.reader([payload.decode(table.encoding)], delimiter=table.delimiter, strict=True, **form))
    if len(rows) != 1 or len(rows[0]) != len(table.names):
        return None  # with another number of fields nobody knows which one is missing
    found = rows[0][table.names.index(spec.subject or "")]
    return None if found in ("", *(table.nulls or ())) else found


def _of_example(payload: bytes, spec: EventsSpec, _: str) -> str | None:
    [piece] = decode_examples([payload], [spec.subject or ""])
    return _text(piece.rows.column(0)[0].as_py()) if piece.rows.num_rows else None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


_READERS: Mapping[str, Callable[[bytes, EventsSpec, str], str | None]] = {
    "json": _of_json,
    "avro": _of_avro,
    "csv": _of_csv,
    "tfexample": _of_example,
}
