"""Avro container files as blocks: read with damage isolated, written from columns."""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import fastavro
import pyarrow as pa
from backports import zstd

from schemas.avro.block_codecs import MAX_INFLATED_BYTES, inflate
from schemas.avro.columns import affordable_bytes
from schemas.avro.datums import joined_bytes, zigzag_varint
from schemas.avro.record_datums import encode_records
from schemas.avro.schema import vetted
from schemas.formats.byte_windows import ByteWindow, Readable
from schemas.reasons import of_error

_MAGIC = b"Obj\x01"
_MOST_WORDS = 200
_SYNC_SIZE = 16
_HEADER_BYTES = 64 * 1024 * 1024
_JOINED_BYTES = 64 * 1024 * 1024
MAX_RECORDS = 4 * 1024 * 1024
"""Records that a container block may hold."""
DAMAGE_BYTES = 16 * 1024 * 1024
"""How many bytes of a damaged stretch are kept for its dead letter."""


BLOCK_BYTES = 16 * 1024 * 1024
"""About how many bytes a block has at most that is written here: whoever decodes it needs memory for all of it."""


class AvroBlocks(NamedTuple):
    """Consecutive blocks of one container file, decompressed and joined.

    `data` holds `datums` records of `schema` (JSON); `parts` has the (datums, bytes) of each block. A damaged stretch
    has no datums, its bytes as in the file in `data` (the first `DAMAGE_BYTES`), and `error`.
    """

    schema: str
    datums: int
    data: bytes
    offset: int
    error: str
    parts: tuple[tuple[int, int], ...] = ()


def read_blocks(stream: Readable, target_records: int = 65_536) -> Iterator[AvroBlocks]:
    """The blocks of a container file, joined up to about `target_records` records or 64 MiB each.

    After damage, reading continues at the next sync marker. An empty file has no blocks. Never raises for bad data:
    damage is yielded as an `AvroBlocks` with `error` set and the original bytes in `data`. Memory: a block, and the
    blocks being joined.
    """
    return ContainerReader().blocks(stream, target_records)


class ContainerHeader(NamedTuple):
    """The schema (JSON) and the codec of a container, and how many bytes come before its sync marker."""

    schema: str
    codec: str
    length: int


def read_header(held: bytes) -> ContainerHeader | None:
    """The header of a container; None where it cannot be read."""
    reader, window = ContainerReader(), ByteWindow(io.BytesIO(held))
    try:
        return reader.header(window)
    except _UNREADABLE:
        return None


def read_metadata(stream: Readable) -> dict[bytes, bytes]:
    """The metadata in the header of a container file; its schema is not parsed.

    Raises:
        EOFError, ValueError, OverflowError: it is not a container file.
    """
    return _metadata(ByteWindow(stream))


def _metadata(window: ByteWindow) -> dict[bytes, bytes]:
    if window.take(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not begin with 'Obj' and 1")
    metadata = dict[bytes, bytes]()
    while count := window.long():
        if count < 0:
            window.long()
        for _ in range(abs(count)):
            key = window.take(_bounded(window.long(), _HEADER_BYTES))
            metadata[key] = window.take(_bounded(window.long(), _HEADER_BYTES))
    return metadata


class ContainerReader:
    """Reads one container file, as a whole or by the stretches between damage."""

    def __init__(self) -> None:
        self._schema, self._codec, self._sync = "", "null", b""
        self._at = 0

    def blocks(self, stream: Readable, target_records: int = 65_536) -> Iterator[AvroBlocks]:
        """The blocks of the file, or of its next stretch; as `read_blocks`."""
        window = ByteWindow(stream, self._at)
        if not window.need(1):
            return
        if not self._sync or window.peek(len(_MAGIC)) == _MAGIC:
            try:
                self.header(window)
            except _UNREADABLE as problem:
                skipped = window.skip_past(self._sync, DAMAGE_BYTES) if self._sync else window.skip(_ALL, DAMAGE_BYTES)
                why = of_error(problem, most=_MOST_WORDS)
                yield AvroBlocks("", 0, skipped.head, self._at, f"not an Avro container file: {why}")
                if not self._sync:
                    self._at = window.at
                    return
        elif self._at:
            yield self._damage(window, "it begins within data that could not be read")
        while window.need(1):
            yield from self._intact(window, target_records)
        self._at = window.at

    def header(self, window: ByteWindow) -> ContainerHeader:
        """Commits if all of it is valid. Raises the errors in `_UNREADABLE`."""
        metadata = _metadata(window)
        sync = window.take(_SYNC_SIZE)
        schema = metadata[b"avro.schema"].decode()
        vetted(schema)
        self._schema, self._codec = schema, metadata.get(b"avro.codec", b"null").decode() or "null"
        self._sync = sync
        window.commit()
        return ContainerHeader(self._schema, self._codec, window.at - _SYNC_SIZE)

    def _intact(self, window: ByteWindow, target: int) -> Iterator[AvroBlocks]:
        """Joined blocks up to this many records, and the damage after them if there is any."""
        found, count, size, why = list[tuple[int, int, bytes]](), 0, 0, ""
        while not why and count < target and size < _JOINED_BYTES and window.need(1):
            start = window.at
            try:
                records, datums = self._block(window)
            except _UNREADABLE as problem:
                why = of_error(problem, most=_MOST_WORDS)
                continue
            found.append((start, records, datums))
            count, size = count + records, size + len(datums)
        yield from self._joined(found)
        if why:
            yield self._damage(window, why)

    def _joined(self, found: list[tuple[int, int, bytes]]) -> Iterator[AvroBlocks]:
        """Blocks (offset, records, datums) end to end, but no more of them than can be decoded at once."""
        most, at = affordable_bytes(vetted(self._schema)) if found else 0, 0
        while at < len(found):
            end, size = at + 1, len(found[at][2])
            while end < len(found) and size + len(found[end][2]) <= most:
                size += len(found[end][2])
                end += 1
            own, at = found[at:end], end
            parts = tuple((records, len(datums)) for _, records, datums in own)
            if count := sum(records for records, _ in parts):
                yield AvroBlocks(self._schema, count, b"".join(each for *_, each in own), own[0][0], "", parts)

    def _block(self, window: ByteWindow) -> tuple[int, bytes]:
        """The number of records of the next block, and its datums; commits. Raises what is in `_UNREADABLE`."""
        records = window.long()
        stored = window.take(_bounded(window.long(), MAX_INFLATED_BYTES))
        if window.take(_SYNC_SIZE) != self._sync:
            raise ValueError("it is not followed by the file's sync marker")
        datums = inflate(self._codec, stored)
        # An event has an id and so at least one byte; an absurd number would make later code reserve memory for it.
        if not 0 <= records <= len(datums):
            raise ValueError(f"{records} records in {len(datums)} bytes; expected: 1 byte or more for each")
        if records > MAX_RECORDS:
            raise ValueError(f"{records} records in one block; allowed: at most {MAX_RECORDS}")
        window.commit()
        return records, datums

    def _damage(self, window: ByteWindow, why: str) -> AvroBlocks:
        """The stretch from the last good block to after the next sync marker."""
        at, skipped = window.at, window.skip_past(self._sync, DAMAGE_BYTES)
        kind = "block is truncated" if skipped.ended else "block is damaged"
        more = f" ({skipped.size} bytes, of which the first are here)" if skipped.size > len(skipped.head) else ""
        return AvroBlocks(self._schema, 0, skipped.head, at, f"{kind} at byte {at}{more}: {why}")


# What framing and codecs raise for invalid bytes.
_UNREADABLE = (ValueError, EOFError, LookupError, TypeError, OverflowError)
_ALL = 2**62


def _bounded(size: int, limit: int) -> int:
    if not 0 <= size <= limit:
        raise ValueError(f"a length of {size} bytes; allowed: 0 to {limit}")
    return size


def _compressor(level: int) -> zstd.ZstdCompressor:
    """For many blocks, one after the other."""
    # Avro's zstandard codec has no checksum of its own, so damage would not be noticed without zstd's.
    parameter = zstd.CompressionParameter
    return zstd.ZstdCompressor(options={parameter.compression_level: level, parameter.checksum_flag: 1})


def compress_blocks(blocks: Sequence[pa.Buffer], level: int = 1) -> list[bytes]:
    """Blocks as `AvroFileWriter` compresses them, for `write_compressed`: several threads may."""
    compressor = _compressor(level)
    return [compressor.compress(block, zstd.ZstdCompressor.FLUSH_FRAME) for block in blocks]


class Writable(Protocol):
    """What bytes are appended to."""

    def write(self, data: bytes, /) -> object: ...


class AvroFileWriter:
    """Writes batches into an Avro container file, as zstandard blocks: one for each batch, several for one of more than
    `BLOCK_BYTES`.

    `schema` is the JSON of the record; batches must have its fields in its order. `metadata`: texts for the file's
    header, by names that do not begin with `avro.`.
    """

    def __init__(
        self, stream: Writable, schema: str, level: int = 1, metadata: Mapping[str, str] | None = None
    ) -> None:
        self._stream, self._schema = stream, schema
        self._sync, self._compressor = os.urandom(_SYNC_SIZE), _compressor(level)
        header: dict[str, Any] = {"sync_marker": self._sync, "codec": "zstandard", "metadata": dict(metadata or {})}
        buffer = io.BytesIO()
        fastavro.writer(buffer, json.loads(schema), [], **header)
        stream.write(buffer.getvalue())

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the batch as whole blocks; an empty batch appends nothing."""
        if batch.num_rows == 0:
            return
        self.write_rows(encode_records(batch, self._schema))

    def write_rows(self, datums: pa.Array) -> None:
        """As `write`, of rows that are encoded already; at least one."""
        blocks = max(1, -(-joined_bytes(datums).size // BLOCK_BYTES))
        rows = -(-len(datums) // blocks)
        for start in range(0, len(datums), rows):
            part = datums.slice(start, rows)
            self.write_datums(len(part), joined_bytes(part))

    def write_datums(self, count: int, datums: bytes | pa.Buffer) -> None:
        """Appends one block of records that are encoded already, back to back."""
        self.write_compressed([count], [self._compressor.compress(datums, zstd.ZstdCompressor.FLUSH_FRAME)])

    def write_compressed(self, counts: Sequence[int], blocks: Sequence[bytes]) -> list[int]:
        """Appends blocks that `compress_blocks` made, of so many records each; how many bytes each takes."""
        heads = [zigzag_varint(count) + zigzag_varint(len(data)) for count, data in zip(counts, blocks, strict=True)]
        parts = [part for head, data in zip(heads, blocks, strict=True) for part in (head, data, self._sync)]
        self._stream.write(b"".join(parts))
        return [len(head) + len(data) + _SYNC_SIZE for head, data in zip(heads, blocks, strict=True)]

    def close(self) -> None:
        """Does nothing: every batch has been written as a whole block. The stream stays open."""
