"""What a scikit-learn estimator says of the columns it was fitted on."""

from pathlib import Path
from typing import Any

from models.manifest import OutputKind
from models.publishing.description import CannotPublish, Description, FoundInput
from models.scorers.skops_files import load_skops

SETTINGS = ("method",)


def describe(path: Path, allow_pickle: bool, method: object = None) -> Description:
    """`feature_names_in_`, else `n_features_in_`; a probability where there are two classes and `predict_proba`."""
    estimator = _load(path, allow_pickle)
    names = getattr(estimator, "feature_names_in_", ())
    inputs = tuple(FoundInput(str(name)) for name in names)
    width = None if inputs else getattr(estimator, "n_features_in_", None)
    return Description(inputs, None if width is None else int(width), _output(estimator, method))


def _load(path: Path, allow_pickle: bool) -> Any:
    if path.suffix == ".skops":
        return load_skops(path)
    if not allow_pickle:
        raise CannotPublish(f"{path.name} is a pickle, which can run any code; allowed: .skops, or --allow_pickle")
    import joblib  # type: ignore[import-untyped]  # ships no types

    return joblib.load(path)


def _output(estimator: Any, method: object) -> OutputKind | None:
    from sklearn.base import is_classifier, is_regressor

    if is_regressor(estimator) or method in ("score_samples", "decision_function"):
        return "regression"
    if is_classifier(estimator) and len(getattr(estimator, "classes_", ())) == 2:
        return "probability" if hasattr(estimator, "predict_proba") else "class"
    return "class" if is_classifier(estimator) else None
