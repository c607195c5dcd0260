"""The whole graph reads in one function: nouns and labels, no decisions, no I/O, no runner."""

import ast
import re
from functools import cache

from tests.packaging.sources import ROOT, imports_of, is_within, parsed

DAG = ROOT / "pipeline" / "dag.py"
MOST_LINES = 40
DECISIONS = (ast.If, ast.IfExp, ast.Match, ast.While, ast.Try, ast.BoolOp, ast.Assert)
IO_NAMES = re.compile(r"^(open|print|input|exec|eval|Path|Read\w*From\w*|Write\w*To\w*|read_\w+|write_\w+)$")
RUNNER_NAMES = re.compile(r"runner|flink|dataflow", re.IGNORECASE)


@cache
def build() -> ast.FunctionDef:
    return next(
        node for node in parsed(DAG).body if isinstance(node, ast.FunctionDef) and node.name == "build"
    )


def names_in(tree: ast.AST) -> set[str]:
    """Variables, attributes and parameters, as written; strings and comments do not count."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def test_build_has_at_most_40_lines() -> None:
    function = build()
    assert (function.end_lineno or 0) - function.lineno + 1 <= MOST_LINES


def test_build_decides_nothing() -> None:
    nodes = list(ast.walk(build()))
    assert [ast.unparse(node) for node in nodes if isinstance(node, DECISIONS)] == []
    assert [ast.unparse(node) for node in nodes if isinstance(node, ast.comprehension) and node.ifs] == []


def test_build_does_no_io() -> None:
    assert {name for name in names_in(build()) if IO_NAMES.match(name)} == set()
    outside = ("apache_beam.io", "obstore", "pathlib", "os", "pipeline.endpoints", "schemas.avro.files")
    assert [str(one) for one in imports_of(DAG) if is_within(one.module, *outside)] == []


def test_build_names_no_runner() -> None:
    assert {name for name in names_in(build()) if RUNNER_NAMES.search(name)} == set()
    assert [
        str(one) for one in imports_of(DAG) if is_within(one.module, "runners", "apache_beam.runners")
    ] == []
