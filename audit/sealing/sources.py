"""The files that jobs wrote and nobody has sealed yet."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import islice
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple, cast

from ulid import ULID

from audit.files.formats import problem_of
from audit.files.index import NAMES
from audit.files.reading import ReadStretch
from audit.files.segments import KINDS
from audit.files.summaries import SUMMARISED
from models.store.backends import Backend
from schemas.avro.datums import decode_block
from schemas.avro.files import AvroBlocks, read_blocks, read_metadata
from schemas.avro.schema import vetted
from schemas.errors import UnusableData
from schemas.native.skimming import skimmed

_AT_ONCE_BYTES = 4 * 1024 * 1024
_AT_ONCE_RECORDS = 8_192  # larger pieces are joined by copying them
_READERS = 8
_ULID = 26
_OURS = "halflife."
_COLUMNS = (*NAMES, *SUMMARISED, "event_time", "scored_at", "at")


class BrokenSource(UnusableData):
    """A file that is damaged, cut off, of another record or of a later format: it cannot be sealed."""


class UnsealedFile(NamedTuple):
    """A file of an audit by its key, and its bytes."""

    key: str
    size: int

    @property
    def name(self) -> str:
        """As a segment names it: without its folder."""
        return self.key.partition("/")[2]


class ContainerForm(NamedTuple):
    """What the files that are merged must share: the text of the schema, and, where its records do not say which run
    wrote them, what the header says of that."""

    schema: str
    origin: tuple[tuple[str, str], ...] = ()


class FilePart(NamedTuple):
    """Consecutive records of a file, with the form of the file."""

    form: ContainerForm
    rows: ReadStretch


def written_us(name: str, seen_us: int) -> int:
    """When a file was written, microseconds since 1970: by the ULID in its name, else when it was first seen."""
    with suppress(ValueError):
        return min(int(ULID.from_str(name.rpartition(".")[0][-_ULID:].upper()).milliseconds) * 1000, seen_us)
    return seen_us


def list_sources(backend: Backend, kind: str) -> list[UnsealedFile]:
    """The files of a kind in the order of the times in their names; what is hidden is not finished.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    found = [UnsealedFile(key, size) for key, size in backend.list(kind)]
    shown = [each for each in found if not any(part.startswith(".") for part in each.key.split("/"))]
    return sorted(shown, key=lambda each: (each.name.rpartition(".")[0][-_ULID:], each.key))


def read_sources(backend: Backend, sources: Sequence[UnsealedFile]) -> Iterator[tuple[UnsealedFile, bytes | None]]:
    """The files in order, with the bytes of those that are small: these are read several at a time. None: it is large.

    Raises:
        FileNotFoundError: one is not there any more.
        StoreUnavailable: the store did not answer.
    """
    waiting = iter(sources)
    with ThreadPoolExecutor(_READERS) as readers:
        ahead = [(each, readers.submit(_small, backend, each)) for each in islice(waiting, 2 * _READERS)]
        while ahead:
            source, reading = ahead.pop(0)
            ahead += [(each, readers.submit(_small, backend, each)) for each in islice(waiting, 1)]
            yield source, reading.result()


def _small(backend: Backend, source: UnsealedFile) -> bytes | None:
    return backend.read_range(source.key, 0, source.size) if source.size <= _AT_ONCE_BYTES else None


def parts_of(backend: Backend, source: UnsealedFile, held: bytes | None) -> Iterator[FilePart]:
    """The records of a file; `held`: its bytes, where they are read already.

    Raises:
        BrokenSource: it cannot be sealed as it is.
        FileNotFoundError: it is not there any more.
        StoreUnavailable: the store did not answer.
    """
    if not source.size:
        raise BrokenSource("it is empty; expected: an Avro container file")
    if held is not None:
        yield from _parts(BytesIO(held), source)
        return
    with _opened(backend, source.key) as stream, ThreadPoolExecutor(1, "seal-read") as reader:
        parts = _parts(stream, source)
        following = reader.submit(next, parts, None)
        while (part := following.result()) is not None:
            following = reader.submit(next, parts, None)  # while what was read is hashed and written
            yield part


@contextmanager
def _opened(backend: Backend, key: str) -> Iterator[BinaryIO]:
    """A large file; that of an object store is copied to a temporary one."""
    if backend.root is not None:
        with (backend.root / key).open("rb") as stream:
            yield stream
        return
    with TemporaryFile() as copy:
        for chunk in backend.stream(key):
            copy.write(chunk)
        copy.seek(0)
        yield cast("BinaryIO", copy)


def origin_of(stream: BinaryIO) -> tuple[tuple[str, str], ...]:
    """What the header of a container says of the run that wrote it; the stream is at its beginning afterwards."""
    said: Mapping[bytes, bytes] = {}
    with suppress(OSError, EOFError, ValueError, OverflowError):
        said = read_metadata(stream)
    stream.seek(0)
    ours = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in said.items()}
    return tuple(sorted((key, value) for key, value in ours.items() if key.startswith(_OURS)))


def _parts(stream: BinaryIO, source: UnsealedFile) -> Iterator[FilePart]:
    record, first = KINDS[source.key.partition("/")[0]], 0
    origin = origin_of(stream)
    for block in read_blocks(stream, _AT_ONCE_RECORDS):
        problem = block.error or problem_of(block.schema, record)
        if problem:
            raise BrokenSource(problem)
        form = ContainerForm(block.schema, () if "run" in vetted(block.schema).root.names else origin)
        yield FilePart(form, stretch_of(block.data, block.datums, block.schema, first) or _decoded(block, first))
        first += block.datums


def _decoded(block: AvroBlocks, first: int) -> ReadStretch:
    found = decode_block(block.data, block.datums, block.schema)
    if found.unreadable or len(found.rows) != block.datums:
        raise BrokenSource(found.unreadable[0].detail if found.unreadable else "a record of it cannot be read")
    return ReadStretch(found.rows, found.payloads, first)


def stretch_of(data: bytes, records: int, schema: str, first: int = 0) -> ReadStretch | None:
    """Records back to back with the columns that sealing looks at; None where they are to be decoded to know more."""
    found = skimmed(data, records, schema, _COLUMNS)
    return None if found is None else ReadStretch(found.rows, found.datums, first)
