"""What a LightGBM text model says of its features and objective: its head, before the first tree."""

import re
from pathlib import Path

from models.manifest import OutputKind
from models.publishing.description import CannotPublish, Description, FoundInput

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
}


def describe(path: Path, allow_pickle: bool) -> Description:
    """Feature names where it was trained with them. Every input may be null: trees send missing values one way."""
    head: dict[str, str] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("Tree="):
                break
            key, _, value = line.rstrip("\n").partition("=")
            head[key] = value
    names = head.get("feature_names", "").split()
    if not names:
        raise CannotPublish(f"{path} has no feature_names; allowed: a text model as LightGBM saves it")
    output = _OUTPUTS.get(head.get("objective", "").split(" ")[0])
    if all(_UNNAMED.fullmatch(name) for name in names):
        return Description(width=len(names), output=output)
    return Description(tuple(FoundInput(name, nullable=True) for name in names), output=output)
