"""What a LightGBM text model says of its features, their categories and its objective."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.bundles.manifest import OutputKind
from models.publishing.description import Description, FoundInput
from models.scorers.lightgbm.text import category_lists, read_model_text
from schemas.columns import ColumnKind

_UNNAMED = re.compile(r"Column_\d+")
_OUTPUTS: dict[str, OutputKind] = {
    "binary": "probability",
    "cross_entropy": "probability",
    "multiclass": "class",
    "multiclassova": "class",
    "regression": "regression",
    "regression_l1": "regression",
    "huber": "regression",
    "fair": "regression",
    "poisson": "regression",
    "quantile": "regression",
    "mape": "regression",
    "gamma": "regression",
    "tweedie": "regression",
    "lambdarank": "regression",
    "rank_xendcg": "regression",
}


def describe(path: Path, allow_pickle: bool) -> Description:
    """Feature names where it was trained with them. Every input may be null: trees send missing values one way."""
    return describe_text(path.read_bytes())


def describe_text(raw: bytes) -> Description:
    """As `describe`, of the bytes of a model's text."""
    model = read_model_text(raw)
    names = [name for name, _ in model.features]
    output = _OUTPUTS.get(model.header.get("objective", "").split(" ")[0])
    if all(_UNNAMED.fullmatch(name) for name in names):
        return Description(width=len(names), output=output)
    lists = category_lists(model, None) or {}
    inputs = (FoundInput(name, _type(lists.get(index, ())), nullable=True) for index, name in enumerate(names))
    return Description(tuple(inputs), output=output)


def _type(categories: Sequence[Any]) -> ColumnKind | None:
    """What the categories say; integers may be read from an integer or a number."""
    if not categories:
        return None
    return "string" if isinstance(categories[0], str) else "boolean" if isinstance(categories[0], bool) else None
