"""The contract, for kind sklearn: an estimator fitted on a DataFrame, one on a matrix, and an allowed pickle."""

from pathlib import Path
from typing import Any

import numpy as np

from models.testing import Sample, contract_tests
from tests.scorers.samples import delays, sample
from tests.unit.models import bundles


def pickled(folder: Path) -> dict[str, Any]:
    import joblib  # type: ignore[import-untyped]  # ships no types
    import skops.io

    manifest = bundles.sklearn_matrix(folder)
    joblib.dump(skops.io.load(folder / "model.skops"), folder / "model.joblib")
    (folder / "model.skops").unlink()
    return manifest


def answering_nan(folder: Path) -> Sample:
    import skops.io
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.coef_ = np.array([np.nan])
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    return delays("regression", 1.0, 2.0)


test_frame = contract_tests(
    "sklearn", sample(bundles.sklearn_frame), label="sklearn-frame", make_nan=answering_nan
)
test_matrix = contract_tests("sklearn", sample(bundles.sklearn_matrix), label="sklearn-matrix")
test_pickle = contract_tests("sklearn", sample(pickled), label="sklearn-pickle", allow_pickle=True)
