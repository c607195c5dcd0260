"""What endpoints pass to decoding, and what the formats return."""

from typing import NamedTuple, Protocol

import pyarrow as pa

from schemas.records import DeadLetter


class RecordOrigin(Protocol):
    """What a topic states about a record beside its value."""

    @property
    def offset(self) -> int | str:
        """Its offset in Kafka, the id of its message in Pub/Sub."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]: ...


class DecodedBlock(NamedTuple):
    """The events of a stretch of input (None: it has none), a dead letter for each record that cannot be one, how many
    records are none by what they are (`deletes`), and whom each letter is about as far as that could be read (empty:
    of none)."""

    events: pa.RecordBatch | None
    letters: list[DeadLetter]
    skipped: tuple[tuple[str, int], ...] = ()
    subjects: tuple[str | None, ...] = ()


class OfPath(NamedTuple):
    """A column that the path of a file states: its text (None: null), and what the texts of all files look like."""

    name: str
    text: str | None
    kind: str | None = None


class RawBlock(NamedTuple):
    """A stretch of input as it was read.

    `avro`: `data` holds `datums` records of `schema` (JSON) back to back. `csv`: `schema` (JSON) has the columns and
    the signs of the file. `json`: `data` holds whole lines, or, from a topic, `records` one object each. `tfexample`:
    `records` holds one serialised `tf.train.Example` each. A stretch that could not be framed has `error` set and its
    bytes in `data`. `source` names where it came from, for people.
    `parts`: the (datums, bytes) of each container block or record of a topic in `data`, in order, where there are
    several; damage in one costs no record of another. `origins`: where each record of a topic came from, in order.
    `prefix`: bytes before those of each record that belong to its original bytes. `rows`: the records as columns, where
    their format is read in columns (`csv`, `parquet`, `arrow`). `decoded`: the stretch as the job's events, where its
    reader had to decode it already. `of_path`: the columns that the path of its file states. `envelope`: what the
    records of a sample are in. `first`: the number in its file, from 1, of the first line of `data`, or of the first of
    `records`; 0 where the file has no lines, or nobody knows how many the damage before it held.
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
    rows: "tuple[DecodedRows, ...]" = ()
    decoded: DecodedBlock | None = None
    of_path: tuple[OfPath, ...] = ()
    envelope: str | None = None
    first: int = 0


class Unreadable(NamedTuple):
    """One input record that could not be decoded: its original bytes and why; `number`: see `DecodedRows`; `headers`:
    where these, and not its bytes alone, are what is wrong."""

    payload: bytes
    error: str
    detail: str
    number: int = 0
    headers: tuple[tuple[str, bytes | None], ...] = ()


class DecodedRows(NamedTuple):
    """Rows in the columns of their format, the original bytes of each (binary array of equal length), and the rest.

    `numbers`: the number of each row in its file, counted from 1 in `unit` (`line` or `row`; `record`: in its
    block); None where the file's format counts none. `skipped`: how many records are no events, by what they are.
    """

    rows: pa.RecordBatch
    payloads: pa.Array
    unreadable: tuple[Unreadable, ...]
    numbers: pa.Array | None = None
    unit: str = ""
    skipped: tuple[tuple[str, int], ...] = ()
