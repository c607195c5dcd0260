"""Kind mlflow: folders that MLflow itself wrote, by our own scorers where no code is run, else as pyfunc."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.scorers.samples import delays, frame, late, prepared, sample
from tests.unit.models.bundles import NUMBERS, document

FITTED = [entry["name"] for entry in NUMBERS]


def saved(flavour: str, model: Any, folder: Path, **options: Any) -> dict[str, Any]:
    """What `mlflow.<flavour>.save_model` leaves, in the folder `model` of a bundle."""
    import importlib
    import os

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    folder.mkdir(parents=True, exist_ok=True)
    # Given the requirements, MLflow does not start a process to find them out.
    module = importlib.import_module(f"mlflow.{flavour}")
    module.save_model(model, path=str(folder / "model"), pip_requirements=["none"], **options)
    return document("mlflow", inputs=NUMBERS)


def logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500).fit(frame(strings=False)[FITTED], late())


def sklearn_skops(folder: Path) -> dict[str, Any]:
    return saved("sklearn", logistic(), folder, serialization_format="skops")


def sklearn_pickle(folder: Path) -> dict[str, Any]:
    return saved("sklearn", logistic(), folder, serialization_format="cloudpickle")


def xgboost(folder: Path) -> dict[str, Any]:
    import xgboost as library

    data = library.DMatrix(frame(strings=False)[FITTED], late())
    return saved("xgboost", library.train({"objective": "binary:logistic", "nthread": 1}, data, 5), folder)


def lightgbm(folder: Path) -> dict[str, Any]:
    import lightgbm as library

    data = library.Dataset(frame(strings=False)[FITTED], late())
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    return saved("lightgbm", library.train(settings, data, 5), folder)


def onnx(folder: Path) -> dict[str, Any]:
    from skl2onnx import to_onnx

    features = frame(strings=False)[FITTED].to_numpy(np.float32)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=500).fit(features, late())
    made = to_onnx(model, features[:1], options={id(model): {"zipmap": False}})
    return saved("onnx", made, folder)


def pyfunc(folder: Path) -> dict[str, Any]:
    """A model whose code travels in a pickle, with a signature."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature
    from mlflow.pyfunc.model import PythonModel

    class Late(PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            z = model_input.delay / 20 - model_input.distance / 1000
            return (1 / (1 + np.exp(-z))).rename("late").to_frame()

    features = frame(strings=False).astype({"distance": np.int64, "weekend": bool})[FITTED]
    folder.mkdir(parents=True, exist_ok=True)
    mlflow.pyfunc.save_model(
        str(folder / "model"), python_model=Late(), pip_requirements=["none"], signature=infer_signature(features)
    )
    return document("mlflow", inputs=NUMBERS, parameters={"output": "late"})


def answering_nan(folder: Path) -> Sample:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.coef_ = np.array([np.nan])
    saved("sklearn", model, folder, serialization_format="skops")
    return delays("regression", 1.0, 2.0)


test_skops = contract_tests("mlflow", sample(sklearn_skops), label="mlflow-skops", make_nan=answering_nan)
test_xgboost = contract_tests("mlflow", sample(xgboost), label="mlflow-xgboost")
test_lightgbm = contract_tests("mlflow", sample(lightgbm), label="mlflow-lightgbm")
test_onnx = contract_tests("mlflow", sample(onnx), label="mlflow-onnx")
test_pickle = contract_tests("mlflow", sample(sklearn_pickle), label="mlflow-pickle", allow_pickle=True)
test_pyfunc = contract_tests("mlflow", sample(pyfunc), label="mlflow-pyfunc", allow_pickle=True)


def loaded(make: Callable[[Path], dict[str, Any]], folder: Path, allow_pickle: bool = False, **changes: Any) -> Scorer:
    manifest = write_bundle("mlflow", folder, {**make(folder), **changes})
    return load_scorer("mlflow", folder, manifest, allow_pickle)


@pytest.mark.parametrize("make", [sklearn_pickle, pyfunc])
def test_pickles_and_code_need_allow_pickle(tmp_path: Path, make: Callable[[Path], dict[str, Any]]) -> None:
    with pytest.raises(WillNotLoad, match=r"flavours .*python_function.* are code or pickles"):
        loaded(make, tmp_path)


def test_estimator_in_a_pickle_gives_probabilities(tmp_path: Path) -> None:
    expected = logistic().predict_proba(frame(9, strings=False)[FITTED])[:, 1]
    found = loaded(sklearn_pickle, tmp_path, allow_pickle=True).score(prepared(NUMBERS, 9))
    np.testing.assert_allclose(found, expected)


def test_pyfunc_scores_as_mlflow_does(tmp_path: Path) -> None:
    import mlflow.pyfunc

    scorer = loaded(pyfunc, tmp_path, allow_pickle=True)
    rows = prepared(NUMBERS, 9)
    expected = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(rows.to_pandas())["late"]
    np.testing.assert_allclose(scorer.score(rows), expected)


def test_loader_module_of_the_bundle_is_never_imported(tmp_path: Path) -> None:
    """MLflow would import what `MLmodel` names, with the bundle's `code` folder on the path."""
    ran = tmp_path / "ran"

    def hostile(folder: Path) -> dict[str, Any]:
        manifest = sklearn_skops(folder)
        described = folder / "model" / "MLmodel"
        (folder / "model" / "code").mkdir()
        (folder / "model" / "code" / "hostile.py").write_text(f"open({str(ran)!r}, 'w')\n")
        text = described.read_text().replace("loader_module: mlflow.sklearn", "loader_module: hostile\n    code: code")
        described.write_text(text)
        assert "hostile" in text
        return manifest

    assert loaded(hostile, tmp_path / "bundle").score(prepared(NUMBERS, 3)).shape == (3,)
    assert not ran.exists()


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_file_outside_the_model_is_refused(tmp_path: Path, allow_pickle: bool) -> None:
    def climbing(folder: Path) -> dict[str, Any]:
        manifest = sklearn_skops(folder)
        (folder / "model" / "model.skops").rename(folder.parent / "model.skops")
        described = folder / "model" / "MLmodel"
        described.write_text(described.read_text().replace("model.skops", "../../model.skops"))
        return manifest

    with pytest.raises(WillNotLoad, match="mlflow: "):
        loaded(climbing, tmp_path / "bundle", allow_pickle)


def test_inputs_that_the_signature_does_not_have_are_refused(tmp_path: Path) -> None:
    inputs = [*NUMBERS[:2], {"name": "weekday", "type": "boolean"}]
    with pytest.raises(WillNotLoad, match="inputs delay, distance, weekday; allowed: the signature's delay, distance"):
        loaded(pyfunc, tmp_path, allow_pickle=True, inputs=inputs)
