"""What an XGBoost model says of its features and objective."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from models.bundles.manifest import OutputKind
from models.publishing.description import Description, FoundInput
from schemas.columns import ColumnKind

_TYPES: dict[str, ColumnKind] = {"float": "number", "q": "number", "int": "integer", "i": "boolean"}
_OUTPUTS: dict[str, OutputKind] = {"binary:logistic": "probability", "multi:softmax": "class"}
_REGRESSIONS = ("reg:", "count:", "rank:", "survival:")
_NO_PROBABILITIES = ("multi:softmax", "binary:hinge")


def describe(path: Path, allow_pickle: bool) -> Description:
    """Feature names where it was trained with them. Every input may be null: trees send missing values one way."""
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(path)
    names, types = booster.feature_names, booster.feature_types
    objective = str(json.loads(booster.save_config())["learner"]["objective"]["name"])
    labels = _labels(booster.attr("scikit_learn"))
    said = Description(
        output=_output(objective),
        labels=labels,
        probabilities=objective not in _NO_PROBABILITIES,
        settings={"classes": list(labels)} if labels else {},
    )
    if not names:
        return replace(said, width=booster.num_features())
    kinds = types or [""] * len(names)
    categories = booster.get_categories(export_to_arrow=True).to_arrow() if "c" in kinds else ()
    texts = {name for name, kept in categories if _is_text(kept)}
    inputs = (
        FoundInput(name, "string" if name in texts else _TYPES.get(kind), nullable=True)
        for name, kind in zip(names, kinds, strict=True)
    )
    return replace(said, inputs=tuple(inputs))


def _labels(kept: str | None) -> tuple[str, ...]:
    """What XGBClassifier wrote beside its booster before 2.0, when it accepted labels other than 0, 1, …"""
    try:
        classes = json.loads(kept or "{}").get("classes_", ())
    except (ValueError, AttributeError):
        return ()
    return tuple(str(label) for label in classes) if isinstance(classes, list) and len(classes) > 1 else ()


def _is_text(kept: pa.Array | None) -> bool:
    """Whether the categories of a feature are texts; integers may be read from an integer or a number."""
    return kept is not None and bool(pa.types.is_string(kept.type))


def _output(objective: str) -> OutputKind | None:
    return "regression" if objective.startswith(_REGRESSIONS) else _OUTPUTS.get(objective)
