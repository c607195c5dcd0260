"""scikit-learn estimators, stored by skops; pickles only for a job that trusts them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.inputs import as_matrix, filled, of_filled
from models.manifest import Manifest, Output
from models.scorers.base import Scorer, WillNotLoad, only_file, settings
from models.scorers.skops_files import load_skops

_PICKLES = (".pkl", ".pickle", ".joblib")


class SklearnScorer(Scorer):
    """One estimator or pipeline in a `.skops` file.

    It reads a pandas DataFrame with the manifest's names where it was fitted on one (`feature_names_in_`),
    else a float64 matrix in the manifest's order. Output `probability` is `predict_proba` of the positive
    class (the second of two where `output.positive` is null); `regression` is `predict`; `class` is
    `predict`, for labels that are no numbers as the position in `classes_`.
    """

    kind = "sklearn"
    requires = ("sklearn", "skops", "pandas")

    def __init__(self, estimator: Any, manifest: Manifest) -> None:
        settings(manifest)
        self._estimator = estimator
        self._kind = manifest.output.kind
        self._names = _feature_names(estimator, manifest)
        self._positive = _positive_column(estimator, manifest.output)
        self._classes = {label: float(place) for place, label in enumerate(getattr(estimator, "classes_", ()))}

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "SklearnScorer":
        """Load the `.skops` file, of allowed types and parameters only (`models.scorers.skops_files`)."""
        if any(path.endswith(_PICKLES) for path in manifest.files):
            raise WillNotLoad("sklearn: a pickle can run any code; allowed: .skops, or a job with --allow_pickle")
        return cls(load_skops(folder / only_file(manifest, [".skops"])), manifest)

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
        return of_filled(self._scores(filled(batch)), rows)

    def _scores(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        features = as_matrix(batch) if self._names is None else _frame(batch, self._names)
        if self._kind == "probability":
            return np.asarray(self._estimator.predict_proba(features)[:, self._positive], dtype=np.float64)
        predicted = np.asarray(self._estimator.predict(features))
        if predicted.ndim == 2 and predicted.shape[1] == 1:
            predicted = predicted[:, 0]
        if self._kind == "class" and predicted.dtype.kind not in "biuf":
            return np.array([self._classes[label] for label in predicted], dtype=np.float64)
        return predicted.astype(np.float64)


def _frame(batch: pa.RecordBatch, names: list[str]) -> Any:
    columns = [batch.column(name) for name in names]
    # pandas has no boolean with nulls that scikit-learn reads; 0, 1 and NaN say the same.
    columns = [
        column.cast(pa.float64()) if pa.types.is_boolean(column.type) and column.null_count else column
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=names).to_pandas()


def _feature_names(estimator: Any, manifest: Manifest) -> list[str] | None:
    """The columns in the order the estimator was fitted on; None where it was fitted on a matrix."""
    inputs = [entry.name for entry in manifest.inputs]
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is not None:
        names = [str(name) for name in fitted]
        if sorted(names) != sorted(inputs):
            raise WillNotLoad(f"sklearn: inputs {', '.join(inputs)}; allowed: the fitted {', '.join(names)}")
        return names
    strings = [entry.name for entry in manifest.inputs if entry.type == "string"]
    if strings:
        raise WillNotLoad(f"sklearn: string inputs {', '.join(strings)}; allowed only if fitted on a DataFrame")
    expected = getattr(estimator, "n_features_in_", len(inputs))
    if expected != len(inputs):
        raise WillNotLoad(f"sklearn: {len(inputs)} inputs; allowed: {expected}, as the estimator was fitted")
    return None


def _positive_column(estimator: Any, output: Output) -> int:
    method = "predict_proba" if output.kind == "probability" else "predict"
    if not hasattr(estimator, method):
        raise WillNotLoad(f"sklearn: {type(estimator).__name__} has no {method}, which output {output.kind} needs")
    if output.kind != "probability":
        return 0
    classes = [str(label) for label in estimator.classes_]
    if output.positive is None and len(classes) == 2:
        return 1
    if output.positive not in classes:
        raise WillNotLoad(f"sklearn: output.positive {output.positive!r}; allowed: {', '.join(classes)}")
    return classes.index(output.positive)
