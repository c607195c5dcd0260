"""Small container files that are held as a whole: what one process wrote has one header, which is parsed once, and not
for each of hundreds of thousands of files."""

from typing import NamedTuple

from schemas.avro.block_codecs import inflate
from schemas.avro.files import MAX_RECORDS, read_header
from schemas.avro.values import read_long

_SYNC_BYTES = 16
_MOST_HEADERS = 8


class WholeFile(NamedTuple):
    """The text of a container's schema, and its records back to back."""

    schema: str
    data: bytes
    records: int


class _Header(NamedTuple):
    """What a container begins with, until its sync marker."""

    begins: bytes
    schema: str
    codec: str


_seen: tuple[_Header, ...] = ()


def whole_file(held: bytes) -> WholeFile | None:
    """The records of a container; None where it has none, or anything about it is not as it should be, which
    `read_blocks` says."""
    header = next((each for each in _seen if held.startswith(each.begins)), None) or _parsed(held)
    if header is None:
        return None
    try:
        return _read(held, header)
    except (ValueError, IndexError, OverflowError):
        return None


def _parsed(held: bytes) -> _Header | None:
    global _seen
    said = read_header(held)
    if said is None:
        return None
    header = _Header(held[: said.length], said.schema, said.codec)
    _seen = (header, *_seen[: _MOST_HEADERS - 1])
    return header


def _read(held: bytes, header: _Header) -> WholeFile | None:
    at = len(header.begins) + _SYNC_BYTES
    sync, blocks, records = held[at - _SYNC_BYTES : at], list[bytes](), 0
    while at < len(held):
        count, at = read_long(held, at)
        size, at = read_long(held, at)
        end = at + size
        if size < 0 or held[end : end + _SYNC_BYTES] != sync:
            return None
        data = inflate(header.codec, held[at:end])
        if not 0 <= count <= min(len(data), MAX_RECORDS):
            return None
        blocks.append(data)
        records, at = records + count, end + _SYNC_BYTES
    return WholeFile(header.schema, b"".join(blocks), records) if records else None
