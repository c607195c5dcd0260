"""Avro container files as blocks: read with damage kept apart, written from columns."""

import io
import json
import os
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import fastavro
import pyarrow as pa
from backports import zstd
from fastavro.schema import SchemaParseException

from schemas.avro_datums import encode_rows, joined_bytes, zigzag_varint

_MAGIC = b"Obj\x01"
_SYNC_SIZE = 16


class AvroBlocks(NamedTuple):
    """Consecutive blocks of one container file, decompressed and joined.

    `data` holds so many `datums` of `schema` (JSON). A damaged stretch has none, its bytes in `data`, and `error`.
    """

    schema: str
    datums: int
    data: bytes
    offset: int
    error: str


def read_blocks(stream: IO[bytes], target_records: int = 65_536) -> Iterator[AvroBlocks]:
    """The blocks of a container file, joined up to about `target_records` records each.

    After damage it goes on at the next sync marker. An empty file has no blocks. Never raises for bad data:
    damage is yielded as an `AvroBlocks` with `error` set and the original bytes in `data`.
    """
    content = stream.read()
    if not content:
        return
    position = 0
    try:
        header = fastavro.block_reader(io.BytesIO(content))
        schema = json.dumps(json.loads(header.metadata["avro.schema"]))
        sync = header._header["sync"]
    except (ValueError, EOFError, KeyError, IndexError, StopIteration, TypeError, SchemaParseException) as problem:
        yield AvroBlocks("", 0, content, 0, f"not an Avro container file: {problem or 'header unreadable'}")
        return
    header_end = content.index(sync) + _SYNC_SIZE
    head, position = content[:header_end], header_end
    while position < len(content):
        for joined in _intact_blocks(head, content, position, schema, target_records):
            yield joined.blocks
            position = joined.end
        if position >= len(content):
            return
        damage_end = _after_next_sync(content, position, sync)
        why = "block is truncated" if damage_end == len(content) else "block is damaged"
        yield AvroBlocks(schema, 0, content[position:damage_end], position, f"{why} at byte {position}")
        position = damage_end


class _Joined(NamedTuple):
    blocks: AvroBlocks
    end: int


def _after_next_sync(content: bytes, position: int, sync: bytes) -> int:
    found = content.find(sync, position)
    return len(content) if found < 0 else found + _SYNC_SIZE


def _intact_blocks(head: bytes, content: bytes, position: int, schema: str, target: int) -> Iterator[_Joined]:
    """Joined blocks from `position` up to the first damaged one (or the end)."""
    reader = fastavro.block_reader(io.BytesIO(head + content[position:]))
    shift = position - len(head)
    parts: list[bytes] = []
    count, start, end = 0, position, position
    while True:
        try:
            block = next(reader)
            data = block.bytes_.getvalue()  # type: ignore[attr-defined]  # not in the stubs
        except StopIteration:
            break
        # A damaged block can fail anywhere in the codec or the framing: each library has its own error types.
        except Exception:
            break
        parts.append(data)
        count += block.num_records
        end = shift + block.offset + block.size
        if count >= target:
            yield _Joined(AvroBlocks(schema, count, b"".join(parts), start, ""), end)
            parts, count, start = [], 0, end
    if count:
        yield _Joined(AvroBlocks(schema, count, b"".join(parts), start, ""), end)


class AvroFileWriter:
    """Writes batches into an Avro container file, one zstandard block per batch.

    `schema` is the JSON of the record; batches must have its fields in its order.
    """

    def __init__(self, stream: IO[bytes], schema: str, level: int = 1) -> None:
        self._stream, self._schema = stream, schema
        self._sync = os.urandom(_SYNC_SIZE)
        # Avro's zstandard codec has no checksum of its own, so damage would pass unseen without zstd's.
        self._options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: level,
            zstd.CompressionParameter.checksum_flag: 1,
        }
        header: dict[str, Any] = {"sync_marker": self._sync, "codec": "zstandard"}
        buffer = io.BytesIO()
        fastavro.writer(buffer, json.loads(schema), [], **header)
        stream.write(buffer.getvalue())

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the batch as one block; an empty batch appends nothing."""
        if batch.num_rows == 0:
            return
        data = zstd.compress(joined_bytes(encode_rows(batch, self._schema)), options=self._options)
        self._stream.write(zigzag_varint(batch.num_rows) + zigzag_varint(len(data)))
        self._stream.write(data)
        self._stream.write(self._sync)

    def close(self) -> None:
        """Nothing is held back: every batch is written as a whole block. The stream stays open."""
