"""A segment while it is built: records of many files, as they are stored, in one container with an index."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.index import NAMES, IndexParts, checks_of, prefixes, write_index
from audit.files.merkle import root_of, roots_of_blocks
from audit.files.reading import ReadStretch
from audit.files.segments import (
    INDEX,
    MODELS,
    RECEIPTS,
    SOURCES,
    STATEMENT,
    SUMMARY,
    SegmentStatement,
    fingerprint_of,
)
from audit.files.summaries import SummaryBuilder
from audit.sealing.sources import ContainerForm
from schemas.avro.datums import joined_bytes
from schemas.avro.files import AvroFileWriter, compress_blocks
from schemas.errors import UnusableData
from schemas.native.hashing import bytes_and_offsets, each_of, sha256_each

_BLOCK_BYTES = 128 * 1024
_MOST_ROWS = 1024
_FEW_BLOCKS = 8
_COMPRESSORS = 2
FULL_BYTES = 48 * 1024 * 1024
TIMES: Mapping[str, tuple[str | None, str]] = {RECEIPTS: ("event_time", "scored_at"), MODELS: (None, "at")}


class BlockTooLarge(UnusableData):
    """The records became so large that the segment needs blocks of at most `rows`; it is to be built again."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"blocks are too large; allowed: at most {rows} records")
        self.rows = rows


class HashedStream:
    """A stream that knows the sha256 and the number of all bytes that were written to it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash, self.size = stream, sha256(), 0

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._stream.write(data)

    def sha256(self) -> str:
        return self._hash.hexdigest()


class SegmentBuilder:
    """Writes a segment's files into a folder. Its records share one form; memory: about 50 bytes for each.

    `container`: where its records go instead of that folder; whoever opened it closes it, and blocks are compressed
    by the thread that adds them.
    """

    def __init__(
        self, folder: Path, kind: str, form: ContainerForm, most_rows: int = _MOST_ROWS,
        container: IO[bytes] | None = None,
    ) -> None:  # fmt: skip
        self._folder, self._kind, self._schema = folder, kind, form.schema
        self._own: IO[bytes] | None = None
        if container is None:
            folder.mkdir(parents=True, exist_ok=True)
            container = self._own = (folder / f"{kind}.avro").open("wb")
        self._stream = HashedStream(container)
        self._compressors = 1 if self._own is None else _COMPRESSORS
        self.writer = AvroFileWriter(self._stream, form.schema, metadata=dict(form.origin))
        self._pending: list[pa.Array] = []
        self._pending_rows = 0
        self._block_rows, self._most_rows = 0, most_rows
        self._starts, self._roots = [self._stream.size], list[bytes]()
        self._offsets, self._checks = list[npt.NDArray[np.uint32]](), list[bytes]()
        self._keys: dict[str, list[tuple[Any, Any]]] = {name: [] for name in NAMES} if kind == RECEIPTS else {}
        self._summary = SummaryBuilder() if kind == RECEIPTS else None
        self._spans: list[tuple[int, int] | None] = [None, None]
        self._sources: list[str] = []
        self.records = 0

    def add(self, rows: ReadStretch) -> None:
        """Adds records in order. Raises `BlockTooLarge`."""
        if not rows.columns.num_rows:
            return
        if not self._block_rows:
            self._block_rows = min(_rows_per_block(rows.datums), self._most_rows)
        for name, found in self._keys.items():
            found.append(prefixes(rows.columns.column(name)))
        for index, of in enumerate(TIMES[self._kind]):
            if of is not None:
                self._spans[index] = widened(self._spans[index], rows.columns.column(of))
        if self._summary is not None:
            self._summary.add(rows.columns, self.records, self._block_rows)
        self.records += rows.columns.num_rows
        self._take(rows.datums)

    @property
    def waiting_bytes(self) -> int:
        """Of the records that wait for more to make a block."""
        return sum(int(joined_bytes(each).size) for each in self._pending)

    def end_source(self, name: str) -> None:
        """All records of this file have been added."""
        self._sources.append(name)

    def end_records(self) -> None:
        """All records have been added. Raises `BlockTooLarge`, as `add` does."""
        if self._pending:
            self._write(pa.concat_arrays(self._pending))
            self._pending, self._pending_rows = [], 0

    def finish(self, number: int, sealed_at_us: int) -> SegmentStatement:
        """Completes the files after `end_records`; what they hold is on the disk when this returns."""
        if self._own is None:
            self._folder.mkdir(parents=True, exist_ok=True)
        else:
            _to_disk(self._own)
        parts = IndexParts(
            self._block_rows or 1, self._starts, self._roots, np.concatenate([np.zeros(0, np.uint32), *self._offsets]),
            b"".join(self._checks), {name: joined_keys(found) for name, found in self._keys.items()},
        )  # fmt: skip
        files = {f"{self._kind}.avro": self._stream.sha256(), INDEX: self._write_index(parts)}
        files[SOURCES] = write_file(self._folder / SOURCES, "".join(f"{name}\n" for name in self._sources).encode())
        if self._summary is not None:
            held = BytesIO()
            self._summary.write(held)
            files[SUMMARY] = write_file(self._folder / SUMMARY, held.getvalue())
        statement = self._statement(number, sealed_at_us, files)
        write_file(self._folder / STATEMENT, statement.stored())
        return statement

    def _write_index(self, parts: IndexParts) -> str:
        with (self._folder / INDEX).open("wb") as stream:
            hashed = HashedStream(stream)
            write_index(hashed, parts)
            _to_disk(stream)
        return hashed.sha256()

    def discard(self) -> None:
        """Removes what was written."""
        with suppress(OSError):
            if self._own is not None:
                self._own.close()
        for name in (f"{self._kind}.avro", INDEX, SOURCES, SUMMARY, STATEMENT):
            (self._folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()

    def _statement(self, number: int, sealed_at_us: int, files: Mapping[str, str]) -> SegmentStatement:
        (first_event, last_event), (first_scored, last_scored) = (span or (None, None) for span in self._spans)
        return SegmentStatement(
            number=number,
            kind=self._kind,
            records=self.records,
            block_rows=self._block_rows or 1,
            root=root_of(self._roots).hex(),
            files=files,
            merged=len(self._sources),
            first_event_us=first_event,
            last_event_us=last_event,
            first_scored_us=first_scored,
            last_scored_us=last_scored,
            sealed_at_us=sealed_at_us,
            schema=fingerprint_of(self._schema),
        )

    def _take(self, datums: pa.Array) -> None:
        """Writes whole blocks; only what spans two pieces is copied."""
        first = 0
        if self._pending:
            first = min(self._block_rows - self._pending_rows, len(datums))
            self._pending.append(datums.slice(0, first))
            self._pending_rows += first
            if self._pending_rows < self._block_rows:
                return
            self._write(pa.concat_arrays(self._pending))
        whole = (len(datums) - first) // self._block_rows * self._block_rows
        self._write(datums.slice(first, whole))
        self._pending_rows = len(datums) - first - whole
        # A copy: a few records must not keep the memory of all.
        rest = datums.slice(first + whole).take(pa.array(np.arange(self._pending_rows)))
        self._pending = [rest] if self._pending_rows else []

    def _write(self, datums: pa.Array) -> None:
        """Writes blocks, of which only the last may have fewer records than the others."""
        rows = self._block_rows
        data, ends = bytes_and_offsets(datums)
        begins = np.append(ends[:-1:rows], ends[-1])
        if len(datums) and np.diff(begins).max() > FULL_BYTES and rows > 1:
            raise BlockTooLarge(rows // 2)
        blocks = [data.slice(start, end - start) for start, end in pairwise(begins.tolist())]
        with _compressing(blocks, self._compressors) as compressed:
            hashes = sha256_each(b"\0", data, ends)
            self._roots += each_of(roots_of_blocks(hashes, rows))
            counts = [min(rows, len(datums) - first) for first in range(0, len(datums), rows)]
            sizes = self.writer.write_compressed(counts, list(compressed))
        self._starts += (self._starts[-1] + np.cumsum(sizes, dtype=np.int64)).tolist()
        self._offsets.append((ends[:-1] - np.repeat(begins[:-1], rows)[: len(datums)]).astype(np.uint32))
        self._checks.append(checks_of(hashes))


@contextmanager
def _compressing(blocks: Sequence[pa.Buffer], threads: int) -> Iterator[Iterable[bytes]]:
    """The blocks compressed, many in threads while the caller works."""
    if len(blocks) < _FEW_BLOCKS or threads == 1:
        yield compress_blocks(blocks)
        return
    size = -(-len(blocks) // threads)
    parts = [blocks[first : first + size] for first in range(0, len(blocks), size)]
    with ThreadPoolExecutor(threads, "seal-compress") as compressors:
        yield chain.from_iterable(compressors.map(compress_blocks, parts))


def leaf_hashes(data: Any, offsets: npt.NDArray[np.uint32]) -> bytes:
    """The hash of each datum of a block as a leaf (`merkle.leaf_hash`), back to back; of offsets that no index has been
    written with, hashes of no leaves."""
    ends = np.append(offsets.astype(np.int64), len(data))
    return sha256_each(b"\0", data, np.minimum(np.maximum.accumulate(ends), len(data)))


def _rows_per_block(datums: pa.Array) -> int:
    """A power of two of records, about 128 KiB of those that come first."""
    mean = max(int(joined_bytes(datums).size) // len(datums), 1)
    return 1 << (min(max(_BLOCK_BYTES // mean, 1), _MOST_ROWS).bit_length() - 1)


def joined_keys(found: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    keys = [np.zeros(0, np.uint64), *(keys for keys, _ in found)]
    there = [np.zeros(0, np.bool_), *(there for _, there in found)]
    return np.concatenate(keys), np.concatenate(there)


def widened(span: tuple[int, int] | None, times: pa.Array) -> tuple[int, int] | None:
    """The first and the last of all times so far, and of these, microseconds since 1970; None where there is none."""
    found = pc.min_max(times.cast(pa.int64())).as_py()
    if found["min"] is None:
        return span
    known = (found["min"], found["max"]) if span is None else span
    return min(known[0], found["min"]), max(known[1], found["max"])


def write_file(path: Path, data: bytes) -> str:
    """Writes a file that is on the disk when this returns; its sha256 (hex)."""
    with path.open("wb") as stream:
        stream.write(data)
        _to_disk(stream)
    return sha256(data).hexdigest()


def _to_disk(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
    stream.close()
