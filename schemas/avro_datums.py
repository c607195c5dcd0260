"""Columns to Avro datums and back: whole blocks at a time, in native code (`pyruhvro`).

A container block of n records is exactly the items of an Avro array without its framing, so a block is decoded as
one datum of `{"rows": array<record>}`; encoding a batch gives one datum per row, and their concatenation is a block.
"""

import io
import json
from functools import lru_cache
from typing import Any

import fastavro
import pyarrow as pa
import pyruhvro

from schemas.raw import DecodedRows, Unreadable

AvroSchema = dict[str, Any] | list[Any] | str


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


def decode_block(data: bytes, count: int, schema: str) -> DecodedRows:
    """The `count` records of the record `schema` (JSON) that `data` holds back to back.

    Never raises for bad data. A record with a text that is no UTF-8 or a time that is no date is unreadable by itself;
    where a record does not even end where it should, the bytes from it on are one unreadable piece.
    """
    if not is_columnar(schema):
        return _decode_one_by_one(data, count, schema)
    try:
        wrapped = pyruhvro.deserialize_array([zigzag_varint(count) + data + b"\0"], _block_schema(schema))
        rows = pa.RecordBatch.from_struct_array(wrapped.column(0).values)
        rows.validate(full=True)  # pyruhvro does not look whether a text is UTF-8
        payloads = encode_rows(rows, schema)
        # Encoding is canonical for nearly every writer, so equal bytes prove the record boundaries.
        if len(rows) == count and joined_bytes(payloads).equals(pa.py_buffer(data)):
            return DecodedRows(rows, payloads, ())
    except ValueError:
        pass  # the slow path below finds the very record that is bad and says why
    return _decode_one_by_one(data, count, schema)


# What fastavro raises for bytes that are not what the schema says.
_UNREADABLE = (EOFError, ValueError, LookupError, OverflowError, MemoryError, TypeError, RecursionError)


def _decode_one_by_one(data: bytes, count: int, schema: str) -> DecodedRows:
    """Record by record with `fastavro`, which tells where each one ends; for damaged or unusual blocks only."""
    parsed, stream = _parsed(schema), io.BytesIO(data)
    records: list[Any] = []
    payloads: list[bytes] = []
    skipped: list[Unreadable] = []
    error, start, sure, sure_end = "", 0, 0, 0
    for index in range(count):
        try:
            records.append(fastavro.schemaless_reader(stream, parsed, None))
            payloads.append(data[start : stream.tell()])
        except _UNREADABLE as problem:
            why = f"record {index + 1} of {count} in its block is unreadable: {problem or type(problem).__name__}"
            if not skipped:
                sure, sure_end = len(records), start
            if not _skipped(stream, start, schema):
                error = why
                break
            skipped.append(Unreadable(data[start : stream.tell()], "MalformedAvro", why))
        start = stream.tell()
    if not error and start < len(data):
        error = f"{len(data) - start} bytes follow the last of the {count} records their block declares"
    if error and skipped:  # the boundaries do not add up, so all since the first bad record is in doubt
        error, start, skipped = skipped[0].detail, sure_end, []
        del records[sure:], payloads[sure:]
    rest = [Unreadable(data[start:], "MalformedAvro", error)] if error else []
    names = [field["name"] for field in parsed["fields"]]
    columns = [_loose_array([record[name] for record in records]) for name in names]
    rows = pa.RecordBatch.from_arrays(columns, names)
    return DecodedRows(rows, pa.array(payloads, pa.binary()), (*skipped, *rest))


def _skipped(stream: io.BytesIO, start: int, schema: str) -> bool:
    """Moves past the record at `start`, reading its bare types only; False where even they cannot be read."""
    stream.seek(start)
    try:
        fastavro.schemaless_reader(stream, _parsed(_bare(schema)), None, handle_unicode_errors="replace")
    except _UNREADABLE:
        return False
    return True


@lru_cache(maxsize=256)
def _bare(schema: str) -> str:
    def plain(node: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in node.items() if key != "logicalType"}

    return json.dumps(json.loads(schema, object_hook=plain))


def _loose_array(values: list[Any]) -> pa.Array:
    """The values in the type Arrow infers; as text where they are of several types."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
