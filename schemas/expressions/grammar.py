"""The grammar of expressions, and the tree that Lark builds by it: LALR(1), without recursion.

Imported only by who reads a text: Lark takes a tenth of a second to import and to prepare.
"""

import math
from collections.abc import Iterable
from typing import Any

from lark import Lark, Token, Transformer, v_args

from schemas.expressions.nodes import NULL, Call, Items, Literal, MalformedExpression, Name, Node, depth_of

MOST_LEVELS = 60
GRAMMAR = r"""
?start: either
?either: both | either OR both -> infix
?both: denial | both AND denial -> infix
?denial: relation | NOT denial -> denied
?relation: sum
    | sum COMPARED sum -> infix
    | sum IS NULL -> is_null
    | sum IS NOT NULL -> is_not_null
    | sum IN "(" either ("," either)* ")" -> is_in
    | sum NOT IN "(" either ("," either)* ")" -> is_not_in
    | sum BETWEEN sum AND sum -> is_between
    | sum NOT BETWEEN sum AND sum -> is_not_between
    | sum LIKE sum -> infix
    | sum NOT LIKE sum -> is_not_like
?sum: product | sum PLUS product -> infix | sum MINUS product -> infix
?product: sign | product TIMES sign -> infix
?sign: primary | MINUS sign -> negated
?primary: number | STRING -> text | TRUE -> true | FALSE -> false | NULL -> null
    | WORD -> word | QUOTED -> quoted | "(" either ")"
    | WORD "(" ")" -> call
    | WORD "(" argument ("," argument)* ")" -> call
    | WORD "(" either _AS WORD ")" -> cast
    | CASE [either] branch+ [_ELSE either] _END -> choice
branch: _WHEN either _THEN either
?argument: either | OPENING constant ("," constant)* "]" -> items
?constant: number | MINUS number -> negated | STRING -> text
?number: INTEGER -> integer | DECIMAL -> decimal

OR.2: /or\b/i
AND.2: /and\b/i
NOT.2: /not\b/i
IS.2: /is\b/i
IN.2: /in\b/i
BETWEEN.2: /between\b/i
LIKE.2: /like\b/i
NULL.2: /null\b/i
TRUE.2: /true\b/i
FALSE.2: /false\b/i
CASE.2: /case\b/i
_WHEN.2: /when\b/i
_THEN.2: /then\b/i
_ELSE.2: /else\b/i
_END.2: /end\b/i
_AS.2: /as\b/i
COMPARED: /<=|>=|<>|!=|=|<|>/
PLUS: "+"
MINUS: "-"
TIMES: /[*\/%]/
OPENING: "["
DECIMAL.1: /([0-9]+\.[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[0-9]+e[+-]?[0-9]+/i
INTEGER: /[0-9]+/
WORD: /[^\W\d]\w*(\.[^\W\d]\w*)*/
STRING: /'([^']|'')*'/
QUOTED: /"([^"]|"")+"/
%ignore /\s+/
"""
KEYWORDS = frozenset(
    (*("or", "and", "not", "in", "is", "between", "like", "null", "true", "false"),
     *("case", "when", "then", "else", "end", "as"))
)
"""Words that name a column only in quotes."""


def _fault(at: int, allowed: str) -> MalformedExpression:
    """Who reads the text adds it."""
    return MalformedExpression("", at, allowed)


def _call(function: str, args: Iterable[Node], at: int | None) -> Call:
    found = tuple(args)
    depth = 1 + max(map(depth_of, found), default=0)
    if depth > MOST_LEVELS:
        raise _fault(at or 0, f"at most {MOST_LEVELS} operators and functions that stand in one another")
    return Call(function, found, at or 0, depth)


def _negation_of(name: str, at: int | None, *args: Node) -> Call:
    return _call("not", [_call(name, args, at)], at)


@v_args(inline=True)
class _Builder(Transformer[Token, Node]):
    """Makes the nodes, innermost first; each method is one alternative of the grammar."""

    def integer(self, token: Token) -> Node:
        if len(token) > 400:  # Python refuses to read numbers of thousands of digits
            raise _fault(token.start_pos or 0, "a number of at most 400 digits")
        return Literal(int(token), "integer", token.start_pos or 0)

    def decimal(self, token: Token) -> Node:
        if not math.isfinite(float(token)):
            raise _fault(token.start_pos or 0, "a number below 1.8e308")
        return Literal(float(token), "number", token.start_pos or 0)

    def text(self, token: Token) -> Node:
        return Literal(token[1:-1].replace("''", "'"), "string", token.start_pos or 0)

    def true(self, token: Token) -> Node:
        return Literal(True, "boolean", token.start_pos or 0)

    def false(self, token: Token) -> Node:
        return Literal(False, "boolean", token.start_pos or 0)

    def null(self, token: Token) -> Node:
        return Literal(None, NULL, token.start_pos or 0)

    def word(self, token: Token) -> Node:
        return Name(str(token), False, token.start_pos or 0)

    def quoted(self, token: Token) -> Node:
        return Name(token[1:-1].replace('""', '"'), True, token.start_pos or 0)

    def negated(self, sign: Token, value: Node) -> Node:
        if isinstance(value, Literal) and value.kind in ("integer", "number"):
            return Literal(-value.value, value.kind, sign.start_pos or 0)  # type: ignore[operator]  # it is a number
        return _call("-", [value], sign.start_pos)

    def infix(self, left: Node, sign: Token, right: Node) -> Node:
        name = {"!=": "<>"}.get(sign, sign.lower())
        return _call(name, [left, right], sign.start_pos)

    def denied(self, sign: Token, value: Node) -> Node:
        return _call("not", [value], sign.start_pos)

    def is_null(self, value: Node, sign: Token, _: Token) -> Node:
        return _call("is null", [value], sign.start_pos)

    def is_not_null(self, value: Node, sign: Token, *_: Token) -> Node:
        return _negation_of("is null", sign.start_pos, value)

    def is_in(self, value: Node, sign: Token, *values: Node) -> Node:
        return _call("in", [value, *values], sign.start_pos)

    def is_not_in(self, value: Node, sign: Token, _: Token, *values: Node) -> Node:
        return _negation_of("in", sign.start_pos, value, *values)

    def is_between(self, value: Node, sign: Token, low: Node, _: Token, high: Node) -> Node:
        return _call("between", [value, low, high], sign.start_pos)

    def is_not_between(self, value: Node, sign: Token, _: Token, low: Node, __: Token, high: Node) -> Node:
        return _negation_of("between", sign.start_pos, value, low, high)

    def is_not_like(self, value: Node, sign: Token, _: Token, pattern: Node) -> Node:
        return _negation_of("like", sign.start_pos, value, pattern)

    def items(self, opening: Token, *values: Literal) -> Node:
        return Items(values, opening.start_pos or 0)

    def call(self, name: Token, *args: Node) -> Node:
        return _call(name.lower(), args, name.start_pos)

    def cast(self, name: Token, value: Node, kind: Token) -> Node:
        if name.lower() != "cast":
            raise _fault(name.start_pos or 0, "cast(value AS kind): no other function has AS")
        return _call("cast", [value, Literal(kind.lower(), "string", kind.start_pos or 0)], name.start_pos)

    def branch(self, condition: Node, value: Node) -> Any:
        return condition, value

    def choice(self, case: Token, subject: Node | None, *rest: Any) -> Node:
        """`CASE x WHEN 1 THEN …` is the one without `x` whose conditions compare it."""
        *branches, otherwise = rest
        args: list[Node] = []
        for condition, value in branches:
            args += [condition if subject is None else _call("=", [subject, condition], condition.at), value]
        return _call("case", [*args, otherwise or Literal(None, NULL, case.start_pos or 0)], case.start_pos)


def parser() -> Any:
    """Lark's parser, which makes a `Node` of a text."""
    return Lark(GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder(), maybe_placeholders=True)
