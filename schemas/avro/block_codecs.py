"""The codecs of Avro container blocks, each bounded: a block never inflates to more bytes than allowed."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from backports import zstd

from schemas.reasons import of_error

MAX_INFLATED_BYTES = 256 * 1024 * 1024
"""The most bytes that a container block may inflate to."""
_CRC_SIZE = 4


def inflate(codec: str, data: bytes, limit: int = MAX_INFLATED_BYTES) -> bytes:
    """The inflated bytes of a block that was compressed by the codec of that name (Avro specification 1.12).

    Raises:
        ValueError: the codec is not known, the data are damaged or cut off, or inflate to more than `limit` bytes.
    """
    if codec not in _CODECS:
        raise ValueError(f"codec {codec!r} is not read; allowed: {', '.join(_CODECS)}")
    try:
        return _CODECS[codec](data, limit)
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, MemoryError) as problem:
        raise ValueError(f"{codec}: {of_error(problem)}") from None


def _too_large(limit: int) -> ValueError:
    return ValueError(f"its block inflates to more than {limit} bytes")


def _plain(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _deflate(data: bytes, limit: int) -> bytes:
    """Bytes after the end of the stream are ignored: old writers leave a part of zlib's checksum there."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, limit + 1)
    if len(inflated) > limit:
        raise _too_large(limit)
    if not inflater.eof:
        raise ValueError("the compressed data are cut off")
    return inflated


def _streams(opened: Callable[[], Any]) -> Callable[[bytes, int], bytes]:
    """For decompressors with the same interface: one or more streams end to end."""

    def inflate_streams(data: bytes, limit: int) -> bytes:
        pieces, size = list[bytes](), 0
        while data or not pieces:
            inflater = opened()
            pieces.append(inflater.decompress(data, limit + 1 - size))
            size += len(pieces[-1])
            if size > limit:
                raise _too_large(limit)
            if not inflater.eof:
                raise ValueError("the compressed data are cut off")
            data = inflater.unused_data
        return b"".join(pieces)

    return inflate_streams


def _snappy(data: bytes, limit: int) -> bytes:
    """Snappy's raw form, which begins with its size, and a CRC-32 of the inflated bytes."""
    if len(data) <= _CRC_SIZE:
        raise ValueError("the compressed data are cut off")
    compressed, checksum = data[:-_CRC_SIZE], int.from_bytes(data[-_CRC_SIZE:], "big")
    size = _snappy_size(compressed)
    if size > limit:
        raise _too_large(limit)
    inflated: bytes = pa.decompress(compressed, size, "snappy", asbytes=True)
    if zlib.crc32(inflated) != checksum:
        raise ValueError("snappy: the checksum of the block is wrong")
    return inflated


def _snappy_size(compressed: bytes) -> int:
    size = 0
    for index, byte in enumerate(compressed[:5]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return size
    raise ValueError("snappy: the size of the block is unreadable")


_CODECS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "null": _plain,
    "deflate": _deflate,
    "bzip2": _streams(bz2.BZ2Decompressor),
    "xz": _streams(lzma.LZMADecompressor),
    "zstandard": _streams(zstd.ZstdDecompressor),
    "snappy": _snappy,
}
