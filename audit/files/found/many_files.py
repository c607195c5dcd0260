"""What is taken of many files, in order: of large ones while they are read, of small ones many at once, since decoding
a file costs as much as decoding hundreds of records."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from audit.files.formats import problem_of
from audit.files.reading import Needles, ReadStretch, Undecoded, read_file
from models.store.backends import Backend
from schemas.avro.datums import decode_block
from schemas.avro.whole_files import WholeFile, whole_file

T = TypeVar("T")
Taken = Callable[[str, ReadStretch], Iterable[T]]
_READERS, _READERS_AFAR = 4, 32  # an object store takes its time for each file, whatever its size
_AHEAD = 2  # for each reader, files or groups of them that are read while one is looked at
_AT_ONCE_BYTES = 32 * 1024 * 1024  # a larger file is looked at while it is read, block by block
SMALL_BYTES = 256 * 1024
"""Files of at most so many bytes are read with others."""
_GROUP, _GROUP_BYTES = 128, 4 * 1024 * 1024


def small_file(held: bytes, record: str) -> WholeFile | None:
    """What the bytes of a container hold; None where something about it has to be said, which `read_file` does."""
    found = whole_file(held)
    return None if found is None or problem_of(found.schema, record) else found


def decoded(schema: str, data: bytes, records: int, datums: bool = True) -> ReadStretch | None:
    """Records back to back, with each as it is stored where `datums`; None where one of them cannot be read."""
    found = decode_block(data, records, schema, payloads=datums)
    whole = not found.unreadable and len(found.rows) == records
    return ReadStretch(found.rows, found.payloads, 0) if whole else None


class TakenFile(Generic[T]):
    """What is taken of one file: how many records it has, and what is wrong with it, once `items` were read."""

    def __init__(self, key: str, of: "ManyFiles[T]") -> None:
        self.key, self.records, self.problem = key, 0, ""
        self._of = of

    def items(self) -> Iterator[T]:
        """Reads the file by itself. Raises `StoreUnavailable`."""
        for piece in read_file(self._of.backend, self.key, self._of.record, self._of.needles, self._of.datums):
            if isinstance(piece, ReadStretch):
                self.records += piece.columns.num_rows
                yield from self._of.taken(self.key, piece)
            elif isinstance(piece, Undecoded):
                self.records += piece.records
            else:
                self.problem = self.problem or piece.why


Read = list[tuple[TakenFile[T], list[T]]]


@dataclass(frozen=True)
class ManyFiles(Generic[T]):
    """How files of a record are read.

    Args:
        backend: where they are.
        record: `Receipt` or `ModelEvent`.
        needles: as for `read_file`.
        taken: what is taken of records, by the key of their file.
        datums: whether each record is wanted as it is stored, too.
        by_file: whether `taken` looks at the key; else it is given records of several files with the key of the first.
    """

    backend: Backend
    record: str
    needles: Needles
    taken: Taken[T]
    datums: bool
    by_file: bool

    def each(self, files: Iterable[tuple[str, int]]) -> Iterator[tuple[TakenFile[T], Iterable[T]]]:
        """Each of the files (key, bytes) in order, with what is taken of it. Raises `StoreUnavailable`."""
        groups, count = _groups(files), _READERS if self.backend.root is not None else _READERS_AFAR
        with ThreadPoolExecutor(count) as readers:
            waiting = deque[tuple[str, Future[Read[T]] | None]]()
            while True:
                for group in islice(groups, _AHEAD * count - len(waiting)):
                    at_once = sum(size for _, size in group) <= _AT_ONCE_BYTES
                    waiting.append((group[0][0], readers.submit(self._read, group) if at_once else None))
                if not waiting:
                    return
                key, begun = waiting.popleft()
                if begun is not None:
                    yield from begun.result()
                    continue
                one = TakenFile(key, self)
                yield one, one.items()

    def _read(self, group: Sequence[tuple[str, int]]) -> Read[T]:
        if len(group) == 1:
            return [self._alone(group[0][0])]
        done, alike = Read[T](), list[tuple[str, WholeFile]]()
        for key, size in group:
            small = self._small(key, size)
            if small is None or (alike and alike[0][1].schema != small.schema):
                done += self._together(alike)
                alike = []
            if small is None:
                done.append(self._alone(key))
            else:
                alike.append((key, small))
        return done + self._together(alike)

    def _together(self, alike: Sequence[tuple[str, WholeFile]]) -> Read[T]:
        """What is taken of files of one schema, of those that may have what is looked for."""
        chosen = [small for _, small in alike if self._may_have(small)]
        if self.by_file:
            return [self._alone(key) if self._may_have(small) else self._passed(key, small) for key, small in alike]
        data, records = b"".join(small.data for small in chosen), sum(small.records for small in chosen)
        stretch = decoded(alike[0][1].schema, data, records, self.datums) if chosen else None
        if chosen and stretch is None:
            return [self._alone(key) for key, _ in alike]
        read = [self._passed(key, small) for key, small in alike]
        if stretch is not None:
            read[0][1].extend(self.taken(read[0][0].key, stretch))
        return read

    def _may_have(self, small: WholeFile) -> bool:
        return not self.needles or any(needle in small.data for needle in self.needles)

    def _passed(self, key: str, small: WholeFile) -> tuple[TakenFile[T], list[T]]:
        one = TakenFile(key, self)
        one.records = small.records
        return one, []

    def _alone(self, key: str) -> tuple[TakenFile[T], list[T]]:
        one = TakenFile(key, self)
        return one, list(one.items())

    def _small(self, key: str, size: int) -> WholeFile | None:
        with suppress(OSError):
            return small_file(self.backend.read_range(key, 0, size), self.record)
        return None


def _groups(files: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Consecutive small files together, each other one by itself."""
    group, held = list[tuple[str, int]](), 0
    for key, size in files:
        small = 0 < size <= SMALL_BYTES
        if group and (not small or len(group) == _GROUP or held + size > _GROUP_BYTES):
            yield group
            group, held = [], 0
        if small:
            group.append((key, size))
            held += size
        else:
            yield [(key, size)]
    if group:
        yield group
