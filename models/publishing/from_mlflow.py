"""What an MLflow model folder says: its signature, and where it came from."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from models.manifest import InputType
from models.publishing.description import CannotPublish, Description, FoundInput, Provenance

_TYPES: dict[str, InputType] = {
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
        raise CannotPublish(f"{path} is not allowed; allowed: the MLmodel file of an MLflow model")
    provenance = Provenance(trained_at=_time(document.get("utc_time_created")))
    signature = document.get("signature") or {}
    columns = json.loads(signature.get("inputs") or "[]")
    if len(columns) == 1 and columns[0].get("type") == "tensor":
        shape = columns[0]["tensor-spec"]["shape"]
        return Description(width=shape[1] if len(shape) == 2 and shape[1] > 0 else None), provenance
    return Description(tuple(_input(column) for column in columns)), provenance


def _input(column: dict[str, Any]) -> FoundInput:
    kind = column.get("type", "")
    if kind not in _TYPES:
        raise CannotPublish(f"column {column.get('name')!r} has the type {kind!r}; allowed: {', '.join(_TYPES)}")
    return FoundInput(str(column.get("name")), _TYPES[kind], not column.get("required", True))


def _time(text: object) -> str | None:
    """MLflow writes UTC without saying so: `2026-11-25 16:34:58.388703`."""
    if not isinstance(text, (str, datetime)):
        return None
    return datetime.fromisoformat(str(text)).replace(tzinfo=None).isoformat() + "Z"
