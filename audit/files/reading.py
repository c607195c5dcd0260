"""One file of an audit: its blocks, of which only those are decoded that may hold what is looked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pyarrow as pa

from audit.files.formats import problem_of
from models.errors import one_line
from models.store.backends import Backend
from schemas.avro.datums import decode_block
from schemas.avro.files import AvroBlocks, read_blocks, read_metadata
from schemas.errors import UnusableData
from schemas.formats.byte_windows import Readable


class PassedOver(NamedTuple):
    """A file, or a part of it, that is passed over: why, in one line."""

    why: str


class ReadStretch(NamedTuple):
    """Consecutive records of a file as columns in the schema of the file; `first`: the index of the first in the
    file; `datums`: each record as it is stored, none where they were not asked for."""

    columns: pa.RecordBatch
    datums: pa.Array
    first: int


class Undecoded(NamedTuple):
    """Consecutive records that were not decoded, since they cannot hold what is looked for."""

    records: int


_AT_ONCE = 8_192  # records: more of them are more memory, whose first use takes longer than decoding does
Needles = tuple[bytes, ...]
Piece = ReadStretch | Undecoded | PassedOver


class _Chunks:
    """The chunks of an object as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int, /) -> bytes:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return b""
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


@contextmanager
def _opened(backend: Backend, key: str) -> Iterator[Readable]:
    """An object as a stream. Raises `OSError` where a local file cannot be read, also `FileNotFoundError`."""
    if backend.root is None:
        yield _Chunks(backend.stream(key))
        return
    with (backend.root / key).open("rb") as stream:
        yield stream


def read_file(
    backend: Backend, key: str, record: str, needles: Needles = (), datums: bool = True
) -> Iterator[Piece]:
    """The records of a file in order; what is damaged, cut off or of another format is an `PassedOver` each.

    Args:
        backend: the audit's folder or object store.
        key: of the file.
        record: `Receipt` or `ModelEvent`.
        needles: blocks that hold none of these byte strings are not decoded; where none is given, all are.
        datums: whether each record is wanted as it is stored, too.

    Raises:
        StoreUnavailable: the object store did not answer.
    """
    first, empty = 0, True
    try:
        with _opened(backend, key) as stream:
            for block in read_blocks(stream, _AT_ONCE):
                empty = False
                for piece in _decoded(block, record, needles, first, datums):
                    yield piece
                    first += _records(piece)
        if empty and not backend.size(key):
            yield PassedOver("it is empty; expected: an Avro container file")
    except FileNotFoundError:
        yield PassedOver("it was deleted while it was read; next: ask again")
    except OSError as error:
        yield PassedOver(f"it cannot be read: {one_line(error)}")


def origin_of(backend: Backend, key: str) -> dict[str, str | None]:
    """The `job` and `run` that wrote a file, as its header says; None where it does not.

    Raises:
        StoreUnavailable: the object store did not answer.
    """
    said: Mapping[bytes, bytes] = {}
    with suppress(OSError, EOFError, ValueError, OverflowError), _opened(backend, key) as stream:
        said = read_metadata(stream)
    return {name: _text(said.get(f"halflife.{name}".encode())) for name in ("job", "run")}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace") or None


def _records(piece: Piece) -> int:
    if isinstance(piece, PassedOver):
        return 0
    return piece.records if isinstance(piece, Undecoded) else piece.columns.num_rows


def _decoded(block: AvroBlocks, record: str, needles: Needles, first: int, datums: bool) -> Iterator[Piece]:
    problem = block.error or problem_of(block.schema, record)
    if problem:
        yield PassedOver(problem)
        return
    if needles and not any(needle in block.data for needle in needles):
        yield Undecoded(block.datums)
        return
    try:
        found = decode_block(block.data, block.datums, block.schema, payloads=datums)
    except UnusableData as error:
        yield PassedOver(str(error))
        return
    yield ReadStretch(found.rows, found.payloads, first)
    for each in found.unreadable:
        yield PassedOver(each.detail)
