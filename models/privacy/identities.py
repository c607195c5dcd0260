"""Who a record is about, as bytes, and the keyed hashes that stand for it in records, and in the register.

An epoch is a time from which on another key hashes. The event's own time chooses it, so that a retry, a replay and a
late event hash as the first answer did.
"""

import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.native.hashing import HASH_BYTES, bytes_and_offsets, hmac_each

PSEUDONYM_BYTES = 16
KEY_BYTES = 32
_TEXT = re.compile(r"h([0-9]{1,9}):([0-9a-f]{32})")
FIRST_US = -(2**63)
"""From when the first epoch holds, microseconds since 1970: always."""
_NOBODY, _SUBJECT, _EVENT = b"\0", b"\1", b"\2"
_HEX = np.frombuffer(bytes(range(256)).hex().encode(), np.uint8).reshape(256, 2)
_IN_RECORDS, _IN_REGISTER = b"halflife pseudonym 1\0", b"halflife register 1\0"
_OF_STORE = b"halflife key store 1\0"


class Pseudonym(NamedTuple):
    """What stands for an identity in records of an epoch: 16 bytes of an HMAC-SHA256."""

    epoch: int
    digest: bytes

    def __str__(self) -> str:
        return f"h{self.epoch}:{self.digest.hex()}"

    @classmethod
    def of_text(cls, text: str) -> "Pseudonym | None":
        """The pseudonym that a record has as this text; None for what is none.

        >>> Pseudonym.of_text("h1:20dfabb1faf987d82cb3417deaa6b647") == Pseudonym.of_text("N14228")
        False
        """
        found = _TEXT.fullmatch(text)
        return None if found is None else cls(int(found[1]), bytes.fromhex(found[2]))


def identity_of_subject(subject: str | None) -> bytes:
    """The bytes that are hashed for a subject. Events without one have an identity together.

    >>> identity_of_subject("N14228"), identity_of_subject(""), identity_of_subject(None)
    (b'\\x01N14228', b'\\x01', b'\\x00')
    """
    return _NOBODY if subject is None else _SUBJECT + subject.encode()


def subject_of(identity: bytes) -> str | None:
    """The subject whose bytes these are; None for those of an event, or of nobody.

    >>> subject_of(identity_of_subject("N14228")), subject_of(identity_of_subject(None))
    ('N14228', None)
    """
    return identity[1:].decode() if identity.startswith(_SUBJECT) else None


def identity_of_event(event_id: str) -> bytes:
    """The bytes that are hashed for an event's id, where ids are hidden: never those of a subject.

    >>> identity_of_event("N14228")
    b'\\x02N14228'
    """
    return _EVENT + event_id.encode()


def register_name(key: bytes, identity: bytes) -> str:
    """What stands for an identity in the register of holds and erasures, whatever the epoch: 32 hex digits.

    >>> register_name(bytes(32), identity_of_subject("N14228"))
    '20dfabb1faf987d82cb3417deaa6b647'
    """
    return hmac.digest(key, _IN_REGISTER + identity, "sha256")[:PSEUDONYM_BYTES].hex()


class Pseudonyms(NamedTuple):
    """What stands for many identities: of each the number of its epoch, shape (n,), and its 16 bytes, shape (n, 16)."""

    epochs: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint8]

    def texts(self) -> pa.Array:
        """Each as records have it."""
        digits = _HEX[self.digests].reshape(-1, 2 * PSEUDONYM_BYTES)
        if len(digits) and np.all(self.epochs == self.epochs[0]):
            return _after(f"h{self.epochs[0]}:".encode(), digits)
        written = pa.Array.from_buffers(
            pa.binary(2 * PSEUDONYM_BYTES), len(digits), [None, pa.py_buffer(digits.tobytes())]
        )
        numbers = pa.array(self.epochs).cast(pa.string())
        return pc.binary_join_element_wise("h", numbers, ":", written.cast(pa.binary()).cast(pa.string()), "")


def _after(prefix: bytes, digits: npt.NDArray[np.uint8]) -> pa.Array:
    """Texts of one length: a prefix, and digits, shape (n, 32)."""
    whole = np.empty((len(digits), len(prefix) + digits.shape[1]), np.uint8)
    whole[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    whole[:, len(prefix) :] = digits
    ends = np.arange(len(digits) + 1, dtype=np.int32) * np.int32(whole.shape[1])
    return pa.Array.from_buffers(pa.string(), len(digits), [None, pa.py_buffer(ends), pa.py_buffer(whole.data)])


class NamedSubjects(NamedTuple):
    """The pseudonyms of a batch's subjects, each once, and the index among them of each row's, shape (n,)."""

    pseudonyms: Pseudonyms
    of_row: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Epoch:
    """The key that hashes identities of events from a time on (microseconds since 1970)."""

    number: int
    from_us: int
    key: bytes = field(repr=False)

    def pseudonym(self, identity: bytes) -> Pseudonym:
        """What stands for an identity in this epoch."""
        return next(self.pseudonyms([identity]))

    def pseudonyms(self, identities: Iterable[bytes]) -> Iterator[Pseudonym]:
        """What stands for each identity in this epoch."""
        keyed = hmac.new(self.key, _IN_RECORDS, "sha256")
        for identity in identities:
            own = keyed.copy()
            own.update(identity)
            yield Pseudonym(self.number, own.digest()[:PSEUDONYM_BYTES])


class Epochs:
    """All epochs, ascending by number and time; there is at least one, and the first holds always."""

    def __init__(self, epochs: Sequence[Epoch]) -> None:
        self.all = tuple(epochs)
        self._from = np.array([epoch.from_us for epoch in self.all], np.int64)

    @property
    def store_id(self) -> str:
        """Names the key store, wherever it lies: 16 hex digits, by the key of its first epoch."""
        return hmac.digest(self.all[0].key, _OF_STORE, "sha256")[:8].hex()

    def at(self, times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The index in `all` of the epoch of each event time, shape (n,)."""
        return np.searchsorted(self._from, times_us, side="right") - 1

    def pseudonyms(self, identities: Sequence[bytes], times_us: npt.NDArray[np.int64]) -> list[Pseudonym]:
        """What stands for the identity of each event at its time, shape (n,); each distinct one is hashed once."""
        pairs = list(zip(self.at(times_us).tolist(), identities, strict=True))
        known = dict[tuple[int, bytes], Pseudonym]()
        for index in {index for index, _ in pairs}:
            own = [pair for pair in dict.fromkeys(pairs) if pair[0] == index]
            known.update(zip(own, self.all[index].pseudonyms(identity for _, identity in own), strict=True))
        return [known[pair] for pair in pairs]

    def of_subjects(self, subjects: pa.Array, times_us: npt.NDArray[np.int64]) -> NamedSubjects:
        """As `pseudonyms`, of a column of subjects, texts or null: each distinct one is hashed once in an epoch."""
        encoded = subjects.dictionary_encode("encode")
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        if len(self.all) == 1:
            every = np.zeros(len(encoded.dictionary), np.int64)
            return NamedSubjects(self._hashed(encoded.dictionary, every, _SUBJECT), codes.astype(np.int32))
        pairs, of_row = np.unique(codes * len(self.all) + self.at(times_us), return_inverse=True)
        distinct, epochs = np.divmod(pairs, len(self.all))
        found = self._hashed(encoded.dictionary.take(pa.array(distinct)), epochs, _SUBJECT)
        return NamedSubjects(found, of_row.astype(np.int32))

    def of_events(self, event_ids: pa.Array, times_us: npt.NDArray[np.int64]) -> Pseudonyms:
        """What stands for the id of each event, texts without nulls."""
        return self._hashed(event_ids, self.at(times_us), _EVENT)

    def _hashed(self, texts: pa.Array, epochs: npt.NDArray[np.int64], kind: bytes) -> Pseudonyms:
        """`epochs`: the index in `all` of that of each text."""
        digests = np.zeros((len(texts), PSEUDONYM_BYTES), np.uint8)
        for index in np.unique(epochs).tolist():
            epoch, rows = self.all[index], np.flatnonzero(epochs == index)
            own = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
            hashes = hmac_each(epoch.key, _IN_RECORDS + kind, *bytes_and_offsets(own))
            found = np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES)[:, :PSEUDONYM_BYTES].copy()
            if own.null_count:
                found[np.asarray(own.is_null())] = np.frombuffer(epoch.pseudonym(_NOBODY).digest, np.uint8)
            digests[rows] = found
        return Pseudonyms(np.array([epoch.number for epoch in self.all], np.int64)[epochs], digests)

    def of_all(self, identity: bytes) -> list[Pseudonym]:
        """What stands for an identity in each epoch: what a look-up by subject has to look for."""
        return [epoch.pseudonym(identity) for epoch in self.all]
