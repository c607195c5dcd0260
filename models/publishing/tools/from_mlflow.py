"""What an MLflow model folder says: its signature, and where it came from."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from models.publishing.description import CannotPublish, Description, FoundInput, Provenance
from models.scorers.lightgbm.estimator import read_estimator
from models.scorers.mlflow.scorer import OURS, PICKLES
from schemas.columns import ColumnKind

_TYPES: dict[str, ColumnKind] = {
    "double": "number",
    "float": "number",
    "integer": "integer",
    "long": "integer",
    "boolean": "boolean",
    "string": "string",
    "datetime": "string",
}


def describe(path: Path, allow_pickle: bool) -> tuple[Description, Provenance]:
    """The columns of the signature in `MLmodel`, or the width of its one tensor; none without a signature."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise CannotPublish(f"{path} is not allowed; expected: the MLmodel file of an MLflow model")
    provenance = Provenance(trained_at=_time(document.get("utc_time_created")))
    known = _of_flavour(path.parent, document.get("flavors"), allow_pickle)
    said = Description(labels=known.labels, probabilities=known.probabilities, settings=known.settings)
    signature = document.get("signature") or {}
    columns = json.loads(signature.get("inputs") or "[]")
    if len(columns) == 1 and columns[0].get("type") == "tensor":
        shape = columns[0]["tensor-spec"]["shape"]
        return replace(said, width=shape[1] if len(shape) == 2 and shape[1] > 0 else None), provenance
    return replace(said, inputs=tuple(_input(column) for column in columns)), provenance


def _of_flavour(folder: Path, flavours: Any, allow_pickle: bool) -> Description:
    """The classes stated in the file of a flavour that one of our scorers reads; none where it cannot be read here, for
    which the trial of the bundle gives the reason."""
    for flavour, (kind, key) in OURS.items():
        data_path = (flavours or {}).get(flavour, {}).get(key)
        if isinstance(data_path, str) and ".." not in Path(data_path).parts and (folder / data_path).is_file():
            with suppress(Exception):
                return _described(kind, folder / data_path, allow_pickle)
    return Description()


def _described(kind: str, file: Path, allow_pickle: bool) -> Description:
    if kind == "lightgbm" and file.suffix == ".skops":
        return Description(labels=read_estimator(file).classes or ())
    # LightGBM's estimators name their classes as scikit-learn's do.
    named = "sklearn" if kind == "lightgbm" and file.suffix in PICKLES else kind
    found: Description = import_module(f"models.publishing.tools.from_{named}").describe(file, allow_pickle)
    return found


def _input(column: dict[str, Any]) -> FoundInput:
    kind = column.get("type", "")
    if kind not in _TYPES:
        raise CannotPublish(f"column {column.get('name')!r} has the type {kind!r}; allowed: {', '.join(_TYPES)}")
    return FoundInput(str(column.get("name")), _TYPES[kind], not column.get("required", True))


def _time(text: object) -> str | None:
    """MLflow writes UTC without a zone: `2026-11-25 16:34:58.388703`."""
    if not isinstance(text, (str, datetime)):
        return None
    return datetime.fromisoformat(str(text)).replace(tzinfo=None).isoformat() + "Z"
