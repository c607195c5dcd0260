"""What an expression is made of: literals, names, and calls of functions; operators are functions too."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from schemas.errors import UnusableData
from schemas.expectations import wants

NULL, TIMESTAMP = "null", "timestamp"
"""The kinds that expressions have beside those of columns: of `NULL`, and of times."""
EVENT_TIME = "event_time"
"""The name, without quotes, of the event's own time."""
_PIECE = 20
_AROUND = 30

Value: TypeAlias = bool | int | float | str | None


class MalformedExpression(UnusableData):
    """An expression that cannot be read, or whose kinds do not fit; `at` is the index of the first wrong character."""

    def __init__(self, text: str, at: int, allowed: str) -> None:
        super().__init__(text, at, allowed)
        self.text, self.at, self.allowed = text, at, allowed

    @property
    def found(self) -> str:
        """The text, or the part of it around that index, and what is wrong there."""
        start = max(0, self.at - _AROUND) if len(self.text) > 2 * _AROUND else 0
        end = max(start + 2 * _AROUND, self.at + _PIECE)
        shown = f"{'…' if start else ''}{self.text[start:end]}{'…' if end < len(self.text) else ''}"
        rest = self.text[self.at : self.at + _PIECE]
        where = f"character {self.at + 1}, {rest!r}" if rest.strip() else "its end"
        return f"{' '.join(shown.split())!r}, at {where}"

    def __str__(self) -> str:
        return f"{self.found}; {wants(self.allowed)}"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `at` is where in the text it begins."""

    value: Value
    kind: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A column or feature; without quotes `event_time` is the event's time."""

    name: str
    quoted: bool = False
    at: int = field(default=0, compare=False)

    @property
    def is_event_time(self) -> bool:
        """Whether it is the event's time, and no column."""
        return self.name == EVENT_TIME and not self.quoted


@dataclass(frozen=True, slots=True)
class Items:
    """Constants in brackets."""

    items: tuple[Literal, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator, by its name in the table of functions, with what it is applied to."""

    function: str
    args: "tuple[Node, ...]"
    at: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


Node: TypeAlias = Literal | Name | Items | Call


def depth_of(node: Node) -> int:
    """How many calls are nested in it."""
    return node.depth if isinstance(node, Call) else 0


def names_in(node: Node) -> Iterator[Name]:
    """Each name in it, in the order of the text, except that of the event's time."""
    if isinstance(node, Name) and not node.is_event_time:
        yield node
    for inner in node.args if isinstance(node, Call) else ():
        yield from names_in(inner)
