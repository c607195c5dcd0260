"""Columns to Avro datums and back: whole blocks at a time, in native code (`pyruhvro`).

A container block of n records is exactly the items of an Avro array without its framing, so a block is decoded as
one datum of `{"rows": array<record>}`; encoding a batch gives one datum per row, and their concatenation is a block.
"""

import io
import json
import os
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

import fastavro
import pyarrow as pa
import pyruhvro

from schemas.avro.columns import affordable_bytes, finished, is_affordable, native_schema, of_values
from schemas.avro.schema import Node, Schema, vetted
from schemas.avro.values import DamagedDatum, Faults, leaf_of, read_path, read_record
from schemas.formats.arrow_columns import column_at
from schemas.formats.raw import DecodedRows, Unreadable

AvroSchema = dict[str, Any] | list[Any] | str


def zigzag_varint(value: int) -> bytes:
    """Avro's encoding of a long (Avro specification 1.12, Binary Encoding).

    >>> [zigzag_varint(value).hex() for value in (0, -1, 1, 64, -2**63)]
    ['00', '01', '02', '8001', 'ffffffffffffffffff01']
    """
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
    fields = [{"name": "rows", "type": rows}, {"name": "end", "type": "string"}]
    return json.dumps({"type": "record", "name": "HalflifeBlock", "fields": fields})


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


def decode_block(
    data: bytes, count: int, schema: str, names: Collection[str] = (), payloads: bool = True
) -> DecodedRows:
    """The `count` records of the record `schema` (JSON) that `data` holds back to back.

    Never raises for bad data. A record with a value that its type does not have, such as a text that is not UTF-8, or
    that is nested too deep is unreadable by itself; where a record does not end where it should, the bytes from it on
    are one unreadable piece. Columns have the types of `avro_columns`; records, arrays and maps may be structs without
    fields. `names`: columns that may be paths into records (`user.address.zip`); each that is one is there by its name.
    `payloads`: without them it takes two thirds of the time; they are then empty, and the bits of a number beyond the
    64th are ignored, as `fastavro` does.

    Raises:
        MalformedSchema: data cannot be read with this schema (`avro.schema.vetted`).
    """
    whole = vetted(schema)
    native = _native_schema(schema)
    paths = {name: tuple(name.split(".")) for name in names if "." in name and name not in whole.root.names}
    if native is not None and affordable_bytes(whole) >= _WORTH_CUTTING:
        found = _decode_in_pieces(data, count, whole, native, payloads)
        if found is not None:
            within = {name: column for name in paths if (column := column_at(found.rows, name)) is not None}
            return found._replace(rows=_with(found.rows, within)) if within else found
    return _decode_one_by_one(data, count, whole, paths)


def _with(rows: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([*rows.columns, *columns.values()], [*rows.schema.names, *columns])


@lru_cache(maxsize=256)
def _native_schema(schema: str) -> str | None:
    return native_schema(vetted(schema))


def _decode_in_pieces(data: bytes, count: int, schema: Schema, native: str, payloads: bool) -> DecodedRows | None:
    """As `_decode_natively`, of as many records at once as a process has memory for: where a record ends in a larger
    block is found one by one, which takes longer than decoding does."""
    if is_affordable(schema, len(data)):
        return _decode_natively(data, count, schema, native, payloads)
    found = list[DecodedRows]()
    for start, end, records in _pieces(data, count, schema):
        piece = _decode_natively(data[start:end], records, schema, native, payloads)
        if piece is None:
            return None
        found.append(piece)
    if not found:
        return None
    rows = pa.concat_batches([each.rows for each in found])
    return DecodedRows(rows, pa.concat_arrays([each.payloads for each in found]), ())


def _pieces(data: bytes, count: int, schema: Schema) -> Sequence[tuple[int, int, int]]:
    """Where each piece starts and ends, and its records; none where a record may be bad."""
    pieces, most = list[tuple[int, int, int]](), affordable_bytes(schema)
    start = end = records = 0
    for _ in range(count):
        faults, before = Faults(), end
        try:
            _, end = read_record(schema.root, data, before, faults)
        except DamagedDatum:
            return ()
        if faults.first:
            return ()
        if records and end - start > most:
            pieces.append((start, before, records))
            start, records = before, 0
        records += 1
    return [*pieces, (start, end, records)] if end == len(data) else ()


def _decode_natively(data: bytes, count: int, schema: Schema, native: str, payloads: bool) -> DecodedRows | None:
    """All records at once; None where one of them may be bad, which the slow path finds and explains."""
    # A text that nobody can know beforehand follows the records: it is read only where they end where they should.
    end = os.urandom(16).hex()
    payloads = payloads or data[-1:] >= b"\x80"  # a last byte that could begin the 0 that follows, as a number of two
    try:
        of_rows = zigzag_varint(count) + data if count else data  # no records are an array's end alone
        framed = b"".join((of_rows, b"\0", zigzag_varint(len(end)), end.encode()))
        wrapped = pyruhvro.deserialize_array([framed], _block_schema(native))
        found = pa.RecordBatch.from_struct_array(wrapped.column(0).values)
        columns = [finished(node, column) for node, column in zip(schema.root.children, found.columns, strict=True)]
        rows = pa.RecordBatch.from_arrays(columns, found.schema.names)
        rows.validate(full=True)  # pyruhvro does not check that a text is UTF-8
        if len(rows) != count or wrapped.column(1)[0].as_py() != end:
            return None
        if not payloads:
            return DecodedRows(rows, _NO_PAYLOADS, ())
        encoded = pyruhvro.serialize_record_batch(found, native, 1)[0]
        # Encoding is canonical for nearly every writer, so equal bytes prove the record boundaries.
        if joined_bytes(encoded).equals(pa.py_buffer(data)):
            return DecodedRows(rows, encoded, ())
    except Exception:  # whatever a decoder raises on untrusted bytes concerns the bytes, not the job
        return None
    except BaseException as problem:
        if type(problem).__name__ != _PANIC:
            raise
    return None


_NO_PAYLOADS = pa.nulls(0, pa.binary())
# Of schemas that let fewer bytes fill all the memory, each value is read by itself.
_WORTH_CUTTING = 1024 * 1024
# A panic of Rust code is no `Exception`, and its class cannot be imported.
_PANIC = "PanicException"


def _decode_one_by_one(data: bytes, count: int, schema: Schema, paths: Mapping[str, Sequence[str]]) -> DecodedRows:
    """Record by record, tracking where each one ends; for damaged or unusual blocks only."""
    records: list[list[Any]] = []
    payloads: list[bytes] = []
    skipped: list[Unreadable] = []
    error, start, sure, sure_end = "", 0, 0, 0
    for index in range(count):
        faults = Faults()
        try:
            record, end = read_record(schema.root, data, start, faults)
        except DamagedDatum as problem:
            error = _unreadable(index, count, str(problem))
            break
        if faults.first:
            if not skipped:
                sure, sure_end = len(records), start
            skipped.append(Unreadable(data[start:end], "MalformedAvro", _unreadable(index, count, faults.first)))
        else:
            records.append(record)
            payloads.append(data[start:end])
        start = end
    if not error and start < len(data):
        error = f"{len(data) - start} bytes follow the last of the {count} records their block declares"
    if error and skipped:  # the boundaries do not add up, so everything since the first bad record is in doubt
        error, start, skipped = skipped[0].detail, sure_end, []
        del records[sure:], payloads[sure:]
    rest = [Unreadable(data[start:], "MalformedAvro", error)] if error else []
    columns = iter(zip(*records, strict=True) if records else repeat((), len(schema.root.solid)))
    arrays = [pa.nulls(len(records)) if node.empty else of_values(node, next(columns)) for node in schema.root.children]
    rows = pa.RecordBatch.from_arrays(arrays, list(schema.root.names))
    rows = _with(rows, _within(schema.root, payloads, paths))
    return DecodedRows(rows, pa.array(payloads, pa.binary()), (*skipped, *rest))


def _within(root: Node, payloads: Sequence[bytes], paths: Mapping[str, Sequence[str]]) -> dict[str, pa.Array]:
    """The columns that lie within others, from the bytes of whole records."""
    leaves = {name: leaf_of(root, path) for name, path in paths.items()}
    return {
        name: of_values(leaf, [read_path(root, payload, paths[name]) for payload in payloads])
        for name, leaf in leaves.items()
        if leaf is not None
    }


def _unreadable(index: int, count: int, why: str) -> str:
    return f"record {index + 1} of {count} in its block is unreadable: {why}"
