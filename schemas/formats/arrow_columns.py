"""Columns of Arrow data as decoding reads them: found by name or path, in the plain type of their values."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_UUID_BYTES = 16
_UUID_PARTS = (8, 4, 4, 4, 12)
_DIGITS = np.frombuffer(b"".join(b"%02x" % code for code in range(256)), np.uint8).reshape(256, 2)
_INT64_MAX = 2**63 - 1


def path_of(schema: pa.Schema, name: str) -> tuple[str, ...] | None:
    """The fields that lead to the column of this name: a field that has exactly this name, else, where the name has
    dots, a path into structs. None where there is none, or where a field on the way is there several times.

    >>> address = pa.struct([("zip", pa.string())])
    >>> path_of(pa.schema([("user", pa.struct([("address", address)])), ("a.b", pa.int8())]), "user.address.zip")
    ('user', 'address', 'zip')
    >>> path_of(pa.schema([("a.b", pa.int8())]), "a.b"), path_of(pa.schema([("a", pa.int8())]), "a.b")
    (('a.b',), None)
    """
    if schema.get_field_index(name) >= 0:
        return (name,)
    if "." not in name or schema.get_all_field_indices(name):
        return None
    parts = tuple(name.split("."))
    index = schema.get_field_index(parts[0])
    found = None if index < 0 else schema.field(index).type
    for part in parts[1:]:
        if found is None or not pa.types.is_struct(found) or found.get_field_index(part) < 0:
            return None
        found = found.field(found.get_field_index(part)).type
    return None if found is None else parts


def column_at(rows: pa.RecordBatch, name: str) -> pa.Array | None:
    """The column of this name (`path_of`); null where a struct on the way is."""
    path = path_of(rows.schema, name)
    if path is None:
        return None
    column = rows.column(rows.schema.get_field_index(path[0]))
    if len(path) == 1:
        return column
    holders = [column]
    for name in path[1:]:
        holders.append(holders[-1].field(holders[-1].type.get_field_index(name)))
    *outer, leaf = holders
    if not pa.types.is_union(leaf.type):
        return pc.struct_field(column, list(path[1:]))
    valid = np.logical_and.reduce([holder.is_valid().to_numpy(zero_copy_only=False) for holder in outer])
    return leaf if valid.all() else _union_where(leaf, valid)


def _union_where(column: pa.UnionArray, valid: npt.NDArray[np.bool_]) -> pa.UnionArray:
    """A sparse union with nulls in its branches, where its values lie within nulls: Arrow 25 ends the process when its
    own kernel puts nulls into a union."""
    if column.type.mode == "dense":
        return column
    nested = (pa.types.is_nested, lambda found: isinstance(found, pa.BaseExtensionType))
    branches = [column.field(index) for index in range(column.type.num_fields)]
    known = [
        branch
        if any(holds(branch.type) for holds in nested)
        else pc.if_else(pa.array(valid), branch, pa.scalar(None, branch.type))
        for branch in branches
    ]
    names = [column.type.field(index).name for index in range(len(known))]
    return pa.UnionArray.from_sparse(column.type_codes, known, names, column.type.type_codes)


def plain(column: pa.Array) -> pa.Array:
    """The column in a type that decoding knows: without dictionaries, extensions, large offsets and unsigned longs."""
    for holds, convert in _CONVERTERS.items():
        if holds(column.type):
            return plain(convert(column))
    return column


def plain_type(found: pa.DataType) -> pa.DataType:
    """The type that `plain` gives a column of this type without values."""
    try:
        return plain(pa.nulls(0, found)).type
    except (pa.ArrowException, TypeError):
        return found


def _uuid_texts(column: pa.Array) -> pa.Array:
    """16 bytes as a uuid's text, `8-4-4-4-12`."""
    present = column.is_valid().to_numpy(zero_copy_only=False)
    known = column.drop_null()
    if not len(known):
        return pa.nulls(len(column), pa.string())
    start = known.offset * _UUID_BYTES
    data = np.frombuffer(known.buffers()[1], np.uint8)[start : start + len(known) * _UUID_BYTES]
    digits = _DIGITS[data].reshape(len(known), 2 * _UUID_BYTES)
    ends = np.cumsum(_UUID_PARTS)[:-1]
    signs = np.ascontiguousarray(np.insert(digits, ends, ord("-"), axis=1))
    width = signs.shape[1]
    offsets = np.concatenate([[0], np.cumsum(present * width)]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(signs.tobytes())]
    texts = pa.Array.from_buffers(pa.string(), len(column), buffers)
    return pc.if_else(pa.array(present), texts, pa.scalar(None, pa.string()))


def _of_extension(column: pa.Array) -> pa.Array:
    is_uuid = getattr(column.type, "extension_name", "") == "arrow.uuid"
    return _uuid_texts(column.storage) if is_uuid else column.storage


def _signed(column: pa.Array) -> pa.Array:
    most = pc.max(column).as_py()
    return column.cast(pa.int64() if most is None or most <= _INT64_MAX else pa.decimal128(20, 0))


def _unread(column: pa.Array) -> pa.Array:
    """A value of no type that a column can have."""
    return pa.array([{}] * len(column), pa.struct([]))


def _is_large_text(found: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(found) or pa.types.is_string_view(found))


def _is_large_binary(found: pa.DataType) -> bool:
    views = (pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(holds(found) for holds in views)


def _is_dense_union(found: pa.DataType) -> bool:
    return bool(pa.types.is_union(found) and found.mode == "dense")


def _is_small_decimal(found: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(found) and found.bit_width < 128)


_CONVERTERS: Mapping[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]] = {
    lambda found: isinstance(found, pa.BaseExtensionType): _of_extension,
    pa.types.is_dictionary: lambda column: column.dictionary_decode(),
    pa.types.is_run_end_encoded: pc.run_end_decode,
    _is_large_text: lambda column: column.cast(pa.string()),
    _is_large_binary: lambda column: column.cast(pa.binary()),
    pa.types.is_float16: lambda column: column.cast(pa.float32()),
    pa.types.is_uint64: _signed,
    _is_small_decimal: lambda column: column.cast(pa.decimal128(column.type.precision, column.type.scale)),
    _is_dense_union: _unread,
}
