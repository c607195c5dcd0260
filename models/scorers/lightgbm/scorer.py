"""LightGBM boosters, stored as text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from models.scorers.categories import Categories, categories_of
from models.scorers.columns import in_manifest_order, in_trained_order, strings_of, trained_matrix
from models.scorers.contributions import Contributions, Scale
from models.scorers.lightgbm.tables import LEAST_ROWS, LightgbmTables
from models.scorers.lightgbm.text import ModelText, categories_by_input, read_model_text
from models.scorers.outputs import chosen_output

_PROBABILITIES = ("binary", "multiclass", "multiclassova", "cross_entropy")
_SEVERAL = ("multiclass", "multiclassova")
_PLAIN = ["regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "none"]
_SCALES: Mapping[str, Scale] = {
    **dict.fromkeys(("binary", "cross_entropy"), "log_odds"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "log"),
    **dict.fromkeys(_PLAIN, "score"),
}
"""What the library's raw score is of the answer."""


class LightgbmScorer(Scorer):
    """One booster in a `.txt`, `.lgb` or `.model` file.

    Columns are fed by name, except to a model trained on a matrix, whose columns have no names of their own.
    A null is a missing value, which LightGBM reads as 0 where training saw none. An input that was a pandas category
    (text, integer, float or boolean) gets the codes of training; an unknown category is a missing value, as in the
    library, and is counted (`unseen`). Output `probability` needs the objective binary, cross_entropy or multiclass;
    `class` is the most probable class; `regression` is the prediction; where a custom objective gives several numbers,
    the one that `parameters.column` names.
    """

    kind = "lightgbm"
    requires = ("lightgbm",)

    def __init__(self, booster: Any, model: ModelText, manifest: Manifest, classes: Sequence[str] | None) -> None:
        settings(manifest, "classes", "categories", "column")
        self._booster = booster
        self._names = _trained_names(booster.feature_name(), manifest)
        self._categories = _categories(model, self._names, manifest)
        self._answers = answers_of(manifest, classes)
        self._objective, *options = model.header.get("objective", "none").split(" ")
        self._tables: LightgbmTables | None = None
        self._prepared, self._preparing = False, Lock()
        self._averaged = "average_output" in model.header
        self._options = dict(option.partition(":")[::2] for option in options)
        width = int(model.header.get("num_class", "1"))
        self._check_objective(width)
        self._column = chosen_output(manifest, width if self._answers.kind == "regression" else 1)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "LightgbmScorer":
        """Load the booster from a complete text."""
        return cls.of_text((folder / only_file(manifest, (".txt", ".lgb", ".model"))).read_bytes(), manifest)

    @classmethod
    def of_text(
        cls, raw: bytes, manifest: Manifest, classes: Sequence[str] | None = None, best_iteration: int = 0
    ) -> "LightgbmScorer":
        """Load the booster from a model's text; `classes` are the names that its trainer gave them.

        Args:
            raw: what `Booster.save_model` writes.
            manifest: the bundle's manifest.
            classes: the labels in the order of the model's classes; None if they are not known.
            best_iteration: how many iterations answer; 0 for all.
        """
        import lightgbm

        model = read_model_text(raw)
        booster = lightgbm.Booster(model_str=model.text)
        booster.best_iteration = best_iteration
        return cls(booster, model, manifest, classes)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the booster in this thread; an empty batch does not reach it."""
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        answer = self._booster.predict(self._rows(batch), num_threads=1)
        if self._column is not None:
            answer = answer[:, self._column]
        if self._answers.kind == "class" and self._objective not in _SEVERAL:
            return np.asarray(answer > 0.5, dtype=np.float64)
        return self._answers.scores(answer)

    def contributions(self, batch: pa.RecordBatch) -> Contributions:
        """The library's own (`pred_contrib`, path-dependent TreeSHAP); of several classes those of the class that is
        asked for or that answered."""
        rows, width = self._rows(batch), len(self._names)
        if self._tables is not None and len(rows) >= LEAST_ROWS:
            parts = self._tables.contributions(rows)
        else:
            parts = np.asarray(self._booster.predict(rows, pred_contrib=True, num_threads=1), np.float64)
        parts = parts.reshape(len(rows), -1, width + 1)
        raw = np.asarray(self._booster.predict(rows, raw_score=True, num_threads=1), np.float64).reshape(len(rows), -1)
        column, sign = chosen_margin(self._answers, raw, self._column)
        index = np.arange(len(rows))
        chosen, scale = parts[index, column], self._scale()
        found = Contributions(chosen[:, -1], chosen[:, :-1], raw[index, column], scale)
        found = replace(found, values=in_manifest_order(found.values, self._names, batch.schema.names))
        # Neither raw scores nor contributions of a random forest are averaged by the library, unlike its answers.
        best, every = self._booster.best_iteration, self._booster.current_iteration()
        share = 1.0 / max(best if best > 0 else every, 1) if self._averaged else 1.0
        slope = float(self._options.get("sigmoid", 1.0)) if scale == "log_odds" else 1.0
        return found.times(sign * (slope * share))

    def prepare_contributions(self) -> None:
        """Make the tables that give the library's contributions many times faster."""
        with self._preparing:
            if not self._prepared:
                self._prepared, self._tables = True, LightgbmTables.of_booster(self._booster)

    def _scale(self) -> Scale:
        if self._answers.kind == "class" or self._objective in _SEVERAL or "sqrt" in self._options:
            return "margin"
        return _SCALES.get(self._objective, "margin")

    def _rows(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        rows: npt.NDArray[np.float64] = trained_matrix(batch, self._names, self._categories, np.float64)
        for index, name in enumerate(self._names):
            if name in self._categories:
                rows[rows[:, index] < 0, index] = np.nan
        return rows

    def labels(self) -> Mapping[float, str]:
        """The labels that the trainer, or `parameters.classes`, gave the class indexes."""
        return self._answers.labels

    def doubts(self, batch: pa.RecordBatch) -> str:
        """An objection to an input none of whose values is a category of the model, so that all would count as
        missing."""
        for name, categories in self._categories.items():
            values = batch.column(name).drop_null()
            if len(values) and not pc.any(pc.is_in(values, value_set=categories.values)).as_py():
                return categories.unknown(values[0].as_py())
        return ""

    def unseen(self, batch: pa.RecordBatch) -> Mapping[str, int]:
        """Values that were not a pandas category in training, which the library answers like a null."""
        return {name: each.unseen(batch.column(name)) for name, each in self._categories.items()}

    def _check_objective(self, classes: int) -> None:
        if self._answers.kind == "probability":
            if self._objective not in _PROBABILITIES:
                allowed = ", ".join(_PROBABILITIES)
                raise WillNotLoad(f"lightgbm: objective {self._objective!r}; allowed for a probability: {allowed}")
            self._answers.column(max(classes, 2))
        if self._answers.kind == "class" and self._objective not in _PROBABILITIES:
            allowed = ", ".join(_PROBABILITIES)
            raise WillNotLoad(f"lightgbm: objective {self._objective!r}; allowed for a class: {allowed}")
        if self._answers.kind == "regression" and self._objective in _SEVERAL:
            raise WillNotLoad(f"lightgbm: objective {self._objective!r}; expected: output class or probability")


def _trained_names(features: list[str], manifest: Manifest) -> list[str]:
    nameless = features == [f"Column_{index}" for index in range(len(features))]
    return in_trained_order(manifest, None if nameless else features, len(features))


def _categories(model: ModelText, names: Sequence[str], manifest: Manifest) -> dict[str, Categories]:
    """The categories of each input that was categorical in pandas."""
    found = categories_by_input(model, manifest, names)
    for name in strings_of(manifest):
        if name not in found:
            raise WillNotLoad(f"lightgbm: input {name!r} is a string; expected: numbers, or a category of pandas")
    return {name: categories_of(manifest, name, values) for name, values in found.items()}
