"""The key store: each subject's own key, made where there is none, and destroyed by an erasure."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Literal, NamedTuple

from models.errors import StoreError
from models.privacy.epoch_log import EPOCHS, EpochLog
from models.privacy.identities import KEY_BYTES, Epochs, Pseudonym
from models.privacy.key_blocks import DESTROYED, MOST_ROWS, KeyBlock, KeyBlocks, KeyRow
from models.privacy.register import AskedBy, Register, Registered
from models.store.backends import Backend

FRESH_S = 60.0
_MOST_ATTEMPTS = 1000
_ROW_BITS = MOST_ROWS.bit_length() - 1


class KeysContended(StoreError):
    """Other writers were first each time."""


class NoKeyStore(StoreError):
    """A key store that has no keys and no epochs: nothing was ever encrypted with it."""


class SubjectKey(NamedTuple):
    """A key, and the id by which a record names it: its block's number and its row."""

    key_id: str
    key: bytes


class Erasure(NamedTuple):
    """What an erasure did: how many keys it destroyed, and what is between the two entries of the register."""

    destroyed: int
    begun: Registered
    ended: Registered


class KeyStore:
    """The keys at a URL, kept in memory for `fresh_s` seconds; thread-safe.

    A key that another process destroyed is used until then: what is encrypted with it in between nobody can read.
    In memory are all keys, about 190 bytes for each subject.

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
        self._rows: dict[bytes, int] = {}  # the last row of each pseudonym: its block's number and its index
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
        """The key of each, shape (n,); those that have none get one: all new ones in one object, 65,536 at most.

        Raises:
            StoreUnavailable: the store did not answer.
            UnusableKeyBlock: a block is damaged or missing.
        """
        with self._lock:
            self._refresh_if_old()
            self._index()
            digests = [pseudonym.digest for pseudonym in pseudonyms]
            found = {digest: self._living(digest) for digest in dict.fromkeys(digests)}
            missing = [digest for digest, key in found.items() if key is None]
            for _ in range(_MOST_ATTEMPTS):
                if not missing:
                    return [key for digest in digests if (key := found[digest]) is not None]
                self._add(missing[:MOST_ROWS])
                found.update((each, self._living(each)) for each in missing)
                missing = [each for each in missing if found[each] is None]
        raise KeysContended(
            f"{len(missing)} new subjects got no keys: other workers were first each time; next: run it again"
        )

    def find(self, key_id: str) -> bytes | Literal["erased"] | None:
        """The key of an id; `erased` where it was destroyed, None where there is none of this id."""
        number, _, row = key_id.partition(".")
        if not (number.isdecimal() and row.isdecimal()):
            return None
        with self._lock:
            self._refresh_if_old()
            block = self._known(int(number))
            if block is None or int(row) >= len(block):
                return None
            key = block.key(int(row))
            return "erased" if key == DESTROYED else key

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
        with self._lock:
            self._refresh()
            self._load()
            digests = [pseudonym.digest for pseudonym in self.epoch_log.read().of_all(identity)]
            rows = {number: block.rows_of(digests) for number, block in self._blocks.items()}
            destroyed = sum(self._destroy(number, indexes) for number, indexes in rows.items() if indexes)
            self._files.finish()
            self._read_at = None
        return Erasure(destroyed, begun, self.register.end(identity, asked))

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

    def _living(self, digest: bytes) -> SubjectKey | None:
        row = self._rows.get(digest)
        if row is None:
            return None
        number, index = row >> _ROW_BITS, row & (MOST_ROWS - 1)
        key = self._blocks[number].key(index)
        return None if key == DESTROYED else SubjectKey(f"{number}.{index}", key)

    def _add(self, digests: list[bytes]) -> None:
        """Append new keys; where another writer took the number, read what he wrote instead."""
        made = self._random(KEY_BYTES * len(digests))
        rows = [KeyRow(each, made[at * KEY_BYTES : (at + 1) * KEY_BYTES]) for at, each in enumerate(digests)]
        block = self._files.append(len(self._generations) + 1, rows)
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
        if number not in self._generations:
            self._refresh()
        block = self._blocks.get(number)
        if block is None or block.generation != self._generations.get(number):
            self._load([number])
        return self._blocks.get(number)

    def _index(self) -> None:
        """Know the row of every pseudonym; the last one, where it had others before."""
        self._load()
        for number in range(self._indexed + 1, len(self._generations) + 1):
            block, first = self._blocks[number], number << _ROW_BITS
            self._rows.update(zip(block.pseudonyms(), range(first, first + len(block)), strict=True))
            self._indexed = number


def opened_keys(backend: Backend) -> KeyStore:
    """The key store, where it has anything.

    Raises:
        NoKeyStore: there is nothing; opening it would begin a new one.
        StoreUnavailable: it does not answer.
    """
    if not backend.list(EPOCHS):
        raise NoKeyStore(f"{backend.url} holds no keys; expected: what privacy.keys of the job names, after it has run")
    return KeyStore(backend)
