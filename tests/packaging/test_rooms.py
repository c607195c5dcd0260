"""The rooms within a package: imports go one way between them too, and no folder is so full that one has to search."""

from collections import Counter
from pathlib import Path

import pytest

from tests.packaging.sources import FOLDERS, ROOMS, ROOT, imports_of, is_within, module_name, python_files

MOST_MODULES = 15
# Each comes after those that it may import; a name is a folder with all its modules, or one module of the package
# itself.
ORDER = {
    "schemas": ("formats", "avro", "native", "expressions"),
    "models": (
        *("bundles", "scorers", "profiles", "releases", "store", "privacy", "tables"),
        *("admission", "serving", "explaining"),
        *("publishing", "testing"),
    ),
    "audit": ("files", "sealing", "asking", "erasing"),
    "gates": ("retraining",),
    "transforms": (
        *("flow", "lookups", "decoding", "labels", "features", "arrivals", "releases", "scoring", "drift", "quality"),
    ),
    "pipeline": (
        *("spec", "reporting", "command_line", "process", "profiles", "quality", "dag", "features", "endpoints"),
        *("lineage", "prepared", "run", "training_set", "table_rows"),
        *("preflight", "commands", "replaying", "first_job", "verbs", "console", "cli", "bytecode", "__main__"),
    ),
}


def room_of(module: str, package: str) -> str | None:
    """The entry of `ORDER` that a module belongs to; None for what stands beside the rooms, which all may use."""
    return next((room for room in ORDER[package] if is_within(module, f"{package}.{room}")), None)


@pytest.mark.parametrize("package", ORDER)
def test_room_imports_only_the_rooms_that_come_before_it(package: str) -> None:
    wrong = []
    for path in python_files(package):
        here = room_of(module_name(path), package)
        for one in imports_of(path):
            there = room_of(one.module, package)
            if there is None or here == there:
                continue
            if here is None or ORDER[package].index(there) > ORDER[package].index(here):
                wrong.append(str(one))
    assert wrong == []


@pytest.mark.parametrize("package", ORDER)
def test_every_room_of_the_order_is_there(package: str) -> None:
    there = {path.relative_to(ROOT / package).parts[0].removesuffix(".py") for path in python_files(package)}
    assert set(ORDER[package]) - there == set()


@pytest.mark.parametrize("package", ORDER)
def test_every_folder_of_the_package_is_in_the_order(package: str) -> None:
    folders = {path.parent.relative_to(ROOT / package).parts[:1] for path in python_files(package)} - {()}
    assert {name for (name,) in folders} <= set(ORDER[package])


def test_no_folder_holds_more_than_15_modules() -> None:
    held: Counter[Path] = Counter(path.parent.relative_to(ROOT) for path in python_files(*FOLDERS, "docs"))
    assert {str(folder): n for folder, n in held.items() if n > MOST_MODULES} == {}


def test_packages_say_what_they_hold() -> None:
    below = [path for path in python_files(*ROOMS) if path.name == "__init__.py" and path.parent.parent != ROOT]
    assert [str(path.relative_to(ROOT)) for path in below if not path.read_text("utf-8").startswith('"""')] == []
