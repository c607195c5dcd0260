"""Compressed files, member by member: each is verified before anything of it is emitted, and only damaged data is lost.

A decompressor alone reports damage too late (a checksum is at a member's end) or not at all (a truncated file just
ends). So a member is first inflated to its end; a small one is kept meanwhile, a large one is inflated again.
"""

from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from pipeline.endpoints.files.inflaters import BROKEN, Compression
from schemas.reasons import of_error

_BUFFER = 1024 * 1024
_FIRST_STEP, _LAST_STEP = 4096, 256 * 1024
_HELD_BYTES = 64 * 1024 * 1024
_UNKNOWN = -1
_MOST_WORDS = 200
_MAGIC = 8  # bytes that show whether there is a member at all
_FEWEST_ZEROS = 8
_SEARCH_BYTES = 1024 * 1024 * 1024
DAMAGE_BYTES = 16 * 1024 * 1024
"""How many stored bytes of damaged data are kept for the dead letter."""


class FileDamage(NamedTuple):
    """Damage within a file: its offset in the stored file, what is wrong, and the first of the bytes there.

    `cut`: the file ends too early; no byte in it need be wrong.
    """

    offset: int
    why: str
    data: bytes = b""
    cut: bool = False


class _Member(NamedTuple):
    """A member that begins at `start`: it ends at `end`, or `why` says what is wrong with it.

    `gives`: up to which offset its stored bytes inflate to data that is to be emitted. `held`: all of that data, if it
    is small.
    """

    start: int
    end: int
    gives: int
    why: str = ""
    cut: bool = False
    held: tuple[bytes, ...] | None = None
    work: int = 0


class _Stored:
    """The stored bytes of a file by their offset, through one buffer."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._data, self._start, self._next = stream, b"", 0, 0

    def at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes, at least one unless the file ends there."""
        if not self._start <= offset < self._start + len(self._data):
            if offset != self._next:
                self._stream.seek(offset)
            self._data, self._start = self._stream.read(_BUFFER), offset
            self._next = offset + len(self._data)
        return self._data[offset - self._start : offset - self._start + size]

    def between(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, at most `DAMAGE_BYTES`."""
        pieces, at = list[bytes](), start
        end = min(end, start + DAMAGE_BYTES)
        while at < end and (piece := self.at(at, end - at)):
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)


def inflated(stream: IO[bytes], compression: Compression, sample: bool = False) -> Iterator[bytes | FileDamage]:
    """The content of a compressed file, in pieces of at most 1 MiB, with each damage where it is between them.

    Members end to end, and zeros between or after them, are read; an empty file has no content. Of a member that is cut
    off, also by the next member or by zeros up to the file's end, everything before the cut is emitted. Of a member
    with broken data or a wrong checksum only blocks with a checksum of their own (bzip2) are emitted, since it is not
    known which of its bytes are right: a decompressor may continue in damaged data for long before it notices. After
    damage, reading continues at the next member that is verified as complete. A `sample` ends in a large member,
    unverified.
    """
    stored, at = _Stored(stream), 0
    while stored.at(at := _behind_zeros(stored, at), 1):
        member = _proven(stored, compression, at, sample)
        if not member.why:
            yield from member.held if member.held is not None else _pieces(stored, compression, at, member.end)
            if sample and member.end == _UNKNOWN:
                return
            at = member.end
            continue
        end = _next_member(stored, compression, at + 1)
        member = _cut_by_zeros(stored, member, end)
        is_wrong = not member.cut and member.end < end and not compression.proves_blocks
        gives = at if is_wrong else min(member.gives, end)
        yield from _pieces(stored, compression, at, gives)
        yield _damage(stored, member, gives, end)
        at = end


def _behind_zeros(stored: _Stored, at: int) -> int:
    """The offset of the next byte that is not zero, or the file's end: tapes and archives are padded with zeros."""
    while data := stored.at(at, _BUFFER):
        rest = data.lstrip(b"\0")
        at += len(data) - len(rest)
        if rest:
            break
    return at


def _cut_by_zeros(stored: _Stored, member: _Member, end: int) -> _Member:
    """The member; counted as cut off where only zeros follow from its break to `end`: a machine that lost its power
    leaves zeros for bytes that were never written."""
    before = stored.between(max(member.start, member.end - _BUFFER), member.end)
    zeros = member.end - (len(before) - len(before.rstrip(b"\0")))
    if member.cut or member.gives == member.start or end - zeros < _FEWEST_ZEROS:
        return member
    if _behind_zeros(stored, member.end) < end:
        return member
    why = f"the data that begin at byte {member.start} are cut off at byte {zeros}, where zeros begin"
    return member._replace(gives=min(member.gives, zeros), why=why, cut=True)


def _damage(stored: _Stored, member: _Member, gives: int, end: int) -> FileDamage:
    data = stored.between(gives, end)
    if member.cut and not stored.at(end, 1):
        return FileDamage(gives, f"{member.why}: the file ends at byte {end}", data, cut=True)
    return FileDamage(gives, member.why + (f"; reading goes on at byte {end}" if stored.at(end, 1) else ""), data)


def _steps(stored: _Stored, start: int, end: int | None = None) -> Iterator[bytes]:
    """The stored bytes from `start`, a few at first: members may be small, and the unused rest is copied."""
    at, step = start, _FIRST_STEP
    while (end is None or at < end) and (data := stored.at(at, step if end is None else min(step, end - at))):
        yield data
        at, step = at + len(data), min(2 * step, _LAST_STEP)


def _pieces(stored: _Stored, compression: Compression, start: int, end: int) -> Iterator[bytes]:
    inflater = compression.open()
    for data in _steps(stored, start, end):
        yield from inflater.feed(data)


def _proven(stored: _Stored, compression: Compression, start: int, sample: bool = False) -> _Member:
    """The member at `start`, inflated to its end or to its damage; for a `sample` only as far as it is kept."""
    inflater, at, size, gave = compression.open(), start, 0, start
    held: list[bytes] | None = []
    for data in _steps(stored, start):
        before = size
        try:
            for piece in inflater.feed(data):
                size += len(piece)
                if held is not None:
                    held.append(piece)
        except BROKEN as problem:
            return _broken(stored, compression, start, gave, problem)._replace(work=size)
        gave = at if size > before else gave
        at += len(data)
        if inflater.ended:
            end = at - len(inflater.unused)
            return _Member(start, end, end, held=None if held is None else tuple(held))
        if size > _HELD_BYTES and held is not None:
            if sample:
                return _Member(start, _UNKNOWN, _UNKNOWN, held=tuple(held))
            held = None
    return _broken(stored, compression, start, gave)._replace(work=size)


def _broken(stored: _Stored, compression: Compression, start: int, sure: int, problem: Any = None) -> _Member:
    """Where exactly a member breaks or is cut off: inflated once more, byte by byte from `sure` on."""
    inflater = compression.open()
    for data in _steps(stored, start, sure):
        for _ in inflater.feed(data):
            pass
    at, gives = sure, sure
    while data := stored.at(at, 1):
        try:
            gives = at + 1 if [piece for piece in inflater.feed(data) if piece] else gives
        except BROKEN as found:
            problem = found
            break
        at += 1
    name = compression.name
    if problem is None:
        return _Member(start, at, gives, f"the {name} data that begin at byte {start} are cut off", cut=True)
    if at - start < _MAGIC and not compression.begins.match(stored.between(start, start + 2 * _MAGIC)):
        return _Member(start, at, start, f"no {name} data begin there")
    if compression.is_checksum(problem, at - gives):
        why = f"the checksum of the {name} data that begin there is wrong, so which of them are right nobody knows"
        return _Member(start, at, start, why)
    words = of_error(problem, most=_MOST_WORDS)
    return _Member(start, at, gives, f"the {name} data that begin at byte {start} break off at byte {at} ({words})")


def _next_member(stored: _Stored, compression: Compression, start: int) -> int:
    """The start of the next member that is verified as complete, or the file's end."""
    at, work = start, 0
    while window := stored.between(at, at + _BUFFER + 16):
        for found in compression.begins.finditer(window):
            if found.start() >= _BUFFER or work > _SEARCH_BYTES:
                break
            member = _proven(stored, compression, at + found.start())
            if not member.why:
                return member.start
            work += member.work
        at += min(len(window), _BUFFER)
    return at
