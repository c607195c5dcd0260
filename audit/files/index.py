"""The index of a sealed segment: where each receipt lies, and which have a `score_id`, an `event_id` or a subject.

The file, all numbers little-endian: 16 bytes of magic and the size of a header in JSON, padded to 4,096; then for each
block its offset in the container, with the end of the last (u64), and its root (32 bytes); for each receipt its offset
within its inflated block, and the first four bytes of its leaf's hash, by which an altered one is found (u32 each); and
for each name the first 8 bytes of the sha256 of each value, ascending (u64), with the receipt's index (u32), and where
among these the values begin whose first `bits` bits are 0, 1, … (u32). A look-up reads three short ranges.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.files.merkle import HASH_BYTES
from models.strict_json import parse_object
from schemas.avro.files import Writable
from schemas.errors import UnusableData
from schemas.native.hashing import bytes_and_offsets, order_of, sha256_each

NAMES = ("score_id", "event_id", "subject")
_MAGIC = b"HLAUDIT1"
_HEAD_BYTES = 4096
_BUCKET = 64  # values that share a beginning, on average
_MOST_BITS = 24
_MOST_ROWS = 2**31
Bytes = Callable[[int, int], bytes]
"""Reads a range of the index: from an offset on, so many bytes."""


class UnusableIndex(UnusableData):
    """An index that contradicts itself, or is not one."""


class BlockLocation(NamedTuple):
    """Where receipts lie: their block's offset and size in the container, the block's first receipt, the receipts in
    it, and each one's offset within the inflated block."""

    start: int
    size: int
    first: int
    offsets: npt.NDArray[np.uint32]


def prefix_of(value: str) -> int:
    """The first 8 bytes of the sha256 of a value.

    >>> hex(prefix_of("N14228"))
    '0xb54635a3f9c69c3b'
    """
    return int.from_bytes(sha256(value.encode()).digest()[:8], "big")


def prefixes(column: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """The prefix of each text of a column, and which are there."""
    hashes = sha256_each(b"", *bytes_and_offsets(column))
    found = np.frombuffer(hashes, ">u8").reshape(-1, HASH_BYTES // 8)[:, 0].astype(np.uint64)
    return found, np.asarray(column.is_valid())


class IndexParts(NamedTuple):
    """What an index is written of; `keys`: for each name the prefixes of all receipts and which have a value."""

    block_rows: int
    starts: Sequence[int]
    roots: Sequence[bytes]
    offsets: npt.NDArray[np.uint32]
    checks: bytes
    keys: Mapping[str, tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]]


def write_index(stream: Writable, parts: IndexParts) -> None:
    """Writes the index of a segment."""
    sections, tables = list[Any](), dict[str, Any]()
    sections += [np.asarray(parts.starts, "<u8"), b"".join(parts.roots), parts.offsets.astype("<u4"), parts.checks]
    for name, (keys, there) in parts.keys.items():
        rows = np.flatnonzero(there).astype("<u4")
        chosen = keys[there]
        order = order_of(chosen)
        ordered = chosen[order]
        bits = _bits(len(ordered))
        sections += [_fences(ordered, bits), ordered.astype("<u8"), rows[order]]
        tables[name] = {"rows": len(ordered), "bits": bits}
    header = {"rows": len(parts.offsets), "block_rows": parts.block_rows, "tables": tables}
    stated = json.dumps(header, sort_keys=True).encode()
    head = _MAGIC + len(stated).to_bytes(8, "little") + stated
    stream.write(head.ljust(_HEAD_BYTES, b"\0"))
    for section in sections:
        stream.write(section if isinstance(section, bytes) else section.tobytes())


def _fences(ordered: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint32]:
    """Where the values begin whose leading bits are 0, 1, …, and their number."""
    beginnings = np.arange(2**bits, dtype=np.uint64) << np.uint64(64 - bits)
    found: npt.NDArray[np.uint32] = np.append(np.searchsorted(ordered, beginnings), len(ordered)).astype("<u4")
    return found


def _bits(rows: int) -> int:
    """How many leading bits of a prefix say where in the table it is looked for."""
    return min(max((rows // _BUCKET).bit_length(), 1), _MOST_BITS)


class SegmentIndex:
    """An index that is read by ranges.

    Raises:
        UnusableIndex: it is none.
    """

    def __init__(self, read: Bytes) -> None:
        self._read = read
        self._held: tuple[Any, Any] | None = None
        try:
            head = read(0, _HEAD_BYTES)
            size = int.from_bytes(head[8:16], "little")
            if head[:8] != _MAGIC or not 0 < size <= _HEAD_BYTES - 16:
                raise UnusableIndex(f"it begins with {head[:8]!r}; expected: {_MAGIC!r}")
            self._lay_out(parse_object(head[16 : 16 + size]))
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableIndex(f"its header cannot be read: {error}; expected: an index of Halflife") from None

    def _lay_out(self, header: Mapping[str, Any]) -> None:
        """Where its parts begin."""
        self.rows = _whole(header["rows"], 1)
        self.block_rows = _whole(header["block_rows"], 1)
        self.blocks = -(-self.rows // self.block_rows)
        self._starts = _HEAD_BYTES
        self._roots = self._starts + 8 * (self.blocks + 1)
        self._offsets = self._roots + HASH_BYTES * self.blocks
        self._checks = self._offsets + 4 * self.rows
        at, self._tables = self._checks + 4 * self.rows, dict[str, tuple[int, int, int]]()
        for name in (name for name in NAMES if name in header["tables"]):
            rows, bits = _whole(header["tables"][name]["rows"], 0), _whole(header["tables"][name]["bits"], 1)
            if bits > _MOST_BITS or rows > self.rows:
                raise UnusableIndex(f"a table of {rows} rows and {bits} bits; expected: one that was written")
            self._tables[name] = (at, rows, bits)
            at += 4 * (2**bits + 1) + 12 * rows
        self.size = at

    def find(self, name: str, value: str) -> list[int]:
        """The indexes of the receipts that may have this value of `score_id`, `event_id` or `subject`, ascending; the
        receipts themselves tell whether they have."""
        if name not in self._tables:
            return []
        at, rows, bits = self._tables[name]
        wanted = prefix_of(value)
        bucket = wanted >> (64 - bits)
        first, last = self._numbers(at + 4 * bucket, 2, "<u4").tolist()
        if not 0 <= first <= last <= rows:
            raise UnusableIndex(f"values {first} to {last} of {rows}; expected: ascending ones")
        at += 4 * (2**bits + 1)
        keys = self._numbers(at + 8 * first, last - first, "<u8")
        left, right = (
            np.searchsorted(keys, np.uint64(wanted), "left"),
            np.searchsorted(keys, np.uint64(wanted), "right"),
        )
        found = self._numbers(at + 8 * rows + 4 * (first + int(left)), int(right - left), "<u4")
        if len(found) and int(found.max()) >= self.rows:
            raise UnusableIndex(f"receipt {int(found.max())} of {self.rows}; expected: one that is there")
        return sorted(found.tolist())

    def location(self, block: int) -> BlockLocation:
        """Where the receipts of a block lie, by its index."""
        first, count = block * self.block_rows, min(self.block_rows, self.rows - block * self.block_rows)
        if self._held is None:
            starts = self._numbers(self._starts + 8 * block, 2, "<u8")
            offsets = self._numbers(self._offsets + 4 * first, count, "<u4")
        else:
            starts, offsets = self._held[0][block : block + 2], self._held[1][first : first + count]
        return BlockLocation(int(starts[0]), int(starts[1]) - int(starts[0]), first, offsets)

    def hold(self) -> None:
        """Reads where all receipts lie, four bytes for each: for whoever asks for many blocks."""
        self._held = self._numbers(self._starts, self.blocks + 1, "<u8"), self._numbers(self._offsets, self.rows, "<u4")

    def roots(self) -> list[bytes]:
        """The root of each block."""
        held = self._bytes(self._roots, HASH_BYTES * self.blocks)
        return [held[at : at + HASH_BYTES] for at in range(0, len(held), HASH_BYTES)]

    def checks(self, block: int) -> npt.NDArray[np.uint32]:
        """The first four bytes of the hash of each leaf of a block, as numbers."""
        first = block * self.block_rows
        found: npt.NDArray[np.uint32] = self._numbers(
            self._checks + 4 * first, min(self.block_rows, self.rows - first), "<u4"
        )
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it can be asked for."""
        return tuple(self._tables)

    def is_fenced(self, name: str) -> bool:
        """Whether what says where values begin, by their leading bits, is so."""
        at, _, bits = self._tables[name]
        return bool(np.array_equal(self._numbers(at, 2**bits + 1, "<u4"), _fences(self.ordered(name), bits)))

    def ordered(self, name: str) -> npt.NDArray[np.uint64]:
        """All prefixes of a name, ascending."""
        if name not in self._tables:
            return np.zeros(0, np.uint64)
        at, rows, bits = self._tables[name]
        found: npt.NDArray[np.uint64] = self._numbers(at + 4 * (2**bits + 1), rows, "<u8")
        return found

    def keys(self, name: str) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """All prefixes of a name, ascending, with the index of the receipt of each."""
        if name not in self._tables:
            return np.zeros(0, np.uint64), np.zeros(0, np.uint32)
        at, rows, bits = self._tables[name]
        at += 4 * (2**bits + 1)
        found = self._numbers(at + 8 * rows, rows, "<u4")
        if len(found) and int(found.max()) >= self.rows:
            raise UnusableIndex(f"receipt {int(found.max())} of {self.rows}; expected: one that is there")
        return self._numbers(at, rows, "<u8"), found

    def _numbers(self, at: int, count: int, kind: str) -> Any:
        width = np.dtype(kind).itemsize
        return np.frombuffer(self._bytes(at, count * width), kind)

    def _bytes(self, at: int, size: int) -> bytes:
        found = self._read(at, size)
        if size < 0 or len(found) != size:
            raise UnusableIndex(f"it ends at byte {at + len(found)}; expected: {self.size} bytes")
        return found


def _whole(value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _MOST_ROWS:
        raise UnusableIndex(f"a number {value!r:.40} in its header; expected: one from {least} on")
    return value


def checks_of(hashes: bytes) -> bytes:
    """What an index keeps of the hashes of leaves, which are back to back."""
    return np.frombuffer(hashes, f"V{HASH_BYTES}").view("V4").reshape(-1, HASH_BYTES // 4)[:, 0].tobytes()
