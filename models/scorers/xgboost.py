"""XGBoost boosters, stored as UBJSON or JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Manifest
from models.scorers.answers import answers_of, chosen_margin
from models.scorers.base import Scorer, WillNotLoad, only_file, settings
from models.scorers.categories import Categories, categories_of, stated_categories
from models.scorers.columns import (
    in_manifest_order,
    in_trained_order,
    known_rows_scored,
    strings_of,
    trained_matrix,
)
from models.scorers.contributions import Contributions, Scale
from models.scorers.outputs import chosen_output
from models.scorers.xgboost_tables import LEAST_ROWS, XgboostTables

_PROBABILITIES = ("binary:logistic", "multi:softprob")
_CLASSES = (*_PROBABILITIES, "binary:hinge", "multi:softmax")
_SCALES: Mapping[str, Scale] = {
    **dict.fromkeys(("binary:logistic", "reg:logistic"), "log_odds"),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"), "log"),
    **dict.fromkeys(("multi:softmax", "multi:softprob", "binary:hinge"), "margin"),
}
"""What the library's margin is of the answer; of all other objectives it is the answer."""


class XgboostScorer(Scorer):
    """One booster in a `.ubj` or `.json` file.

    Columns are fed by name where the booster has names, else in the manifest's order, as float32. A null is a missing
    value. A value of a categorical feature, a text or an integer, gets the code that training gave it, by the
    categories that the file keeps (xgboost 3.1 and later) or `parameters.categories` states; a row with any other value
    is not scored (`PartlyScored`). Output `probability` needs the objective binary:logistic or multi:softprob; `class`
    is multi:softmax's answer or the most probable class; `regression` is the prediction. Of several targets or
    quantiles `parameters.column` is the index of one. A booster that stopped early answers with its best iteration, as
    XGBClassifier does.
    """

    kind = "xgboost"
    requires = ("xgboost", "pandas")

    def __init__(self, booster: Any, matrix: Any, manifest: Manifest) -> None:
        settings(manifest, "classes", "categories", "column")
        self._booster = booster
        self._matrix = matrix
        self._names = in_trained_order(manifest, booster.feature_names, booster.num_features())
        self._categories = _categories(booster, self._names, manifest)
        self._answers = answers_of(manifest)
        learner = json.loads(booster.save_config())["learner"]
        self._inplace = learner["gradient_booster"]["name"] != "gblinear"
        self._objective: str = learner["objective"]["name"]
        self._rounds = (0, int(booster.attr("best_iteration") or -1) + 1)
        trained: Mapping[str, str] = learner["learner_model_param"]
        self._tables: XgboostTables | None = None
        self._prepared, self._preparing = False, Lock()
        self._target = chosen_output(manifest, max(int(trained.get("num_target", "1")), 1))
        self._check_objective(max(int(trained["num_class"]), 2))

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
        # The library's own encoding gives an unknown text the code of another category.
        rows = trained_matrix(batch, self._names, self._categories, np.float32)
        return known_rows_scored(batch, rows, self._names, self._categories, self._scores)

    def contributions(self, batch: pa.RecordBatch) -> Contributions:
        """The library's own (`pred_contribs`, path-dependent TreeSHAP, in float32; exact for gblinear); of several
        classes those of the class that is asked for or that answered."""
        rows = trained_matrix(batch, self._names, self._categories, np.float32)
        named = {"feature_names": self._booster.feature_names, "feature_types": self._booster.feature_types}
        matrix = self._matrix(rows, enable_categorical=bool(self._categories), **named)
        rounds = {"iteration_range": self._rounds} if self._inplace else {}
        if self._tables is not None and len(rows) >= LEAST_ROWS:
            parts = self._tables.contributions(rows)
        else:
            parts = self._booster.predict(matrix, pred_contribs=True, **rounds).astype(np.float64)
        parts = parts.reshape(len(rows), -1, len(self._names) + 1)
        raw = self._booster.predict(matrix, output_margin=True, **rounds).astype(np.float64).reshape(len(rows), -1)
        column, sign = chosen_margin(self._answers, raw, self._target)
        index = np.arange(len(rows))
        chosen = parts[index, column]
        values = in_manifest_order(chosen[:, :-1], self._names, batch.schema.names)
        scale = "margin" if self._answers.kind == "class" else _SCALES.get(self._objective, "score")
        return Contributions(chosen[:, -1], values, raw[index, column], scale).times(sign)

    def prepare_contributions(self) -> None:
        """Make the tables that give the library's contributions many times faster."""
        with self._preparing:
            if not self._prepared:
                self._prepared, self._tables = True, XgboostTables.of_booster(self._booster, self._rounds[1])

    def labels(self) -> Mapping[float, str]:
        """The labels that the trainer, or `parameters.classes`, gave the class indexes."""
        return self._answers.labels

    def _scores(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        if self._inplace:
            answer = self._booster.inplace_predict(rows, iteration_range=self._rounds)
        else:
            answer = self._booster.predict(self._matrix(rows, feature_names=self._booster.feature_names))
        if self._target is not None:
            answer = answer[:, self._target]
        if self._answers.kind == "class" and self._objective == "binary:logistic":
            return np.asarray(answer > 0.5, dtype=np.float64)
        return self._answers.scores(answer)

    def _check_objective(self, classes: int) -> None:
        if self._answers.kind == "probability":
            if self._objective not in _PROBABILITIES:
                allowed = " or ".join(_PROBABILITIES)
                raise WillNotLoad(f"xgboost: objective {self._objective!r}; allowed for a probability: {allowed}")
            self._answers.column(classes)
        if self._answers.kind == "class" and self._objective not in _CLASSES:
            allowed = ", ".join(_CLASSES)
            raise WillNotLoad(f"xgboost: objective {self._objective!r}; allowed for a class: {allowed}")
        if self._answers.kind == "regression" and self._objective.startswith("multi:"):
            raise WillNotLoad(f"xgboost: objective {self._objective!r}; expected: output class or probability")


def _categories(booster: Any, names: Sequence[str], manifest: Manifest) -> dict[str, Categories]:
    """The categories of each categorical feature by the name of its input."""
    types = booster.feature_types or [""] * len(names)
    categorical = {name for name, kind in zip(names, types, strict=True) if kind == "c"}
    stated = stated_categories(manifest)
    for name in strings_of(manifest):
        if name not in categorical:
            raise WillNotLoad(f"xgboost: input {name!r} is a string; expected: numbers, or a categorical feature")
    for name in stated:
        if name not in categorical:
            raise WillNotLoad(f"xgboost: parameter categories names {name!r}; expected: a categorical feature")
    if not categorical:
        return {}
    kept = booster.get_categories(export_to_arrow=True).to_arrow()
    return {
        name: categories_of(manifest, name, _values(name, values, stated.get(name)))
        for name, (_, values) in zip(names, kept, strict=True)
        if name in categorical
    }


def _values(name: str, kept: Any, stated: Sequence[Any] | None) -> Sequence[Any]:
    """The categories of a feature in the order of their codes.

    Where a text has characters other than ASCII the file cuts it at its number of characters instead of bytes, and the
    texts after it begin too early (3.2.0); then the file is not trusted.
    """
    if stated is not None:
        if kept is not None and not _kept_so(kept, stated):
            raise WillNotLoad(
                f"xgboost: the categories that are stated for {name!r} are not the {len(kept)} that the file keeps; "
                "expected: those, in the order of training"
            )
        return stated
    way_out = "or parameter categories with {input: [category, …]} in the order of training (of the DataFrame's dtype)"
    if kept is None:
        raise WillNotLoad(
            f"xgboost: feature {name!r} is categorical, and the file does not keep its categories; expected: a model "
            f"trained by xgboost 3.1 or later on a DataFrame, {way_out}"
        )
    if pa.types.is_string(kept.type) and any(byte > 127 for byte in kept.buffers()[2] or b""):
        raise WillNotLoad(
            f"xgboost: feature {name!r} has categories beyond ASCII, which xgboost keeps cut off; allowed: ASCII, "
            f"{way_out}"
        )
    values: Sequence[Any] = kept.to_pylist()
    return values


def _kept_so(kept: Any, stated: Sequence[Any]) -> bool:
    """Whether a file stores exactly these categories, complete or cut at their number of characters."""
    if not pa.types.is_string(kept.type):
        return bool(kept.to_pylist() == list(stated))
    lengths, raw = pc.binary_length(kept).to_pylist(), (kept.buffers()[2] or pa.py_buffer(b"")).to_pybytes()
    texts = [str(each) for each in stated]
    whole = "".join(texts).encode()
    counted = ([len(each) for each in texts], [len(each.encode()) for each in texts])
    return bool(lengths in counted and raw[: sum(lengths)] == whole[: sum(lengths)])
