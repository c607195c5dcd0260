"""JSON files: usually lines; arrays of objects, and objects over several lines, where a file begins that way."""

import re
from collections.abc import Generator, Mapping

import msgspec
import numpy as np

from schemas.formats.byte_windows import Readable
from schemas.formats.raw import RawBlock

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""The most bytes of a JSON line or another record; a longer one is a dead letter."""
_JSON_BYTES = 4 * 1024 * 1024

Blocks = Generator[RawBlock, None, RawBlock | None]
"""Blocks of a stretch of a file; returns the incomplete rest at its end."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = ord("\n")
# `[{`, `[]`, or a `{` alone on its line with a key on the next: JSON lines have no such line.
_VALUES = re.compile(rb"\s*(\[\s*[{\]]|\{[ \t\r]*\n\s*[\"}])")
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}]', re.DOTALL)
# Where an object begins at the start of a line, and how far it is indented.
_OWN_LINE = re.compile(rb"[\s,\[\]]*?(\n[ \t]*|\A)\{")
_BETWEEN = re.compile(rb"[\s,\[\]]*")
_STRAY, _UNENDED = "no JSON object, beside those of the file", "a JSON object that does not end"
OTHER_FORMATS: Mapping[bytes, str] = {
    b"\xff\xfe\x00\x00": "text in UTF-32",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x00\x00\xfe\xff": "text in UTF-32",
    b"{\x00": "text in UTF-16",
    b"\x00{": "text in UTF-16",
    b"\x1f\x8b\x08": "gzip data (name it .gz)",
    b"\x28\xb5\x2f\xfd": "Zstandard data (name it .zst)",
    b"\xfd7zXZ\x00": "xz data (name it .xz)",
    b"BZh": "bzip2 data (name it .bz2)",
    b"Obj\x01": "an Avro container (events.format: avro)",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive",
}
"""How a file that is not UTF-8 JSON begins, and the name of its format."""


def too_large(what: str, size: int, kept: int) -> str:
    """The message for a record that is too large."""
    return f"a {what} of {size} bytes; allowed: at most {MAX_RECORD_BYTES} (the first {kept} are in the letter)"


class JsonFile:
    """Reads one JSON file, as a whole or by the stretches between damage."""

    def __init__(self, path: str) -> None:
        self._path, self._at = path, 0
        self._values = False
        self._first = 1  # the number of the next line, or object of the outermost level; 0: nobody knows it

    def __call__(self, file: Readable) -> Blocks:
        """The blocks of the file, or of its next stretch."""
        start = b""
        self._first = 1 if self._at == 0 else 0
        if self._at == 0:
            start = file.read(min(_JSON_BYTES, MAX_RECORD_BYTES))
            other = next((name for begins, name in OTHER_FORMATS.items() if start.startswith(begins)), None)
            if other is not None:
                return (yield from self._other(start, file, other))
            if start.startswith(_BOM):
                start, self._at = start[len(_BOM) :], len(_BOM)
            self._values = _VALUES.match(start) is not None
            while not self._values and (over := _is_over_lines(start)) is not False:
                self._values = over is True
                more = b"" if self._values else file.read(min(_JSON_BYTES, MAX_RECORD_BYTES))
                if not more:
                    break
                start += more
        return (yield from (self._objects(start, file) if self._values else self._lines(start, file)))

    def _other(self, start: bytes, file: Readable, name: str) -> Blocks:
        """A whole file in another format: one block, of which the first bytes are kept."""
        head, self._at = start, len(start)
        while more := file.read(_JSON_BYTES):
            head += more[: MAX_RECORD_BYTES - len(head)]
            self._at += len(more)
        error = f"not JSON but {name}, {self._at} bytes; expected: JSON lines, or an array of objects, in UTF-8"
        yield RawBlock(f"{self._path}@0", data=head, error=error)
        return None

    def _lines(self, rest: bytes, file: Readable) -> Blocks:
        data = rest or file.read(min(_JSON_BYTES, MAX_RECORD_BYTES))
        while data:
            first = data.find(b"\n")
            if (first if first >= 0 else len(data)) > MAX_RECORD_BYTES:
                rest = yield from self._too_long(data, file, "line")
            else:
                end = data.rfind(b"\n") + 1
                if end:
                    yield RawBlock(f"{self._path}@{self._at}", data=data[:end], first=self._first)
                    self._count(_line_ends(data, end))
                rest = data[end:]
                self._at += end
            more = file.read(min(_JSON_BYTES, MAX_RECORD_BYTES))
            if not more and b"\n" not in rest:
                break
            data = rest + more
        return self._torn(rest)

    def _count(self, more: int) -> None:
        self._first += more if self._first else 0

    def _torn(self, rest: bytes, error: str = "") -> RawBlock | None:
        start, self._at = self._at, self._at + len(rest)
        first = 0 if self._values else self._first
        return RawBlock(f"{self._path}@{start}", data=rest, error=error, first=first) if rest else None

    def _too_long(self, data: bytes, file: Readable, what: str) -> Generator[RawBlock, None, bytes]:
        """One block for a record that is too large, up to the end of its line; returns what follows."""
        head, size, rest = data[:MAX_RECORD_BYTES], 0, data
        while (end := rest.find(b"\n", MAX_RECORD_BYTES if rest is data else 0)) < 0:
            size += len(rest)
            rest = file.read(_JSON_BYTES)
            if not rest:
                break
        size += max(end, 0)
        first = 0 if self._values else self._first
        yield RawBlock(f"{self._path}@{self._at}", data=head, error=too_large(what, size, len(head)), first=first)
        self._at += size + (end >= 0)
        self._count(1)
        return rest[end + 1 :]

    def _objects(self, rest: bytes, file: Readable) -> Blocks:
        data = rest or file.read(min(_JSON_BYTES, MAX_RECORD_BYTES))
        while data:
            objects, strays, end = _split(data)
            if objects:
                yield RawBlock(f"{self._path}@{self._at}", records=tuple(objects), first=self._first)
                self._count(len(objects))
            for offset, stray in strays:
                yield RawBlock(f"{self._path}@{self._at + offset}", data=stray, error=_STRAY)
            rest = data[end:]
            self._at += end
            over = len(rest) > MAX_RECORD_BYTES
            more = b"" if over else file.read(min(_JSON_BYTES, MAX_RECORD_BYTES))
            sibling = -1 if more else _sibling(rest)
            if sibling > 0:
                yield RawBlock(f"{self._path}@{self._at}", data=rest[:sibling], error=_UNENDED)
                self._at += sibling
                rest = rest[sibling:]
            elif over:
                rest = yield from self._too_long(rest, file, "JSON value")
            elif not more:
                break
            data = rest + more
        rest = rest[_BETWEEN.match(rest).end() :]  # type: ignore[union-attr]  # it matches nothing too
        return self._torn(rest, _UNENDED if rest.startswith(b"{") else _STRAY)


def _line_ends(data: bytes, size: int) -> int:
    """How many are in the first bytes; `bytes.count` takes four times as long where lines are short."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8, size) == _LINE_END))


def _is_over_lines(data: bytes) -> bool | None:
    """Whether the first object is whole only with the lines that follow its first; None where more must be read to know
    it. A line that is cut off is no such object."""
    line, end, _ = data.lstrip().partition(b"\n")
    if not end or not line.startswith(b"{") or _is_json(line) or len(data) > MAX_RECORD_BYTES:
        return False
    objects, _, _ = _split(data, only_first=True)
    return (b"\n" in objects[0] and _is_json(objects[0])) if objects else None


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _sibling(rest: bytes) -> int:
    """Where the next object begins that is indented as the one at the start of `rest`, which does not end; else −1."""
    begins = _OWN_LINE.match(rest)
    return -1 if begins is None else rest.find((begins[1] or b"\n") + b"{", begins.end())


def _split(data: bytes, only_first: bool = False) -> tuple[list[bytes], list[tuple[int, bytes]], int]:
    """The whole objects of the outermost level (or within an outermost array), what stands between them with its
    offset, and where the first that is not whole begins."""
    objects, strays, end, depth, start = list[bytes](), list[tuple[int, bytes]](), 0, 0, 0
    for token in _TOKEN.finditer(data):
        sign = token[0]
        if sign == b'"' and depth:
            break  # a text that does not end here: more must be read
        if sign == b"{":
            if depth == 0:
                start = token.start()
                _stray(data, end, start, strays)
            depth += 1
        elif sign == b"}" and depth:
            depth -= 1
            if depth == 0:
                end = token.end()
                objects.append(data[start:end])
                if only_first:
                    break
    return objects, strays, end


def _stray(data: bytes, start: int, end: int, strays: list[tuple[int, bytes]]) -> None:
    found = data[start:end].strip(b" \t\r\n,[]")
    if found:
        strays.append((data.index(found, start), found))
