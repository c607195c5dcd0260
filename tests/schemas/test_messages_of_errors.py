"""Each of our errors says what is expected or what to do next, or passes on the message of another error.

The texts are the arguments of the errors raised, read from the syntax trees, with the values of the function's names
and of constants filled in. The words of messages are checked in `tests.schemas.test_messages`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8"))
    for folder in ("schemas", "models", "audit", "transforms", "pipeline", "runners")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
OURS = {"HalflifeError", "NoFlink", "CannotSubmit", "ClusterFailed", "PartMissing"}
# Errors of a document add what is allowed by themselves; for a damaged datum or a broken contract nothing is expected
# but the opposite of what the message says.
SAID_BY_ITSELF = {"Located", "DamagedDatum", "ContractBroken", "PartlyScored", "LoadFailed", "MalformedExpression"}
SAID_BY_ITSELF |= {"BlockTooLarge"}  # it says how many rows fit, and never leaves the sealing
# The messages of these modules are made elsewhere, from those of other errors.
PASSED_ON = {
    "audit/sealing/sources.py": "which record cannot be read",
    "pipeline/commands/audit/proof/check.py": "the verdict, and why",
    "models/bundles/signing.py": "which libraries are missing",
    "models/scorers/mlflow/pyfunc.py": "why the default of an input does not fit",
    "models/scorers/sklearn/skops_files.py": "each refused parameter with what is expected",
    "models/store/release_log.py": "what stands in place of the folder, with what is expected",
    "models/scorers/remote/circuit.py": "when it is tried again",
    "transforms/releases/watch_releases.py": "why the store did not answer",
    "transforms/scoring/score_events.py": "why a version was not loaded",
    "pipeline/endpoints/bigquery/tables.py": "each column that does not fit, with what is expected",
    "pipeline/endpoints/files/earlier_runs.py": "which sinks are in use",
    "pipeline/endpoints/kafka/client.py": "what the broker said",
    "pipeline/endpoints/kafka/sink.py": "what the broker said",
    "pipeline/endpoints/sinks.py": "each sink that cannot be written",
    "pipeline/endpoints/files/other_formats.py": "what the input is instead",
    "runners/flink/local/cluster.py": "why Flink took no savepoint",
    "runners/flink/local/parts.py": "why a tool failed",
    "pipeline/reporting/outcomes.py": "each kind of dead letter, and the next command",
}
SAYS = re.compile(r"\b(expected|allowed|next)\b[^;]*:|next, |wants\(|installing\(")
PASSES_ON = re.compile(
    r"one_line\(|of_error\(|_line\(|str\(<|\.str\(\)|<(\w+\.)?(error|problem|failure|refusal|detail|reason|strerror)>"
)
ADVICE = re.compile(
    r"; (?!next\b)(add|choose|delete|drain|export|give|install|let|look|make|mend|name|pass|publish|put|raise|remove|"
    r"run|see|set|start|state|try|use|withdraw|write)\b"
)


def bases() -> Mapping[str, list[str]]:
    """The names of the base classes of each class."""
    return {
        node.name: [ast.unparse(base).split(".")[-1].partition("[")[0] for base in node.bases]
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


BASES = bases()


def family(name: str) -> set[str]:
    """The name of a class and of all its base classes."""
    return {name}.union(*(family(base) for base in BASES.get(name, ()) if base != name))


def assigned(nodes: Iterator[ast.AST]) -> dict[str, list[ast.expr]]:
    """The values that are assigned to each name."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.NamedExpr):
            found.setdefault(node.target.id, []).append(node.value)
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign):
                found.setdefault(target.id, []).append(node.value)
    return found


CONSTANTS = {name: values for tree in TREES.values() for name, values in assigned(iter(tree.body)).items()}


def text_of(node: ast.AST, names: Mapping[str, list[ast.expr]]) -> str:
    """The text of an expression; a part that is not known appears as its code in `<…>`."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, names)
    if isinstance(node, ast.Name) and node.id in names:
        others = {name: values for name, values in names.items() if name != node.id}
        return " | ".join(text_of(value, others) for value in names[node.id])
    if isinstance(node, ast.Call):
        return f"{ast.unparse(node.func)}({', '.join(text_of(each, names) for each in node.args)})"
    if isinstance(node, ast.IfExp | ast.BoolOp | ast.BinOp):
        return " | ".join(text_of(part, names) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr))
    return f"<{ast.unparse(node)}>"


@cache
def all_raised() -> tuple[tuple[str, str, str], ...]:
    """What `raised` finds."""
    return tuple(raised())


def raised() -> Iterator[tuple[str, str, str]]:
    """(file:line, class, text) of each error of ours that is raised with a text."""
    for path, tree in TREES.items():
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                names = {**CONSTANTS, **assigned(ast.walk(function))}
                for node in ast.walk(function):
                    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                        name = ast.unparse(node.exc.func).split(".")[-1]
                        text = " ".join(text_of(each, names) for each in node.exc.args)
                        yield f"{path}:{node.lineno}", name, text


def is_complete(location: str, name: str, text: str) -> bool:
    """Whether a message says what is expected, or passes on that of another error."""
    if not family(name) & OURS or family(name) & SAID_BY_ITSELF:
        return True
    return bool(SAYS.search(text) or PASSES_ON.search(text)) or location.partition(":")[0] in PASSED_ON


def test_each_error_says_what_is_expected_or_what_to_do_next() -> None:
    found = all_raised()
    assert sum(bool(family(name) & OURS) for _, name, _ in found) > 400
    assert [f"{each[0]} {each[1]}: {each[2]}" for each in found if not is_complete(*each)] == []


def test_advice_is_announced_as_what_comes_next() -> None:
    assert [f"{location}: {text}" for location, _, text in all_raised() if ADVICE.search(text)] == []


def test_no_message_ends_with_a_full_stop() -> None:
    assert [f"{location}: {text}" for location, _, text in all_raised() if re.search(r"[a-z)]\.$", text)] == []


def test_no_message_names_the_class_of_an_error() -> None:
    for path, tree in TREES.items():
        caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
        shown = [
            f"{path}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.FormattedValue)
            and any(f"type({name}).__name__" == ast.unparse(node.value) for name in caught)
        ]
        assert shown == []


@pytest.mark.parametrize(
    ("name", "text", "complete"),
    [
        ("CannotPublish", "m.onnx is not a file", False),
        ("CannotPublish", "m.onnx is not a file; expected: a file", True),
        ("StoreError", "no release written; next: run it again", True),
        ("TopicUnreadable", "<address.public>: one_line(<error>)", True),
        ("KeyError", "x", True),
    ],
)
def test_a_message_is_complete_or_not(name: str, text: str, complete: bool) -> None:
    assert is_complete("pipeline/run.py:1", name, text) == complete
