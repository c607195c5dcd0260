"""Texts to expressions and back: read within limits, told where they cannot be, and written in one form."""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

from schemas.expressions.nodes import EVENT_TIME, Items, Literal, MalformedExpression, Name, Node

MOST_CHARACTERS = 4_000
_VALUE = "a column, a number, a text in '…', a function, NOT, CASE, - or ("
_OPERATORS = "an operator (+ - * / % = <> < <= > >= AND OR IS IN BETWEEN LIKE)"
# What may follow, in words, by the terminal of the grammar that stands for it.
_WORDS = (
    ("INTEGER", _VALUE),
    ("WORD", "a name"),
    ("TIMES", _OPERATORS),
    ("RPAR", "a closing )"),
    ("RSQB", "a closing ]"),
    ("COMMA", "a comma"),
    *((word, word.strip("_")) for word in ("_WHEN", "_THEN", "_END", "AND", "_AS", "NULL", "IN", "BETWEEN", "LIKE")),
    ("$END", "the end"),
)
_BESIDE_OPERATORS = ("a closing )", "a comma", "THEN", "END", "the end")
_INSTEAD = {
    "'": "a closing ' (a ' within a text is written '')",
    '"': "a name in \"…\" (it quotes a column; a text is in '…')",
    "&": "AND",
    "|": "OR; texts are joined by concat(a, b)",
    "!": "NOT, or <> between two values",
    "^": "the function power(x, y)",
    ";": "one expression",
}


def parse(text: str) -> Node:
    """The expression of a text; functions and columns are looked up only when its kinds are checked.

    Raises:
        MalformedExpression: it is none, is too long, or nested too deeply.

    >>> parse("dep_delay > 15").function
    '>'
    """
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    if len(text) > MOST_CHARACTERS:
        raise MalformedExpression(text, MOST_CHARACTERS, f"at most {MOST_CHARACTERS} characters")
    try:
        node: Node = _parser().parse(text)
    except UnexpectedCharacters as error:
        at = error.pos_in_stream or 0
        allowed = _INSTEAD.get(text[at : at + 1], "characters of the expression language (a text is in '…')")
        raise MalformedExpression(text, at, allowed) from None
    except UnexpectedToken as error:
        at = len(text) if error.token.type == "$END" else int(error.token.start_pos or 0)
        raise MalformedExpression(text, at, _expected(error.accepts or error.expected)) from None
    except MalformedExpression as error:
        raise MalformedExpression(text, error.at, error.allowed) from None
    return node


def _expected(terminals: Collection[str]) -> str:
    found = [words for terminal, words in _WORDS if terminal in terminals]
    if _VALUE in found:
        return _VALUE
    if _OPERATORS in found:
        return " or ".join([_OPERATORS, *(words for words in found if words in _BESIDE_OPERATORS)])
    return " or ".join(found) or _VALUE


@lru_cache(1)
def _parser() -> Any:
    from schemas.expressions.grammar import parser

    return parser()


def text_of(node: Node) -> str:
    """The one way to write an expression: equal for two texts that differ in spaces, brackets or capitals only.

    >>> text_of(parse("Dep_Delay>15 and  carrier='UA'")), text_of(parse("(dep_delay + 1)"))
    ("((Dep_Delay > 15) AND (carrier = 'UA'))", '(dep_delay + 1)')
    """
    if isinstance(node, Literal):
        return _literal(node)
    if isinstance(node, Name):
        return _name(node)
    if isinstance(node, Items):
        return f"[{', '.join(map(_literal, node.items))}]"
    args = [text_of(arg) for arg in node.args]
    return _WRITTEN.get(node.function, _as_function)(node.function, args)


def _literal(node: Literal) -> str:
    if isinstance(node.value, str):
        return "'" + node.value.replace("'", "''") + "'"
    return "NULL" if node.value is None else str(node.value).upper() if node.kind == "boolean" else repr(node.value)


def _name(node: Name) -> str:
    from schemas.expressions.grammar import KEYWORDS

    plain = all(map(str.isidentifier, node.name.split("."))) and node.name.lower() not in KEYWORDS
    if node.is_event_time or (plain and node.name != EVENT_TIME):
        return node.name
    return '"' + node.name.replace('"', '""') + '"'


def _as_function(name: str, args: list[str]) -> str:
    return f"{name}({', '.join(args)})"


def _as_infix(name: str, args: list[str]) -> str:
    return f"({name}{args[0]})" if len(args) == 1 else f"({args[0]} {name.upper()} {args[1]})"


def _as_case(name: str, args: list[str]) -> str:
    *branches, otherwise = args
    pairs = zip(branches[::2], branches[1::2], strict=True)
    return f"CASE {' '.join(f'WHEN {when} THEN {then}' for when, then in pairs)} ELSE {otherwise} END"


_WRITTEN: dict[str, Callable[[str, list[str]], str]] = {
    **dict.fromkeys(("+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=", "and", "or", "like"), _as_infix),
    "not": lambda name, args: f"(NOT {args[0]})",
    "is null": lambda name, args: f"({args[0]} IS NULL)",
    "in": lambda name, args: f"({args[0]} IN ({', '.join(args[1:])}))",
    "between": lambda name, args: f"({args[0]} BETWEEN {args[1]} AND {args[2]})",
    "case": _as_case,
    "cast": lambda name, args: f"cast({args[0]} AS {args[1][1:-1]})",
}
"""How each is written that is not a plain call."""
