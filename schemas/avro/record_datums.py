"""Batches of the job's own records to Avro datums, also where the native coder lacks a branch of a union.

`pyruhvro` 0.4.0 panics on bytes anywhere in a schema. The bytes branch is the last one in the union of a receipt's
features, so as long as no value is in it the datums are the same without it.
"""

import io
import json
from functools import lru_cache
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.compute as pc

from schemas.avro.datums import encode_rows, is_columnar


def encode_records(batch: pa.RecordBatch, schema: str) -> pa.Array:
    """Each row as one Avro datum of the record `schema` (JSON): a binary array of the batch's length.

    Maps to a union are sparse unions with the schema's branches in its order.
    """
    lean_schema = without_bytes(schema)
    if is_columnar(schema) or not is_columnar(lean_schema):
        return encode_rows(batch, schema)
    batch = _compact(batch)
    unions = {name: column for name, column in zip(batch.schema.names, batch.columns, strict=True) if _is_union(column)}
    if any(_holds_bytes(column) for column in unions.values()):
        return _one_by_one(batch, schema, unions)
    columns = [_lean(unions[name]) if name in unions else batch.column(name) for name in batch.schema.names]
    return encode_rows(pa.RecordBatch.from_arrays(columns, batch.schema.names), lean_schema)


@lru_cache(maxsize=16)
def without_bytes(schema: str) -> str:
    """The schema whose maps to a union lack the branch for bytes, where it is the last of several."""

    def lean(node: dict[str, Any]) -> dict[str, Any]:
        values = node.get("values")
        if isinstance(values, list) and len(values) > 2 and values[-1] == "bytes":
            return node | {"values": values[:-1]}
        return node

    return json.dumps(json.loads(schema, object_hook=lean))


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A copy of the batch without offsets: Arrow's unions do not say where a slice of them begins."""
    maps = [column for column in batch.columns if pa.types.is_map(column.type)]
    if all(len(column.items) == column.offsets[len(column)].as_py() - column.offsets[0].as_py() for column in maps):
        return batch
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(stream.getvalue()).read_next_batch()


def _is_union(column: pa.Array) -> bool:
    return bool(pa.types.is_map(column.type) and pa.types.is_union(column.type.item_type))


def _holds_bytes(column: pa.MapArray) -> bool:
    return bool(pc.any(pc.equal(column.items.type_codes, column.items.type.num_fields - 1)).as_py())


def _lean(column: pa.MapArray) -> pa.MapArray:
    """The map without its last branch. Nothing is copied."""
    values = column.items
    kept = list(values.type)[:-1]
    children = [values.field(index) for index in range(len(kept))]
    union = pa.UnionArray.from_sparse(values.type_codes, children, [field.name for field in kept])
    return pa.MapArray.from_arrays(column.offsets, column.keys, union, type=pa.map_(pa.string(), pa.sparse_union(kept)))


def _one_by_one(batch: pa.RecordBatch, schema: str, unions: dict[str, pa.MapArray]) -> pa.Array:
    parsed, rows = fastavro.parse_schema(json.loads(schema)), batch.to_pylist()
    for name, column in unions.items():
        # Named, since fastavro reads bytes as text where a union has both.
        kinds, at = ["null", "long", "double", "string", "bytes"], 0
        codes = column.items.type_codes.to_pylist()
        for row in rows:
            entries = row[name]
            row[name] = {key: (kinds[codes[at + index]], value) for index, (key, value) in enumerate(entries)}
            at += len(entries)
    datums = []
    for row in rows:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, parsed, row)
        datums.append(stream.getvalue())
    return pa.array(datums, pa.binary())
