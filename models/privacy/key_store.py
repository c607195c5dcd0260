"""The key store: each subject's own key, made where there is none, and destroyed by an erasure."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import StoreError
from models.privacy.epoch_log import EPOCHS, EpochLog
from models.privacy.identities import KEY_BYTES, PSEUDONYM_BYTES, Epochs, Pseudonym
from models.privacy.key_blocks import DESTROYED, MOST_ROWS, KeyBlock, KeyBlocks
from models.privacy.register import AskedBy, Register, Registered
from models.store.backends import Backend
from schemas.native.row_table import RowTable

FRESH_S = 60.0
_MOST_ATTEMPTS = 1000
_MOST_DIGITS = 9  # of the numbers in an id of a key, which may stand in a file of anybody
_ROW_BITS = MOST_ROWS.bit_length() - 1


FoundKey = bytes | Literal["erased"] | None
"""A key; `erased` where it was destroyed, None where there is none."""


class KeysContended(StoreError):
    """Other writers were first each time."""


class NoKeyStore(StoreError):
    """A key store that has no keys and no epochs: nothing was ever encrypted with it."""


class OtherKeyStore(StoreError):
    """A key store that is not the one by which records were hashed."""


class SubjectKey(NamedTuple):
    """A key, and the id by which a record names it: its block's number and its row."""

    key_id: str
    key: bytes


class SubjectKeys(NamedTuple):
    """Keys of many, shape (n, 32), and where each lies: its block's number and its row, shape (n,)."""

    keys: npt.NDArray[np.uint8]
    blocks: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    def ids(self) -> pa.Array:
        """The ids by which records name them."""
        numbers = [pa.array(each).cast(pa.string()) for each in (self.blocks, self.rows)]
        return pc.binary_join_element_wise(*numbers, ".")


class Erasure(NamedTuple):
    """What an erasure did: how many keys it destroyed, and what is between the two entries of the register."""

    destroyed: int
    begun: Registered
    ended: Registered


class KeyStore:
    """The keys at a URL, kept in memory for `fresh_s` seconds; thread-safe.

    A key that another process destroyed is used until then: what is encrypted with it in between nobody can read.
    In memory are all keys, 96 to 144 bytes for each subject (190 without the compiled module).

    Args:
        backend: where they lie, apart from the store of models and all sinks.
        fresh_s: for how long what was read counts, seconds.
        clock: seconds that only grow.
        random: makes bytes that nobody can guess.
    """

    def __init__(
        self,
        backend: Backend,
        fresh_s: float = FRESH_S,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._fresh_s, self._clock, self._random = fresh_s, clock, random
        self.register = Register(backend, random)
        self.epoch_log = EpochLog(backend, random)
        self._files = KeyBlocks(backend)
        self._lock = Lock()
        self._read_at: float | None = None
        self._generations: dict[int, int] = {}
        self._blocks: dict[int, KeyBlock] = {}
        self._rows = RowTable()  # the last row of each pseudonym: its block's number and its index
        self._indexed = 0
        self._epochs: Epochs | None = None
        self._erased: set[str] | None = None

    def epochs(self) -> Epochs:
        """The epochs, as they were known at the last reading."""
        with self._lock:
            self._refresh_if_old()
            if self._epochs is None:
                self._epochs = self.epoch_log.read()
            return self._epochs

    def keys_for(self, pseudonyms: Sequence[Pseudonym]) -> list[SubjectKey]:
        """The key of each, shape (n,). Raises as `keys_of`."""
        digests = [pseudonym.digest for pseudonym in pseudonyms]
        distinct = list(dict.fromkeys(digests))
        found = self.keys_of(np.frombuffer(b"".join(distinct), np.uint8).reshape(-1, PSEUDONYM_BYTES))
        keys = [SubjectKey(*each) for each in zip(found.ids().to_pylist(), map(bytes, found.keys), strict=True)]
        known = dict(zip(distinct, keys, strict=True))
        return [known[digest] for digest in digests]

    def keys_of(self, digests: npt.NDArray[np.uint8]) -> SubjectKeys:
        """The key of each pseudonym, of which none comes twice, by its bytes, shape (n, 16); those that have none get
        one: all new ones in one object, 65,536 at most.

        Raises:
            StoreUnavailable: the store did not answer.
            UnusableKeyBlock: a block is damaged or missing.
        """
        with self._lock:
            self._refresh_if_old()
            self._index()
            found = self._living(digests)
            for _ in range(_MOST_ATTEMPTS):
                missing = np.flatnonzero(found.blocks < 0)
                if not len(missing):
                    return found
                self._add(digests[missing[:MOST_ROWS]])
                new = self._living(digests[missing])
                found.keys[missing], found.blocks[missing], found.rows[missing] = new
        raise KeysContended(
            f"{len(missing)} new subjects got no keys: other workers were first each time; next: run it again"
        )

    def find(self, key_id: str) -> FoundKey:
        """The key of an id; `erased` where it was destroyed, None where there is none of this id."""
        return self.found([key_id])[key_id]

    def found(self, key_ids: Iterable[str]) -> dict[str, FoundKey]:
        """As `find`, of many: for blocks that are not known the store is asked once, however many ids name such."""
        rows = {each: _row_of(each) for each in key_ids}
        wanted = {row[0] for row in rows.values() if row is not None}
        with self._lock:
            self._refresh_if_old()
            if not wanted <= self._generations.keys():
                self._refresh()
            blocks = {number: self._known(number) for number in wanted & self._generations.keys()}
        return {key_id: None if row is None else _key_at(blocks.get(row[0]), row[1]) for key_id, row in rows.items()}

    def erased(self, identities: Iterable[bytes]) -> list[bool]:
        """Whether each was ever erased, whatever the epoch: for `privacy.after_erasure: refuse`."""
        with self._lock:
            self._refresh_if_old()
            if self._erased is None:
                self._erased = self.register.erased()
            return [self.register.name_of(each) in self._erased for each in identities]

    def held(self) -> set[Pseudonym]:
        """What stands, in any epoch, for those under a hold: no expiry may drop their records."""
        epochs = self.epoch_log.read()
        return {pseudonym for identity in self.register.held() for pseudonym in epochs.of_all(identity)}

    def seen(self, identity: bytes) -> int:
        """In how many rows an identity has, or had, a key: one for each epoch in which it was seen, and one more after
        each erasure."""
        with self._lock:
            self._refresh_if_old()
            self._load()
            digests = [pseudonym.digest for pseudonym in self.epoch_log.read().of_all(identity)]
            return sum(len(block.rows_of(digests)) for block in self._blocks.values())

    def erase(self, identity: bytes, asked: AskedBy) -> Erasure:
        """Destroy the keys of an identity, one for each epoch in which it was seen.

        It writes two entries of the register, and two objects for each such epoch. Killed between any two of them it is
        ended by calling it again; what it did until then is in force.

        Raises:
            SubjectHeld: it is under a hold.
        """
        begun = self.register.begin(identity, asked)
        destroyed = self.destroy(self.epoch_log.read().of_all(identity))
        return Erasure(destroyed, begun, self.register.end(identity, asked))

    def destroy(self, pseudonyms: Iterable[Pseudonym]) -> int:
        """Destroy the keys of these, as a part of an erasure: how many there still were. An object is written for each
        block that has one."""
        with self._lock:
            self._refresh()
            self._load()
            digests = [pseudonym.digest for pseudonym in pseudonyms]
            rows = {number: block.rows_of(digests) for number, block in self._blocks.items()}
            destroyed = sum(self._destroy(number, indexes) for number, indexes in rows.items() if indexes)
            self._files.finish()
            self._read_at = None
        return destroyed

    def look_again(self) -> None:
        """Read anew before the next answer, however fresh what is known is."""
        with self._lock:
            self._read_at = None

    def _destroy(self, number: int, indexes: list[int]) -> int:
        """Destroy the keys of these rows of a block, whoever else writes it; how many there still were."""
        for _ in range(_MOST_ATTEMPTS):
            block = self._blocks[number]
            living = [index for index in indexes if block.key(index) != DESTROYED]
            if not living:
                return 0
            replaced = block.without(living)
            if self._files.replace(replaced):
                self._blocks[number] = replaced
                return len(living)
            self._refresh()
            self._load([number])
        raise KeysContended(f"block {number} was not written: others were first each time; next: run it again")

    def _living(self, digests: npt.NDArray[np.uint8]) -> SubjectKeys:
        """The last key of each; a block of -1 where there is none, or it was destroyed."""
        at = self._rows.find(digests)
        keys, blocks = np.zeros((len(at), KEY_BYTES), np.uint8), at >> _ROW_BITS
        for number in np.unique(blocks[at >= 0]).tolist():
            chosen = np.flatnonzero(blocks == number)
            keys[chosen] = self._blocks[number].keys()[at[chosen] & (MOST_ROWS - 1)]
        return SubjectKeys(keys, np.where(keys.any(axis=1), blocks, -1), at & (MOST_ROWS - 1))

    def _add(self, digests: npt.NDArray[np.uint8]) -> None:
        """Append new keys; where another writer took the number, read what he wrote instead."""
        made = np.frombuffer(self._random(KEY_BYTES * len(digests)), np.uint8).reshape(-1, KEY_BYTES)
        block = self._files.append(len(self._generations) + 1, np.hstack([digests, made]).tobytes())
        if block is None:
            self._refresh()
        else:
            self._generations[block.number], self._blocks[block.number] = block.generation, block
        self._index()

    def _refresh_if_old(self) -> None:
        if self._read_at is None or self._clock() - self._read_at >= self._fresh_s:
            self._refresh()

    def _refresh(self) -> None:
        """Look which blocks there are now."""
        began = self._clock()
        self._generations = self._files.listed().generations
        self._read_at, self._epochs, self._erased = began, None, None

    def _load(self, numbers: Iterable[int] | None = None) -> None:
        """Read blocks of which another generation, or none, is known; all of them, or those of these numbers."""
        for _ in range(_MOST_ATTEMPTS):
            chosen = self._generations if numbers is None else self._generations.keys() & set(numbers)
            known = {number: block.generation for number, block in self._blocks.items()}
            wanted = [(each, self._generations[each]) for each in sorted(chosen)]
            found = self._files.read([each for each in wanted if known.get(each[0]) != each[1]])
            if found is not None:
                self._blocks.update((block.number, block) for block in found)
                return
            self._refresh()
        raise KeysContended("the blocks of keys were replaced each time that they were read; next: run it again")

    def _known(self, number: int) -> KeyBlock | None:
        """A block as it was last listed; None where there is none."""
        block = self._blocks.get(number)
        if block is None or block.generation != self._generations.get(number):
            self._load([number])
        return self._blocks.get(number)

    def _index(self) -> None:
        """Know the row of every pseudonym; the last one, where it had others before."""
        self._load()
        for number in range(self._indexed + 1, len(self._generations) + 1):
            block, first = self._blocks[number], number << _ROW_BITS
            self._rows.put(block.pseudonyms(), first)
            self._indexed = number


def _row_of(key_id: str) -> tuple[int, int] | None:
    """Number of the block and index of the row that an id names; None where it is none."""
    number, _, row = key_id.partition(".")
    if not all(each.isdecimal() and len(each) <= _MOST_DIGITS for each in (number, row)):
        return None
    return int(number), int(row)


def _key_at(block: KeyBlock | None, row: int) -> FoundKey:
    if block is None or row >= len(block):
        return None
    key = block.key(row)
    return "erased" if key == DESTROYED else key


def opened_keys(backend: Backend) -> KeyStore:
    """The key store, where it has anything.

    Raises:
        NoKeyStore: there is nothing; opening it would begin a new one.
        StoreUnavailable: it does not answer.
    """
    if not backend.list(EPOCHS):
        raise NoKeyStore(f"{backend.url} holds no keys; expected: what privacy.keys of the job names, after it has run")
    return KeyStore(backend)
