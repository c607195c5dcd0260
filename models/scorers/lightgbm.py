"""LightGBM boosters, stored as text."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.manifest import Manifest
from models.scorers.answers import answers_of
from models.scorers.base import Scorer, WillNotLoad, only_file, settings
from models.scorers.columns import in_trained_order, strings_of, trained_columns

_SIZES = re.compile(rb"^tree_sizes=([\d ]+)\n", re.MULTILINE)
_PROBABILITIES = ("binary", "multiclass", "multiclassova", "cross_entropy")
_SEVERAL = ("multiclass", "multiclassova")


class LightgbmScorer(Scorer):
    """One booster in a `.txt`, `.lgb` or `.model` file.

    Columns are fed by name, except to a model trained on a matrix, whose columns have no names of their own.
    A null is missing, which LightGBM counts as 0 where training saw none. String inputs must be all the
    model's categories of pandas; another category is missing. Output `probability` needs the objective
    binary, cross_entropy or multiclass; `class` is the most probable class; `regression` is the prediction.
    """

    kind = "lightgbm"
    requires = ("lightgbm", "pandas")

    def __init__(self, booster: Any, header: Mapping[str, str], manifest: Manifest) -> None:
        settings(manifest, "classes")
        self._booster = booster
        self._names = _trained_names(booster.feature_name(), manifest)
        self._categories = _has_categories(booster, manifest)
        self._answers = answers_of(manifest)
        self._objective = header.get("objective", "none").split(" ")[0]
        self._check_objective(int(header.get("num_class", "1")))

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "LightgbmScorer":
        """Load the booster from a text that is whole."""
        import lightgbm

        text = _whole(folder / only_file(manifest, (".txt", ".lgb", ".model")))
        lines = text.partition("\n\n")[0].splitlines()
        header = {key: value for key, _, value in (line.partition("=") for line in lines)}
        return cls(lightgbm.Booster(model_str=text), header, manifest)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the booster in this thread; an empty batch does not reach it."""
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        rows = trained_columns(batch, self._names, self._categories)
        answer = self._booster.predict(rows, num_threads=1)
        if self._answers.kind == "class" and self._objective == "binary":
            return np.asarray(answer > 0.5, dtype=np.float64)
        return self._answers.scores(answer)

    def _check_objective(self, classes: int) -> None:
        if self._answers.kind == "probability":
            if self._objective not in _PROBABILITIES:
                allowed = ", ".join(_PROBABILITIES)
                raise WillNotLoad(f"lightgbm: objective {self._objective!r}; allowed for a probability: {allowed}")
            self._answers.column(max(classes, 2))
        if self._answers.kind == "regression" and self._objective in _SEVERAL:
            raise WillNotLoad(f"lightgbm: objective {self._objective!r}; allowed for a regression: one with one value")


def _whole(path: Path) -> str:
    """The model's text without the sizes of its trees, which must be those it has.

    Where it knows the sizes LightGBM parses the trees in an OpenMP region, and an error there ends the
    process (4.7.0: a file cut off anywhere). Without them it parses one after the other and raises; but then
    it takes a file that ends early for a smaller model. So the sizes are checked here and kept from it.
    """
    raw = path.read_bytes()
    sizes = _SIZES.search(raw)
    if sizes is None or not raw.startswith(b"tree\n"):
        raise WillNotLoad("lightgbm: no model text; allowed: what Booster.save_model writes")
    place = raw.find(b"Tree=0\n")
    for number, size in enumerate(sizes[1].split()):
        if place < 0 or not raw.startswith(b"Tree=%d\n" % number, place):
            raise WillNotLoad(f"lightgbm: tree {number} is not where tree_sizes has it; allowed: an unchanged file")
        place += int(size)
    if not raw.startswith(b"end of trees", place):
        raise WillNotLoad("lightgbm: the text ends before 'end of trees'; allowed: a complete file")
    return (raw[: sizes.start()] + raw[sizes.end() :]).decode("utf-8")


def _trained_names(features: list[str], manifest: Manifest) -> list[str]:
    nameless = features == [f"Column_{place}" for place in range(len(features))]
    return in_trained_order(manifest, None if nameless else features, len(features))


def _has_categories(booster: Any, manifest: Manifest) -> bool:
    """Whether the model knows categories by name; LightGBM keeps their lists without saying of which columns."""
    strings, lists = strings_of(manifest), booster.pandas_categorical or []
    if len(strings) != len(lists):
        raise WillNotLoad(f"lightgbm: {len(strings)} string inputs; allowed: {len(lists)}, the categories of pandas")
    return bool(strings)
