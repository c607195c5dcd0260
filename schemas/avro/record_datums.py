"""Batches of the job's own records to Avro datums, also where the native coder lacks a branch of a union.

`pyruhvro` 0.4.0 panics on bytes anywhere in a schema. The bytes branch is the last one in the union of a receipt's
features, so as long as no value is in it the datums are the same without it. Where one is (a vector), the coder is
given a record with one text instead, which has the same encoding: it copies the text's bytes, whatever they are.
"""

import io
import json
from functools import lru_cache
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from schemas.avro.datums import encode_rows, is_columnar

_OF = "of"


def encode_records(batch: pa.RecordBatch, schema: str) -> pa.Array:
    """Each row as one Avro datum of the record `schema` (JSON): a binary array of the batch's length.

    Maps to a union are sparse unions with the schema's branches in its order.
    """
    lean_schema = without_bytes(schema)
    if is_columnar(schema) or not is_columnar(lean_schema):
        return encode_rows(batch, schema)
    batch = _compact(batch)
    unions = {name: column for name, column in zip(batch.schema.names, batch.columns, strict=True) if _is_union(column)}
    in_bytes = any(_holds_bytes(column) for column in unions.values())
    turned = _with_texts if in_bytes else _lean
    columns = [turned(unions[name]) if name in unions else batch.column(name) for name in batch.schema.names]
    rows = pa.RecordBatch.from_arrays(columns, batch.schema.names)
    if in_bytes:
        return pyruhvro.serialize_record_batch(rows, with_texts(schema), 1)[0]
    return encode_rows(rows, lean_schema)


@lru_cache(maxsize=16)
def without_bytes(schema: str) -> str:
    """The schema whose maps to a union lack the branch for bytes, where it is the last of several."""

    def lean(node: dict[str, Any]) -> dict[str, Any]:
        values = node.get("values")
        if isinstance(values, list) and len(values) > 2 and values[-1] == "bytes":
            return node | {"values": values[:-1]}
        return node

    return json.dumps(json.loads(schema, object_hook=lean))


@lru_cache(maxsize=16)
def with_texts(schema: str) -> str:
    """The schema whose maps to a union have a record with one text as the last branch, in place of bytes."""
    names = (f"Bytes{number}" for number in count())  # a schema may define a name once

    def turned(node: dict[str, Any]) -> dict[str, Any]:
        values = node.get("values")
        if isinstance(values, list) and len(values) > 2 and values[-1] == "bytes":
            record = {"type": "record", "name": next(names), "fields": [{"name": _OF, "type": "string"}]}
            return node | {"values": [*values[:-1], record]}
        return node

    return json.dumps(json.loads(schema, object_hook=turned))


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
    return _with_branches(column, list(column.items.type)[:-1], [])


def _with_texts(column: pa.MapArray) -> pa.MapArray:
    """The map whose last branch holds records of one text in place of bytes. Nothing is copied."""
    *kept, last = column.items.type
    texts = column.items.field(len(kept)).view(pa.string())
    records = pa.StructArray.from_arrays([texts], fields=[pa.field(_OF, pa.string())])
    return _with_branches(column, [*kept, pa.field(last.name, records.type)], [records])


def _with_branches(column: pa.MapArray, fields: list[pa.Field], more: list[pa.Array]) -> pa.MapArray:
    """The map with these branches, of which `more` are the last."""
    values = column.items
    children = [*(values.field(index) for index in range(len(fields) - len(more))), *more]
    union = pa.UnionArray.from_sparse(values.type_codes, children, [field.name for field in fields])
    kind = pa.map_(pa.string(), pa.sparse_union(fields))
    return pa.MapArray.from_arrays(column.offsets, column.keys, union, type=kind)
