"""What endpoints hand to decoding, and what the formats make of it."""

from typing import NamedTuple

import pyarrow as pa


class Origin(NamedTuple):
    """What a topic says of a record beside its value."""

    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class RawBlock(NamedTuple):
    """A stretch of input as it was read.

    `avro`: `data` holds so many `datums` of `schema` (JSON) back to back. `json`: `data` holds whole lines, or, from
    a topic, `records` one object each. `tfexample`: `records` holds one serialised `tf.train.Example` each. A stretch
    that could not even be framed has `error` set and its bytes in `data`. `source` names where it came from, for
    people. `parts`: the (datums, bytes) of each container block or record of a topic in `data`, in order, where there
    are several; damage in one costs no record of another. `origins`: where each record of a topic came from, in order.
    `prefix`: what stood before the bytes of each record, and belongs to its original bytes.
    """

    source: str
    schema: str = ""
    datums: int = 0
    data: bytes = b""
    records: tuple[bytes, ...] = ()
    error: str = ""
    parts: tuple[tuple[int, int], ...] = ()
    origins: tuple[Origin, ...] = ()
    prefix: bytes = b""


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
