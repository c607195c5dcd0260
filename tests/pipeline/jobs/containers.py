"""Avro containers and datums made by hand: what no writer would write."""

import json
import struct
import zlib
from typing import Any

from schemas.avro.datums import zigzag_varint
from tests.pipeline.jobs.flows import START_US

SYNC = b"0123456789abcdef"


def text(value: bytes) -> bytes:
    """A string's or bytes' encoding."""
    return zigzag_varint(len(value)) + value


def event(name: str, more: bytes = b"", delay: float = 1.0) -> bytes:
    """A datum of `event_schema`: id, time, delay, and the bytes of the further field."""
    return text(name.encode()) + zigzag_varint(START_US) + struct.pack("<d", delay) + more


def event_schema(more: Any, name: str = "more") -> str:
    """A record with an id, a time, a delay and a field of this type: JSON of a list or object, or what becomes it."""
    raw = isinstance(more, str) and more[0] in "[{"
    fields = [
        '{"name": "id", "type": "string"}',
        '{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}',
        '{"name": "delay", "type": "double"}',
        f'{{"name": "{name}", "type": {more if raw else json.dumps(more)}}}',
    ]
    return f'{{"type": "record", "name": "Event", "fields": [{", ".join(fields)}]}}'


def by_hand(schema: str, *blocks: tuple[int, bytes], codec: str = "null") -> bytes:
    """A container file with the schema as given, and blocks of this many records each, already compressed."""
    pairs = {b"avro.schema": schema.encode(), b"avro.codec": codec.encode()}
    head = b"".join(text(key) + text(value) for key, value in pairs.items())
    parts = [b"Obj\x01", zigzag_varint(len(pairs)), head, b"\0", SYNC]
    for count, stored in blocks:
        parts += [zigzag_varint(count), text(stored), SYNC]
    return b"".join(parts)


def deflated(data: bytes, zeros: int = 0) -> bytes:
    """The data followed by this many MiB of zeros in Avro's deflate, which has no header."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    pieces = [packer.compress(data), *(packer.compress(bytes(2**20)) for _ in range(zeros))]
    return b"".join(pieces) + packer.flush()
