"""Kind beam: the contract with Beam's own handlers of scikit-learn, and which handlers are refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.models.bundle_folders import INPUTS, NUMBERS, document
from tests.models.scorers.samples import delays, frame, late, prepared, sample

SKLEARN = "apache_beam.ml.inference.sklearn_inference"
NUMPY = {"handler": f"{SKLEARN}:SklearnModelHandlerNumpy", "arguments": {"model_uri": "bundle:model.pkl"}}
REGRESSION = {"kind": "regression"}


def probabilities(model: Any, batch: Any, inference_args: Any = None) -> Any:
    """An inference function that a manifest names: Beam's own one answers with labels."""
    return model.predict_proba(np.vstack(batch))


def save(folder: Path, model: Any, name: str = "model.pkl") -> None:
    import joblib  # type: ignore[import-untyped]  # ships no types

    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".joblib"):
        joblib.dump(model, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(model))


def arrays(folder: Path) -> dict[str, Any]:
    from sklearn.linear_model import LinearRegression

    save(folder, LinearRegression().fit(frame(strings=False).to_numpy(), late()))
    return document("beam", inputs=NUMBERS, output=REGRESSION, parameters=NUMPY)


def frames(folder: Path) -> dict[str, Any]:
    """A pipeline with a string column, stored by joblib, behind the handler of DataFrames."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough", sparse_threshold=0.0
    )
    model = make_pipeline(encoder, LinearRegression()).fit(frame().astype({"carrier": object}), late())
    save(folder, model, "model.joblib")
    arguments = {"model_uri": "bundle:model.joblib", "model_file_type": "JOBLIB"}
    parameters = {"handler": f"{SKLEARN}:SklearnModelHandlerPandas", "arguments": arguments}
    return document("beam", inputs=INPUTS, output=REGRESSION, parameters=parameters)


def classes(folder: Path) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression

    save(folder, LogisticRegression(max_iter=500).fit(frame(strings=False).to_numpy(), late()))
    arguments = {**NUMPY["arguments"], "inference_fn": f"import:{__name__}:probabilities"}  # type: ignore[dict-item]  # a dict of texts
    return document("beam", inputs=NUMBERS, parameters={**NUMPY, "arguments": arguments})


def answering_nan(folder: Path) -> Sample:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.coef_ = np.array([np.nan])
    save(folder, model)
    manifest, rows = delays("regression", 1.0, 2.0)
    return Sample({**manifest, "parameters": NUMPY}, rows)


test_arrays = contract_tests(
    "beam", sample(arrays), label="beam-arrays", allow_pickle=True, make_nan=answering_nan
)
test_frames = contract_tests("beam", sample(frames), label="beam-frames", allow_pickle=True)
test_classes = contract_tests("beam", sample(classes), label="beam-classes", allow_pickle=True)


def loaded(folder: Path, parameters: Any, allow_pickle: bool = True) -> Scorer:
    manifest = write_bundle("beam", folder, document("beam", inputs=NUMBERS, output=REGRESSION, parameters=parameters))
    return load_scorer("beam", folder, manifest, allow_pickle)


def test_scores_equal_the_estimator(tmp_path: Path) -> None:
    arrays(tmp_path)
    expected = pickle.loads((tmp_path / "model.pkl").read_bytes()).predict(frame(9, strings=False).to_numpy())
    np.testing.assert_allclose(loaded(tmp_path, NUMPY).score(prepared(NUMBERS, 9)), expected)


def test_without_allow_pickle_no_handler_is_made(tmp_path: Path) -> None:
    arrays(tmp_path)
    with pytest.raises(WillNotLoad, match="may run code of the model it loads; expected: a job with --allow_pickle"):
        loaded(tmp_path, NUMPY, allow_pickle=False)


def test_handler_that_ignores_new_models_is_refused(tmp_path: Path) -> None:
    handler = "apache_beam.ml.inference.onnx_inference:OnnxModelHandlerNumpy"
    with pytest.raises(WillNotLoad, match="cannot follow a release; expected: one with an update_model_path"):
        loaded(tmp_path, {"handler": handler, "arguments": {}})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "handler None; expected: parameters {handler: 'module:Class'"),
        ({"handler": "subprocess:Popen", "arguments": {"args": ["true"]}}, "subprocess:Popen is not a ModelHandler"),
        ({"handler": "no.such:Handler"}, "no.such:Handler cannot be imported"),
        ({**NUMPY, "arguments": {"model_uri": "bundle:../model.pkl"}}, "bundle:../model.pkl is not in the bundle"),
        ({**NUMPY, "batch": 3}, "parameter 'batch' is unknown; allowed: handler, arguments, classes"),
        ({**NUMPY, "arguments": {"uri": "bundle:model.pkl"}}, "missing 1 required positional argument"),
    ],
)
def test_parameters_that_name_no_model_are_refused(tmp_path: Path, parameters: Any, message: str) -> None:
    arrays(tmp_path)
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path, parameters)
