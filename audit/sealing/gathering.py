"""Many small files read as one: a stream leaves a few records in each, and decoding a file costs as much as decoding
hundreds of records."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple

from audit.files.found.many_files import SMALL_BYTES, decoded, small_file
from audit.files.segments import KINDS
from audit.sealing.sources import ContainerForm, FilePart, UnsealedFile, origin_of, stretch_of
from schemas.avro.schema import vetted

_MOST_BYTES = 1024 * 1024
_MOST_RECORDS = 1024

Held = tuple[UnsealedFile, bytes | None]


class Gathered(NamedTuple):
    """Consecutive files, with what was read of each that is small; `part`: the records of all of them, None where they
    have to be read one by one."""

    files: list[Held]
    part: FilePart | None = None


class _Raw(NamedTuple):
    """A small file without a fault so far: its form, its records back to back, and how many they are."""

    form: ContainerForm
    data: bytes
    records: int


@dataclass
class _Group:
    files: list[Held] = field(default_factory=list)
    form: ContainerForm | None = None
    data: list[bytes] = field(default_factory=list)
    size: int = 0
    records: int = 0

    def takes(self, raw: _Raw) -> bool:
        fits = self.size + len(raw.data) <= _MOST_BYTES and self.records + raw.records <= _MOST_RECORDS
        return self.form is None or (self.form == raw.form and fits)

    def add(self, held: Held, raw: _Raw) -> None:
        self.files.append(held)
        self.form = raw.form
        self.data.append(raw.data)
        self.size += len(raw.data)
        self.records += raw.records

    def ended(self) -> Iterator[Gathered]:
        """What was gathered; nothing of an empty group."""
        if self.form is not None:
            yield Gathered(self.files, _decoded(self.form, b"".join(self.data), self.records))


def gathered(read: Iterable[Held], wanted: Callable[[], int]) -> Iterator[Gathered]:
    """All files in order, those that are small and of one form together.

    Args:
        read: the files, with the bytes of those that are small.
        wanted: how many records are wanted yet: a group ends with the file that reaches it.
    """
    group = _Group()
    for held in read:
        raw = _raw_of(*held)
        if raw is None or not group.takes(raw):
            yield from group.ended()
            group = _Group()
        if raw is None:
            yield Gathered([held])
            continue
        group.add(held, raw)
        if group.records >= min(wanted(), _MOST_RECORDS):
            yield from group.ended()
            group = _Group()
    yield from group.ended()


def _raw_of(source: UnsealedFile, held: bytes | None) -> _Raw | None:
    """A file that may be read with others; None where it is large, or something about it has to be said."""
    if not held or len(held) > SMALL_BYTES:
        return None
    small = small_file(held, KINDS[source.key.partition("/")[0]])
    if small is None:
        return None
    # Of records that say which run they are of, the header says nothing more.
    origin = () if "run" in vetted(small.schema).root.names else origin_of(BytesIO(held))
    return _Raw(ContainerForm(small.schema, origin), small.data, small.records)


def _decoded(form: ContainerForm, data: bytes, records: int) -> FilePart | None:
    rows = stretch_of(data, records, form.schema) or decoded(form.schema, data, records)
    return None if rows is None else FilePart(form, rows)
