"""Whether a model made by one version of its library may be served by another: what the library's makers promise.

A model that passes the trainer's golden records is never refused, only warned about: they prove more than any promise.
The rules of each library: docs/scorers.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from models.bundles.artefacts import numbers_of, read_versions
from models.bundles.manifest import Manifest
from models.distribution import installed_version
from models.errors import StoreError
from models.scorers.base import WillNotLoad, payload_files


class CannotAccept(StoreError):
    """A person accepts a version of a library that is neither installed here nor the one that made the model."""


class OtherLibrary(WillNotLoad):
    """A library here has another version than the one that made the model, and nothing shows that its answers are the
    same."""


class Rule(NamedTuple):
    """`serves(made, here)`: whether its makers promise that version `here` answers as `made` did; `promise`: the same
    as text.

    `distributions`: the packages that may hold the library.
    """

    distributions: tuple[str, ...]
    serves: Callable[[str, str], bool]
    promise: str


class Difference(NamedTuple):
    """A library whose version here is not promised to answer as the one that made the model."""

    library: str
    made: str
    here: str

    def __str__(self) -> str:
        return f"made by {self.library} {self.made}, but here is {self.here}, and {RULES[self.library].promise}"


def _same_minor(made: str, here: str) -> bool:
    return numbers_of(made)[:2] == numbers_of(here)[:2]


def _not_later(made: str, here: str) -> bool:
    return numbers_of(made)[:2] <= numbers_of(here)[:2]


def _not_later_major(made: str, here: str) -> bool:
    return numbers_of(made)[:1] <= numbers_of(here)[:1]


RULES: Mapping[str, Rule] = {
    "scikit-learn": Rule(
        ("scikit-learn",), _same_minor, "scikit-learn promises nothing from one major.minor version to another"
    ),
    "xgboost": Rule(("xgboost", "xgboost-cpu"), _not_later, "XGBoost promises to read models of earlier versions only"),
    "lightgbm": Rule(("lightgbm",), _not_later_major, "LightGBM reads the formats of its own and earlier versions"),
    "tensorflow": Rule(
        ("tensorflow", "tensorflow-cpu"), _not_later, "TensorFlow promises to read SavedModels of earlier versions only"
    ),
}
"""By the library's name in `libraries`. A library without a rule refuses nothing: ONNX Runtime and TensorFlow check
opsets and operations themselves, PMML is a specification."""
_EXPECTED = {"sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm"}
"""Kinds whose rule needs to know who made the model."""


def libraries_of(folder: Path, manifest: Manifest) -> dict[str, str]:
    """The versions that made a bundle's model: from its manifest, else from its files."""
    files = [folder / path for path in payload_files(manifest)]
    return {**read_versions(manifest.scorer, files), **manifest.libraries}


def installed(library: str) -> str | None:
    """The version of a library with a rule in this environment; None if it is not installed."""
    found = map(installed_version, RULES[library].distributions)
    return next((each for each in found if each is not None), None)


def differences(made: Mapping[str, str]) -> list[Difference]:
    """The libraries whose version here is not promised to answer as the version that made the model."""
    found = []
    for library, rule in RULES.items():
        here = installed(library)
        if library in made and here is not None and not rule.serves(made[library], here):
            found.append(Difference(library, made[library], here))
    return found


def check_libraries(folder: Path, manifest: Manifest, admitted_before: bool = False) -> tuple[str, ...]:
    """Warnings about the versions that made a bundle's model, a line each.

    Args:
        folder: the bundle, its files verified.
        manifest: its manifest.
        admitted_before: whether the job admitted this very bundle before.

    Raises:
        OtherLibrary: a version here is not promised to answer as the one that made the model, there are no golden
            records of the trainer to prove that it does, nobody accepted it, and the job never admitted the bundle.
    """
    made = libraries_of(folder, manifest)
    found = differences(made)
    if not found:
        return _unknown(manifest, made)
    why = _excuse(manifest, found, admitted_before)
    if why is None:
        raise OtherLibrary(f"{manifest.scorer}: {_joined(found)}; expected: the version that made it, {WAYS_OUT}")
    return (f"{_joined(found)}; {why}",)


WAYS_OUT = (
    "golden records made by the trainer (halflife models publish --golden FILE), "
    "or halflife models publish --accept_library NAME"
)


def proven_by_trainer(manifest: Manifest) -> bool:
    """Whether the bundle has the trainer's own answers, which admission scores again."""
    return manifest.golden is not None and manifest.golden.by == "trainer"


def _excuse(manifest: Manifest, found: Sequence[Difference], admitted_before: bool) -> str | None:
    if proven_by_trainer(manifest):
        return "the golden records made by the trainer decide"
    if all(accepted(manifest, each) for each in found):
        return f"accepted by {manifest.created_by}"
    return "the job admitted this version before, so it goes on" if admitted_before else None


def accepted(manifest: Manifest, difference: Difference) -> bool:
    """Whether a person accepted, for this model, the version that is installed here (by major.minor)."""
    said = manifest.accepted_libraries.get(difference.library)
    return said is not None and _same_minor(said, difference.here)


def _unknown(manifest: Manifest, made: Mapping[str, str]) -> tuple[str, ...]:
    library = _EXPECTED.get(manifest.scorer)
    if library is None or library in made or proven_by_trainer(manifest):
        return ()
    return (f"which version of {library} made it is not recorded, so only its golden records tell if it answers alike",)


def upgrade_refuses(manifest: Manifest) -> str | None:
    """The library whose other major.minor versions would refuse a bundle that the job never admitted."""
    library = _EXPECTED.get(manifest.scorer) or next((name for name in manifest.libraries if name in RULES), None)
    strict = library is not None and RULES[library].serves is _same_minor
    return None if not strict or proven_by_trainer(manifest) else library


def _joined(found: Sequence[Difference]) -> str:
    return "; ".join(str(each) for each in found)


def parse_accepted(text: str) -> tuple[str, str | None]:
    """The library of `--accept_library NAME` or `NAME=VERSION`, and the version given.

    Raises:
        ValueError: no such library has a rule.
    """
    name, _, said = text.partition("=")
    known = {_letters(library): library for library in RULES} | {"sklearn": "scikit-learn"}
    if _letters(name) not in known:
        raise ValueError(f"{name!r} is not allowed; allowed: {', '.join(RULES)}")
    return known[_letters(name)], said or None


def accept(accepted: Sequence[tuple[str, str | None]], made: Mapping[str, str]) -> dict[str, str]:
    """The versions here of the libraries that a person accepts for a model; libraries that are not installed are left
    out.

    Args:
        accepted: libraries, with the version given: the one installed here, or the one that made the model.
        made: the versions that made it.

    Raises:
        CannotAccept: another version was given.
    """
    here = {name: installed(name) for name, _ in accepted}
    for name, said in accepted:
        meant = [each for each in (here[name], made.get(name)) if each is not None]
        if said is not None and not any(_same_minor(said, each) for each in meant):
            raise CannotAccept(f"--accept_library {name}={said} is not allowed; allowed: {', '.join(meant) or 'none'}")
    return {name: version for name, version in here.items() if version is not None}


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
