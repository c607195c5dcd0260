"""The tables of docs/expressions.md: every function that an expression may call, and the event of their examples."""

from collections.abc import Iterator
from pathlib import Path

from docs.tables import table
from schemas.expressions.functions import COMMON, Function, Shown
from schemas.expressions.nodes import Value
from schemas.expressions.table import EXAMPLE, GROUPS

_HEADER = ("written", "is", "kind", "examples")


def functions_region(module: Path) -> str:
    """The event of the examples, and a table of each group of functions, in Markdown."""
    return "\n".join(_parts())


def _parts() -> Iterator[str]:
    columns = [(f"`{name}`", kind, _shown(value)) for name, (kind, value) in EXAMPLE.items()]
    yield "The examples are of this event:\n"
    yield table(("name", "kind", "value"), columns) + "\n"
    for title, functions in GROUPS.items():
        yield f"### {title}\n"
        yield table(_HEADER, map(_row, functions.values())) + "\n"


def _row(each: Function) -> tuple[str, ...]:
    kind = each.gives if isinstance(each.gives, str) else "the one named"
    examples = "; ".join(map(_example, each.examples))
    return f"`{each.form}`", each.says, "that of its values" if kind == COMMON else kind, examples


def _example(shown: Shown) -> str:
    return f"`{shown.text}` is {_shown(shown.answer)}"


def _shown(value: Value) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return f"`'{value}'`" if isinstance(value, str) else f"{value!r}"
