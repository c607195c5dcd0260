"""Whom a record is about that could not be decoded, as far as its bytes still say so."""

import csv
import json
from collections.abc import Callable, Mapping
from typing import Any

from schemas.formats.csv_rows import table_of
from schemas.formats.tf_examples import decode_examples
from schemas.job import EventsSpec


def subject_within(payload: bytes, spec: EventsSpec, schema: str = "") -> str | None:
    """The subject in the bytes of a record of which another value did not fit; None where they do not say it for sure,
    or their format does not let anybody read one value alone. `schema`: what the record is read by, as in `RawBlock`.

    >>> spec = EventsSpec("", "json", "id", "at", "who.name", 0, (), (0, 0), "us")
    >>> subject_within(b'{"who": {"name": "N14228"}, "delay": "slow"}', spec), subject_within(b'{"who": ', spec)
    ('N14228', None)
    """
    read = _READERS.get(spec.format)
    if spec.subject is None or read is None:
        return None
    try:
        return read(payload, spec.subject, schema)
    except (ValueError, TypeError, KeyError, RecursionError, csv.Error):
        return None


def _of_json(payload: bytes, subject: str, _: str) -> str | None:
    found: Any = json.loads(payload)
    if isinstance(found, dict) and subject in found:
        return _text(found[subject])
    for name in subject.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return _text(found)


def _of_csv(payload: bytes, subject: str, schema: str) -> str | None:
    table = table_of(schema)
    form: dict[str, Any] = {"quotechar": table.quote} if table.quote else {"quoting": csv.QUOTE_NONE}
    rows = list(csv.reader([payload.decode(table.encoding)], delimiter=table.delimiter, strict=True, **form))
    if len(rows) != 1 or len(rows[0]) != len(table.names):
        return None  # with another number of fields nobody knows which one is missing
    found = rows[0][table.names.index(subject)]
    return None if found in ("", *(table.nulls or ())) else found


def _of_example(payload: bytes, subject: str, _: str) -> str | None:
    [piece] = decode_examples([payload], [subject])
    return _text(piece.rows.column(0)[0].as_py()) if piece.rows.num_rows else None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


_READERS: Mapping[str, Callable[[bytes, str, str], str | None]] = {
    "json": _of_json,
    "csv": _of_csv,
    "tfexample": _of_example,
}
