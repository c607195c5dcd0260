"""A large file of receipts that is a segment as it stands: while it is written, what sealing would have to find out
again is kept beside it, in `prepared/<its name>`. Sealing then copies nothing, inflates nothing and decodes nothing.

What is there is a segment's own files but for the container: `index`, `summary`, `sources` and `segment.json`. It is no
part of the audit until it is sealed, and whoever seals may leave it: the file alone says the same.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from typing import IO

import pyarrow as pa

from audit.files.formats import problem_of
from audit.files.index import SegmentIndex
from audit.files.reading import ReadStretch
from audit.files.segments import (
    INDEX,
    KINDS,
    MAX_STATEMENT,
    RECEIPTS,
    SOURCES,
    STATEMENT,
    SUMMARY,
    SegmentStatement,
    fingerprint_of,
    parse_statement,
)
from audit.sealing.building import FULL_BYTES, SegmentBuilder, write_file
from audit.sealing.sources import ContainerForm, UnsealedFile, list_sources, written_us
from models.store.backends import Backend
from schemas.avro.datums import joined_bytes
from schemas.avro.files import read_metadata
from schemas.avro.record_datums import encode_records
from schemas.errors import UnusableData

PREPARED = "prepared"
LEAST = 8_192
"""Records that a file has at least to be prepared: many small ones become one segment."""
_AT_ONCE = 8_192

_BESIDE = (INDEX, SOURCES, SUMMARY)
_DAY_US = 86_400_000_000


def prepared_folder(name: str) -> str:
    """Where what is known of a file of receipts lies in an audit, by the file's name."""
    return f"{PREPARED}/{name}"


class PreparingWriter:
    """Writes batches of receipts to a container whose blocks are those of a segment.

    Memory: about 50 bytes for each receipt. What cannot be kept beside the file is left out: sealing then reads it.

    Args:
        stream: of the container.
        audit: the folder of the audit; nothing is there before `close`.
        name: the file's, in the folder of receipts.
        schema: the JSON of `Receipt`.
        metadata: texts for the container's header.
    """

    def __init__(self, stream: IO[bytes], audit: Path, name: str, schema: str, metadata: dict[str, str]) -> None:
        folder, form = audit / prepared_folder(name), ContainerForm(schema, tuple(metadata.items()))
        self._name, self._schema, self._whole = name, schema, True
        self._builder = SegmentBuilder(folder, RECEIPTS, form, container=stream)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends a batch; the last records wait for the next one, or for `close`."""
        datums = encode_records(batch, self._schema)
        for first in range(0, len(datums), _AT_ONCE):
            self._add(batch.slice(first, _AT_ONCE), datums.slice(first, _AT_ONCE))

    def close(self) -> None:
        """All is written to the stream, which stays open."""
        if not self._whole:
            return
        self._builder.end_records()
        if self._builder.records >= LEAST:
            self._builder.end_source(self._name)
            try:
                self._builder.finish(0, 0)
            except OSError:
                with suppress(OSError):  # a full disk: the file itself may still be complete
                    self._builder.discard()

    def _add(self, columns: pa.RecordBatch, datums: pa.Array) -> None:
        size = int(joined_bytes(datums).size)
        if self._whole and self._builder.waiting_bytes + size > FULL_BYTES:  # they may need smaller blocks
            self._builder.end_records()
            self._whole = False
        if self._whole:
            self._builder.add(ReadStretch(columns, datums, self._builder.records))
        else:
            self._builder.writer.write_rows(datums)


class PreparedFile:
    """A file of receipts in a local folder with what its writer knew of it."""

    def __init__(self, backend: Backend, source: UnsealedFile, statement: SegmentStatement) -> None:
        assert backend.root is not None
        self._backend, self.source, self.statement = backend, source, statement
        self._paths = {name: backend.root / prepared_folder(source.name) / name for name in _BESIDE}
        self._paths[statement.container] = backend.root / source.key

    def adopt(self, folder: Path, number: int, sealed_at_us: int) -> SegmentStatement | None:
        """Makes the segment's files in a folder; None where what is there is not what its writer said.

        Each byte is held against the writer's hashes; that what he says of the receipts is true, against them, is for
        `verify`.

        Raises:
            FileNotFoundError: the file is not there any more.
        """
        if not self._is_whole():
            return None
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in self._paths.items():
            _linked(path, folder / name)
        statement = replace(self.statement, number=number, sealed_at_us=sealed_at_us)
        write_file(folder / STATEMENT, statement.stored())
        return statement

    def _is_whole(self) -> bool:
        try:
            found = {name: _sha256_of(path) for name, path in self._paths.items()}
        except FileNotFoundError:
            return False
        return found == self.statement.files and self._names_itself() and self._is_indexed() and self._is_known()

    def _names_itself(self) -> bool:
        return self._paths[SOURCES].read_bytes() == f"{self.source.name}\n".encode()

    def _is_indexed(self) -> bool:
        path = self._paths[INDEX]
        try:
            index = SegmentIndex(lambda start, length: _range(path, start, length))
            last = index.location(index.blocks - 1)
        except UnusableData:
            return False
        whole = (index.rows, index.block_rows) == (self.statement.records, self.statement.block_rows)
        return whole and index.size == path.stat().st_size and last.start + last.size == self.source.size

    def _is_known(self) -> bool:
        """Whether the container has receipts of a form that this Halflife knows, and says so itself."""
        with self._paths[self.statement.container].open("rb") as stream:
            try:
                schema = read_metadata(stream)[b"avro.schema"].decode()
                return not problem_of(schema, KINDS[RECEIPTS]) and fingerprint_of(schema) == self.statement.schema
            except (ValueError, EOFError, OverflowError, LookupError, UnusableData):
                return False


def prepared_files(backend: Backend, sources: Sequence[UnsealedFile]) -> list[PreparedFile]:
    """Those of some files of receipts in a local folder that were prepared, in order."""
    if backend.root is None or not (backend.root / PREPARED).is_dir():
        return []
    there = set(backend.folders(PREPARED))
    read = [(each, backend.read(f"{prepared_folder(each.name)}/{STATEMENT}", MAX_STATEMENT))
            for each in sources if each.name in there]  # fmt: skip
    found = list[PreparedFile]()
    for source, data in read:
        with suppress(UnusableData):
            statement = None if data is None else parse_statement(data)
            if statement is not None and (statement.kind, statement.merged) == (RECEIPTS, 1) and statement.summarised:
                found.append(PreparedFile(backend, source, statement))
    return found


def forget_prepared(backend: Backend, name: str) -> None:
    """Removes what was kept of a file of receipts, which is sealed."""
    if backend.root is not None and (backend.root / PREPARED / name).is_dir():
        for key, _ in backend.list(prepared_folder(name)):
            backend.delete(key)
        backend.delete_empty(prepared_folder(name))


def forget_orphans(backend: Backend, now_us: int) -> None:
    """Removes what was kept of files that are not there: sealed already, or never complete, since the process that
    wrote them ended. One that is young may be about to appear."""
    if backend.root is None or not (backend.root / PREPARED).is_dir():
        return
    names = {each.name for each in list_sources(backend, RECEIPTS)}
    for name in set(backend.folders(PREPARED)) - names:
        if now_us - written_us(name, now_us) > _DAY_US:
            forget_prepared(backend, name)


def _linked(path: Path, to: Path) -> None:
    """The same file under another name: what is sealed is never written again. A copy where there are no such names."""
    try:
        os.link(path, to)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, to)
    with to.open("rb") as stream:
        os.fsync(stream.fileno())


def _sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _range(path: Path, start: int, length: int) -> bytes:
    if length > path.stat().st_size:
        return b""  # a damaged number must not reserve memory for it
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(length)
