"""The errors are one tree, and the picture of it is what the code has."""

import importlib
import inspect
import pickle
import re
from collections.abc import Iterator

import pytest

import schemas.errors
from schemas.errors import HalflifeError
from schemas.validation import Located, SpecError
from tests.packaging.sources import module_name, python_files

ROOMS = ("schemas", "models", "audit", "gates", "transforms", "pipeline")
_LINE = re.compile(r"^    ((?:[│ ]   )*)(?:[├└]── )?(\w+)(?:  .*)?$")


def errors() -> dict[str, type[BaseException]]:
    """All classes of exceptions that the rooms define, by name."""
    found: dict[str, type[BaseException]] = {}
    for path in python_files(*ROOMS):
        if path.name != "__init__.py" and "class " in path.read_text("utf-8"):
            module = importlib.import_module(module_name(path))
            for name, each in vars(module).items():
                if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == module.__name__:
                    assert name not in found, f"{name} is in {each.__module__} and {found[name].__module__}"
                    found[name] = each
    return found


def pictured() -> Iterator[tuple[str, str]]:
    """Each class of the picture with the one above it."""
    above: list[str] = []
    picture = (schemas.errors.__doc__ or "").split("\n\n")[1]
    for line in picture.splitlines():
        found = _LINE.match(line)
        assert found is not None, line
        depth = 0 if "── " not in line else len(found[1]) // 4 + 1
        above = [*above[:depth], found[2]]
        yield found[2], above[depth - 1] if depth else ""


def parents(error: type[BaseException]) -> list[str]:
    return [base.__name__ for base in error.__bases__ if issubclass(base, HalflifeError)]


def test_every_error_is_once_in_the_tree() -> None:
    public = {name: each for name, each in errors().items() if not name.startswith("_")}
    assert [name for name, each in public.items() if not issubclass(each, HalflifeError)] == []
    assert [name for name, each in public.items() if each is not HalflifeError and len(parents(each)) != 1] == []


def test_the_picture_is_the_tree() -> None:
    tree = {name: "".join(parents(each)) for name, each in errors().items() if not name.startswith("_")}
    assert dict(pictured()) == tree


def test_no_refusal_is_an_error_of_a_spec() -> None:
    located = {name: each for name, each in errors().items() if issubclass(each, Located)}
    refusals = {name: each for name, each in located.items() if not issubclass(each, SpecError)}
    assert {"InvalidManifest", "InvalidProfile", "InvalidRelease"} <= set(refusals)
    for refusal in refusals.values():
        again = pickle.loads(pickle.dumps(refusal("a[0].b", 7, "a text")))
        assert type(again) is refusal
        assert str(again) == "a[0].b: 7 is not allowed; expected: a text"


@pytest.mark.parametrize("room", ROOMS)
def test_no_plain_error_of_python_is_raised_for_people(room: str) -> None:
    raised = re.compile(r"\braise (Exception|BaseException)\(")
    assert [str(path) for path in python_files(room) if raised.search(path.read_text("utf-8"))] == []
