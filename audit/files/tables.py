"""Scores and receipts as Arrow tables of one schema, whichever version of Halflife wrote them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.vectors import from_bytes

_FEATURES = "features"


def conformed(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of the record's newest schema; of a receipt `features` is a struct with a field for each input."""
    return pa.RecordBatch.from_pydict({field.name: _column(rows, field) for field in schema})


def together(pieces: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """One table; the features of all pieces have the same fields."""
    if _FEATURES in schema.names:
        types: dict[str, set[pa.DataType]] = {}
        for piece in pieces:
            for field in piece.column(_FEATURES).type:
                types.setdefault(field.name, set()).add(field.type)
        kind = pa.struct([(name, _holding(found)) for name, found in types.items()])
        index = schema.get_field_index(_FEATURES)
        schema = schema.set(index, pa.field(_FEATURES, kind))
        pieces = [piece.set_column(index, _FEATURES, _as_struct(piece.column(_FEATURES), kind)) for piece in pieces]
    arrays = [piece.cast(schema) for piece in pieces]
    return pa.Table.from_batches(arrays, schema).combine_chunks()


def _as_struct(features: pa.Array, wanted: pa.DataType) -> pa.Array:
    has = set(features.type.names)
    fields = [
        features.field(field.name).cast(field.type, safe=False) if field.name in has
        else pa.nulls(len(features), field.type)
        for field in wanted
    ]  # fmt: skip
    return pa.StructArray.from_arrays(fields, fields=list(wanted)) if fields else _no_features(len(features))


def _column(rows: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """The column as the record's newest schema has it; what an older one did not have is null, and a list empty."""
    index = rows.schema.get_field_index(field.name)
    if index < 0:
        return pa.nulls(rows.num_rows, field.type)
    column = rows.column(index)
    if field.name == _FEATURES:
        return _features(column)
    return _reasons(column, field.type) if pa.types.is_list(field.type) else column.cast(field.type)


def _reasons(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A list of structs whose later fields an older schema lacks."""
    found = column.values
    fields = [
        found.field(field.name).cast(field.type) if found.type.get_field_index(field.name) >= 0
        else pa.nulls(len(found), field.type)
        for field in wanted.value_type
    ]  # fmt: skip
    values = pa.StructArray.from_arrays(fields, fields=list(wanted.value_type))
    return pa.ListArray.from_arrays(column.offsets, values, type=wanted)


def _features(column: pa.Array) -> pa.Array:
    """The map of what a scorer read as a struct, with a field for each name."""
    rows = np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
    keys = column.keys.dictionary_encode()
    codes = keys.indices.to_numpy(zero_copy_only=False)
    fields = {}
    for code, name in enumerate(keys.dictionary.to_pylist()):
        items = np.flatnonzero(codes == code)
        indexes = np.full(len(column), -1, np.int64)
        indexes[rows[items]] = items
        fields[name] = _values(column.items, pa.array(indexes, mask=indexes < 0))
    return pa.StructArray.from_arrays(list(fields.values()), list(fields)) if fields else _no_features(len(column))


def _no_features(rows: int) -> pa.Array:
    return pa.array([{}] * rows, pa.struct([]))


def _values(union: pa.Array, indexes: pa.Array) -> pa.Array:
    """The values of a union at these indexes, in the one type that holds them."""
    kinds = pa.array(union.type_codes).take(indexes)
    branches = {code: _readable(union.field(code)) for code in kinds.unique().to_pylist() if code is not None}
    wanted = _holding({branch.type for branch in branches.values()})
    whole = pa.nulls(len(indexes), wanted)
    for code, branch in branches.items():
        if not pa.types.is_null(branch.type):
            chosen = pc.fill_null(pc.equal(kinds, code), False)
            whole = pc.if_else(chosen, branch.take(indexes).cast(wanted, safe=False), whole)
    return whole


def _readable(branch: pa.Array) -> pa.Array:
    """Vectors as lists of their numbers; all other values as they are."""
    if not pa.types.is_binary(branch.type):
        return branch
    try:
        return pa.array([None if value is None or not value else from_bytes(value) for value in branch.to_pylist()])
    except ValueError:  # no vectors: values that are encrypted
        return branch


def _holding(types: set[pa.DataType]) -> pa.DataType:
    """The type of a field by the types of its values; where versions read a name differently, a number or a text."""
    held = types - {pa.null()}
    if held and all(pa.types.is_list(found) for found in held):
        return pa.list_(pa.float64() if pa.list_(pa.float64()) in held else pa.float32())
    if held <= {pa.int64(), pa.float64()}:
        return next((kind for kind in (pa.float64(), pa.int64()) if kind in held), pa.null())
    return pa.binary() if pa.binary() in held else pa.string()
