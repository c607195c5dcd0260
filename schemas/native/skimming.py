"""Records of an Avro block walked without being decoded: where each ends, and a few of their columns."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.avro.columns import arrow_type
from schemas.avro.schema import Node, Schema, vetted
from schemas.native import compiled

_KINDS = (
    "null",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    "enum",
    "array",
    "map",
    "union",
    "record",
)
_MOST_DEPTH = 24
_TEXT, _NUMBER = 1, 2
_LARGEST = 2**31 - 1


class Skimmed(NamedTuple):
    """Of records some columns, in the types that `decode_block` gives them, and each record as it is stored."""

    rows: pa.RecordBatch
    datums: pa.Array


def skimmed(data: bytes, count: int, schema: str, names: Sequence[str]) -> Skimmed | None:
    """The columns `names`, those that the record has as a text or a number, of the `count` records of `schema` (JSON)
    in `data`.

    None where the compiled module is not there, where it does not know a type of the schema, or where anything about a
    record has to be said: `decode_block` then reads, and says it.

    Raises:
        MalformedSchema: as `decode_block`.
    """
    if compiled.EACH is None or len(data) > _LARGEST:
        return None
    program = _program_of(schema)
    wanted = _wanted(vetted(schema).root, frozenset(names))
    found = None if program is None else compiled.EACH.skim(program, data, count, wanted)
    if found is None:
        return None
    offsets, values = found
    fields = {name: (node, kind) for name, node, kind in _fields(vetted(schema).root, wanted)}
    columns = [_column(*fields[name], each, count) for name, each in zip(fields, values, strict=True)]
    ends = pa.py_buffer(np.frombuffer(offsets, np.int64).astype(np.int32))
    datums = pa.Array.from_buffers(pa.binary(), count, [None, ends, pa.py_buffer(data)])
    return Skimmed(pa.RecordBatch.from_arrays(columns, list(fields)), datums)


def _column(node: Node, kind: int, value: Any, count: int) -> pa.Array:
    if kind == _NUMBER:
        return pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(value)]).view(arrow_type(node))
    texts, offsets, there, nulls = value
    known = pa.py_buffer(there) if nulls else None
    return pa.Array.from_buffers(pa.string(), count, [known, pa.py_buffer(offsets), pa.py_buffer(texts)], nulls)


def _fields(root: Node, wanted: Any) -> list[tuple[str, Node, int]]:
    every = zip(root.names, root.children, np.asarray(wanted).tolist(), strict=True)
    return [(name, node, kind) for name, node, kind in every if kind]


@lru_cache(maxsize=256)
def _wanted(root: Node, names: frozenset[str]) -> Any:
    """Of each field whether it is wanted as text or number."""
    fields = zip(root.names, root.children, strict=True)
    return np.array([_asked(node) if name in names else 0 for name, node in fields], np.int32)


def _asked(node: Node) -> int:
    if node.kind == "long":
        return _NUMBER
    inner = [child for child in node.children if child.kind != "null"] if node.kind == "union" else [node]
    text = len(inner) == 1 and inner[0].kind == "string" and not inner[0].logical
    return _TEXT if text and len(node.children) != 1 else 0  # a union of one type is a union in Arrow, too


@lru_cache(maxsize=256)
def _program_of(schema: str) -> Any:
    """The schema as `_skim.c` reads it; None where it has a type that is not known there."""
    whole = vetted(schema)
    known = not whole.recursive and not whole.root.empty and whole.depth <= _MOST_DEPTH
    if not known or not all(_is_known(node) for node in whole.nodes):
        return None
    return _numbers(whole)


def _is_known(node: Node) -> bool:
    checked = node.logical in ("decimal", "uuid")
    return node.kind in _KINDS and not checked and not (node.kind == "array" and node.children[0].empty)


def _numbers(schema: Schema) -> Any:
    """Each type once, after those that it is within: its kind, how many numbers follow, and these. One that takes no
    bytes is a null, whatever is within: named once, and used over and over, that could be any number of types."""
    order = list[Node]()
    done = set[int]()

    def visit(node: Node) -> None:
        if id(node) not in done:
            done.add(id(node))
            for child in _within(node):
                visit(child)
            order.append(node)

    visit(schema.root)
    starts, at = dict[int, int](), 0
    for node in reversed(order):
        starts[id(node)] = at
        at += 3 if node.kind == "enum" else 2 + len(_within(node))
    program = list[int]()
    for node in reversed(order):
        own = [len(node.names)] if node.kind == "enum" else [starts[id(child)] for child in _within(node)]
        program += [_KINDS.index("null" if node.empty else node.kind), len(own), *own]
    return np.array(program, np.int32)


def _within(node: Node) -> Sequence[Node]:
    return () if node.empty else node.children
