"""The dead letters that are about a person, as far as their bytes say so."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa

from audit.asking.moments import time_text
from audit.asking.sources import AuditSources
from audit.files.formats import plain_rows
from audit.files.reading import PassedOver, ReadStretch, read_file
from models.store.backends import Backend

_LETTER = "DeadLetter"
_WORD = re.compile(rb"[^\s,;|\t\"'\x00-\x1f]+")


def letters_about(
    url: str, subject: str, names: Collection[str], sources: AuditSources
) -> Iterator[dict[str, Any]]:
    """The letters in a folder of Avro files whose event is one of these, or whose payload names the subject, or one of
    these.

    A payload of JSON names it by a whole value; another one by a whole word, or by a text in Avro's encoding. One that
    is encrypted is about the subject whose key it has. What cannot be read is added to `sources.broken_elsewhere`, by
    its key.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    backend, named, broken = Backend(url), {subject, *names}, sources.broken_elsewhere
    for key, _ in backend.scan("").files:
        if not key.endswith(".avro") or any(part.startswith(".") for part in key.split("/")):
            continue
        for piece in read_file(backend, key, _LETTER):
            if isinstance(piece, PassedOver):
                broken.setdefault(f"{backend.url}/{key}", piece.why)
            if isinstance(piece, ReadStretch):
                rows = plain_rows(piece.columns, _LETTER)
                known = _keys_of(piece.columns, sources)
                for row in rows:
                    letter, about = _opened(row, known, subject, sources)
                    if about or _is_about(letter, named):
                        yield _document(letter, key)


def _keys_of(letters: pa.RecordBatch, sources: AuditSources) -> Mapping[str, Any]:
    keys = sources.audit.keys
    return {} if keys is None or "key_id" not in letters.schema.names else keys.found(letters.column("key_id"))


def _opened(
    letter: Mapping[str, Any], known: Mapping[str, Any], subject: str, sources: AuditSources
) -> tuple[Mapping[str, Any], bool]:
    """A letter as it was before it was encrypted, and whether it is known to be about the subject."""
    keys = sources.audit.keys
    if letter["key_id"] is None or keys is None:
        return letter, False
    found = keys.letter(known[letter["key_id"]], letter["stage"], letter["error"], letter["payload"])
    if isinstance(found, str):
        return {**letter, "detail": found}, False
    original = {"payload": found.payload, "detail": found.detail, "event_id": found.event_id, "key_id": None}
    return {**letter, **original}, keys.is_of(found, subject)


def _is_about(letter: Mapping[str, Any], named: Collection[str]) -> bool:
    return letter["event_id"] in named or names_one(letter["payload"], named)


def names_one(payload: bytes, named: Collection[str]) -> bool:
    """Whether the bytes of a record name one of these as a whole value, not as a part of another.

    >>> names_one(b'{"plane": "N1"}', {"N1"}), names_one(b'{"plane": "N14"}', {"N1"}), names_one(b"7,N1,x", {"N1"})
    (True, False, True)
    """
    encoded = {each.encode() for each in named if each}
    if not any(each in payload for each in encoded):
        return False
    try:
        return any(value in named for value in _texts(json.loads(payload)))
    except (ValueError, RecursionError):
        in_avro = (_varint(2 * len(each)) + each for each in encoded)
        return bool(encoded & set(_WORD.findall(payload))) or any(each in payload for each in in_avro)


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, Mapping):
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from _texts(each)
    elif isinstance(document, str | int) and not isinstance(document, bool):
        yield str(document)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _document(letter: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A letter as JSON; a payload that is not text is in hexadecimal digits."""
    try:
        payload = {"payload": letter["payload"].decode()}
    except UnicodeDecodeError:
        payload = {"payload_hex": letter["payload"].hex()}
    times = {name: None if letter[name] is None else time_text(letter[name]) for name in ("event_time", "at")}
    return {"file": key, **{name: value for name, value in letter.items() if name != "payload"}, **times, **payload}
