"""JSON objects in envelopes, opened: the fields of the record, and beside them those of the envelope.

| envelope      | is taken out                                                     | beside it                    |
|---------------|------------------------------------------------------------------|------------------------------|
| `debezium`    | `after`, with or without the wrapper `{"schema", "payload"}`     | `op`, `ts_ms`, `source`, …   |
| `cloudevents` | `data` or `data_base64`; in binary mode the record itself        | `id`, `source`, `time`, …    |
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping

import msgspec

from schemas.expectations import wants
from schemas.formats.envelopes.kinds import (
    CLOUDEVENTS,
    DEBEZIUM,
    EMPTY_BATCHES,
    EXPECTED_OP,
    OPERATIONS,
    TOMBSTONES,
    VERSION,
    Headers,
    MalformedEnvelope,
    SkippedRecord,
    attributes_of,
)

Fields = Mapping[str, msgspec.Raw]
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SHOWN = 80


def fields_of(text: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The values of an object as their bytes. Raises what msgspec raises for what is no object."""
    return _DECODER.decode(text)


def opened(text: bytes, envelope: str, headers: Headers = ()) -> Fields | SkippedRecord:
    """The fields of the record in an envelope; those of the envelope where the record has none of their name.

    Raises:
        MalformedEnvelope: it is not in that envelope.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no JSON, or no object.
    """
    return _OPENERS[envelope](text, headers)


def _debezium(text: bytes, headers: Headers) -> Fields | SkippedRecord:
    if text.strip() == b"null":
        return SkippedRecord(TOMBSTONES)
    fields: Fields = fields_of(text)
    if "payload" in fields and "op" not in fields:
        if _is_null(fields["payload"]):
            return SkippedRecord(TOMBSTONES)
        fields = _object(fields, "payload")
    operation = _text(fields.get("op"))
    if operation not in OPERATIONS:
        raise MalformedEnvelope(f"op: {_shown(fields.get('op'))} is not allowed; {wants(EXPECTED_OP)} (Debezium's)")
    if OPERATIONS[operation]:
        return SkippedRecord(OPERATIONS[operation])
    return {**fields, **_object(fields, "after")}


def _cloudevents(text: bytes, headers: Headers) -> Fields | SkippedRecord:
    attributes = attributes_of(headers).texts
    if attributes is not None:
        own = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in attributes.items()}
        return {**own, **fields_of(text)}
    if _is_empty_batch(text):
        return SkippedRecord(EMPTY_BATCHES)
    fields = fields_of(text)
    if VERSION not in fields:
        raise MalformedEnvelope(f"{VERSION}: {_shown(None)} is not allowed; {wants('a CloudEvent, which has one')}")
    if "data_base64" in fields and not _is_null(fields["data_base64"]):
        return {**fields, **_in_base64(fields["data_base64"])}
    has_data = "data" in fields and not _is_null(fields["data"])
    return {**fields, **(_object(fields, "data") if has_data else {})}


def _is_empty_batch(text: bytes) -> bool:
    return text[:1] in b"[ \t\r\n" and b"".join(text[:64].split()) == b"[]"


_OPENERS: Mapping[str, Callable[[bytes, Headers], Fields | SkippedRecord]] = {
    DEBEZIUM: _debezium,
    CLOUDEVENTS: _cloudevents,
}


def _object(fields: Fields, name: str) -> dict[str, msgspec.Raw]:
    value = fields.get(name)
    if value is None or not bytes(value).lstrip().startswith(b"{"):
        raise MalformedEnvelope(f"{name}: {_shown(value)} is not allowed; {wants('a JSON object')}")
    return fields_of(value)


def _in_base64(value: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return fields_of(b64decode(_text(value), validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        allowed = wants("a JSON object in base64")
        raise MalformedEnvelope(f"data_base64: {_shown(value)} is not allowed; {allowed}") from None


def _is_null(value: msgspec.Raw) -> bool:
    return bytes(value).strip() == b"null"


def _text(value: msgspec.Raw | None) -> str:
    """A JSON text; empty for anything else."""
    try:
        return msgspec.json.decode(value, type=str) if value is not None else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _shown(value: msgspec.Raw | None) -> str:
    text = "null" if value is None else " ".join(bytes(value).decode("utf-8", "backslashreplace").split())
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
