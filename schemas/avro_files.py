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

from schemas.avro_datums import is_columnar, joined_bytes, zigzag_varint
from schemas.record_datums import encode_records

_MAGIC = b"Obj\x01"
_SYNC_SIZE = 16


class AvroBlocks(NamedTuple):
    """Consecutive blocks of one container file, decompressed and joined.

    `data` holds so many `datums` of `schema` (JSON); `parts` has the (datums, bytes) of each block. A damaged stretch
    has none, its bytes as they are in the file in `data`, and `error`.
    """

    schema: str
    datums: int
    data: bytes
    offset: int
    error: str
    parts: tuple[tuple[int, int], ...] = ()


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
        _check_record(schema)
    except (ValueError, EOFError, KeyError, IndexError, StopIteration, TypeError, SchemaParseException) as problem:
        yield AvroBlocks("", 0, content, 0, f"not an Avro container file: {problem or 'header unreadable'}")
        return
    header_end = content.index(sync) + _SYNC_SIZE
    head, position = content[:header_end], header_end
    while position < len(content):
        why = ""
        for joined in _intact_blocks(head, content, position, schema, target_records):
            if joined.blocks.datums:
                yield joined.blocks._replace(error="")
            position, why = joined.end, joined.blocks.error
        if position >= len(content):
            return
        damage_end = _after_next_sync(content, position, sync)
        kind = "block is truncated" if damage_end == len(content) else "block is damaged"
        yield AvroBlocks(schema, 0, content[position:damage_end], position, f"{kind} at byte {position}: {why}")
        position = damage_end


def _check_record(schema: str) -> None:
    """Raises `ValueError` or `KeyError` for a schema that is no record or lacks a part that decoding needs."""
    found = json.loads(schema)
    if not isinstance(found, dict) or found.get("type") != "record" or not found.get("fields"):
        raise ValueError("its schema is no record with fields")
    is_columnar(schema)


class _Joined(NamedTuple):
    blocks: AvroBlocks
    end: int


def _after_next_sync(content: bytes, position: int, sync: bytes) -> int:
    found = content.find(sync, position)
    return len(content) if found < 0 else found + _SYNC_SIZE


def _intact_blocks(head: bytes, content: bytes, position: int, schema: str, target: int) -> Iterator[_Joined]:
    """Joined blocks from `position` up to the first damaged one (or the end); the last has its `error` in words."""
    reader = fastavro.block_reader(io.BytesIO(head + content[position:]))
    shift = position - len(head)
    data: list[bytes] = []
    parts: list[tuple[int, int]] = []
    count, start, end, problem = 0, position, position, ""
    while True:
        try:
            block = next(reader)
            datums = _datums(block)
        except StopIteration:
            break
        # A damaged block can fail anywhere in the codec or the framing: each library has its own error types.
        except Exception as error:
            problem = " ".join(str(error).split())[:200] or type(error).__name__
            break
        data.append(datums)
        parts.append((block.num_records, len(datums)))
        count += block.num_records
        end = shift + block.offset + block.size
        if count >= target:
            yield _Joined(AvroBlocks(schema, count, b"".join(data), start, "", tuple(parts)), end)
            data, parts, count, start = [], [], 0, end
    yield _Joined(AvroBlocks(schema, count, b"".join(data), start, problem, tuple(parts)), end)


def _datums(block: Any) -> bytes:
    """The decompressed datums of a block. Raises `ValueError` for a number of records that they cannot hold."""
    data: bytes = block.bytes_.getvalue()
    # An event has an id and so at least a byte; a wild number would be believed by whoever reserves room for it.
    if not 0 <= block.num_records <= len(data):
        raise ValueError(f"{block.num_records} records in {len(data)} bytes")
    return data


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
        data = zstd.compress(joined_bytes(encode_records(batch, self._schema)), options=self._options)
        self._stream.write(zigzag_varint(batch.num_rows) + zigzag_varint(len(data)))
        self._stream.write(data)
        self._stream.write(self._sync)

    def close(self) -> None:
        """Nothing is held back: every batch is written as a whole block. The stream stays open."""
