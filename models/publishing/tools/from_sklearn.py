"""What a scikit-learn estimator says of the columns it was fitted on."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from models.bundles.manifest import OutputKind
from models.publishing.description import CannotPublish, Description, FoundInput
from models.scorers.sklearn.skops_files import load_skops

SETTINGS = ("method", "column", "trust")


def describe(
    path: Path, allow_pickle: bool, method: object = None, column: object = None, trust: Collection[str] = ()
) -> Description:
    """`feature_names_in_`, else `n_features_in_`; a probability where there are two classes and `predict_proba`."""
    estimator = _load(path, allow_pickle, trust)
    names = getattr(estimator, "feature_names_in_", ())
    inputs = tuple(FoundInput(str(name)) for name in names)
    width = None if inputs else getattr(estimator, "n_features_in_", None)
    return Description(
        inputs,
        None if width is None else int(width),
        _output(estimator, method),
        _labels(estimator, column),
        hasattr(estimator, "predict_proba"),
    )


def _load(path: Path, allow_pickle: bool, trust: Collection[str]) -> Any:
    if path.suffix == ".skops":
        return load_skops(path, trust)
    if not allow_pickle:
        raise CannotPublish(f"{path.name} is a pickle, which can run any code; allowed: .skops, or --allow_pickle; "
                            f"next: halflife convert {path}")  # fmt: skip
    import joblib  # type: ignore[import-untyped]  # ships no types

    return joblib.load(path)


def _output(estimator: Any, method: object) -> OutputKind | None:
    from sklearn.base import is_classifier, is_regressor

    if is_regressor(estimator) or method in ("score_samples", "decision_function"):
        return "regression"
    if is_classifier(estimator) and len(getattr(estimator, "classes_", ())) == 2:
        return "probability" if hasattr(estimator, "predict_proba") else "class"
    return "class" if is_classifier(estimator) else None


def _labels(estimator: Any, column: object) -> tuple[str, ...]:
    """The labels of the classes; of a classifier of several outputs those of the chosen one."""
    classes = getattr(estimator, "classes_", ())
    if isinstance(classes, list):
        chosen = isinstance(column, int) and 0 <= column < len(classes)
        classes = classes[column] if chosen else ()  # type: ignore[call-overload]  # then it is an index
    return tuple(str(label) for label in np.asarray(classes).tolist())
