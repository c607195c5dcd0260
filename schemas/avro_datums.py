"""Columns to Avro datums and back: whole blocks at a time, in native code (`pyruhvro`).

A container block of n records is exactly the items of an Avro array without its framing, so a block is decoded as
one datum of `{"rows": array<record>}`; encoding a batch gives one datum per row, and their concatenation is a block.
"""

import io
import json
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import fastavro
import pyarrow as pa
import pyruhvro

AvroSchema = dict[str, Any] | list[Any] | str


class DecodedBlock(NamedTuple):
    """Rows of a block, the original bytes of each, and what could not be read (empty when all was).

    `rows` and `payloads` have equal length; `rest` starts at the first byte of the first unreadable record.
    """

    rows: pa.RecordBatch
    payloads: pa.Array
    rest: bytes
    error: str


def zigzag_varint(value: int) -> bytes:
    """Avro's encoding of a long (Avro specification 1.12, Binary Encoding)."""
    value = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


@lru_cache(maxsize=256)
def _block_schema(schema: str) -> str:
    rows = {"type": "array", "items": json.loads(schema)}
    return json.dumps({"type": "record", "name": "HalflifeBlock", "fields": [{"name": "rows", "type": rows}]})


@lru_cache(maxsize=256)
def _parsed(schema: str) -> Any:
    return fastavro.parse_schema(json.loads(schema))


_COLUMNAR_PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "string"}
_COLUMNAR_LOGICAL = {None, "date", "timestamp-millis", "timestamp-micros"}


def _is_columnar_type(node: AvroSchema) -> bool:
    if isinstance(node, str):
        return node in _COLUMNAR_PRIMITIVES
    if isinstance(node, list):
        return all(_is_columnar_type(branch) for branch in node)
    if node.get("logicalType") not in _COLUMNAR_LOGICAL:
        return False
    kind = node["type"]
    if kind == "record":
        return all(_is_columnar_type(field["type"]) for field in node["fields"])
    if kind in ("array", "map"):
        return _is_columnar_type(node["items" if kind == "array" else "values"])
    return kind == "enum" or _is_columnar_type(kind)


@lru_cache(maxsize=256)
def is_columnar(schema: str) -> bool:
    """Whether the native coder knows every type of the record schema (JSON).

    It does not know bytes, fixed, decimal, uuid, time-*, local-* and references to named types (pyruhvro 0.4.0
    panics on them); such schemas are coded record by record with `fastavro`.
    """
    return _is_columnar_type(json.loads(schema))


def encode_rows(batch: pa.RecordBatch, schema: str) -> pa.Array:
    """Each row as one Avro datum of the record `schema` (JSON): a binary array of the batch's length."""
    if is_columnar(schema):
        return pyruhvro.serialize_record_batch(batch, schema, 1)[0]
    datums, parsed = [], _parsed(schema)
    for record in batch.to_pylist():
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, parsed, record)
        datums.append(stream.getvalue())
    return pa.array(datums, pa.binary())


def joined_bytes(datums: pa.Array) -> pa.Buffer:
    """The datums of a binary array back to back, without copying."""
    offsets = datums.buffers()[1]
    start = int(pa.Array.from_buffers(pa.int32(), 1, [None, offsets], offset=datums.offset)[0].as_py())
    end_index = datums.offset + len(datums)
    end = int(pa.Array.from_buffers(pa.int32(), 1, [None, offsets], offset=end_index)[0].as_py())
    return datums.buffers()[2].slice(start, end - start)


def decode_block(data: bytes, count: int, schema: str) -> DecodedBlock:
    """The `count` records of the record `schema` (JSON) that `data` holds back to back.

    Never raises for bad data: what can be read is in `rows`, the bytes from the first bad record on in `rest`.
    """
    if not is_columnar(schema):
        return _decode_one_by_one(data, count, schema)
    try:
        wrapped = pyruhvro.deserialize_array([zigzag_varint(count) + data + b"\0"], _block_schema(schema))
        rows = pa.RecordBatch.from_struct_array(wrapped.column(0).values)
        payloads = encode_rows(rows, schema)
        # Encoding is canonical for nearly every writer, so equal bytes prove the record boundaries.
        if len(rows) == count and joined_bytes(payloads).equals(pa.py_buffer(data)):
            return DecodedBlock(rows, payloads, b"", "")
    except ValueError:
        pass  # the slow path below finds the very record that is bad and says why
    return _decode_one_by_one(data, count, schema)


def _decode_one_by_one(data: bytes, count: int, schema: str) -> DecodedBlock:
    """Record by record with `fastavro`, which tells where each one ends; for damaged or unusual blocks only."""
    parsed, stream = _parsed(schema), io.BytesIO(data)
    names = [field["name"] for field in parsed["fields"]]
    records: list[Any] = []
    ends = [0]
    error = ""
    for index in range(count):
        try:
            records.append(fastavro.schemaless_reader(stream, parsed, None))
        except (EOFError, ValueError, IndexError, KeyError, OverflowError, MemoryError, TypeError) as problem:
            error = f"record {index + 1} of {count} in its block is unreadable: {problem or type(problem).__name__}"
            break
        ends.append(stream.tell())
    if not error and ends[-1] < len(data):
        error = f"{len(data) - ends[-1]} bytes follow the last of the {count} records their block declares"
    payloads = pa.array([data[a:b] for a, b in pairwise(ends)], pa.binary())
    columns = [_loose_array([record[name] for record in records]) for name in names]
    rows = pa.RecordBatch.from_arrays(columns, names)
    return DecodedBlock(rows, payloads, data[ends[-1] :] if error else b"", error)


def _loose_array(values: list[Any]) -> pa.Array:
    """The values in the type Arrow infers, or nulls where it has none for them (nobody can read such a column)."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.nulls(len(values))
