"""Decompressors of whole files behind one interface: gzip, zlib, bzip2, xz and Zstandard; each inflates one member
(stream, frame)."""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from backports import zstd

_PIECE = 1024 * 1024
_WINDOW_LOG_MAX = 31  # `zstd --ultra --long=31`; Beam reads as much
BROKEN = (zlib.error, OSError, EOFError, lzma.LZMAError, zstd.ZstdError, ValueError, MemoryError)
"""What decompressors raise for invalid bytes."""


class Inflater(Protocol):
    """Inflates one member."""

    @property
    def ended(self) -> bool:
        """Whether its end mark was seen (and its checksum was right, where it has one)."""

    @property
    def unused(self) -> bytes:
        """The bytes that it was given beyond its end."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """These bytes inflated, in pieces of at most 1 MiB. Raises the errors in `BROKEN`."""


class _Zlib:
    def __init__(self, bits: int) -> None:
        self._inflater = zlib.decompressobj(bits)

    @property
    def ended(self) -> bool:
        return self._inflater.eof

    @property
    def unused(self) -> bytes:
        return self._inflater.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._inflater.decompress(data, _PIECE)
            if piece:
                yield piece
            data = self._inflater.unconsumed_tail
            if self._inflater.eof or (not data and len(piece) < _PIECE):
                return


class _Standard:
    """Decompressors with the interface of Python's `bz2` and `lzma`."""

    def __init__(self, opened: Any) -> None:
        self._inflater = opened

    @property
    def ended(self) -> bool:
        return bool(self._inflater.eof)

    @property
    def unused(self) -> bytes:
        unused: bytes = self._inflater.unused_data
        return unused

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = self._inflater.decompress(data, _PIECE)
        while piece:
            yield piece
            # To the last byte: bzip2 checks a block once all of it was returned, and `needs_input` is true before.
            piece = b"" if self._inflater.eof else self._inflater.decompress(b"", _PIECE)


class Compression(NamedTuple):
    """A way of compressing files: its name, how a member of it begins, and what inflates one.

    `tail`: bytes after a member's data, the last of which are the checksum; 0 where the library's message names the
    checksum as the error, or where it returns only verified data. `proves_blocks`: it verifies each block.
    """

    name: str
    begins: re.Pattern[bytes]
    open: Callable[[], Inflater]
    tail: int = 0
    proves_blocks: bool = False

    def is_checksum(self, problem: BaseException, silent: int) -> bool:
        """Whether an error is a wrong checksum, after this many bytes that inflated to nothing."""
        return (self.tail > 0 and silent >= self.tail) or any(word in str(problem) for word in _CHECKSUM)


_CHECKSUM = ("incorrect data check", "incorrect length check", "match checksum")


def _zstd() -> Inflater:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX}
    return _Standard(zstd.ZstdDecompressor(options=options))


GZIP = Compression(
    "gzip",
    re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL),
    lambda: _Zlib(zlib.MAX_WBITS | 16),
)
_BZIP2 = Compression(
    "bzip2", re.compile(rb"BZh[1-9]1AY&SY"), lambda: _Standard(bz2.BZ2Decompressor()), proves_blocks=True
)
# The shortest check is a CRC-32, preceded by an end mark and up to three bytes of padding.
_XZ = Compression("xz", re.compile(rb"\xfd7zXZ\x00\x00[\x00-\x0f]"), lambda: _Standard(lzma.LZMADecompressor()), 5)
_ZSTD = Compression("Zstandard", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL), _zstd)
_ZLIB = Compression("zlib", re.compile(rb"\x78[\x01\x5e\x9c\xda]"), lambda: _Zlib(zlib.MAX_WBITS))

BY_SUFFIX: Mapping[str, Compression] = {
    ".gz": GZIP,
    ".bz2": _BZIP2,
    ".xz": _XZ,
    ".lzma": _XZ,
    ".zst": _ZSTD,
    ".zstd": _ZSTD,
    ".deflate": _ZLIB,
}
"""The names that Beam's file systems know."""


def compression_of(path: str) -> Compression | None:
    """How a file is compressed, by the end of its name; None: not at all."""
    return next((found for suffix, found in BY_SUFFIX.items() if path.lower().endswith(suffix)), None)
