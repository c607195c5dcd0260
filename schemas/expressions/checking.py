"""The kinds of an expression, told from the kinds of its columns before any event is there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from schemas.expectations import QUOTE, did_you_mean
from schemas.expressions.functions import COMMON, Function, Takes
from schemas.expressions.nodes import EVENT_TIME, NULL, TIMESTAMP, Call, Items, Literal, MalformedExpression, Name, Node
from schemas.expressions.table import FUNCTIONS

_LEAST, _BEYOND = -(2**63), 2**63
_PLURALS = {"number": "numbers", "integer": "integers", "boolean": "booleans", "string": "texts", TIMESTAMP: "times"}


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of a kind."""

    value: Any
    kind: str


@dataclass(frozen=True, slots=True)
class Column:
    """The values of a column; None is the event's time."""

    name: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A function with its arguments, and the constants that it takes after them."""

    function: Function
    args: "tuple[Typed, ...]"
    constants: tuple[Any, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Converted:
    """An integer, or null, as a value of another kind."""

    value: "Typed"
    kind: str


Typed: TypeAlias = Constant | Column | Applied | Converted


def check(text: str, node: Node, kinds: Mapping[str, str]) -> Typed:
    """The expression with the kind of each part; `kinds` are those of the columns that it may name.

    Raises:
        MalformedExpression: at the first part, from within, that is neither a function nor a column, or whose kind
            does not fit.
    """
    return _Checker(text, kinds).typed(node)


class _Checker:
    def __init__(self, text: str, kinds: Mapping[str, str]) -> None:
        self._text, self._kinds = text, kinds

    def typed(self, node: Node) -> Typed:
        if isinstance(node, Literal):
            self._check_range(node)
            return Constant(node.value, node.kind)
        if isinstance(node, Name):
            return self._column(node)
        if isinstance(node, Items):
            raise self._wrong(node, "one value: only width_bucket takes a list in brackets")
        return self._applied(node)

    def _wrong(self, node: Node, allowed: str) -> MalformedExpression:
        return MalformedExpression(self._text, node.at, allowed)

    def _check_range(self, node: Literal) -> None:
        if isinstance(node.value, int) and not _LEAST <= node.value < _BEYOND:
            raise self._wrong(node, "an integer of 64 bits, or a number with a point")

    def _column(self, node: Name) -> Column:
        if node.is_event_time:
            return Column(None, TIMESTAMP)
        if node.name not in self._kinds:
            known = ", ".join([*sorted(self._kinds), EVENT_TIME])
            raise self._wrong(node, f"one of {known}{did_you_mean(node.name, self._kinds, QUOTE)}")
        return Column(node.name, self._kinds[node.name])

    def _applied(self, node: Call) -> Applied:
        function = FUNCTIONS.get(node.function)
        if function is None:
            called = sorted(name for name, each in FUNCTIONS.items() if each.form.startswith(f"{name}("))
            raise self._wrong(node, f"one of {', '.join(called)}{did_you_mean(node.function, called, QUOTE)}")
        takes = function.arguments(len(node.args))
        if takes is None:
            raise self._wrong(node, function.form)
        pairs = list(zip(takes, node.args, strict=True))
        constants = [self._constant(take, arg, function) for take, arg in pairs if take.constant is not None]
        args = [(take, arg, self._argument(take, arg, function)) for take, arg in pairs if take.constant is None]
        numeric = [*((take, typed.kind) for take, _, typed in args), *self._constant_kinds(pairs)]
        common = self._common(node, [kind for take, kind in numeric if take.to == COMMON])
        converted = [_as_kind(typed, common if take.to == COMMON else take.to) for take, _, typed in args]
        gives = function.gives(constants) if callable(function.gives) else function.gives
        return Applied(function, tuple(converted), tuple(constants), common if gives == COMMON else gives)

    def _constant_kinds(self, pairs: Iterable[tuple[Takes, Node]]) -> list[tuple[Takes, str]]:
        return [(take, arg.kind) for take, arg in pairs if take.constant is not None and isinstance(arg, Literal)]

    def _argument(self, take: Takes, arg: Node, function: Function) -> Typed:
        typed = self.typed(arg)
        if typed.kind == NULL and take.no_null:
            raise self._wrong(arg, "x IS NULL, or another value: nothing equals null")
        if typed.kind not in (*take.kinds, NULL):
            raise self._wrong(arg, f"{_said(take.kinds)} for {function.form}; this is of kind {typed.kind}")
        return typed

    def _constant(self, take: Takes, arg: Node, function: Function) -> Any:
        wanted = f"{_said(take.kinds)} written out" + (", in brackets" if take.items else "")
        if take.items != isinstance(arg, Items) or not isinstance(arg, Items | Literal):
            raise self._wrong(arg, f"{wanted} for {function.form}")
        literals = arg.items if isinstance(arg, Items) else (arg,)
        for literal in literals:
            self._check_range(literal)
            if literal.kind not in take.kinds:
                raise self._wrong(literal, f"{wanted} for {function.form}; this is of kind {literal.kind}")
        value = [literal.value for literal in literals] if take.items else literals[0].value
        allowed = take.constant(value) if take.constant is not None else None
        if allowed is not None:
            raise self._wrong(arg, allowed)
        return value

    def _common(self, node: Call, kinds: Sequence[str]) -> str:
        """The one kind that values of all these kinds become."""
        found = set(kinds) - {NULL}
        if found == {"number", "integer"}:
            return "number"
        if len(found) > 1:
            both = " and ".join(sorted(_PLURALS[kind] for kind in found))
            other = "timestamp('…') makes a time of a text" if TIMESTAMP in found else "cast(x AS kind) makes others"
            raise self._wrong(node, f"values of one kind, not {both} ({other})")
        return next(iter(found), NULL)


def _as_kind(typed: Typed, kind: str | None) -> Typed:
    return typed if kind is None or typed.kind == kind else Converted(typed, kind)


def _said(kinds: Sequence[str]) -> str:
    return " or ".join(_PLURALS[kind] for kind in kinds)
