"""Sealed segments, read by their indexes: a look-up reads a few short ranges of each."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.chain import read_folders, read_merged, read_statement
from audit.files.index import BlockLocation, SegmentIndex, UnusableIndex
from audit.files.reading import ReadStretch
from audit.files.segments import INDEX, RECEIPTS, SEALED, SOURCES, SUMMARY, SegmentStatement, UnusableSegment
from audit.files.summaries import parse_summary
from models.store.backends import Backend
from schemas.avro.block_codecs import inflate
from schemas.avro.datums import decode_block
from schemas.avro.files import read_metadata
from schemas.avro.values import DamagedDatum, read_long
from schemas.errors import UnusableData
from schemas.formats.raw import DecodedRows

_SYNC_BYTES = 16
_READERS = 4
_MANY_BLOCKS = 16
_LARGE = 1024 * 1024
_FRAMING = (ValueError, IndexError, EOFError, OverflowError, DamagedDatum)


class RecordsExpired(UnusableData):
    """The records of a segment were dropped by `halflife audit expire`; what it says of itself is kept."""


class StoredBlock(NamedTuple):
    """The records of a block back to back, and the offset at which each begins."""

    data: bytes
    location: BlockLocation

    def datum(self, row: int) -> bytes:
        """The bytes of a record by its index in the segment."""
        index, offsets = row - self.location.first, self.location.offsets
        end = int(offsets[index + 1]) if index + 1 < len(offsets) else len(self.data)
        return self.data[int(offsets[index]) : end]


class FoundRecords(NamedTuple):
    """Records of a segment as columns, each as it is stored, and the index of each in the segment."""

    columns: pa.RecordBatch
    datums: pa.Array
    indexes: list[int]


class SealedSegment:
    """A sealed segment; every method raises `StoreUnavailable` where the store does not answer.

    Args:
        backend: the audit.
        folder: the segment's, below `sealed/`.
        statement: what it says of itself; None: it is read.

    Raises:
        UnusableSegment: its statement is missing or cannot be read.
    """

    def __init__(self, backend: Backend, folder: str, statement: SegmentStatement | None = None) -> None:
        self._backend, self.folder = backend, folder
        self.statement = statement or read_statement(backend, folder)
        self.file = f"{SEALED}/{folder}/{self.statement.container}"

    def key(self, name: str) -> str:
        """The key of one of its files."""
        return f"{SEALED}/{self.folder}/{name}"

    @cached_property
    def index(self) -> SegmentIndex:
        """Raises `UnusableIndex`, and `RecordsExpired` where the records were dropped."""
        key = self.key(INDEX)

        def read(start: int, length: int) -> bytes:
            if length > _LARGE and start + length > (self._backend.size(key) or 0):
                return b""  # a damaged number must not reserve memory for it
            try:
                return self._backend.read_range(key, start, length)
            except FileNotFoundError:
                raise self._absent(INDEX) from None

        found = SegmentIndex(read)
        if (found.rows, found.block_rows) != (self.statement.records, self.statement.block_rows):
            raise UnusableIndex(f"it has {found.rows} records; expected: {self.statement.records}")
        return found

    @cached_property
    def schema(self) -> str:
        """The text of the container's schema. Raises `UnusableSegment`, and `RecordsExpired`."""
        header = self._range(0, self.index.location(0).start)
        try:
            return read_metadata(BytesIO(header))[b"avro.schema"].decode()
        except (ValueError, EOFError, OverflowError, KeyError) as error:
            raise UnusableSegment(f"{self.file} has no header that can be read: {error}") from None

    @cached_property
    def summary(self) -> pa.Table:
        """Its summary, where `statement.summarised`. Raises `UnusableSegment`."""
        try:
            data = b"".join(self._backend.stream(self.key(SUMMARY)))
        except FileNotFoundError:
            return parse_summary(None, self.statement)
        return parse_summary(data, self.statement)

    def find(self, name: str, value: str) -> FoundRecords | None:
        """The records with this value, None where there is none.

        Raises:
            UnusableIndex, UnusableSegment: it is damaged where the records lie.
            RecordsExpired: its records were dropped.
        """
        rows = self.index.find(name, value)
        if not rows:
            return None
        datums = self.datums(rows)
        found = self._decoded(b"".join(datums), len(datums), datums=True)
        indexes = pc.indices_nonzero(pc.fill_null(pc.equal(found.rows.column(name), value), False))
        if len(indexes) == len(rows):
            return FoundRecords(found.rows, found.payloads, rows)
        own = [rows[index] for index in indexes.to_pylist()]
        return FoundRecords(found.rows.take(indexes), found.payloads.take(indexes), own) if own else None

    def records(self, rows: Sequence[int]) -> Iterator[ReadStretch]:
        """The records of these indexes, one each. Raises as `find`."""
        datums = self.datums(rows)
        if not datums:
            return
        found = self._decoded(b"".join(datums), len(datums), datums=True)
        for number, row in enumerate(rows):
            yield ReadStretch(found.rows.slice(number, 1), found.payloads.slice(number, 1), row)

    def datums(self, rows: Sequence[int]) -> list[bytes]:
        """The stored bytes of the records of these indexes. Raises as `find`."""
        by_block = defaultdict[int, list[int]](list)
        for row in rows:
            by_block[row // self.index.block_rows].append(row)
        if len(by_block) > _MANY_BLOCKS:
            self.index.hold()
        blocks, each = list(by_block.items()), max(1, min(_MANY_BLOCKS, len(by_block) // _READERS))
        parts = [blocks[first : first + each] for first in range(0, len(blocks), each)]
        with ThreadPoolExecutor(_READERS) as readers:
            found = {row: datum for part in readers.map(self._datums_of, parts) for row, datum in part}
        return [found[row] for row in rows]

    def _datums_of(self, blocks: Sequence[tuple[int, Sequence[int]]]) -> list[tuple[int, bytes]]:
        """Some records of each of these blocks; of these only one is held at a time."""
        found = list[tuple[int, bytes]]()
        for number, rows in blocks:
            block = self.block(number)
            found += [(row, block.datum(row)) for row in rows]
        return found

    def block(self, block: int) -> StoredBlock:
        """The records of a block by its index. Raises as `find`."""
        return self._stored_block(block)[1]

    def _stored_block(self, block: int) -> tuple[bytes, StoredBlock]:
        location = self.index.location(block)
        stored = self._range(location.start, location.size)
        return stored, StoredBlock(self._inflated(stored, location), location)

    def stored_blocks(self) -> Iterator[tuple[bytes, StoredBlock]]:
        """All blocks in order, each also as it is stored; the next is read meanwhile. Raises as `find`."""
        self.index.hold()
        with ThreadPoolExecutor(1) as reader:
            following = reader.submit(self._stored_block, 0) if self.index.blocks else None
            for number in range(1, self.index.blocks + 1):
                assert following is not None
                found = following.result()
                following = reader.submit(self._stored_block, number) if number < self.index.blocks else None
                yield found

    def blocks(self) -> Iterator[StoredBlock]:
        """All blocks in order. Raises as `find`."""
        for _, block in self.stored_blocks():
            yield block

    def stretches(self) -> Iterator[ReadStretch]:
        """All records in order as columns, without their datums. Raises as `find`."""
        for block in self.blocks():
            found = self._decoded(block.data, len(block.location.offsets))
            yield ReadStretch(found.rows, found.payloads, block.location.first)

    def in_blocks(self, blocks: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """All records of these blocks, by their indexes. Raises as `find`."""
        for some in self._some_at_once(blocks):
            count = sum(len(block.location.offsets) for block in some)
            yield self._decoded(b"".join([block.data for block in some]), count).rows

    def at_rows(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """The records of these indexes, ascending; as `records`, for many of them. Raises as `find`."""
        by_block = defaultdict[int, list[int]](list)
        for row in rows:
            by_block[row // self.index.block_rows].append(row)
        for some in self._some_at_once(list(by_block)):
            wanted = [(block, by_block[block.location.first // self.index.block_rows]) for block in some]
            datums = [block.datum(row) for block, within in wanted for row in within]
            yield self._decoded(b"".join(datums), len(datums)).rows

    def _some_at_once(self, blocks: Sequence[int]) -> Iterator[list[StoredBlock]]:
        if len(blocks) > _MANY_BLOCKS:
            self.index.hold()
        with ThreadPoolExecutor(_READERS) as readers:
            for first in range(0, len(blocks), _MANY_BLOCKS):
                yield list(readers.map(self.block, blocks[first : first + _MANY_BLOCKS]))

    def _decoded(self, data: bytes, count: int, datums: bool = False) -> DecodedRows:
        found = decode_block(data, count, self.schema, payloads=datums)
        if found.unreadable or len(found.rows) != count:
            raise UnusableSegment(f"{self.file}: a record of it cannot be read; next: halflife audit verify")
        return found

    def _inflated(self, stored: bytes, location: BlockLocation) -> bytes:
        try:
            count, at = read_long(stored, 0)
            size, at = read_long(stored, at)
            if count != len(location.offsets) or at + size + _SYNC_BYTES != len(stored):
                raise ValueError(f"{count} records in {size} bytes; expected: {len(location.offsets)}")
            data = inflate("zstandard", stored[at : at + size])
            offsets = location.offsets
            if len(offsets) and (
                int(offsets[-1]) >= len(data) or offsets[0] or bool(np.any(offsets[1:] <= offsets[:-1]))
            ):
                raise ValueError("its index says other lengths")
        except _FRAMING as error:
            first, last = location.first, location.first + len(location.offsets) - 1
            raise UnusableSegment(f"{self.file}: records {first} to {last} cannot be read: {error}") from None
        return data

    def _range(self, start: int, length: int) -> bytes:
        try:
            return self._backend.read_range(self.file, start, length)
        except FileNotFoundError:
            raise self._absent(self.statement.container) from None

    def _absent(self, name: str) -> UnusableData:
        if not any(self._backend.size(self.key(each)) for each in (INDEX, self.statement.container)):
            return RecordsExpired(
                f"segment {self.statement.number} has no records any more; expected: halflife audit expire"
            )
        return UnusableSegment(f"{self.key(name)} is missing; next: halflife audit verify")


class SealedFiles:
    """The sealed segments of an audit, as its checkpoints say. Nothing is verified; `broken`: why each segment or
    checkpoint cannot be read, by its key; those whose records expired are none of them.

    Args:
        backend: the audit.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._folders: dict[int, str] = {}
        self._segments: dict[int, SealedSegment] = {}
        self.broken: dict[str, str] = {}

    def refresh(self) -> list[SealedSegment]:
        """The segments that are sealed by now, in order. A checkpoint that cannot be read hides its own alone.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        new = read_folders(self._backend, self._folders, self.broken)
        with ThreadPoolExecutor(_READERS) as readers:
            for number, found in zip(new, readers.map(self._opened, new.values()), strict=True):
                if isinstance(found, SealedSegment):
                    self._segments[number] = found
                else:
                    self.broken[f"{SEALED}/{new[number]}"] = str(found)
        self._folders |= new
        return [self._segments[number] for number in sorted(self._segments)]

    def _opened(self, folder: str) -> SealedSegment | UnusableSegment:
        try:
            return SealedSegment(self._backend, folder)
        except UnusableSegment as error:
            return error

    def find(self, name: str, value: str) -> Iterator[tuple[SealedSegment, FoundRecords]]:
        """The receipts with this `score_id`, `event_id` or subject, by their segment. Raises as `refresh`."""
        for segment in self.refresh():
            if segment.statement.kind != RECEIPTS:
                continue
            try:
                found = segment.find(name, value)
            except RecordsExpired:
                continue
            except UnusableData as error:
                self.broken[segment.file] = str(error)
                continue
            if found is not None:
                yield segment, found

    def merged(self) -> frozenset[str]:
        """The keys of the files that the last segment was made of, which a killed sealing may have left: all earlier
        ones were deleted before it was sealed. Raises as `refresh`."""
        self.refresh()
        last = self._segments.get(max(self._folders, default=0))
        if last is None:
            return frozenset()
        try:
            return frozenset(read_merged(self._backend, last.folder, last.statement))
        except UnusableSegment as error:
            self.broken[last.key(SOURCES)] = str(error)
            return frozenset()
