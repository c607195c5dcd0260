"""The formats of event files: the content of an open file as raw blocks. Memory is bounded by the largest record."""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import IO

import msgspec

from pipeline.endpoints.files import json_files
from pipeline.endpoints.files.compressed import DAMAGE_BYTES, FileDamage, inflated
from pipeline.endpoints.files.csv_files import AS_IT_IS, CsvFile, FileForm
from pipeline.endpoints.files.inflaters import Compression
from pipeline.endpoints.files.json_files import Blocks, JsonFile, too_large
from schemas.avro.files import ContainerReader
from schemas.formats.byte_windows import ByteWindow, Readable
from schemas.formats.raw import RawBlock
from schemas.formats.tf_examples import masked_crc32c

_PIECE_BYTES = 4 * 1024 * 1024
_EXAMPLES, _EXAMPLE_BYTES = 4096, 64 * 1024 * 1024
# The length and its checksum; the checksum of the data after them.
_TFRECORD_HEAD, _TFRECORD_TAIL = 12, 4


class EventFile:
    """The inflated content of an open file: `read` returns the bytes up to its end or to damage, and `damage` says
    which."""

    def __init__(self, stream: IO[bytes], compression: Compression | None, sample: bool = False) -> None:
        self._pieces = _plain(stream) if compression is None else inflated(stream, compression, sample)
        self._rest = b""
        self._damage: FileDamage | None = None

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end of a stretch."""
        pieces, have = [self._rest] if self._rest else [], len(self._rest)
        while have < size and self._damage is None:
            piece = next(self._pieces, None)
            if piece is None:
                break
            if isinstance(piece, FileDamage):
                self._damage = piece
                break
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)  # copies nothing where there is one
        self._rest = data[size:]
        return data[:size]

    def damage(self) -> FileDamage | None:
        """What ended the stretch that was read; None where the file ends. Reading continues after it."""
        found, self._damage = self._damage, None
        return found


def _plain(stream: IO[bytes]) -> Iterator[bytes | FileDamage]:
    while piece := stream.read(_PIECE_BYTES):
        yield piece


def blocks_of(file: EventFile, path: str, format_name: str, form: FileForm = AS_IT_IS) -> Iterator[RawBlock]:
    """The raw blocks of a file; damage is returned as blocks with `error`, and nothing else is lost."""
    reader = CsvFile(path, form) if format_name == "csv" else _READERS[format_name](path)
    while True:
        torn = yield from reader(file)
        damage = file.damage()
        if damage is None:
            if torn is not None:
                yield torn
            return
        if torn is not None and not torn.error and _is_whole(torn):  # only the line's end is missing
            yield torn
            torn = None
        yield _hole(path, damage, torn)


def _hole(path: str, damage: FileDamage, torn: RawBlock | None) -> RawBlock:
    """Damage as one block, with the record that it broke, which gets no letter of its own."""
    if torn is None:
        return RawBlock(f"{path}@{damage.offset}", data=damage.data, error=damage.why)
    what = torn.error or f"its last {len(torn.data)} bytes are not a whole line"
    data = torn.data if damage.cut or not damage.data else damage.data
    return RawBlock(f"{path}@{damage.offset}", data=data, error=f"{damage.why}; {what}")


def _is_whole(torn: RawBlock) -> bool:
    """Whether it is JSON from its first sign to its last: of a CSV line nothing shows that."""
    if torn.rows:
        return False
    try:
        msgspec.json.decode(torn.data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class _Avro:
    """An Avro container file."""

    def __init__(self, path: str) -> None:
        self._path, self._reader = path, ContainerReader()

    def __call__(self, file: Readable) -> Blocks:
        last: RawBlock | None = None
        for block in self._reader.blocks(file):
            if last is not None:
                yield last
            source = f"{self._path}@{block.offset}"
            last = RawBlock(source, block.schema, block.datums, block.data, error=block.error, parts=block.parts)
        if last is not None and not last.error:
            yield last
            last = None
        return last


class _TfRecord:
    """TFRecord: a length and a checksum before each record, a checksum after it; read record by record."""

    def __init__(self, path: str) -> None:
        self._path, self._at = path, 0

    def __call__(self, file: Readable) -> Blocks:
        window = ByteWindow(file, self._at)
        records, size, torn = list[bytes](), 0, None
        while window.need(1):
            if torn is not None:
                yield torn
            record, torn = self._record(window)
            if record is not None:
                records.append(record)
                size += len(record)
            if records and (len(records) == _EXAMPLES or size >= _EXAMPLE_BYTES):
                yield RawBlock(self._path, records=tuple(records))
                records, size = [], 0
        if records:
            yield RawBlock(self._path, records=tuple(records))
        self._at = window.at
        return torn

    def _record(self, window: ByteWindow) -> tuple[bytes | None, RawBlock | None]:
        """The next record, or the block for bytes that are none; commits."""
        head = window.peek(_TFRECORD_HEAD)
        if len(head) < _TFRECORD_HEAD:
            return None, self._damaged(window, None, f"{len(head)} bytes are not a whole record")
        length, checksum = struct.unpack("<QI", head)
        if masked_crc32c(head[:8]) != checksum:
            return None, self._damaged(window, None, "the checksum of a length is wrong")
        if length > json_files.MAX_RECORD_BYTES:
            return None, self._large(window, length)
        if not window.need(_TFRECORD_HEAD + length + _TFRECORD_TAIL):
            return None, self._damaged(window, None, f"a record of {length} bytes is cut off")
        window.take(_TFRECORD_HEAD)
        data = window.take(length)
        (checksum,) = struct.unpack("<I", window.take(_TFRECORD_TAIL))
        if masked_crc32c(data) != checksum:
            return None, self._damaged(window, length, "the checksum of a record's data is wrong")
        window.commit()
        return data, None

    def _damaged(self, window: ByteWindow, length: int | None, why: str) -> RawBlock:
        """The record where its length is known, otherwise all the rest: nothing in it marks where a record begins."""
        at = window.at
        size = 2**62 if length is None else _TFRECORD_HEAD + length + _TFRECORD_TAIL
        skipped = window.skip(size, DAMAGE_BYTES)
        return RawBlock(f"{self._path}@{at}", data=skipped.head, error=f"TFRecord is damaged: {why}")

    def _large(self, window: ByteWindow, length: int) -> RawBlock:
        at, skipped = window.at, window.skip(_TFRECORD_HEAD + length + _TFRECORD_TAIL, json_files.MAX_RECORD_BYTES)
        error = too_large("record", length, len(skipped.head))
        return RawBlock(f"{self._path}@{at}", data=skipped.head, error=error)


_READERS: Mapping[str, Callable[[str], Callable[[Readable], Blocks]]] = {
    "avro": _Avro,
    "json": JsonFile,
    "tfexample": _TfRecord,
}
