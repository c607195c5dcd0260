"""One word, one meaning: the names of public classes, and what a test can check of `docs/words.md`."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.packaging.sources import FOLDERS, ROOMS, ROOT, parsed, python_files

# "place" meant a location, a path in the spec, an index and an offset at once.
WITHOUT_A_MEANING = re.compile(r"(?:^|_)places?(?:$|_)", re.IGNORECASE)


def test_every_public_class_of_the_rooms_has_a_name_of_its_own() -> None:
    # Private ones are read in one module only, and the names of private DoFns are part of step labels.
    # The public transforms have the names of those that they wrap.
    found = defaultdict(list)
    for path in python_files(*ROOMS):
        if path == ROOT / "halflife" / "beam.py":
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(found) > 300
    assert {name: lines for name, lines in found.items() if len(lines) > 1} == {}


def test_no_name_is_a_word_without_one_meaning() -> None:
    found: dict[Path, set[str]] = defaultdict(set)
    for path in python_files(*FOLDERS, "docs"):
        for node in ast.walk(parsed(path)):
            named = [getattr(node, field, None) for field in ("id", "attr", "arg", "name")]
            found[path.relative_to(ROOT)] |= {name for name in named if name and WITHOUT_A_MEANING.search(str(name))}
    assert {str(path): names for path, names in found.items() if names} == {}


def test_a_name_with_such_a_word_in_it_is_found() -> None:
    names = ("place", "by_place", "_PLACES", "replace", "displaced", "in_place_of")
    assert [name for name in names if WITHOUT_A_MEANING.search(name)] == ["place", "by_place", "_PLACES", "in_place_of"]
