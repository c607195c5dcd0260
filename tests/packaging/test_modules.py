"""Rules for every Python file of the project: names, length, and what breaks Beam."""

import ast
import sys
from pathlib import Path

import pytest

from tests.packaging.sources import FOLDERS, ROOT, imports_of, parsed, python_files

MOST_LINES = 400
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "impl", "misc"}
# `proto` is a library of Google's clients that Beam imports by this name.
TAKEN = sys.stdlib_module_names | {"proto"}
FILES = [ROOT / "setup.py", *python_files(*FOLDERS)]


def names_of(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def is_bare_handler(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and node.type is None


def test_no_module_postpones_annotations() -> None:
    postponed = [one for path in FILES for one in imports_of(path) if one.module == "__future__.annotations"]
    assert [str(one) for one in postponed] == []


def test_no_module_is_longer_than_400_lines() -> None:
    assert names_of([path for path in FILES if len(path.read_text("utf-8").splitlines()) > MOST_LINES]) == []


def test_no_module_shadows_the_standard_library() -> None:
    assert names_of([path for path in FILES if path.stem in TAKEN]) == []


def test_no_folder_of_ours_shadows_the_standard_library() -> None:
    assert [folder for folder in FOLDERS if folder in TAKEN] == []


def test_module_names_say_what_is_inside() -> None:
    assert names_of([path for path in FILES if path.stem in NAMES_THAT_SAY_NOTHING]) == []


def test_no_bare_except() -> None:
    assert (
        names_of([path for path in FILES if any(is_bare_handler(node) for node in ast.walk(parsed(path)))])
        == []
    )


@pytest.mark.parametrize("name", ["shadow", "bare"])
def test_the_rules_recognise_what_they_forbid(name: str) -> None:
    broken = {"shadow": "types", "bare": "try:\n    pass\nexcept:\n    pass\n"}[name]
    nodes = list(ast.walk(ast.parse(broken)))
    assert broken in TAKEN if name == "shadow" else any(is_bare_handler(node) for node in nodes)
