"""One word, one meaning: the names of public classes, and what a test can check of `docs/words.md`."""

import ast
from collections import defaultdict

from tests.packaging.sources import ROOMS, ROOT, parsed, python_files


def test_every_public_class_of_the_rooms_has_a_name_of_its_own() -> None:
    # Private ones are read in one module only, and the names of private DoFns are part of step labels.
    found = defaultdict(list)
    for path in python_files(*ROOMS):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(found) > 300
    assert {name: lines for name, lines in found.items() if len(lines) > 1} == {}
