"""The Arrow columns of Avro's types: from values read one by one, and from the native decoder's columns.

A type that the native decoder (`pyruhvro` 0.4.0) does not know is passed to it as one with the same encoding: bytes and
decimals as texts, the definition of a named type instead of its name. The columns are then converted to their own
types.
"""

import json
import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

import pyarrow as pa

from schemas.avro.schema import Node, Schema
from schemas.avro.values import MAX_DIGITS

# Deeper schemas are read value by value, since the native decoder recurses.
_NATIVE_DEPTH = 24
_NATIVE_TYPES = 2_000
_NATIVE_BRANCHES = 64
# The most cells that the native decoder may fill for a block: a null of a wide record fills all of the record's cells.
_NATIVE_CELLS = 2**28
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXACT = Context(prec=2 * MAX_DIGITS)
_PLAIN = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
    "fixed": pa.binary(),
}
_UNITS = {"millis": "ms", "micros": "us", "nanos": "ns"}
_AS_IT_IS = frozenset({"date"})  # logical types of which the native decoder's columns are ours: its times have no zone


def arrow_type(node: Node) -> pa.DataType:
    """The type of a column of plain values."""
    if node.logical == "date":
        return pa.date32()
    if node.logical == "decimal":
        return pa.decimal256(MAX_DIGITS, node.scale) if node.precision <= MAX_DIGITS else pa.string()
    if node.logical == "uuid":
        return pa.string()
    kind, _, unit = node.logical.rpartition("-")
    if kind:
        return pa.timestamp(_UNITS[unit], None if kind.startswith("local") else "UTC")
    return _PLAIN[node.kind]


def of_values(node: Node, values: Sequence[Any]) -> pa.Array:
    """The column of what `avro_values.read_record` reads of a field. An array of numbers is a list, any other array, a
    record or map a struct without fields; a union of several types beside null is a sparse union with its branches in
    their order."""
    if node.kind == "array" and node.of_numbers:
        return pa.array(values, pa.list_(arrow_type(_item_of(node))))
    if node.kind in ("record", "array", "map"):
        return pa.array([None if value is None else {} for value in values], pa.struct([]))
    if node.kind == "union":
        return _of_union(node, values)
    wanted = arrow_type(node)
    if node.logical == "decimal":
        values = [_decimal(value, node.scale) for value in values]
        return pa.array([_plain_text(one) for one in values] if pa.types.is_string(wanted) else values, wanted)
    if pa.types.is_timestamp(wanted):
        return pa.array(values, pa.int64()).view(wanted)
    if pa.types.is_date32(wanted):
        return pa.array(values, pa.int32()).view(wanted)
    return pa.array(values, wanted)


def _item_of(node: Node) -> Node:
    """The type of the numbers in an array of numbers."""
    item = node.children[0]
    return next(child for child in item.children if child.kind != "null") if item.kind == "union" else item


def _plain_text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _decimal(value: bytes | None, scale: int) -> Decimal | None:
    """The number in a decimal's bytes. Raises `ValueError` for one that Arrow cannot hold."""
    if value is None:
        return None
    unscaled = int.from_bytes(value, "big", signed=True)
    if abs(unscaled) >= 10**MAX_DIGITS:
        raise ValueError(f"a decimal of more than {MAX_DIGITS} digits")
    return Decimal(unscaled).scaleb(-scale, _EXACT)


def _of_union(node: Node, values: Sequence[Any]) -> pa.Array:
    if not node.several:
        inner = [child for child in node.children if child.kind != "null"]
        return of_values(inner[0], values) if inner else pa.nulls(len(values))
    if len(node.children) > _NATIVE_BRANCHES:
        return pa.array([{} for _ in values], pa.struct([]))
    found = [(0, None) if each is None else each for each in values]  # within a record that is null
    codes = pa.array([code for code, _ in found], pa.int8())
    children = [
        of_values(child, [value if code == index else None for code, value in found])
        for index, child in enumerate(node.children)
    ]
    return pa.UnionArray.from_sparse(codes, children)


def native_schema(schema: Schema) -> str | None:
    """The schema (JSON) with which the native decoder can read the same bytes; None where there is none, or where it
    would not be safe: a recursive type, deep nesting, items that take no bytes."""
    if schema.recursive or schema.depth > _NATIVE_DEPTH:
        return None
    for node in schema.nodes:
        if node.kind == "fixed" or (node.kind == "array" and node.children[0].empty) or not _is_named_well(node):
            return None
    budget = _Budget(_NATIVE_TYPES)
    try:
        return json.dumps(_native(schema.root, budget))
    except _TooWide:
        return None


def _is_named_well(node: Node) -> bool:
    if len(node.children) > _NATIVE_BRANCHES and node.kind == "union":
        return False
    return all(_IDENTIFIER.fullmatch(name) for name in node.names) and not (node.kind == "record" and not node.names)


class _TooWide(Exception):
    """A schema that is too large once each name is replaced by its definition."""


class _Budget:
    """Counts types, and gives each that needs one a name of its own."""

    def __init__(self, types: int) -> None:
        self._left = types

    def take(self) -> str:
        self._left -= 1
        if self._left < 0:
            raise _TooWide
        return f"T{self._left}"


def _native(node: Node, budget: _Budget) -> Any:
    name = budget.take()
    if node.kind == "union":
        wrapped = _wrapped(node)
        branches = [(_native(child, budget), index in wrapped) for index, child in enumerate(node.children)]
        return [_record_of(branch, budget.take()) if is_wrapped else branch for branch, is_wrapped in branches]
    if node.kind == "record":
        named = zip(node.names, node.children, strict=True)
        fields = [{"name": own, "type": _native(child, budget)} for own, child in named]
        return {"type": "record", "name": name, "fields": fields}
    if node.kind in ("array", "map"):
        return {"type": node.kind, "items" if node.kind == "array" else "values": _native(node.children[0], budget)}
    if node.kind == "enum":
        return {"type": "enum", "name": name, "symbols": list(node.names)}
    if node.logical in _AS_IT_IS:
        return {"type": node.kind, "logicalType": node.logical}
    return "string" if node.kind == "bytes" else node.kind


def _record_of(native: Any, name: str) -> dict[str, Any]:
    """A record with one field, which has the same encoding as the field alone."""
    return {"type": "record", "name": name, "fields": [{"name": "of", "type": native}]}


@lru_cache(maxsize=4096)
def _wrapped(node: Node) -> frozenset[int]:
    """The branches of a union whose type equals that of an earlier branch: a union may have each type once."""
    kinds = ["string" if child.kind == "bytes" else child.kind for child in node.children]
    named = ("record", "enum", "fixed")
    return frozenset(index for index, kind in enumerate(kinds) if kind not in named and kind in kinds[:index])


_MOST_CELLS = 10_000  # of one value: of a schema that allows more, the native decoder reads nothing


@lru_cache(maxsize=256)
def cells_per_byte(schema: Schema) -> int:
    """The most cells that the native decoder fills for one byte of a schema that it can read."""
    unions = (_width(node) for node in schema.nodes if node.kind == "union")
    nulls = (sum(_width(child) for child in node.children if child.empty) for node in schema.nodes)
    return max(1, *unions, *nulls) if schema.nodes else 1


def is_affordable(schema: Schema, size: int) -> bool:
    """Whether this many bytes cannot make the native decoder fill more cells than a process has memory for."""
    return size <= affordable_bytes(schema)


def affordable_bytes(schema: Schema) -> int:
    """How many bytes that holds for."""
    return int(_NATIVE_CELLS // cells_per_byte(schema))


def _width(node: Node) -> int:
    """Cells of one value: a null fills a cell in each column of its record. Counted without recursion, and no further
    than `_MOST_CELLS`: a record may be nested deeper than Python's stack, and may contain itself."""
    cells, waiting = 0, [node]
    while waiting and cells < _MOST_CELLS:
        each = waiting.pop()
        cells += 1
        waiting += each.children if each.kind in ("record", "union") else ()
    return cells


def finished(node: Node, values: pa.Array) -> pa.Array:
    """A column of the native decoder in our own type. Raises `ValueError` for a value that the type cannot hold."""
    if not _differs(node):
        return values
    return _FINISHING.get(node.kind, _finished_plain)(node, values)


@lru_cache(maxsize=4096)
def _differs(node: Node) -> bool:
    """Whether the native decoder's column of a type must be converted to the type's own."""
    own = bool(node.logical) and node.logical not in _AS_IT_IS and node.logical != "uuid"
    return (
        own
        or node.kind == "bytes"
        or (node.kind == "union" and bool(_wrapped(node)))
        or any(_differs(child) for child in node.children)
    )


def _finished_plain(node: Node, values: pa.Array) -> pa.Array:
    if node.logical == "decimal":
        return of_values(node, values.view(pa.binary()).to_pylist())
    return values.view(arrow_type(node))


def _finished_record(node: Node, values: pa.Array) -> pa.Array:
    children = [finished(child, values.field(index)) for index, child in enumerate(node.children)]
    fields = [pa.field(name, child.type) for name, child in zip(node.names, children, strict=True)]
    return pa.StructArray.from_arrays(children, fields=fields, mask=values.is_null())


def _finished_array(node: Node, values: pa.Array) -> pa.Array:
    items = finished(node.children[0], values.values)
    return pa.ListArray.from_arrays(_offsets(values), items, mask=values.is_null() if values.null_count else None)


def _finished_map(node: Node, values: pa.Array) -> pa.Array:
    items = finished(node.children[0], values.items)
    mask = values.is_null() if values.null_count else None
    return pa.MapArray.from_arrays(_offsets(values), values.keys, items, mask=mask)


def _offsets(values: pa.Array) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), len(values) + 1, [None, values.buffers()[1]], offset=values.offset)


def _finished_union(node: Node, values: pa.Array) -> pa.Array:
    inner = [child for child in node.children if child.kind != "null"]
    if not pa.types.is_union(values.type):
        return finished(inner[0], values)
    wrapped = _wrapped(node)
    fields = [values.field(index) for index in range(len(node.children))]
    plain = [one.flatten()[0] if index in wrapped else one for index, one in enumerate(fields)]
    children = [finished(child, one) for child, one in zip(node.children, plain, strict=True)]
    names = [values.type.field(index).name for index in range(len(children))]
    return pa.UnionArray.from_sparse(values.type_codes, children, names)


_FINISHING: dict[str, Callable[[Node, pa.Array], pa.Array]] = {
    "record": _finished_record,
    "array": _finished_array,
    "map": _finished_map,
    "union": _finished_union,
}
