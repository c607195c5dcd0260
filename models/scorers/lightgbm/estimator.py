"""LightGBM's estimators in a `.skops` file, as MLflow 3 saves them: the booster's text is extracted, nothing is run."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.scorers.base import WillNotLoad
from schemas.reasons import of_error

_ESTIMATORS = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker", "LGBMModel")


class EstimatorText(NamedTuple):
    """`text` of the booster; `classes` as the trainer named them, None where there are none; `best_iteration`, or 0."""

    text: bytes
    classes: tuple[str, ...] | None
    best_iteration: int


def read_estimator(path: Path) -> EstimatorText:
    """What skops stored of an estimator of `lightgbm.sklearn`, without creating any object of it.

    Raises:
        WillNotLoad: it is of another class, or not fitted.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = json.loads(archive.read("schema.json"))
            if root.get("__module__") != "lightgbm.sklearn" or root.get("__class__") not in _ESTIMATORS:
                found = f"{root.get('__module__')}.{root.get('__class__')}"
                raise WillNotLoad(f"lightgbm: {path.name} holds {found}; expected: lightgbm.sklearn's own estimators")
            fitted = root["content"]["content"]
            booster = fitted["_Booster"]["content"]["content"]
            text = json.loads(booster["_handle"]["content"])
            best = json.loads(booster["best_iteration"]["content"])
            return EstimatorText(text.encode("utf-8"), _classes(fitted.get("_classes"), archive), max(int(best), 0))
    except (zipfile.BadZipFile, KeyError, TypeError, AttributeError, ValueError) as error:
        raise WillNotLoad(
            f"lightgbm: {path.name} is not a fitted estimator of LightGBM as skops writes it ({of_error(error)}); "
            "expected: that, or model.booster_ saved by its save_model"
        ) from error


def _classes(node: Any, archive: zipfile.ZipFile) -> tuple[str, ...] | None:
    """The labels of an array, which numpy stored as a file, or, for an array of objects, skops in the schema."""
    if node is None or node.get("__loader__") != "NdArrayNode":
        return None
    if node["type"] == "numpy":
        array = np.load(io.BytesIO(archive.read(node["file"])), allow_pickle=False)
        return tuple(str(label) for label in array.tolist())
    return tuple(str(json.loads(label["content"])) for label in node["content"])
