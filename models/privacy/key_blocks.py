"""Keys of subjects in a store: append-only blocks of many rows, of which a key is destroyed by a next generation.

`blocks/<number, 8 digits>.<generation, 6 digits>`: a block holds 16 bytes of a pseudonym and 32 of a key for each row;
a destroyed key is 32 zero bytes, so that rows keep their numbers. Blocks are numbered without gaps, each number is
created once (conditional create), by one who has read all blocks before it: so a subject has one living key, whoever
races for it.

A generation is replaced by creating the next one and then emptying it. Empty objects stay: a name that was used can
never be created again, so that a writer that slept while others erased cannot bring back what they destroyed.
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import StoreError
from models.privacy.identities import KEY_BYTES, PSEUDONYM_BYTES
from models.store.backends import Backend, StoreUnavailable

FOLDER = "blocks"
MOST_ROWS = 65_536
DESTROYED = bytes(KEY_BYTES)
_ROW = PSEUDONYM_BYTES + KEY_BYTES
_MAGIC = b"HLKEYS1\n"
_NAME = re.compile(rf"{FOLDER}/([0-9]{{8}})\.([0-9]{{6}})")
_UNFINISHED = re.compile(r".*#[0-9]+")  # obstore's name for a file that is being written
_MOST_BYTES = len(_MAGIC) + MOST_ROWS * _ROW + 32
_READERS = 16
_ATTEMPTS = 3


class UnusableKeyBlock(StoreError):
    """A block of keys that is damaged, or missing between others: nothing may be encrypted without it."""


class KeyBlock(NamedTuple):
    """The rows of a block in one generation, as bytes: of each a pseudonym's 16 and a key's 32; a destroyed key is
    `DESTROYED`."""

    number: int
    generation: int
    rows: bytes

    def __len__(self) -> int:
        return len(self.rows) // _ROW

    def key(self, index: int) -> bytes:
        """The key of a row by its index."""
        end = (index + 1) * _ROW
        return self.rows[end - KEY_BYTES : end]

    def keys(self) -> npt.NDArray[np.uint8]:
        """The keys of all rows, shape (n, 32). Nothing is copied."""
        return np.frombuffer(self.rows, np.uint8).reshape(-1, _ROW)[:, PSEUDONYM_BYTES:]

    def pseudonyms(self) -> npt.NDArray[np.uint8]:
        """The pseudonyms of all rows, in order, shape (n, 16). Nothing is copied."""
        return np.frombuffer(self.rows, np.uint8).reshape(-1, _ROW)[:, :PSEUDONYM_BYTES]

    def rows_of(self, pseudonyms: Iterable[bytes]) -> list[int]:
        """The indexes of the rows of any of these pseudonyms, found without an index of all of them."""
        rows = np.frombuffer(self.rows, np.dtype([("first", "<u8"), ("others", f"V{_ROW - 8}")]))
        found = list[int]()
        for pseudonym in pseudonyms:
            likely = np.flatnonzero(rows["first"] == int.from_bytes(pseudonym[:8], "little")).tolist()
            found += [index for index in likely if self.rows.startswith(pseudonym, index * _ROW)]
        return found

    def without(self, indexes: Sequence[int]) -> "KeyBlock":
        """The next generation, in which the keys of these rows are destroyed."""
        rows = bytearray(self.rows)
        for index in indexes:
            rows[index * _ROW + PSEUDONYM_BYTES : (index + 1) * _ROW] = DESTROYED
        return KeyBlock(self.number, self.generation + 1, bytes(rows))


class ListedBlocks(NamedTuple):
    """The last generation of each block by number, and keys of earlier ones that are not emptied yet."""

    generations: dict[int, int]
    left: list[str]


class KeyBlocks:
    """The blocks of a key store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def listed(self) -> ListedBlocks:
        """What is there now.

        Raises:
            UnusableKeyBlock: a number is missing between others, or an object there is no block.
        """
        generations, full = dict[int, int](), list[tuple[int, int, str]]()
        for key, size in self._backend.list(FOLDER):
            name = _NAME.fullmatch(key)
            if name is None:
                raise UnusableKeyBlock(
                    f"{self._backend.url}: {key} is no block of keys; expected: no other files there"
                )
            number, generation = int(name[1]), int(name[2])
            generations[number] = max(generation, generations.get(number, 0))
            if size:
                full.append((number, generation, key))
        missing = next((number for number in range(1, len(generations) + 1) if number not in generations), None)
        if missing is not None:
            found = f"{self._backend.url}: {FOLDER}/{missing:08d} is missing"
            raise UnusableKeyBlock(f"{found}; next: bring it back from where it was moved to")
        return ListedBlocks(generations, [key for number, each, key in full if each < generations[number]])

    def read(self, wanted: Sequence[tuple[int, int]]) -> list[KeyBlock] | None:
        """The blocks of these numbers and generations; None where one was replaced meanwhile: list again.

        Raises:
            UnusableKeyBlock: one is damaged.
        """
        with ThreadPoolExecutor(_READERS) as readers:
            found = list(readers.map(lambda each: self._read(*each), wanted))
        blocks = [each for each in found if each is not None]
        return blocks if len(blocks) == len(found) else None

    def _read(self, number: int, generation: int) -> KeyBlock | None:
        key = _key(number, generation)
        raw = self._backend.read(key, _MOST_BYTES)
        if not raw:
            return None
        body, digest = raw[:-32], raw[-32:]
        rows = body[len(_MAGIC) :]
        if not body.startswith(_MAGIC) or len(rows) % _ROW or sha256(body).digest() != digest:
            raise UnusableKeyBlock(
                f"{self._backend.url}: {key} is damaged; expected: a block of keys as it was written"
            )
        return KeyBlock(number, generation, rows)

    def append(self, number: int, rows: bytes) -> KeyBlock | None:
        """Create a block; None where another writer took the number."""
        block = KeyBlock(number, 0, rows)
        return block if self._create(block) else None

    def replace(self, block: KeyBlock) -> bool:
        """Write the next generation of a block, then empty the one before; False where another writer was first."""
        if not self._create(block):
            return False
        self._backend.destroy(_key(block.number, block.generation - 1))
        return True

    def finish(self) -> int:
        """Empty whatever a writer left that was killed between two writes; how many objects that were."""
        left = self.listed().left
        for key in left:
            self._backend.destroy(key)
        return len(left) + self._remove_unfinished()

    def _create(self, block: KeyBlock) -> bool:
        body = _MAGIC + block.rows
        content, key = body + sha256(body).digest(), _key(block.number, block.generation)
        for _ in range(_ATTEMPTS if self._backend.root is not None else 0):
            with suppress(StoreUnavailable):  # an erasure may have taken the unfinished file for that of a dead process
                return self._backend.create(key, content)
        return self._backend.create(key, content)

    def _remove_unfinished(self) -> int:
        """Files that a process was killed in the middle of writing: a folder keeps them under a name of their own."""
        root = self._backend.root
        found = [] if root is None or not (root / FOLDER).is_dir() else list(Path(root / FOLDER).iterdir())
        unfinished = [path for path in found if _UNFINISHED.fullmatch(path.name)]
        for path in unfinished:
            with suppress(FileNotFoundError):
                path.unlink()
        return len(unfinished)


def _key(number: int, generation: int) -> str:
    return f"{FOLDER}/{number:08d}.{generation:06d}"
