"""The checkpoints of an audit, one for each sealed segment: each is committed by a conditional create."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice

from audit.files.checkpoints import MAX_BYTES, NONE_BEFORE, Checkpoint, StoredCheckpoint, parse_checkpoint
from audit.files.merkle import GrowingTree
from audit.files.notes import PrivateKey, UnusableNote
from audit.files.segments import (
    CHECKPOINTS,
    MAX_STATEMENT,
    SEALED,
    SOURCES,
    STATEMENT,
    SegmentStatement,
    UnusableSegment,
    checkpoint_key,
    parse_statement,
)
from models.store.backends import Backend
from schemas.errors import HalflifeError

_READERS = 16
_HOLES = 64  # missing checkpoints that are named: one file with a great number must not make a question endless


class BrokenChain(HalflifeError):
    """The checkpoints of an audit do not follow from each other, so nothing can be added to them."""


class SealedMeanwhile(HalflifeError):
    """Another process sealed a segment of the same audit first; what this one made is removed."""


@dataclass(slots=True)
class CheckpointChain:
    """`folders` and `leaves` of all sealed segments, in order, and the last checkpoint (None: nothing is sealed)."""

    folders: list[str] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    last: StoredCheckpoint | None = None
    _tree: GrowingTree = field(default_factory=GrowingTree)

    @property
    def size(self) -> int:
        """How many segments are sealed."""
        return len(self.leaves)

    def following(self, origin: str, folder: str, leaf: bytes) -> Checkpoint:
        """The checkpoint after one more segment."""
        grown = deepcopy(self._tree)
        grown.add(leaf)
        root = grown.root()
        return Checkpoint(origin, self.size + 1, root, folder, leaf, self.last.digest if self.last else NONE_BEFORE)

    def add(self, stored: StoredCheckpoint) -> None:
        """Takes a checkpoint that follows.

        Raises:
            BrokenChain: it does not.
        """
        said = stored.said
        if said != self.following(said.origin, said.folder, said.leaf):
            why = f"{checkpoint_key(self.size + 1)} does not follow from those before"
            raise BrokenChain(f"{why}; expected: their root and the digest of the last; next: halflife audit verify")
        self.folders.append(said.folder)
        self.leaves.append(said.leaf)
        self._tree.add(said.leaf)
        self.last = stored


def checkpoint_numbers(backend: Backend) -> list[int]:
    """The numbers of the checkpoints that are there, ascending. Raises `StoreUnavailable`."""
    names = [key.rpartition("/")[2] for key, _ in backend.list(CHECKPOINTS)]
    return sorted(int(name) for name in names if name.isdecimal() and len(name) == 8)


def read_chain(backend: Backend, known: CheckpointChain | None = None) -> CheckpointChain:
    """All checkpoints, of which `known` has the first; each follows from those before. No signature is checked.

    Raises:
        BrokenChain: one is missing, cannot be read, or does not follow.
        StoreUnavailable: the store did not answer.
    """
    chain = known or CheckpointChain()
    numbers = [number for number in checkpoint_numbers(backend) if number > chain.size]
    with ThreadPoolExecutor(_READERS) as readers:
        for stored in readers.map(lambda number: read_checkpoint(backend, number), numbers):
            if stored.said.size != chain.size + 1:
                missing = f"{checkpoint_key(chain.size + 1)} is missing"
                raise BrokenChain(f"{missing}; expected: a checkpoint for each segment; next: halflife audit verify")
            chain.add(stored)
    return chain


def read_folders(backend: Backend, known: Mapping[int, str], broken: dict[str, str]) -> dict[int, str]:
    """The folders of the checkpoints that are not known yet, by number, for those who ask: that each follows from those
    before is for `read_chain`. `broken` is given why one cannot be read, by its key. Raises `StoreUnavailable`.
    """
    listed = checkpoint_numbers(backend)
    # What lies before one that is there was there first, even if a listing meanwhile did not see it yet.
    there = {*listed, *islice(_without(set(listed)), _HOLES)}
    new = [each for each in sorted(there) if each not in known and checkpoint_key(each) not in broken]
    folders: dict[int, str] = {}
    with ThreadPoolExecutor(_READERS) as readers:
        for number, found in zip(new, readers.map(lambda each: _tried(backend, each), new), strict=True):
            if isinstance(found, str):
                broken[checkpoint_key(number)] = found
            else:
                folders[number] = found.said.folder
    return folders


def _without(listed: set[int]) -> Iterator[int]:
    """The numbers below the greatest that are not listed."""
    return (number for number in range(1, max(listed, default=0)) if number not in listed)


def _tried(backend: Backend, number: int) -> StoredCheckpoint | str:
    """A checkpoint, or why it is none."""
    data = backend.read(checkpoint_key(number), MAX_BYTES)
    try:
        if data is None:
            raise UnusableNote("it is missing; expected: a checkpoint for each segment")
        found = parse_checkpoint(data)
        if found.said.size != number:
            raise UnusableNote(f"it is of segment {found.said.size}; expected: of {number}")
    except UnusableNote as error:
        return str(error)
    return found


def read_checkpoint(backend: Backend, number: int) -> StoredCheckpoint:
    """Raises `BrokenChain` for one that is missing or cannot be read, and `StoreUnavailable`."""
    found = _tried(backend, number)
    if isinstance(found, str):
        raise BrokenChain(f"{checkpoint_key(number)}: {found}; next: halflife audit verify")
    return found


def commit(backend: Backend, said: Checkpoint, key: PrivateKey | None) -> StoredCheckpoint:
    """Writes a checkpoint: from then on its segment is sealed.

    Raises:
        SealedMeanwhile: there is one of this number.
        StoreUnavailable: the store did not answer.
    """
    note = said.note(key)
    if not backend.create(checkpoint_key(said.size), note):
        what = f"another process sealed segment {said.size} of {backend.url} first; nothing is lost"
        raise SealedMeanwhile(f"{what}; next: halflife audit seal, once no other runs")
    return parse_checkpoint(note)


def read_statement(backend: Backend, folder: str) -> SegmentStatement:
    """What a segment says of itself. Raises `UnusableSegment` and `StoreUnavailable`."""
    data = backend.read(f"{SEALED}/{folder}/{STATEMENT}", MAX_STATEMENT)
    if data is None:
        raise UnusableSegment(f"{STATEMENT} is missing; expected: one for each segment")
    return parse_statement(data)


def read_merged(backend: Backend, folder: str, statement: SegmentStatement) -> Sequence[str]:
    """The keys of the files that a segment was made of. Raises `UnusableSegment` and `StoreUnavailable`."""
    try:
        data = b"".join(backend.stream(f"{SEALED}/{folder}/{SOURCES}"))
    except FileNotFoundError:
        data = b""
    if sha256(data).hexdigest() != statement.files[SOURCES]:
        raise UnusableSegment(f"{SOURCES} of segment {statement.number} is not what was sealed; expected: its sha256")
    return [f"{statement.kind}/{name}" for name in data.decode().splitlines()]
