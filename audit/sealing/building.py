"""A segment while it is built: records of many files, as they are stored, in one container with an index."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.index import NAMES, IndexParts, checks_of, prefixes, write_index
from audit.files.merkle import root_of, root_of_all
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
from schemas.native.hashing import HASH_BYTES, bytes_and_offsets, sha256_each

_BLOCK_BYTES = 128 * 1024
_MOST_ROWS = 1024
_FEW_BLOCKS = 8
_COMPRESSORS = 2
_FULL_BYTES = 48 * 1024 * 1024
_TIMES: Mapping[str, tuple[str | None, str]] = {RECEIPTS: ("event_time", "scored_at"), MODELS: (None, "at")}


class BlockTooLarge(UnusableData):
    """The records became so large that the segment needs blocks of at most `rows`; it is to be built again."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"blocks are too large; allowed: at most {rows} records")
        self.rows = rows


class SegmentBuilder:
    """Writes a segment's files into a folder. Its records share one form; memory: about 50 bytes for each."""

    def __init__(self, folder: Path, kind: str, form: ContainerForm, most_rows: int = _MOST_ROWS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._kind, self._schema = folder, kind, form.schema
        self._stream: IO[bytes] = (folder / f"{kind}.avro").open("wb")
        self._writer = AvroFileWriter(self._stream, form.schema, metadata=dict(form.origin))
        self._pending: list[pa.Array] = []
        self._pending_rows = 0
        self._block_rows, self._most_rows = 0, most_rows
        self._starts, self._roots = [self._stream.tell()], list[bytes]()
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
        for index, of in enumerate(_TIMES[self._kind]):
            if of is not None:
                self._spans[index] = _widened(self._spans[index], rows.columns.column(of))
        if self._summary is not None:
            self._summary.add(rows.columns, self.records, self._block_rows)
        self.records += rows.columns.num_rows
        self._take(rows.datums)

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
        _to_disk(self._stream)
        parts = IndexParts(
            self._block_rows or 1, self._starts, self._roots, np.concatenate([np.zeros(0, np.uint32), *self._offsets]),
            b"".join(self._checks), {name: _joined(found) for name, found in self._keys.items()},
        )  # fmt: skip
        with (self._folder / INDEX).open("wb") as stream:
            write_index(stream, parts)
            _to_disk(stream)
        with (self._folder / SOURCES).open("wb") as stream:
            stream.write("".join(f"{name}\n" for name in self._sources).encode())
            _to_disk(stream)
        if self._summary is not None:
            with (self._folder / SUMMARY).open("wb") as stream:
                self._summary.write(stream)
                _to_disk(stream)
        statement = self._statement(number, sealed_at_us)
        with (self._folder / STATEMENT).open("wb") as stream:
            stream.write(statement.stored())
            _to_disk(stream)
        return statement

    def discard(self) -> None:
        """Removes what was written."""
        with suppress(OSError):
            self._stream.close()
        for name in (f"{self._kind}.avro", INDEX, SOURCES, SUMMARY, STATEMENT):
            (self._folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()

    def _statement(self, number: int, sealed_at_us: int) -> SegmentStatement:
        names = (f"{self._kind}.avro", INDEX, SOURCES, *([SUMMARY] if self._summary is not None else []))
        (first_event, last_event), (first_scored, last_scored) = (span or (None, None) for span in self._spans)
        return SegmentStatement(
            number=number,
            kind=self._kind,
            records=self.records,
            block_rows=self._block_rows or 1,
            root=root_of(self._roots).hex(),
            files={name: _sha256_of(self._folder / name) for name in names},
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
        if len(datums) and np.diff(begins).max() > _FULL_BYTES and rows > 1:
            raise BlockTooLarge(rows // 2)
        blocks = [data.slice(start, end - start) for start, end in pairwise(begins.tolist())]
        with _compressing(blocks) as compressed:
            hashes = sha256_each(b"\0", data, ends)
            for first, block in zip(range(0, len(datums), rows), compressed, strict=True):
                count = min(rows, len(datums) - first)
                self._writer.write_compressed(count, block)
                self._starts.append(self._stream.tell())
                self._roots.append(root_of_all(hashes[HASH_BYTES * first : HASH_BYTES * (first + count)]))
        self._offsets.append((ends[:-1] - np.repeat(begins[:-1], rows)[: len(datums)]).astype(np.uint32))
        self._checks.append(checks_of(hashes))


@contextmanager
def _compressing(blocks: Sequence[pa.Buffer]) -> Iterator[Iterable[bytes]]:
    """The blocks compressed, many in threads while the caller works."""
    if len(blocks) < _FEW_BLOCKS:
        yield compress_blocks(blocks)
        return
    size = -(-len(blocks) // _COMPRESSORS)
    parts = [blocks[first : first + size] for first in range(0, len(blocks), size)]
    with ThreadPoolExecutor(_COMPRESSORS, "seal-compress") as compressors:
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


def _joined(found: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    keys = [np.zeros(0, np.uint64), *(keys for keys, _ in found)]
    there = [np.zeros(0, np.bool_), *(there for _, there in found)]
    return np.concatenate(keys), np.concatenate(there)


def _widened(span: tuple[int, int] | None, times: pa.Array) -> tuple[int, int] | None:
    found = pc.min_max(times.cast(pa.int64())).as_py()
    if found["min"] is None:
        return span
    known = (found["min"], found["max"]) if span is None else span
    return min(known[0], found["min"]), max(known[1], found["max"])


def _sha256_of(path: Path) -> str:
    import hashlib

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _to_disk(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
    stream.close()
