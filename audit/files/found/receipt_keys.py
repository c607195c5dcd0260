"""The key store as a reader of an audit needs it: by which names a person's records are stored, and what is in them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from audit.files.formats import NO_KEYS, RECEIPT, is_encrypted, plain_rows
from models.privacy.hidden_features import sealed_values
from models.privacy.identities import Epochs, identity_of_event, identity_of_subject
from models.privacy.key_store import FoundKey, KeyStore
from models.privacy.letters import OpenedLetter, decrypt_letter
from models.privacy.receipts import Opening, decrypt_receipts, open_receipts
from models.store.backends import Backend

_STATES = {"plain": "", "opened": "", "erased": "erased: its key was destroyed"}
_REASONS, _FEATURES = "reasons", "features"


class ReceiptKeys:
    """The keys at a URL, which are read when they are needed. Nothing is written there.

    Raises:
        InvalidStoreUrl: no object store can be opened with it.
    """

    def __init__(self, url: str) -> None:
        self._backend = Backend(url)
        self.url = self._backend.url
        self._store = KeyStore(self._backend)

    @cached_property
    def _epochs(self) -> Epochs | None:
        """None where the store has no keys at all, as a URL that is mistyped."""
        return self._store.epochs() if self._backend.list("epochs") else None

    def stored(self, by: str, value: str) -> list[str]:
        """What may stand in records for a subject or an event's id, in any epoch."""
        if self._epochs is None:
            return []
        identity = identity_of_event(value) if by == "event_id" else identity_of_subject(value)
        return [str(each) for each in self._epochs.of_all(identity)]

    def key(self, key_id: str) -> FoundKey:
        """The key of an id; None where there is none."""
        return None if self._epochs is None else self._store.find(key_id)

    def found(self, key_ids: pa.Array | pa.ChunkedArray) -> Mapping[str, FoundKey]:
        """The keys of a column of ids, those that are null left out: the store is asked once for all of them."""
        ids = key_ids.drop_null().unique().to_pylist()
        return dict.fromkeys(ids) if self._epochs is None else self._store.found(ids)

    def letter(self, key: FoundKey, stage: str, error: str, payload: bytes) -> OpenedLetter | str:
        """What was encrypted of a dead letter by a key, or why it cannot be read."""
        if isinstance(key, bytes):
            opened = decrypt_letter(key, stage, error, payload)
            return self._unreadable() if opened is None else opened
        return _STATES["erased"] if key == "erased" else self._unreadable()

    @staticmethod
    def is_of(letter: OpenedLetter, subject: str) -> bool:
        """Whether a letter is about a subject."""
        return letter.identity == identity_of_subject(subject)

    def said(self, state: Opening) -> str:
        """Why a receipt cannot be read; empty where it can."""
        return _STATES.get(state) or (self._unreadable() if state == "unreadable" else "")

    def _unreadable(self) -> str:
        return f"unreadable: the key store {self.url} has no key that opens it"


class ShownReceipts(NamedTuple):
    """Receipts as mappings, and of each why its features cannot be read; empty where they can."""

    rows: list[dict[str, Any]]
    locked: list[str]


def shown_receipts(columns: pa.RecordBatch, keys: ReceiptKeys | None) -> ShownReceipts:
    """Receipts with every field of today's record, decrypted where that can be. Of one that cannot be read the features
    have their names and nulls, and there are no reasons."""
    if not is_encrypted(columns):
        return ShownReceipts(plain_rows(columns, RECEIPT), [""] * columns.num_rows)
    opened, locked = opened_receipts(columns, keys)
    rows = plain_rows(opened, RECEIPT)
    for row, why in zip(rows, locked, strict=True):
        if why:
            row[_FEATURES] = {name: None for name in row[_FEATURES] if name}
            row[_REASONS] = []
    return ShownReceipts(rows, locked)


def readable_receipts(columns: pa.RecordBatch, keys: ReceiptKeys | None) -> tuple[pa.RecordBatch, list[str]]:
    """As `opened_receipts`; of those that cannot be read the features have their names and nulls, and there are no
    reasons."""
    if not is_encrypted(columns):
        return columns, [""] * columns.num_rows
    opened, locked = opened_receipts(columns, keys)
    if not any(locked):
        return opened, locked
    rows = pa.array([None if why else row for row, why in enumerate(locked)], pa.int64())
    changed = {_FEATURES: sealed_values(opened.column(_FEATURES))[1], _REASONS: opened.column(_REASONS).take(rows)}
    arrays = [changed.get(name, opened.column(name)) for name in opened.schema.names]
    return pa.RecordBatch.from_arrays(arrays, opened.schema.names), locked


def opened_receipts(columns: pa.RecordBatch, keys: ReceiptKeys | None) -> tuple[pa.RecordBatch, list[str]]:
    """Receipts decrypted where that can be, and of each why it cannot; empty where it can."""
    if keys is None:
        opened = open_receipts(columns, [None] * columns.num_rows)
        return opened.receipts, [NO_KEYS if state == "unreadable" else "" for state in opened.states]
    opened = decrypt_receipts(columns, keys.found(columns.column("key_id")).get)
    return opened.receipts, [keys.said(state) for state in opened.states]
