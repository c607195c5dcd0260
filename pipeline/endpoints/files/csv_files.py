"""CSV files: the header, then blocks of whole records, which Arrow turns into columns."""

import codecs
import csv
from collections.abc import Generator
from functools import lru_cache
from typing import NamedTuple

from pipeline.endpoints.files.json_files import Blocks, too_large
from schemas.expectations import wants
from schemas.formats.byte_windows import Readable
from schemas.formats.csv_records import MAX_RECORD_BYTES, find_records
from schemas.formats.csv_rows import LINE, CsvBlock, CsvTable, Wanted, decode_csv, repeated, schema_of
from schemas.formats.raw import RawBlock
from schemas.job import CsvSpec

_PIECE_BYTES, _SAMPLE_BYTES = 4 * 1024 * 1024, 128 * 1024
_BOM = b"\xef\xbb\xbf"
UTF_8 = "utf-8"


class FileForm(NamedTuple):
    """What a file's bytes do not say: how CSV is written, and which columns the job reads. While their types are not
    known, all are wanted, as what they look like; `asked` are those whose values somebody will look at."""

    csv: CsvSpec = CsvSpec()
    wanted: Wanted = Wanted(None)
    asked: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The columns whose values are read."""
        return frozenset((*self.asked, *(self.wanted.texts or ()), *dict(self.wanted.kinds)))


AS_IT_IS = FileForm()
"""Nothing is stated, and all columns are read."""


class CsvFile:
    """Reads one CSV file, as a whole or by the stretches between damage; `form.csv` has nothing left to guess."""

    def __init__(self, path: str, form: FileForm) -> None:
        self._path, self._form = path, form
        self._table: CsvTable | None = None
        self._schema = ""
        self._at, self._line = 0, 1
        self._begun = self._torn_once = False  # behind damage nobody knows how many lines there were
        self._piece = _SAMPLE_BYTES if form.wanted.texts is None else _PIECE_BYTES

    def __call__(self, file: Readable) -> Blocks:
        """The blocks of the file, or of its next stretch."""
        source = _in_utf8(file, self._form.csv.encoding or UTF_8)
        data = source.read(self._piece)
        if self._begun:
            self._torn_once = True
            data = yield from self._after_damage(data)
        elif data.startswith(_BOM):
            data, self._at = data[len(_BOM) :], len(_BOM)
        self._begun = True
        if self._table is None:
            data, problem = self._header(data, source)
            if problem is not None:
                yield problem
                return None
        return (yield from self._records(data, source))

    def _after_damage(self, data: bytes) -> Generator[RawBlock, None, bytes]:
        """Up to the next line end it is not known what the bytes are: the rest of a record may look like one."""
        end = data.find(b"\n") + 1 or len(data)
        if end:
            why = f"the rest of a line that the damage broke; {wants('a whole line')}"
            yield RawBlock(f"{self._path}@{self._at}", data=data[: min(end, MAX_RECORD_BYTES)], error=why)
        self._at += end
        return data[end:]

    def _header(self, data: bytes, source: Readable) -> tuple[bytes, RawBlock | None]:
        """What follows the header; and the block that says why the file cannot be read, if so."""
        said, quote = self._form.csv, self._form.csv.quote
        delimiter = said.delimiter or ","
        first = find_records(data, delimiter, quote, final=len(data) < self._piece)
        if not len(first.starts):
            return b"", self._unreadable(data, "no line that could be a header") if data.strip() else None
        start, end = int(first.starts[0]), int(first.ends[0])
        if said.header is True and first.bad and first.bad[0].start < start:
            return b"", self._unreadable(data, f"the header is unreadable: {first.bad[0].why}")
        try:
            text = data[start:end].decode(_byte_encoding(said.encoding or UTF_8))
        except UnicodeError as problem:
            return b"", self._unreadable(data, f"the header is unreadable: {problem}")
        fields = next(csv.reader([text], delimiter=delimiter, **_quoting(quote)))  # type: ignore[arg-type]  # options by name
        names = tuple(fields) if said.header is True else said.header or tuple(f"f{n}" for n in range(len(fields)))
        if several := repeated(names, self._form.names):
            name, columns = next(iter(several.items()))
            where = " and ".join(map(str, columns))
            why = f"{name!r} is the name of the columns {where} in the header; {wants('one column of that name')}"
            return b"", self._unreadable(data, why)
        self._table = CsvTable(
            names, delimiter, said.decimal or ".", quote, said.nulls, _byte_encoding(said.encoding or UTF_8)
        )
        self._schema = schema_of(self._table)
        if said.header is not True:
            return data, None
        rest = end + next((len(each) for each in (b"\r\n", b"\n", b"\r") if data.startswith(each, end)), 0)
        self._line += data.count(b"\n", 0, rest)
        self._at += rest
        return data[rest:], None

    def _unreadable(self, data: bytes, why: str) -> RawBlock:
        return RawBlock(f"{self._path}@0", data=data[:MAX_RECORD_BYTES], error=f"not CSV as stated: {why}")

    def _records(self, data: bytes, source: Readable) -> Blocks:
        while data:
            if len(data) > MAX_RECORD_BYTES and data.find(b"\n", 0, MAX_RECORD_BYTES + 1) < 0:
                data = yield from self._too_long(data, source)
                continue
            block = self._decoded(data, final=False)
            if block.rows.payloads or block.rows.unreadable:
                yield RawBlock(f"{self._path}@{self._at}", self._schema, rows=(block.rows,))
            self._at += block.rest
            self._line += block.lines
            more = source.read(self._piece)
            rest = data[block.rest :]
            if not more:
                return self._torn(rest)
            data = rest + more
        return None

    def _decoded(self, data: bytes, final: bool) -> CsvBlock:
        assert self._table is not None  # the header is read first
        block = decode_csv(data, self._table, self._form.wanted, self._line, final)
        if not self._torn_once:
            return block
        unreadable = tuple(each._replace(number=0) for each in block.rows.unreadable)
        return block._replace(rows=block.rows._replace(numbers=None, unreadable=unreadable))

    def _torn(self, rest: bytes) -> RawBlock | None:
        """The last line, without its end."""
        if not rest.strip():
            return None
        start, self._at = self._at, self._at + len(rest)
        rows = self._decoded(rest, final=True).rows
        self._line += rest.count(b"\n")
        return RawBlock(f"{self._path}@{start}", self._schema, data=rest, rows=(rows,))

    def _too_long(self, data: bytes, source: Readable) -> Generator[RawBlock, None, bytes]:
        """One block for a line that is too long; returns what follows."""
        head, size, rest = data[:MAX_RECORD_BYTES], 0, data
        while (end := rest.find(b"\n")) < 0:
            size += len(rest)
            rest = source.read(self._piece)
            if not rest:
                break
        size += max(end, 0)
        why = f"line {self._line}: {too_large(LINE, size, len(head))}"
        yield RawBlock(f"{self._path}@{self._at}", data=head, error=why)
        self._at += size + (end >= 0)
        self._line += 1
        return rest[end + 1 :] if end >= 0 else b""


def _quoting(quote: str) -> dict[str, object]:
    return {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}


@lru_cache(maxsize=32)
def _is_by_byte(encoding: str) -> bool:
    """Whether each byte is a character, those of ASCII their own: then delimiters can be found in the bytes."""
    low = bytes(range(128))
    if codecs.lookup(encoding).name == UTF_8 or low.decode(encoding, "replace") != low.decode("ascii"):
        return False
    return all(len(bytes([code, code]).decode(encoding, "replace")) == 2 for code in range(128, 256))


def _byte_encoding(encoding: str) -> str:
    """The encoding of the bytes that records are found in: other than by bytes, files are converted to UTF-8 first."""
    return encoding if _is_by_byte(encoding) else UTF_8


def _in_utf8(file: Readable, encoding: str) -> Readable:
    name = codecs.lookup(encoding).name
    return file if name in (UTF_8, "utf-8-sig", "ascii") or _is_by_byte(encoding) else _Converted(file, name)


def _not_text(problem: UnicodeError) -> tuple[str, int]:
    """A byte that UTF-8 does not have either: its record becomes a dead letter."""
    return "\udcff", problem.end  # type: ignore[attr-defined]  # decoding errors have it


codecs.register_error("halflife.not_text", _not_text)


class _Converted:
    """A file in another encoding as UTF-8."""

    def __init__(self, file: Readable, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("halflife.not_text")

    def read(self, size: int, /) -> bytes:
        """At least one byte, unless the stretch ends; about as many as `size`."""
        while True:
            data = self._file.read(size)
            text = self._decoder.decode(data, not data)
            if text or not data:
                return text.encode("utf-8", "surrogateescape")
