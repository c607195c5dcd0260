"""scikit-learn estimators stored by skops; pickles only for a job that trusts them."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import filled, of_filled, width_of
from models.bundles.manifest import Input, Manifest, OutputKind
from models.scorers.base import Scorer, WillNotLoad, only_file, settings
from models.scorers.columns import in_manifest_order
from models.scorers.contributions import Contributions
from models.scorers.outputs import stated_column
from models.scorers.sklearn.contributing import Contributing
from models.scorers.sklearn.nulls import fitted_on_none
from models.scorers.sklearn.rows import alike, frame_of, matrix_of, ordinary_row
from models.scorers.sklearn.skops_files import load_skops
from schemas.columns import read_type
from schemas.expectations import wants
from schemas.vectors import vector_of

_MOST_LISTED = 20
_PICKLES = (".pkl", ".pickle", ".joblib")
_METHODS: Mapping[OutputKind, tuple[str, ...]] = {
    "probability": ("predict_proba",),
    "class": ("predict",),
    "regression": ("predict", "score_samples", "decision_function"),
}
"""The methods that each output may use; the first is the default of `parameters.method`."""


class SklearnScorer(Scorer):
    """One estimator or pipeline in a `.skops` file.

    It reads a pandas DataFrame with the manifest's names where it was fitted on one (`feature_names_in_`),
    else a matrix in the manifest's order, of int64 where all inputs are integers, else of float64; a single vector is
    the matrix itself, in its own floats, and beside other inputs a vector fills as many columns as it is long. Output
    `probability` is `predict_proba` of the positive class (the second of two where `output.positive` is null);
    `regression` is `predict`, or the `parameters.method` score_samples or decision_function; `class` is
    `predict`; labels that are not numbers become their index in `classes_`. Of an estimator that answers with
    several columns `parameters.column` is the index of one.
    """

    kind = "sklearn"
    takes_vectors = True
    requires = ("sklearn", "skops", "pandas")

    def __init__(self, estimator: Any, manifest: Manifest) -> None:
        given = settings(manifest, "method", "column")
        self._estimator = estimator
        self._kind = manifest.output.kind
        self._names = _feature_names(estimator, manifest)
        self._method = _method(estimator, manifest, given.get("method"))
        self._column = stated_column(manifest)
        self._labels = self._chosen_labels()
        self._positive = self._positive_index(manifest.output.positive)
        self._classes = {label: float(index) for index, label in enumerate(self._labels)}
        self._numeric = np.asarray(self._labels).dtype.kind in "biuf"
        self._check_numbers()
        nullable_texts = any(each.type == "string" and each.nullable for each in manifest.inputs)
        self._none_texts = nullable_texts and fitted_on_none(estimator)
        self._check_columns(manifest.inputs)
        self._contributing = Contributing(estimator, self._method)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "SklearnScorer":
        """Load the `.skops` file, of allowed types and parameters only (`models.scorers.sklearn.skops_files`)."""
        if any(path.endswith(_PICKLES) for path in manifest.files):
            raise WillNotLoad("sklearn: a pickle can run any code; expected: .skops, or a job with --allow_pickle")
        return cls(load_skops(folder / only_file(manifest, [".skops"]), manifest.trust), manifest)

    @classmethod
    def load_trusting_pickles(cls, folder: Path, manifest: Manifest) -> "SklearnScorer":
        """Load the one `.pkl`, `.pickle` or `.joblib` file where there is one, else as `load`."""
        import joblib  # type: ignore[import-untyped]  # ships no types

        if not any(path.endswith(_PICKLES) for path in manifest.files):
            return cls.load(folder, manifest)
        return cls(joblib.load(folder / only_file(manifest, _PICKLES)), manifest)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the estimator; an empty batch does not reach it."""
        rows = batch.num_rows
        if rows == 0:
            return np.empty(0, dtype=np.float64)
        groups = alike(batch)
        if len(groups) == 1:
            return self._scores(batch)
        scores = np.empty(rows, dtype=np.float64)
        for indexes in groups:
            scores[indexes] = self._scores(batch.take(pa.array(indexes)))
        return scores

    def contributions(self, batch: pa.RecordBatch) -> Contributions | None:
        """Of linear models the terms themselves; of trees and forests TreeSHAP by `shap`; of others None."""
        if not self._contributing.is_known or any(pa.types.is_fixed_size_list(each) for each in batch.schema.types):
            return None
        names = batch.schema.names if self._names is None else self._names
        features = matrix_of(batch) if self._names is None else frame_of(batch, self._names, self._none_texts)
        found = self._contributing.of(features, names, self._positive)
        return (
            None if found is None else replace(found, values=in_manifest_order(found.values, names, batch.schema.names))
        )

    def labels(self) -> Mapping[float, str]:
        """`classes_`: by themselves where they are numbers and are the score, else by their indexes."""
        if self._kind == "class" and self._numeric:
            return {float(label): str(label) for label in self._labels}
        return {index: str(label) for label, index in self._classes.items()}

    def _scores(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """The scores of rows that are alike."""
        answer = self._chosen(self._answer(filled(batch)))
        if self._kind == "class" and answer.dtype.kind not in "biuf":
            answer = np.array([self._classes[label] for label in answer.tolist()])
        return of_filled(answer.astype(np.float64), batch.num_rows)

    def _answer(self, batch: pa.RecordBatch) -> Any:
        features = matrix_of(batch) if self._names is None else frame_of(batch, self._names, self._none_texts)
        return getattr(self._estimator, self._method)(features)

    def _chosen(self, answer: Any) -> npt.NDArray[Any]:
        """One value for each row."""
        if self._kind == "probability":
            # A classifier with several outputs answers with a list: probabilities for each output.
            table = answer[self._column or 0] if isinstance(answer, list) else answer
            return np.asarray(table)[:, self._positive]
        values = np.asarray(answer)
        if values.ndim == 2 and (self._column is not None or values.shape[1] == 1):
            return values[:, self._column or 0]
        return values

    def _chosen_labels(self) -> Sequence[Any]:
        """The labels of the classes; of several outputs those of the chosen one."""
        classes = getattr(self._estimator, "classes_", ())
        if not isinstance(classes, list):
            labels: list[Any] = np.asarray(classes).tolist()
            return labels
        allowed = f"--setting column=0 to {len(classes) - 1}"
        if self._column is None:
            raise WillNotLoad(f"sklearn: the estimator answers for {len(classes)} outputs; expected: one, by {allowed}")
        if self._column >= len(classes):
            raise WillNotLoad(f"sklearn: column {self._column} of {len(classes)} outputs; {wants(allowed)}")
        return list(np.asarray(classes[self._column]).tolist())

    def _positive_index(self, positive: str | None) -> int:
        if self._kind != "probability":
            return 0
        classes = [str(label) for label in self._labels]
        if positive is None and len(classes) == 2:
            return 1
        if positive not in classes:
            raise WillNotLoad(f"sklearn: output.positive {positive!r}; allowed: {', '.join(classes)}")
        return classes.index(positive)

    def _check_numbers(self) -> None:
        """Refuse a regression whose estimator answers with labels of classes that are not numbers."""
        if self._kind != "regression" or self._method != "predict" or self._numeric:
            return
        try:
            np.asarray(self._labels).astype(np.float64)
        except (TypeError, ValueError):
            shown = [str(label) for label in self._labels[:_MOST_LISTED]]
            more = ", …" if len(self._labels) > _MOST_LISTED else ""
            raise WillNotLoad(
                f"sklearn: a regression of labels that are not numbers: {', '.join(shown)}{more}; expected: --output"
                f" class or probability, with --positive {'|'.join(map(shlex.quote, shown))}"
            ) from None

    def _check_columns(self, inputs: Sequence[Input]) -> None:
        """Refuse an estimator of several columns of which none is chosen, or one that does not exist.

        Tested on an ordinary row; where the estimator cannot read that row, its answers are checked while it serves.
        """
        row = ordinary_row(inputs)
        fields = pa.schema([pa.field(each.name, read_type(each.type)) for each in inputs])
        try:
            answer = self._answer(pa.RecordBatch.from_pylist([row], fields))
        except Exception:  # for example an unknown category: the width stays unknown
            return
        columns = np.asarray(answer).shape[1:] if not isinstance(answer, list) else ()
        several = self._kind != "probability" and columns not in ((), (1,))
        if several and (self._column is None or self._column >= columns[0]):
            found = "no column chosen" if self._column is None else f"column {self._column}"
            allowed = f"--setting column=0 to {columns[0] - 1}"
            raise WillNotLoad(f"sklearn: {found} of the {columns[0]} that it answers with; expected: one, by {allowed}")
        if not several and self._column is not None and not isinstance(answer, list):
            raise WillNotLoad(f"sklearn: column {self._column}; expected: none, the estimator answers with one")


def _feature_names(estimator: Any, manifest: Manifest) -> list[str] | None:
    """The columns in the order the estimator was fitted on; None where it was fitted on a matrix."""
    inputs = [entry.name for entry in manifest.inputs]
    fitted = getattr(estimator, "feature_names_in_", None)
    vectors = [entry.name for entry in manifest.inputs if vector_of(entry.type) is not None]
    if fitted is not None:
        names = [str(name) for name in fitted]
        if vectors:
            raise WillNotLoad(f"sklearn: vectors {', '.join(vectors)}; expected: an estimator fitted on a matrix")
        if sorted(names) != sorted(inputs):
            raise WillNotLoad(f"sklearn: inputs {', '.join(inputs)}; expected: the fitted {', '.join(names)}")
        return names
    strings = [entry.name for entry in manifest.inputs if entry.type == "string"]
    if strings:
        raise WillNotLoad(f"sklearn: string inputs {', '.join(strings)}; expected: an estimator fitted on a DataFrame")
    width = width_of(manifest.inputs)
    expected = getattr(estimator, "n_features_in_", width)
    if expected != width:
        found = f"{width} numbers in {', '.join(inputs)}" if vectors else f"{width} inputs"
        raise WillNotLoad(f"sklearn: {found}; expected: {expected}, as the estimator was fitted")
    return None


def _method(estimator: Any, manifest: Manifest, named: object) -> str:
    kind = manifest.output.kind
    method = _METHODS[kind][0] if named is None else named
    if not isinstance(method, str) or method not in _METHODS[kind]:
        allowed = f"{', '.join(_METHODS[kind])} for output {kind}"
        raise WillNotLoad(f"sklearn: method {method!r}; {wants(allowed)}")
    if not hasattr(estimator, method):
        others = [f"{other} by --setting method={name}" for other, names in _METHODS.items() for name in names
                  if hasattr(estimator, name)]  # fmt: skip
        problem = f"{type(estimator).__name__} has no {method}, which output {kind} needs"
        raise WillNotLoad(f"sklearn: {problem}; {wants(', '.join(others) or 'an estimator that answers')}")
    return method
