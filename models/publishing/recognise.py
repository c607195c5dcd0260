"""Which tool made a file or folder, by the name that tool gives it, and by its content where names are ambiguous."""

import importlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.admission.libraries import differences
from models.bundles.artefacts import read_versions
from models.bundles.folders import refuse_links
from models.distribution import installing
from models.errors import BundleRefused, one_line
from models.publishing.description import CannotPublish, Description, FoundModel, Provenance
from models.redaction import hide_secrets
from models.scorers.base import WillNotLoad

PAYLOAD = "model"
"""The folder of a bundle that holds what the training tool left, beside golden records and profile."""

NOTHING: Mapping[str, Any] = MappingProxyType({})

_LOOK_BYTES = 4096


def _is_xgboost(path: Path) -> bool:
    with path.open("rb") as file:
        return b'"learner"' in file.read(_LOOK_BYTES)


def _is_lightgbm(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(5) == b"tree\n"


def _by_name(path: Path) -> bool:
    return True


# Name or suffix → the scorer, and whether a file of that name is really one of this tool.
_MARKS: Mapping[str, tuple[str, Callable[[Path], bool]]] = {
    "MLmodel": ("mlflow", _by_name),
    "saved_model.pb": ("tensorflow", _by_name),
    ".onnx": ("onnx", _by_name),
    ".skops": ("sklearn", _by_name),
    ".pkl": ("sklearn", _by_name),
    ".pickle": ("sklearn", _by_name),
    ".joblib": ("sklearn", _by_name),
    ".ubj": ("xgboost", _by_name),
    ".json": ("xgboost", _is_xgboost),
    ".txt": ("lightgbm", _is_lightgbm),
    ".lgb": ("lightgbm", _by_name),
    ".model": ("lightgbm", _is_lightgbm),
    ".pmml": ("pmml", _by_name),
}
# A folder's marker takes precedence over a file in it: an MLflow folder holds a .skops or .onnx file.
_FOLDERS = ("MLmodel", "saved_model.pb")
_ALLOWED = (
    "a SavedModel folder, .onnx, .skops, .pkl or .joblib, .ubj or .json of XGBoost, .txt of LightGBM, .pmml, an MLflow "
    "model folder, models:/NAME@ALIAS, or a folder with manifest.json"
)


def recognise(
    path: Path, scorer: str | None = None, allow_pickle: bool = False, settings: Mapping[str, Any] = NOTHING
) -> FoundModel:
    """The model in a file or folder.

    Args:
        path: a file or a folder.
        scorer: the kind to publish it as; None takes that of the tool that made it. For another kind its files are
            taken unchanged and only the labels of classes are read from them.
        allow_pickle: whether a pickle may be opened, which can run any code.
        settings: of the scorer's kind; some select a part of the model.

    Raises:
        CannotPublish: it is not a model of a known tool, or the tool's library cannot read it.
    """
    files = _files(path)
    main = _main_file(path, files)
    found = None if main is None else _mark_of(main)
    if found is None and scorer is None:
        raise CannotPublish(f"{path} is not a model; expected: {_ALLOWED}, or --scorer KIND")
    if found is None or main is None or (scorer is not None and scorer != found):
        return FoundModel(str(scorer), files, _classes_as(str(scorer), files, allow_pickle, settings))
    described, provenance = describe(found, main, allow_pickle, settings)
    return FoundModel(found, files, described, provenance)


def describe(
    scorer: str, main: Path, allow_pickle: bool, settings: Mapping[str, Any] = NOTHING
) -> tuple[Description, Provenance]:
    """What the model's main file says, read by the library of its tool, with those settings that it takes.

    Raises:
        CannotPublish: the library is not installed, or cannot read the file.
        WillNotLoad: it cannot, and another version of it made the model; or the model needs something that is not
            allowed.
    """
    module = importlib.import_module(f"models.publishing.tools.from_{scorer}")
    taken = {name: settings[name] for name in getattr(module, "SETTINGS", ()) if name in settings}
    try:
        described = module.describe(main, allow_pickle, **taken)
    except CannotPublish:
        raise
    except ImportError as error:
        raise CannotPublish(f"{main.name}: {one_line(error)}; {installing(scorer)}") from None
    except Exception as error:
        # Whatever a library raises on a file means that it cannot read the file.
        problem = _unreadable(scorer, main, error)
        raise problem from (None if problem is error else error)
    return described if isinstance(described, tuple) else (described, Provenance())


def _classes_as(scorer: str, files: Mapping[str, Path], allow_pickle: bool, settings: Mapping[str, Any]) -> Description:
    """The classes stated in a file that is published as another kind than its tool's; none where it cannot be read
    here."""
    marked = [file for file in files.values() if _mark_of(file) == scorer]
    if len(marked) == 1:
        with suppress(CannotPublish, BundleRefused):
            found, _ = describe(scorer, marked[0], allow_pickle, settings)
            return Description(labels=found.labels, probabilities=found.probabilities, settings=found.settings)
    return Description()


def _files(path: Path) -> dict[str, Path]:
    """The files of a model by their path in the bundle."""
    if path.is_file():
        return {f"{PAYLOAD}/{path.name}": path}
    if not path.is_dir():
        raise CannotPublish(f"{path} does not exist; expected: {_ALLOWED}")
    found: dict[str, Path] = {}
    for parent, _, names in os.walk(path):
        for name in names:
            relative = (Path(parent) / name).relative_to(path).as_posix()
            refuse_links(path, relative)
            found[f"{PAYLOAD}/{relative}"] = Path(parent) / name
    return dict(sorted(found.items()))


def _main_file(path: Path, files: Mapping[str, Path]) -> Path | None:
    """The file that describes the model; None if there is none, or more than one."""
    if path.is_file():
        return path
    for name in _FOLDERS:
        if (path / name).is_file():
            return path / name
    marked = [file for file in files.values() if file.parent == path and _mark_of(file)]
    return marked[0] if len(marked) == 1 else None


def _mark_of(file: Path) -> str | None:
    scorer, confirms = _MARKS.get(file.name) or _MARKS.get(file.suffix) or (None, _by_name)
    return scorer if confirms(file) else None


def _unreadable(scorer: str, main: Path, error: Exception) -> Exception:
    """The refusal of a file by its library; most likely another version of the library made the model."""
    refused = isinstance(error, BundleRefused)
    detail = hide_secrets(str(error)) if refused else one_line(error)
    others = "; ".join(str(each) for each in differences(read_versions(scorer, [main])))
    if others:
        return WillNotLoad(f"{main.name} is not readable here: {others}: {detail}")
    return error if refused else CannotPublish(f"{main} is not readable as a model of {scorer}: {detail}")
