"""Avro datums read value by value, with a vetted schema: slower than whole columns, for data that those cannot read.

The reader knows its offset at each byte, needs no stack and never reads a byte twice, so that a hostile datum costs
no more than its bytes. A wrong value of the right length is a fault of its record only: the next record is found.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from schemas.avro.schema import Node
from schemas.errors import UnusableData
from schemas.formats.nesting import MAX_NESTING

MAX_ITEMS = 16 * 1024 * 1024
"""How many items without bytes (nulls) one record may have."""
_MAX_LEVELS = 1_000_000  # beyond it even the end of a record is not searched for
_LONG_BITS = 64
MAX_DIGITS = 76  # of a decimal, as Arrow has them
_Value: TypeAlias = tuple[Any, int]
_Read: TypeAlias = Callable[[Node, bytes, int, "Faults"], _Value]


class DamagedDatum(UnusableData):
    """A datum does not end where it should, so nothing after it can be read either."""


class Faults:
    """What is wrong with the values of one record; the first fault as text."""

    def __init__(self) -> None:
        self.first = ""
        self._items = 0

    def found(self, problem: str) -> None:
        self.first = self.first or problem

    def count(self, items: int) -> None:
        """Counts items that take no bytes."""
        self._items += items
        if self._items > MAX_ITEMS:
            self.found(f"an array of {items} items without bytes; allowed: at most {MAX_ITEMS} in a record")


def read_record(root: Node, data: bytes, at: int, faults: Faults) -> tuple[list[Any], int]:
    """The values of a record's fields that take bytes (`root.solid`), and where it ends. Raises `DamagedDatum`.

    An array of numbers is a list, any other array, a record or map its bytes; where a union has several types beside
    null its value is (branch, value).
    """
    row = []
    try:
        for child in root.solid:
            value, at = _READERS[child.kind](child, data, at, faults)
            row.append(value)
    except IndexError:
        raise DamagedDatum(f"the bytes end within its field {_name(root, len(row))!r:.80}") from None
    return row, at


def _name(root: Node, index: int) -> str:
    """The name of the field at an index among those that take bytes."""
    return [name for name, child in zip(root.names, root.children, strict=True) if not child.empty][index]


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint, and where it ends. Raises `IndexError` at the end of the data and `DamagedDatum`."""
    byte = data[at]
    at += 1
    result, shift = byte & 0x7F, 7
    while byte > 0x7F:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        shift += 7
        if shift > _LONG_BITS + 6:
            raise DamagedDatum("a number of more than ten bytes")
    if result >> _LONG_BITS:
        raise DamagedDatum("a number of more than 64 bits")
    return (result >> 1) ^ -(result & 1), at


def _null(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    return None, at


def _boolean(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    if data[at] > 1:
        faults.found(f"a boolean of {data[at]}; allowed: 0 and 1")
    return data[at] == 1, at + 1


def _int(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    value, at = read_long(data, at)
    if not -(2**31) <= value < 2**31:
        faults.found(f"an int of {value}; expected: one of 32 bits")
    return value, at


def _long(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    return read_long(data, at)


def _float(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    return struct.unpack("<f", _taken(data, at, 4))[0], at + 4


def _double(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    return struct.unpack("<d", _taken(data, at, 8))[0], at + 8


def _taken(data: bytes, at: int, size: int) -> bytes:
    if not 0 <= size <= len(data) - at:
        raise DamagedDatum(f"a value of {size} bytes where {len(data) - at} are left")
    return data[at : at + size]


def _bytes(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    size, at = read_long(data, at)
    value = _taken(data, at, size)
    return (_decimal_checked(value, faults) if node.logical == "decimal" else value), at + size


def _decimal_checked(value: bytes, faults: Faults) -> bytes:
    if abs(int.from_bytes(value, "big", signed=True)) >= 10**MAX_DIGITS:
        faults.found(f"a decimal of more than {MAX_DIGITS} digits")
    return value


def _text(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    size, at = read_long(data, at)
    value = _taken(data, at, size)
    try:
        return value.decode(), at + size
    except UnicodeDecodeError as problem:
        faults.found(str(problem))
        return None, at + size


def _enum(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    index, at = read_long(data, at)
    if 0 <= index < len(node.names):
        return node.names[index], at
    faults.found(f"symbol {index} of an enum; allowed: 0 to {len(node.names) - 1}")
    return None, at


def _fixed(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    value = _taken(data, at, node.size)
    if node.logical == "uuid":
        return str(UUID(bytes=value)), at + node.size
    return (_decimal_checked(value, faults) if node.logical == "decimal" else value), at + node.size


def branch_of(node: Node, data: bytes, at: int) -> tuple[int, int]:
    """The branch that a union's value has, and where the value begins. Raises `DamagedDatum`."""
    index, at = read_long(data, at)
    if not 0 <= index < len(node.children):
        raise DamagedDatum(f"branch {index} of a union; allowed: 0 to {len(node.children) - 1}")
    return index, at


def _union(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    index, at = branch_of(node, data, at)
    child = node.children[index]
    value, at = _READERS[child.kind](child, data, at, faults)
    return ((index, value) if node.several else value), at


def _nested(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    end = _end_of(node, data, at, faults)
    return data[at:end], end


def leaf_of(root: Node, path: Sequence[str]) -> Node | None:
    """The type that a path leads to, through records and unions of null and a record; None where there is none."""
    node = root
    for name in path:
        if node.kind == "union" and not node.several:
            node = next((child for child in node.children if child.kind != "null"), node)
        if node.kind != "record" or name not in node.names:
            return None
        node = node.children[node.names.index(name)]
    return node


def read_path(node: Node, data: bytes, path: Sequence[str]) -> Any:
    """The value at a path (for which `leaf_of` has a type) in a value's bytes; None where one on the way is null."""
    at, faults = 0, Faults()
    for name in path:
        if node.kind == "union":
            index, at = branch_of(node, data, at)
            node = node.children[index]
        if node.kind != "record":
            return None
        for own, child in zip(node.names, node.children, strict=True):
            if own == name:
                node = child
                break
            if not child.empty:
                _, at = _READERS[child.kind](child, data, at, faults)
    return None if node.empty else _READERS[node.kind](node, data, at, faults)[0]


def _array(node: Node, data: bytes, at: int, faults: Faults) -> _Value:
    if not node.of_numbers:
        return _nested(node, data, at, faults)
    item, values = node.children[0], list[Any]()
    while True:
        count, at = _block(data, at)
        if count == 0:
            return values, at
        for _ in range(count):
            value, at = _READERS[item.kind](item, data, at, faults)
            values.append(value)


def _end_of(node: Node, data: bytes, at: int, faults: Faults) -> int:
    """Where a record, array or map ends. Open containers are kept on a list, each with its remaining items and its
    depth."""
    frames: list[list[Any]] = []
    depth = 0
    while True:
        node, levels = node.skipped_as or (node, 0)
        depth += levels
        if node.kind == "union":
            index, at = branch_of(node, data, at)
            node = node.children[index]
            if not node.empty:
                continue
        if not node.empty and node.kind in _ADVANCES:
            depth += 1
            frames.append([node, 0, depth])
            if len(frames) > _MAX_LEVELS:
                raise DamagedDatum(f"nested more than {_MAX_LEVELS} deep")
        elif not node.empty:
            _, at = _READERS[node.kind](node, data, at, faults)
        if depth > MAX_NESTING:
            faults.found(f"nested more than {MAX_NESTING} deep")
        following: Node | None = None
        while frames and following is None:
            following, at = _ADVANCES[frames[-1][0].kind](frames[-1], data, at, faults)
            depth = frames[-1][2]
            if following is None:
                frames.pop()
        if following is None:
            return at
        node = following


def _next_field(frame: list[Any], data: bytes, at: int, faults: Faults) -> tuple[Node | None, int]:
    solid, index = frame[0].solid, frame[1]
    frame[1] = index + 1
    return (solid[index] if index < len(solid) else None), at


def _next_item(frame: list[Any], data: bytes, at: int, faults: Faults) -> tuple[Node | None, int]:
    item: Node = frame[0].children[0]
    while frame[1] == 0:
        frame[1], at = _block(data, at)
        if frame[1] == 0:
            return None, at
        if item.empty:
            faults.count(frame[1])
            frame[1] = 0
    frame[1] -= 1
    return item, at


def _next_entry(frame: list[Any], data: bytes, at: int, faults: Faults) -> tuple[Node | None, int]:
    if frame[1] == 0:
        frame[1], at = _block(data, at)
        if frame[1] == 0:
            return None, at
    frame[1] -= 1
    _, at = _text(frame[0], data, at, faults)
    return frame[0].children[0], at


def _block(data: bytes, at: int) -> tuple[int, int]:
    """How many items the next block of an array or map has; a negative number is followed by the block's bytes."""
    count, at = read_long(data, at)
    if count < 0:
        _, at = read_long(data, at)
    return abs(count), at


_ADVANCES: dict[str, Callable[[list[Any], bytes, int, Faults], tuple[Node | None, int]]] = {
    "record": _next_field,
    "array": _next_item,
    "map": _next_entry,
}
_READERS: dict[str, _Read] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _text,
    "enum": _enum,
    "fixed": _fixed,
    "union": _union,
    "record": _nested,
    "array": _array,
    "map": _nested,
}
