"""XGBoost boosters, stored as UBJSON or JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.manifest import Manifest
from models.scorers.answers import answers_of
from models.scorers.base import Scorer, WillNotLoad, only_file, settings
from models.scorers.columns import in_trained_order, strings_of, trained_columns

_PROBABILITIES = ("binary:logistic", "multi:softprob")


class XgboostScorer(Scorer):
    """One booster in a `.ubj` or `.json` file.

    Columns are fed by name where the booster has names, else in the manifest's order. A null is missing. A
    string input must be categorical in the model, which then knows its categories (xgboost 3.1 and later);
    a batch with another category is an error. Output `probability` needs the objective binary:logistic or
    multi:softprob; `class` is multi:softmax's answer or the most probable class; `regression` is the
    prediction. A booster stopped early answers by its best iteration, as XGBClassifier does.
    """

    kind = "xgboost"
    requires = ("xgboost", "pandas")

    def __init__(self, booster: Any, matrix: Any, manifest: Manifest) -> None:
        settings(manifest, "classes")
        self._booster = booster
        self._matrix = matrix
        self._names = in_trained_order(manifest, booster.feature_names, booster.num_features())
        self._categories = _has_categories(booster, manifest)
        self._answers = answers_of(manifest)
        learner = json.loads(booster.save_config())["learner"]
        self._in_place = learner["gradient_booster"]["name"] != "gblinear"
        self._objective: str = learner["objective"]["name"]
        self._rounds = (0, int(booster.attr("best_iteration") or -1) + 1)
        self._check_objective(int(learner["learner_model_param"]["num_class"]))

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "XgboostScorer":
        """Load the booster; one thread scores a batch, as the job's worker has threads of its own."""
        import xgboost

        booster = xgboost.Booster(model_file=str(folder / only_file(manifest, (".ubj", ".json"))))
        booster.set_param({"nthread": 1, "verbosity": 0})
        return cls(booster, xgboost.DMatrix, manifest)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the booster; an empty batch does not reach it."""
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        rows = trained_columns(batch, self._names, self._categories)
        if self._in_place:
            answer = self._booster.inplace_predict(rows, iteration_range=self._rounds)
        else:
            answer = self._booster.predict(self._matrix(rows, feature_names=self._booster.feature_names))
        if self._answers.kind == "class" and self._objective == "binary:logistic":
            return np.asarray(answer > 0.5, dtype=np.float64)
        return self._answers.scores(answer)

    def _check_objective(self, classes: int) -> None:
        if self._answers.kind == "probability":
            if self._objective not in _PROBABILITIES:
                allowed = " or ".join(_PROBABILITIES)
                raise WillNotLoad(f"xgboost: objective {self._objective!r}; allowed for a probability: {allowed}")
            self._answers.column(max(classes, 2))
        if self._answers.kind == "regression" and self._objective.startswith("multi:"):
            raise WillNotLoad(f"xgboost: objective {self._objective!r}; allowed for a regression: one with one value")


def _has_categories(booster: Any, manifest: Manifest) -> bool:
    """Whether the model reads categories by name; each string input must be one of them."""
    types = dict(zip(booster.feature_names or (), booster.feature_types or (), strict=False))
    strings = strings_of(manifest)
    for name in strings:
        if types.get(name) != "c":
            raise WillNotLoad(f"xgboost: input {name!r} is a string; allowed: numbers, or a categorical feature")
    return bool(strings)
