"""What endpoints hand to decoding, and what the formats make of it."""

from typing import NamedTuple, Protocol

import pyarrow as pa

from schemas.records import DeadLetter


class RecordOrigin(Protocol):
    """What a topic says of a record beside its value."""

    @property
    def offset(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]: ...


class DecodedBlock(NamedTuple):
    """The events of a stretch of input (None: it has none), and a dead letter for each record that is not one."""

    events: pa.RecordBatch | None
    letters: list[DeadLetter]


class RawBlock(NamedTuple):
    """A stretch of input as it was read.

    `avro`: `data` holds so many `datums` of `schema` (JSON) back to back. `json`: `data` holds whole lines, or, from
    a topic, `records` one object each. `tfexample`: `records` holds one serialised `tf.train.Example` each. A stretch
    that could not even be framed has `error` set and its bytes in `data`. `source` names where it came from, for
    people. `parts`: the (datums, bytes) of each container block or record of a topic in `data`, in order, where there
    are several; damage in one costs no record of another. `origins`: where each record of a topic came from, in order.
    `prefix`: what stood before the bytes of each record, and belongs to its original bytes. `decoded`: what the
    stretch is by the job's own events, where its reader had to know already.
    """

    source: str
    schema: str = ""
    datums: int = 0
    data: bytes = b""
    records: tuple[bytes, ...] = ()
    error: str = ""
    parts: tuple[tuple[int, int], ...] = ()
    origins: tuple[RecordOrigin, ...] = ()
    prefix: bytes = b""
    decoded: DecodedBlock | None = None


class Unreadable(NamedTuple):
    """One input record that could not be decoded: its original bytes and why."""

    payload: bytes
    error: str
    detail: str


class DecodedRows(NamedTuple):
    """Rows in the columns of their format, the original bytes of each (binary array of equal length), and the rest."""

    rows: pa.RecordBatch
    payloads: pa.Array
    unreadable: tuple[Unreadable, ...]
