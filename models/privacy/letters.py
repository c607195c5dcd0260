"""Dead letters as they are stored with `privacy`: original bytes, detail and true event id under the subject's key.

A stored letter keeps its schema. `payload` is the ciphertext of four texts, each behind its length in four bytes: whom
the event is about (`identities`), the event's id (empty: none; else behind a byte 1), the detail and the original
bytes. `detail` is a fixed text, `event_id` hashed where ids are hidden, and `key_id` names the key. Equal letters have
equal ciphertexts, so that a run can tell which of them earlier runs have written.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.privacy.ciphers import decrypt, encrypt, receipt_key
from models.privacy.identities import Epochs, Pseudonym, identity_of_event, identity_of_subject
from models.privacy.key_store import SubjectKey

HIDDEN_DETAIL = "encrypted with the payload"
"""The detail of a letter whose payload is encrypted: values are in it."""
_LABEL, _NO_SCORE = b"letter", ""


class OpenedLetter(NamedTuple):
    """What was encrypted of a letter. `identity`: whom the event is about, as bytes."""

    identity: bytes
    event_id: str | None
    detail: str
    payload: bytes


def encrypt_letters(
    letters: pa.RecordBatch,
    subjects: Sequence[str | None],
    epochs: Epochs,
    keys_for: Callable[[Sequence[Pseudonym]], Sequence[SubjectKey]],
    hide_event_id: bool,
    events: Sequence[str | None] = (),
) -> pa.RecordBatch:
    """Letters as they are stored. A letter without an event time counts as of the time of its writing.

    Args:
        letters: batch of DeadLetter.
        subjects: whom each is about, None where its record does not say so readably: those have one key together.
        epochs: of the key store.
        keys_for: the key of each pseudonym.
        hide_event_id: ids of events name a person.
        events: of letters of labels the event that each is of, None where that is not known: without a subject it is
            the event's key that encrypts it.
    """
    times_us = pc.coalesce(letters.column("event_time"), letters.column("at")).cast(pa.int64()).to_numpy()
    about = zip(subjects, events or [None] * len(subjects), strict=True)
    identities = [
        identity_of_subject(subject) if subject is not None or event is None else identity_of_event(event)
        for subject, event in about
    ]
    keys = keys_for(epochs.pseudonyms(identities, times_us))
    columns = [letters.column(name).to_pylist() for name in ("event_id", "detail", "payload")]
    plain = [
        _packed(identity, b"" if event_id is None else b"\1" + event_id.encode(), detail.encode(), payload)
        for identity, event_id, detail, payload in zip(identities, *columns, strict=True)
    ]
    kinds = [_bound(*each) for each in _kinds(letters)]
    sealed = encrypt([key.key for key in keys], [_NO_SCORE] * len(keys), _LABEL, plain, kinds)
    changed = {
        "payload": pa.array(sealed, pa.binary()),
        "detail": pa.array([HIDDEN_DETAIL] * len(keys), pa.string()),
        "key_id": pa.array([key.key_id for key in keys], pa.string()),
    }
    if hide_event_id:
        changed["event_id"] = _hashed(columns[0], epochs, times_us)
    return _with(letters, changed)


def without_content(letters: pa.RecordBatch, epochs: Epochs, hide_event_id: bool) -> pa.RecordBatch:
    """Letters of which no bytes are kept, such as those of subjects that were erased."""
    changed: dict[str, pa.Array] = {"payload": pa.array([b""] * letters.num_rows, pa.binary())}
    if hide_event_id:
        times_us = pc.coalesce(letters.column("event_time"), letters.column("at")).cast(pa.int64()).to_numpy()
        changed["event_id"] = _hashed(letters.column("event_id").to_pylist(), epochs, times_us)
    return _with(letters, changed)


def decrypt_letter(key: bytes, stage: str, error: str, payload: bytes) -> OpenedLetter | None:
    """What was encrypted of a letter; None where this key, its subject's own, does not open it."""
    plain = decrypt(receipt_key(key, _NO_SCORE), _NO_SCORE, _LABEL, payload, _bound(stage, error))
    if plain is None:
        return None
    parts, start = list[bytes](), 0
    while start < len(plain):
        size = int.from_bytes(plain[start : start + 4])
        parts.append(plain[start + 4 : start + 4 + size])
        start += 4 + size
    identity, event_id, detail, original = parts
    return OpenedLetter(identity, event_id[1:].decode() if event_id else None, detail.decode(), original)


def _kinds(letters: pa.RecordBatch) -> list[tuple[str, str]]:
    return list(zip(letters.column("stage").to_pylist(), letters.column("error").to_pylist(), strict=True))


def _packed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def _bound(stage: str, error: str) -> bytes:
    return sha256(_packed(stage.encode(), error.encode())).digest()


def _hashed(event_ids: Sequence[str | None], epochs: Epochs, times_us: npt.NDArray[np.int64]) -> pa.Array:
    found = epochs.pseudonyms([identity_of_event(event_id or "") for event_id in event_ids], times_us)
    texts = [None if own is None else str(each) for own, each in zip(event_ids, found, strict=True)]
    return pa.array(texts, pa.string())


def _with(letters: pa.RecordBatch, changed: dict[str, pa.Array]) -> pa.RecordBatch:
    columns = [changed.get(field.name, letters.column(field.name)) for field in letters.schema]
    return pa.RecordBatch.from_arrays(columns, schema=letters.schema)
