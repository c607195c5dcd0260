"""Record batches in the Arrow types that BigQuery's Storage Write API takes: it knows neither maps nor unions."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints.bigquery.schema import NULLABLE, REPEATED, BigQueryColumn

_TYPES = {
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BYTES": pa.binary(),
    "STRING": pa.string(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "DATETIME": pa.timestamp("us"),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
}


def arrow_schema_of(columns: Sequence[BigQueryColumn]) -> pa.Schema:
    """The Arrow schema of rows for such columns."""
    return pa.schema([_field(column) for column in columns])


def _field(column: BigQueryColumn) -> pa.Field:
    return pa.field(column.name, _type(column), column.mode == NULLABLE)


def _type(column: BigQueryColumn) -> pa.DataType:
    single = pa.struct([_field(field) for field in column.fields]) if column.fields else _TYPES[column.kind]
    return pa.list_(pa.field("item", single, False)) if column.mode == REPEATED else single


def rows_of(batch: pa.RecordBatch, columns: Sequence[BigQueryColumn]) -> pa.RecordBatch:
    """The rows of a batch of the record whose columns these are: maps as lists of key and value, unions as structs
    with one member set, the one whose type the value has."""
    arrays = [_converted(batch.column(column.name), column) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema_of(columns))


def _converted(array: pa.Array, column: BigQueryColumn) -> pa.Array:
    if pa.types.is_map(array.type):
        key, value = column.fields
        entries = [array.keys.cast(_type(key)), _converted(array.items, value)]
        pairs = pa.StructArray.from_arrays(entries, fields=[_field(key), _field(value)])
        return pa.ListArray.from_arrays(array.offsets, pairs, type=_type(column))
    if pa.types.is_list(array.type) and column.fields:
        item = BigQueryColumn(column.name, column.kind, fields=column.fields)
        return pa.ListArray.from_arrays(array.offsets, _converted(array.values, item), type=_type(column))
    if pa.types.is_union(array.type):
        return _member_struct(array, column)
    if pa.types.is_struct(array.type):
        members = [_converted(array.field(field.name), field) for field in column.fields]
        mask = pc.is_null(array) if array.null_count else None
        return pa.StructArray.from_arrays(members, fields=[_field(field) for field in column.fields], mask=mask)
    return array.cast(_type(column))


def _member_struct(array: pa.Array, column: BigQueryColumn) -> pa.Array:
    """A sparse union as a struct; where it holds its null branch, the struct is null."""
    kinds = array.type
    nulls = [kinds.type_codes[number] for number, field in enumerate(kinds) if pa.types.is_null(field.type)]
    valued = [number for number, field in enumerate(kinds) if not pa.types.is_null(field.type)]
    members = []
    for number, field in zip(valued, column.fields, strict=True):
        chosen = pc.equal(array.type_codes, kinds.type_codes[number])
        members.append(pc.if_else(chosen, array.field(number).cast(_type(field)), pa.scalar(None, _type(field))))
    mask = pc.is_in(array.type_codes, pa.array(nulls, pa.int8())) if nulls else None
    return pa.StructArray.from_arrays(members, fields=[_field(field) for field in column.fields], mask=mask)
