"""A view of a stream that grows on demand: framing tries to read a record, and goes back where that fails."""

from typing import NamedTuple, Protocol

_CHUNK = 4 * 1024 * 1024


class Readable(Protocol):
    """Bytes in order."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end only."""


class Skipped(NamedTuple):
    """A skipped stretch: its first bytes, how many it has, and whether it reaches the stream's end."""

    head: bytes
    size: int
    ended: bool


class ByteWindow:
    """Reads a stream from the last `commit` on; `at` is the offset of that point in the stream.

    Memory: the bytes read since the last `commit`, and a chunk.
    """

    def __init__(self, stream: Readable, at: int = 0) -> None:
        self._stream = stream
        self._data, self._base, self._cursor = b"", 0, 0
        self.at = at

    def need(self, size: int) -> bool:
        """Whether `size` more bytes are available."""
        if len(self._data) - self._cursor >= size:
            return True
        pieces = [self._data[self._base :]]
        self._cursor -= self._base
        self._base = 0
        missing = size - (len(pieces[0]) - self._cursor)
        while missing > 0 and (piece := self._stream.read(max(_CHUNK, missing))):
            pieces.append(piece)
            missing -= len(piece)
        self._data = b"".join(pieces)
        return missing <= 0

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the stream's end."""
        self.need(size)
        return self._data[self._cursor : self._cursor + size]

    def take(self, size: int) -> bytes:
        """The next `size` bytes. Raises `EOFError` if there are fewer."""
        if not self.need(size):
            raise EOFError(f"{size} bytes expected, {len(self._data) - self._cursor} left")
        start, self._cursor = self._cursor, self._cursor + size
        return self._data[start : self._cursor]

    def long(self) -> int:
        """The next long in Avro's encoding. Raises `EOFError` and `ValueError`."""
        self.need(10)
        value, data = 0, self._data
        for index in range(10):
            if self._cursor >= len(data):
                raise EOFError("a number is cut off")
            byte = data[self._cursor]
            self._cursor += 1
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
        raise ValueError("a number of more than 64 bits")

    def commit(self) -> None:
        """Drops the bytes read so far."""
        self.at += self._cursor - self._base
        self._base = self._cursor

    def back(self) -> None:
        """Goes back to the last `commit`."""
        self._cursor = self._base

    def skip_past(self, mark: bytes, keep: int) -> Skipped:
        """Skips from the last `commit` to after the next `mark` (or to the end); keeps the first `keep` bytes.
        Commits."""
        self.back()
        head, size, overlap = b"", 0, len(mark) - 1
        while True:
            found = self._data.find(mark, self._base)
            more = found < 0 and self.need(len(self._data) - self._base + 1)
            if found < 0 and more:
                found = self._data.find(mark, self._base)
            ended = found < 0 and not more
            end = len(self._data) if ended else found + len(mark)
            if found < 0 and more:
                end = max(self._base, len(self._data) - overlap)
            head += self._data[self._base : min(end, self._base + keep - len(head))]
            size += end - self._base
            self._cursor = end
            self.commit()
            if found >= 0 or ended:
                return Skipped(head, size, not self.need(1))

    def skip(self, size: int, keep: int) -> Skipped:
        """Skips this many bytes from the last `commit` on (or all that are left); keeps the first `keep`. Commits."""
        self.back()
        head, left = b"", size
        while left and (piece := self.peek(min(left, _CHUNK))):
            head += piece[: keep - len(head)]
            left -= len(piece)
            self._cursor += len(piece)
            self.commit()
        return Skipped(head, size - left, not self.need(1))
