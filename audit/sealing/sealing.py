"""Sealing: files that jobs wrote become segments, which are committed one by one (docs/audit-proof.md).

The order is what keeps each record once, whenever this is killed: a segment's files, then its checkpoint, which commits
it, then the deletion of what it was made of, which the next sealing completes before it seals anything more.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ulid import ULID

from audit.files.chain import CheckpointChain, SealedMeanwhile, commit, read_chain, read_merged, read_statement
from audit.files.merkle import leaf_hash
from audit.files.notes import PrivateKey
from audit.files.segments import KINDS, RECEIPTS, SEALED, STATEMENT, SegmentStatement, checkpoint_key
from audit.sealing.building import BlockTooLarge, SegmentBuilder
from audit.sealing.gathering import Gathered, gathered
from audit.sealing.prepared import forget_orphans, forget_prepared, prepared_files
from audit.sealing.sources import (
    BrokenSource,
    ContainerForm,
    FilePart,
    UnsealedFile,
    list_sources,
    parts_of,
    read_sources,
    written_us,
)
from models.store.backends import Backend

DEFAULT_SIZE = 1_000_000
MOST_FILES = 10_000
"""So many unsealed files may wait: a question reads each of them."""
_MOST_ROWS = 1024
_DELETERS = 16
_MOST_TIMES = 8
_TWO_FORMS = "its schema changes within it; expected: one for all of a file"


@dataclass(frozen=True, slots=True)
class SealLimits:
    """A segment ends with the file that makes it `size` records. With `age_us`, fewer are sealed only once the oldest
    of them has waited so long, in microseconds, or there are `files` of them; None: all that is there is sealed."""

    size: int = DEFAULT_SIZE
    age_us: int | None = None
    files: int = MOST_FILES


@dataclass(slots=True)
class Sealed:
    """What was sealed: a statement for each segment; `broken`: why each file was left out, by its key; `removed`: what
    a killed process had left."""

    segments: list[SegmentStatement] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)


def _nothing(key: str) -> None:
    """Called with the key of each object after it was written or deleted."""


class Sealer:
    """Seals one audit; several may run, of which one wins each segment.

    Args:
        backend: the audit.
        origin: of its checkpoints (`origin_of`).
        key: signs checkpoints; None: they are unsigned.
        limits: of a segment.
        now_us: the clock, microseconds since 1970.
        changed: told of each object that was written or deleted.
    """

    def __init__(
        self, backend: Backend, origin: str, key: PrivateKey | None, limits: SealLimits, now_us: Callable[[], int],
        changed: Callable[[str], None] = _nothing,
    ) -> None:  # fmt: skip
        self._backend, self._origin, self._key, self._limits = backend, origin, key, limits
        self._now_us, self._changed = now_us, changed
        self._chain = CheckpointChain()
        self._seen: dict[str, int] = {}
        self._bytes_each = 80.0
        self._broken: dict[str, str] = {}

    def seal(self) -> Sealed:
        """Seals what is due; a file that cannot be sealed is left where it is, and named.

        Raises:
            BrokenChain, UnusableSegment: what is sealed already is not whole.
            SealedMeanwhile: another process was faster.
            StoreUnavailable: the store did not answer.
        """
        done = Sealed(broken=self._broken)
        self._chain = read_chain(self._backend, self._chain)
        done.removed = self._tidy()
        for kind in KINDS:
            while due := self._due(kind):
                statement = self._seal_one(kind, due)
                if statement is None:
                    break
                done.segments.append(statement)
        if done.segments:
            done.removed += self._remove_lost()
        return done

    def _due(self, kind: str) -> Sequence[UnsealedFile]:
        """The files that are to be sealed now, in order; none where they may wait."""
        found = [each for each in list_sources(self._backend, kind) if each.key not in self._broken]
        if self._limits.age_us is None or not found:
            return found
        now_us = self._now_us()
        self._seen = {each.key: self._seen.get(each.key, now_us) for each in found} | {
            key: at_us for key, at_us in self._seen.items() if not key.startswith(f"{kind}/")
        }
        waited_us = now_us - min(written_us(each.name, self._seen[each.key]) for each in found)
        many = sum(each.size for each in found) >= self._limits.size * self._bytes_each
        many = many or len(found) >= self._limits.files
        return found if many or waited_us >= self._limits.age_us else []

    def _seal_one(self, kind: str, due: Sequence[UnsealedFile]) -> SegmentStatement | None:
        """The next segment of these files, committed; None where none of them can be sealed."""
        name, number = f"{self._chain.size + 1:08}-{str(ULID()).lower()}", self._chain.size + 1
        local = self._backend.root is not None
        parent = Path(self._backend.root or tempfile.mkdtemp(prefix="halflife-seal-"))
        folder = parent / SEALED / name if local else parent / name
        try:
            made = self._adopted(folder, kind, due)
            if made is None and (built := self._built(folder, kind, due)) is not None:
                made = built[0].finish(number, self._now_us()), built[1]
            if made is None:
                return None
            statement, merged = made
            self._store(folder, name, statement)
        except FileNotFoundError:  # only a sealing that went faster deletes what this one reads or writes
            self._remove(name)
            what = (
                f"another process sealed segment {number} of {self._backend.url} first; nothing is lost"
            )
            raise SealedMeanwhile(f"{what}; next: halflife audit seal, once no other runs") from None
        finally:
            if not local:
                shutil.rmtree(parent, ignore_errors=True)
        self._commit(name, statement)
        self._bytes_each = sum(each.size for each in merged) / max(statement.records, 1)
        self._delete([each.key for each in merged])
        for each in merged if kind == RECEIPTS else ():
            forget_prepared(self._backend, each.name)
        return statement

    def _adopted(
        self, folder: Path, kind: str, due: Sequence[UnsealedFile]
    ) -> tuple[SegmentStatement, list[UnsealedFile]] | None:
        """A segment that is a file as its writer prepared it; small ones are rather merged, where there are others."""
        for each in prepared_files(self._backend, due) if kind == RECEIPTS else ():
            if each.statement.records < self._limits.size // _MOST_TIMES and len(due) > 1:
                continue
            statement = each.adopt(folder, self._chain.size + 1, self._now_us())
            if statement is not None:
                return statement, [each.source]
        return None

    def _built(
        self, folder: Path, kind: str, due: Sequence[UnsealedFile]
    ) -> tuple[SegmentBuilder, list[UnsealedFile]] | None:
        """The segment's files but for what `finish` writes; built again without what cannot be sealed."""
        most_rows, careful = _MOST_ROWS, False
        while True:
            attempt = _Attempt(folder, kind, most_rows, careful, self._broken)
            try:
                self._fill(attempt, [each for each in due if each.key not in self._broken])
                if attempt.builder is not None:
                    attempt.builder.end_records()
            except BlockTooLarge as error:
                most_rows = error.rows
                attempt.discard()
                continue
            except BaseException:
                attempt.discard()
                raise
            if not attempt.spoiled:
                return None if attempt.builder is None else (attempt.builder, attempt.merged)
            attempt.discard()
            careful = True

    def _fill(self, attempt: "_Attempt", due: Sequence[UnsealedFile]) -> None:
        for group in gathered(read_sources(self._backend, due), lambda: self._limits.size - attempt.records):
            attempt.take(self._backend, group)
            if attempt.spoiled or attempt.records >= self._limits.size:
                return

    def _store(self, folder: Path, name: str, statement: SegmentStatement) -> None:
        """Makes the files of a segment last; each is complete, and none counts yet."""
        for each in (statement.container, *sorted(set(statement.files) - {statement.container}), STATEMENT):
            key = f"{SEALED}/{name}/{each}"
            if self._backend.root is None:
                self._backend.create(key, folder / each)
            self._changed(key)
        if self._backend.root is not None:
            _names_to_disk(folder, folder.parent, self._backend.root)

    def _commit(self, name: str, statement: SegmentStatement) -> None:
        said = self._chain.following(self._origin, name, leaf_hash(statement.stored()))
        try:
            stored = commit(self._backend, said, self._key)
        except SealedMeanwhile:
            self._remove(name)
            raise
        if self._backend.root is not None:
            committed = self._backend.root / checkpoint_key(said.size)
            with committed.open("rb") as stream:
                os.fsync(stream.fileno())
            _names_to_disk(committed.parent, self._backend.root)
        self._changed(checkpoint_key(said.size))
        self._chain.add(stored)

    def _delete(self, keys: Sequence[str]) -> None:
        if self._backend.root is not None:
            for key in keys:
                self._backend.delete(key)
                self._changed(key)
            return
        with ThreadPoolExecutor(_DELETERS) as deleters:  # each is a request
            for key, _ in zip(keys, deleters.map(self._backend.delete, keys), strict=True):
                self._changed(key)

    def _tidy(self) -> list[str]:
        """Deletes what the last segment was made of, and the folders of segments that lost or were never committed."""
        removed = list[str]()
        if self._chain.size:
            folder = self._chain.folders[-1]
            statement = read_statement(self._backend, folder)
            there = {each.key for each in list_sources(self._backend, statement.kind)}
            removed = [key for key in read_merged(self._backend, folder, statement) if key in there]
            self._delete(removed)
        forget_orphans(self._backend, self._now_us())
        return [*removed, *self._remove_lost()]

    def _remove_lost(self) -> list[str]:
        """Removes segments that were not committed and never can be."""
        removed = list[str]()
        for name in self._backend.folders(SEALED):
            # A segment that comes next may be another process's, which is writing it now.
            if name not in self._chain.folders and name[:8].isdecimal() and int(name[:8]) <= self._chain.size:
                self._remove(name)
                removed.append(f"{SEALED}/{name}")
        return removed

    def _remove(self, name: str) -> None:
        """Removes a segment that is not committed."""
        for key, _ in self._backend.list(f"{SEALED}/{name}"):
            self._backend.delete(key)
        self._backend.delete_empty(f"{SEALED}/{name}")


class _Attempt:
    """A segment that is being filled; `broken` takes why files cannot be sealed, by their keys; `spoiled`: it has
    records of such a file. Once that happened, a `careful` one reads each large file before it adds any of it."""

    def __init__(self, folder: Path, kind: str, most_rows: int, careful: bool, broken: dict[str, str]) -> None:
        self._folder, self._kind, self._most_rows = folder, kind, most_rows
        self._careful, self._broken = careful, broken
        self.builder: SegmentBuilder | None = None
        self._form = ContainerForm("")
        self.merged: list[UnsealedFile] = []
        self.spoiled = False

    @property
    def records(self) -> int:
        """How many are in the segment so far."""
        return 0 if self.builder is None else self.builder.records

    def take(self, backend: Backend, group: Gathered) -> None:
        """Adds files of the segment's form; those of another are left for a later segment."""
        if group.part is not None:
            if self._takes(group.part):
                self._end([source for source, _ in group.files])
            return
        for source, held in group.files:
            before = self.records
            try:
                if all(self._takes(part) for part in self._parts(backend, source, held)):
                    self._end([source])
            except BrokenSource as error:
                self._broken[source.key] = str(error)
                self.spoiled = self.records > before
                if self.spoiled:
                    return

    def _parts(self, backend: Backend, source: UnsealedFile, held: bytes | None) -> Iterable[FilePart]:
        """The records of a file: all of a small one, of a large one as it is read. Raises `BrokenSource`."""
        if held is not None:
            return _of_one_form(parts_of(backend, source, held))
        if self._careful and len({part.form for part in parts_of(backend, source, held)}) > 1:
            raise BrokenSource(_TWO_FORMS)
        return parts_of(backend, source, held)

    def _takes(self, part: FilePart) -> bool:
        """Adds records; False where they are of another form.

        Raises:
            BrokenSource: the form changes within a file.
        """
        if self.builder is None:
            self.builder = SegmentBuilder(self._folder, self._kind, part.form, self._most_rows)
            self._form = part.form
        if part.form != self._form:
            if part.rows.first:
                raise BrokenSource(_TWO_FORMS)
            return False
        self.builder.add(part.rows)
        return True

    def _end(self, sources: Sequence[UnsealedFile]) -> None:
        """All records of these files have been added."""
        if self.builder is not None:
            for source in sources:
                self.builder.end_source(source.name)
            self.merged += sources

    def discard(self) -> None:
        if self.builder is not None:
            self.builder.discard()


def _of_one_form(parts: Iterable[FilePart]) -> list[FilePart]:
    """Raises `BrokenSource`."""
    found = list(parts)
    if any(each.form != found[0].form for each in found):
        raise BrokenSource(_TWO_FORMS)
    return found


def _names_to_disk(*folders: Path) -> None:
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
