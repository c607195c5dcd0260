"""Untrusted Avro schemas, vetted before anything is decoded with them (Avro specification 1.12).

A schema is a graph: a record may contain itself, by its name. Everything here walks it without recursion, since an
untrusted schema may be nested deeper than any stack.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from reprlib import repr as shown  # of types that may be nested without end
from typing import Any

from schemas.errors import UnusableData
from schemas.formats.nesting import MAX_NESTING, read_json

MAX_TYPES = 20_000
"""How many types a schema may have."""
MAX_SCHEMA_BYTES = 4 * 1024 * 1024
MAX_FIXED_BYTES = 16 * 1024 * 1024
PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED = frozenset({"record", "enum", "fixed"})
# By the type that a logical type is written as. On another type it is not a logical type.
_LOGICAL = {
    "int": frozenset({"date"}),
    "long": frozenset(f"{local}timestamp-{unit}" for local in ("", "local-") for unit in ("millis", "micros", "nanos")),
    "string": frozenset({"uuid"}),
    "bytes": frozenset({"decimal"}),
    "fixed": frozenset({"decimal", "uuid"}),
}
NUMBERS = frozenset({"int", "long", "float", "double"})
_UUID_BYTES = 16


class MalformedSchema(UnusableData):
    """A schema with which data cannot be read; the message says why."""


@dataclass(eq=False, slots=True)
class Node:
    """One type: `kind` a primitive's name or record, enum, array, map, union, fixed; `logical` only where it is valid.

    `children`: the types of a record's fields (named `names`), of a union's branches, of an array's items or a map's
    values. `names` of an enum are its symbols. `size`: bytes of a fixed. `precision` and `scale` of a decimal.
    """

    kind: str
    logical: str = ""
    names: tuple[str, ...] = ()
    children: list["Node"] = field(default_factory=list)
    size: int = 0
    precision: int = 0
    scale: int = 0
    several: bool = False  # a union of several types beside null
    empty: bool = False  # its values take no bytes
    solid: tuple["Node", ...] = ()  # a record's children that are not empty
    skipped_as: tuple["Node", int] | None = None  # the type with the same bytes, and how many records further in it is


    @property
    def of_numbers(self) -> bool:
        """Whether it is an array of numbers, or of numbers and nulls."""
        item = self.children[0] if self.kind == "array" else self
        inner = [child for child in item.children if child.kind != "null"] if item.kind == "union" else [item]
        return len(inner) == 1 and inner[0].kind in NUMBERS and not inner[0].logical


@dataclass(frozen=True, slots=True)
class Schema:
    """A vetted schema of a record with fields; `recursive`: a type in it contains itself."""

    root: Node
    nodes: tuple[Node, ...]
    depth: int
    recursive: bool


@lru_cache(maxsize=256)
def vetted(text: str) -> Schema:
    """The schema of a record in JSON.

    Raises:
        MalformedSchema: it is not a schema of a record with fields, defines a name twice, has an undefined type or one
            whose values never end, or is larger or nested deeper than this module allows.
    """
    if len(text) > MAX_SCHEMA_BYTES:
        raise MalformedSchema(f"its schema has {len(text)} characters; allowed: at most {MAX_SCHEMA_BYTES}")
    try:
        document = read_json(text)
    except ValueError as problem:
        raise MalformedSchema(f"its schema is not JSON: {problem}") from None
    if not isinstance(document, dict) or document.get("type") != "record" or not document.get("fields"):
        raise MalformedSchema("its schema is not a record with fields; expected: a record with one field or more")
    builder = _Builder()
    root = builder.build(document)
    nodes = tuple(builder.nodes)
    _mark(nodes)
    _check_ends(nodes)
    _shorten(nodes)
    return Schema(root, nodes, builder.depth, _is_recursive(root))


@dataclass(slots=True)
class _Task:
    """A type to be read: its JSON, the namespace around it, its depth and where it belongs."""

    document: Any
    space: str
    depth: int
    parent: Node | None
    index: int


class _Builder:
    """Reads types in the order of the text: a name is known from its definition on."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.depth = 0
        self._named: dict[str, Node] = {}

    def build(self, document: Any) -> Node:
        tasks = [_Task(document, "", 0, None, 0)]
        root: Node | None = None
        while tasks:
            task = tasks.pop()
            node, inner = self._node(task)
            root = root or node
            if task.parent is not None:
                task.parent.children[task.index] = node
            tasks += reversed(inner)
        assert root is not None
        return root

    def _node(self, task: _Task) -> tuple[Node, list[_Task]]:
        """The type of a task, and the tasks of those within it."""
        document = task.document
        if isinstance(document, dict) and isinstance(document.get("type"), dict | list):
            document = self._unwrapped(document)
        if isinstance(document, str):
            return self._reference(document, task.space), []
        if isinstance(document, list):
            return self._container(Node("union"), _branches(document), task, task.space, deeper=0)
        kind = document.get("type") if isinstance(document, dict) else None
        if not isinstance(kind, str):
            raise MalformedSchema(f"its schema has {shown(document)} as a type; expected: a name or {{type}}")
        if kind in PRIMITIVES:
            return self._added(_with_logical(Node(kind), document)), []
        if kind in _NAMED:
            return self._defined(kind, document, task)
        if kind in ("array", "map"):
            key = "items" if kind == "array" else "values"
            if key not in document:
                raise MalformedSchema(f"its schema has the type {kind} without {key}; expected: a type")
            return self._container(Node(kind), [document[key]], task, task.space)
        return self._reference(kind, task.space), []

    @staticmethod
    def _unwrapped(document: Any) -> Any:
        """The meaning of `{"type": {"type": …}}`; the innermost logical type counts."""
        while isinstance(document, dict) and isinstance(document.get("type"), dict | list):
            document = document["type"]
        return document

    def _added(self, node: Node) -> Node:
        self.nodes.append(node)
        if len(self.nodes) > MAX_TYPES:
            raise MalformedSchema(f"its schema has too many types; allowed: at most {MAX_TYPES}")
        return node

    def _reference(self, name: str, space: str) -> Node:
        if name in PRIMITIVES:
            return self._added(Node(name))
        known = self._named.get(name if "." in name else _full(name, space))
        known = known or self._named.get(name)
        if known is None:
            raise MalformedSchema(f"its schema has no type {name!r:.80}; expected: one that it defined before")
        return known

    def _container(
        self, node: Node, inner: list[Any], task: _Task, space: str, deeper: int = 1
    ) -> tuple[Node, list[_Task]]:
        self._added(node)
        depth = task.depth + deeper
        self.depth = max(self.depth, depth)
        if depth > MAX_NESTING:
            raise MalformedSchema(f"its schema is nested too deeply; allowed: at most {MAX_NESTING} levels")
        node.children = [node] * len(inner)
        return node, [_Task(one, space, depth, node, index) for index, one in enumerate(inner)]

    def _defined(self, kind: str, document: dict[str, Any], task: _Task) -> tuple[Node, list[_Task]]:
        name, space = _name_of(document, task.space)
        if name in self._named:
            raise MalformedSchema(f"the type {name!r:.80} is defined twice; expected: each type once")
        if kind == "record":
            names, types = _fields(document, name)
            node = self._named[name] = Node(kind, names=names)
            return self._container(node, types, task, space)
        node = _fixed(document, name) if kind == "fixed" else Node(kind, names=_symbols(document, name))
        self._named[name] = node
        return self._added(node), []


def _full(name: str, space: str) -> str:
    return f"{space}.{name}" if space else name


def _name_of(document: dict[str, Any], space: str) -> tuple[str, str]:
    """The full name of a definition, and the namespace within it."""
    name, own = document.get("name"), document.get("namespace", space)
    if not isinstance(name, str) or not name or not isinstance(own, str):
        raise MalformedSchema(f"its schema has a {document['type']} without a name; expected: a text")
    full = name if "." in name else _full(name, own)
    simple = full.rpartition(".")[2]
    if not simple or simple in PRIMITIVES:
        raise MalformedSchema(f"a {document['type']} is named {full!r:.80}; expected: no primitive's name")
    return full, full.rpartition(".")[0]


def _fields(document: dict[str, Any], name: str) -> tuple[tuple[str, ...], list[Any]]:
    fields = document.get("fields")
    if not isinstance(fields, list) or not all(isinstance(one, dict) and "type" in one for one in fields):
        raise MalformedSchema(f"the record {name!r:.80} has no fields; expected: a list of {{name, type}}")
    return _unique([one.get("name") for one in fields], f"field of the record {name!r:.80}"), [
        one["type"] for one in fields
    ]


def _symbols(document: dict[str, Any], name: str) -> tuple[str, ...]:
    symbols = document.get("symbols")
    if not isinstance(symbols, list) or not symbols:
        raise MalformedSchema(f"the enum {name!r:.80} has no symbols; expected: a list of names")
    return _unique(symbols, f"symbol of the enum {name!r:.80}")


def _unique(names: list[Any], what: str) -> tuple[str, ...]:
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name:
            raise MalformedSchema(f"a {what} is {shown(name)}; expected: a name")
        if name in seen:
            raise MalformedSchema(f"a {what} appears twice: {name!r:.80}; expected: each once")
        seen.add(name)
    return tuple(names)


def _fixed(document: dict[str, Any], name: str) -> Node:
    size = document.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_FIXED_BYTES:
        raise MalformedSchema(f"the fixed {name!r:.80} has {shown(size)} bytes; allowed: 0 to {MAX_FIXED_BYTES}")
    return _with_logical(Node("fixed", size=size), document)


def _branches(document: list[Any]) -> list[Any]:
    """The branches of a union, which differ in their type, or in their name where they have one."""
    seen: set[str] = set()
    for branch in document:
        kind = branch.get("type") if isinstance(branch, dict) else branch
        if isinstance(branch, list) or not isinstance(kind, str | dict):
            raise MalformedSchema(f"a union has {shown(branch)} as a branch; expected: a type other than a union")
        if not isinstance(kind, str) or kind in _NAMED:
            continue
        if kind in seen:
            raise MalformedSchema(f"a union has the branch {shown(kind)} twice; expected: each type once")
        seen.add(kind)
    if not document:
        raise MalformedSchema("its schema has a union without branches; expected: one or more")
    return document


def _with_logical(node: Node, document: dict[str, Any]) -> Node:
    """The node with its logical type; an invalid logical type is ignored, as the specification demands."""
    logical = document.get("logicalType")
    if not isinstance(logical, str) or logical not in _LOGICAL.get(node.kind, ()):
        return node
    if logical == "uuid" and node.kind == "fixed" and node.size != _UUID_BYTES:
        return node
    if logical == "decimal":
        precision, scale = document.get("precision"), document.get("scale", 0)
        if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision or precision < 1:
            return node
        node.precision, node.scale = precision, scale
    node.logical = logical
    return node


def _parents(nodes: tuple[Node, ...]) -> dict[int, list[Node]]:
    parents: dict[int, list[Node]] = {}
    for node in nodes:
        for child in node.children:
            parents.setdefault(id(child), []).append(node)
    return parents


def _grown(nodes: tuple[Node, ...], first: list[Node], all_of: frozenset[str], any_of: frozenset[str]) -> set[int]:
    """`first`, and repeatedly each node of kinds `all_of` all of whose children, or of `any_of` one of whose children,
    are in the set."""
    parents = _parents(nodes)
    missing = {id(node): len(node.children) for node in nodes}
    found = {id(node) for node in first}
    ready = list(first)
    while ready:
        for parent in parents.get(id(ready.pop()), ()):
            missing[id(parent)] -= 1
            enough = parent.kind in any_of or (parent.kind in all_of and missing[id(parent)] == 0)
            if enough and id(parent) not in found:
                found.add(id(parent))
                ready.append(parent)
    return found


_RECORD, _UNION = frozenset({"record"}), frozenset({"union"})


def _mark(nodes: tuple[Node, ...]) -> None:
    """Fills in the properties of a type that follow from its children."""
    first = [node for node in nodes if node.kind == "null" or (node.kind == "fixed" and node.size == 0)]
    first += [node for node in nodes if node.kind == "record" and not node.children]
    empty = _grown(nodes, first, _RECORD, frozenset())
    for node in nodes:
        node.empty = id(node) in empty
    for node in nodes:
        node.several = node.kind == "union" and sum(child.kind != "null" for child in node.children) > 1
        node.solid = tuple(child for child in node.children if not child.empty)


def _check_ends(nodes: tuple[Node, ...]) -> None:
    """Raises `MalformedSchema` for a type whose values would contain themselves without end."""
    first = [node for node in nodes if node.kind not in ("record", "union") or not node.children]
    if len(_grown(nodes, first, _RECORD, _UNION)) < len(nodes):
        raise MalformedSchema("its schema has a record that always holds itself; expected: values that end")


def _shorten(nodes: tuple[Node, ...]) -> None:
    """Finds for each type what must be read where its values are skipped: a record with one solid field is that field.
    So skipping a value takes no more steps than it has bytes, whatever its schema."""
    for node in nodes:
        path: list[Node] = []
        while node.skipped_as is None and node.kind == "record" and len(node.solid) == 1:
            path.append(node)
            node = node.solid[0]
        node.skipped_as = node.skipped_as or (node, 0)
        target, levels = node.skipped_as
        for index, passed in enumerate(reversed(path), 1):
            passed.skipped_as = target, levels + index


def _is_recursive(root: Node) -> bool:
    """Whether a type contains itself."""
    open_nodes, done = {id(root)}, set[int]()
    path: list[tuple[Node, Iterator[Node]]] = [(root, iter(root.children))]
    while path:
        node, children = path[-1]
        child = next(children, None)
        if child is None:
            path.pop()
            open_nodes.discard(id(node))
            done.add(id(node))
        elif id(child) in open_nodes:
            return True
        elif id(child) not in done:
            open_nodes.add(id(child))
            path.append((child, iter(child.children)))
    return False
