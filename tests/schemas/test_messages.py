"""The words of messages: "allowed:" is only used before a list of values or a range, and no message is a class's name.

The messages are those in the source, read from its syntax trees. Of the values that are filled into a text, one that is
joined from a list counts as a list, any other as a number.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.expectations import is_choice, wants
from schemas.validation import MISSING, UNKNOWN_KEY, SpecError

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "models", "audit", "transforms", "pipeline", "runners", "examples")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
SAYS = re.compile(r"\b(allowed|expected): (?P<what>.*)", re.DOTALL)
CLASS_AT_END = re.compile(r"(^|[:(,] ?)<class>[)\"]?$")
LISTS = ("join(", "listed(")


def texts_of(path: Path) -> Iterator[tuple[str, str]]:
    """(location, text) of each text in a file that is not a docstring, with 0, `<class>` or a list for its values."""
    tree = ast.parse(path.read_text("utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) not in inner | spoken and (text := text_of(node)):
            yield f"{path.relative_to(ROOT)}:{node.lineno}", text  # type: ignore[attr-defined]  # texts have a line


def text_of(node: ast.AST) -> str:
    """The text of a string literal; empty for any other node."""
    if isinstance(node, ast.JoinedStr):
        return "".join(filled(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def filled(part: ast.expr) -> str:
    """The placeholder for a value that is filled into a text."""
    if not isinstance(part, ast.FormattedValue):
        return text_of(part)
    code = ast.unparse(part.value)
    if code.startswith("type(") and code.endswith(".__name__"):
        return "<class>"
    return "one, two" if any(sign in code for sign in LISTS) else "0"


def faults_of(text: str) -> Iterator[str]:
    """How a message breaks the convention."""
    found = SAYS.search(text)
    if found and found[1] == "allowed" and not is_choice(found["what"]):
        yield f"no list and no range after allowed: {found['what']}"
    if CLASS_AT_END.search(text):
        yield f"a class's name at the end: {text}"
    if re.search(r"<class>: 0", text):
        yield f"a class's name before what an error says: {text}"


def test_messages_say_what_is_allowed_and_what_is_expected() -> None:
    texts = [each for path in SOURCES for each in texts_of(path)]
    assert sum(SAYS.search(text) is not None for _, text in texts) > 250
    assert [f"{location}: {fault}" for location, text in texts for fault in faults_of(text)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("true, false", "allowed"),
        ("avro, json or tfexample; did you mean 'json'?", "allowed"),
        ("'on time', 'late'", "allowed"),
        ("at most 16777216", "allowed"),
        ("0 to 1", "allowed"),
        ("a whole number from 1 to 64", "allowed"),
        ("a duration such as 5m", "expected"),
        ("late", "expected"),
        ("a readable file (No such file or directory)", "expected"),
        ("kafka://host:port/topic", "expected"),
        ("a string of at least 1 character", "expected"),
        ("the keys a, b, which belong together", "expected"),
    ],
)
def test_a_list_or_range_is_allowed_and_all_else_expected(text: str, said: str) -> None:
    assert wants(text) == f"{said}: {text}"
    assert str(SpecError("a.b", MISSING, text)) == f"a.b: missing; {said}: {text}"
    assert str(SpecError("a", UNKNOWN_KEY, text)).endswith(f"; {said}: {text}")
