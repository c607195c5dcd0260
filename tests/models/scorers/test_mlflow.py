"""Kind mlflow: folders that MLflow itself wrote, by our own scorers where no code is run, else as pyfunc."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.scorers import PartlyScored, Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.models.bundle_folders import NUMBERS, document
from tests.models.scorers.samples import delays, frame, late, prepared, sample

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


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (sklearn_pickle, "model/model.pkl of flavour sklearn is a pickle, which can do anything; expected: .* skops"),
        (pyfunc, "flavours .*python_function.* are code or pickles"),
    ],
)
def test_pickles_and_code_need_allow_pickle(tmp_path: Path, make: Callable[[Path], dict[str, Any]], said: str) -> None:
    with pytest.raises(WillNotLoad, match=said):
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
    with pytest.raises(WillNotLoad, match="inputs delay, distance, weekday; expected: the signature's delay, distance"):
        loaded(pyfunc, tmp_path, allow_pickle=True, inputs=inputs)


def answering(folder: Path, answer: Callable[[Any], Any], columns: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A pyfunc that answers so, whose signature was inferred from a frame of these columns."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature
    from mlflow.pyfunc.model import PythonModel

    class Answering(PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return answer(model_input)

    folder.mkdir(parents=True, exist_ok=True)
    options.setdefault("signature", infer_signature(pd.DataFrame(columns)))
    path = str(folder / "model")
    mlflow.pyfunc.save_model(path, python_model=Answering(), pip_requirements=["none"], **options)
    inputs = [{"name": name, "type": KINDS[np.asarray(values).dtype.kind]} for name, values in columns.items()]
    return document("mlflow", inputs=inputs, output={"kind": "regression"})


KINDS = {"f": "number", "i": "integer", "b": "boolean", "U": "string", "S": "string"}
TWO: dict[str, Any] = {"a": np.array([1, 2], np.float32), "b": np.array([4, 5], np.float32)}


def total(rows: Any) -> Any:
    return rows.sum(axis=1).to_numpy(float)


@pytest.mark.parametrize("kind", ["float32", "int32", "int64", "float64"])
@pytest.mark.parametrize("given", [pa.int64(), pa.float64()])
def test_columns_are_cast_to_the_signature(tmp_path: Path, kind: str, given: pa.DataType) -> None:
    columns = {name: values.astype(kind) for name, values in TWO.items()}
    inputs = [{"name": name, "type": "integer" if given == pa.int64() else "number"} for name in columns]
    scorer = loaded(lambda folder: answering(folder, total, columns), tmp_path, allow_pickle=True, inputs=inputs)
    rows = pa.RecordBatch.from_pydict({"a": pa.array([1, 2], given), "b": pa.array([4, 5], given)})
    np.testing.assert_array_equal(scorer.score(rows), [5.0, 7.0])


def test_value_that_the_signature_cannot_hold_is_an_error_of_its_record(tmp_path: Path) -> None:
    columns = {"a": np.array([1, 2], np.int32)}
    scorer = loaded(lambda folder: answering(folder, total, columns), tmp_path, allow_pickle=True)
    with pytest.raises(PartlyScored) as caught:
        scorer.score(pa.RecordBatch.from_pydict({"a": [7, 2**31, -1]}))
    detail = "input 'a': 2147483648 does not fit int32 without loss; expected: what the signature's type can hold"
    assert caught.value.failures == {1: ("NotOfSignature", detail)}
    np.testing.assert_array_equal(caught.value.scores[[0, 2]], [7.0, -1.0])


BYTES: dict[str, Any] = {"a": [b"x", b"y"]}
INTEGER: list[dict[str, Any]] = [{"name": "a", "type": "integer", "nullable": True}]


@pytest.mark.parametrize(
    ("answer", "columns", "changes", "said"),
    [
        (
            total,
            {"a": np.array([1], np.int32)},
            {"inputs": INTEGER},
            "'a' may be null, and the signature's int32 cannot; expected",
        ),
        (total, {"a": ["x"]}, {"inputs": INTEGER}, "'a' is of type integer, the signature's is string; expected: str"),
        (total, BYTES, {}, "input 'a' is binary in the signature; expected: one plain value"),
        (total, {"a": [[1, 2]]}, {"inputs": INTEGER}, r"'a' is Array\(long\).* in the signature; expected: one plain"),
        (
            lambda rows: rows,
            TWO,
            {},
            "answers each row with 2 numbers; allowed for a regression: one, by .*column=0 to 1, or .* columns a, b",
        ),
        (lambda rows: rows, TWO, {"parameters": {"output": "c"}}, "has no column 'c'; expected: columns a, b"),
        (lambda rows: ["yes"] * len(rows), TWO, {}, "texts or mixed types; expected: numbers, or parameters.classes"),
        (lambda rows: rows, TWO, {"output": {"kind": "probability", "positive": "x"}}, "positive 'x'; allowed: 0, 1"),
    ],
)
def test_pyfunc_that_cannot_be_served_is_refused_without_golden_records(
    tmp_path: Path, answer: Callable[[Any], Any], columns: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(WillNotLoad, match=said):
        loaded(lambda folder: answering(folder, answer, columns), tmp_path, allow_pickle=True, **changes)


def test_pyfunc_that_fails_on_its_own_example_is_refused(tmp_path: Path) -> None:
    def fail(rows: Any) -> Any:
        raise ValueError("no such table")

    with pytest.raises(WillNotLoad, match="fails on its own input example: no such table"):
        loaded(
            lambda folder: answering(folder, fail, TWO, input_example=pd.DataFrame(TWO)), tmp_path, allow_pickle=True
        )


def test_labels_are_the_indexes_of_their_classes(tmp_path: Path) -> None:
    def late(rows: Any) -> Any:
        return np.where(rows.a > rows.b, "late", "early")

    changes = {"output": {"kind": "class"}, "parameters": {"classes": ["early", "late"]}}
    scorer = loaded(lambda folder: answering(folder, late, TWO), tmp_path, allow_pickle=True, **changes)
    rows = pa.RecordBatch.from_pydict({"a": [1.0, 9.0], "b": [2.0, 3.0]})
    np.testing.assert_array_equal(scorer.score(rows), [0.0, 1.0])


def estimator(folder: Path, **settings: Any) -> dict[str, Any]:
    import lightgbm as library

    model = library.LGBMClassifier(n_estimators=5, verbose=-1, **settings)
    return saved("lightgbm", model.fit(frame(strings=False)[FITTED], late()), folder)


def test_estimator_of_lightgbm_is_read_out_of_its_skops_file(tmp_path: Path) -> None:
    """Nothing of the file is run: its other types do not matter, a class that is not LightGBM's own does."""
    import mlflow.lightgbm

    scorer = loaded(estimator, tmp_path)
    trained = mlflow.lightgbm.load_model(str(tmp_path / "model"))
    expected = trained.predict_proba(frame(9, strings=False)[FITTED])[:, 1]
    np.testing.assert_array_equal(scorer.score(prepared(NUMBERS, 9)), expected)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"__class__": "LGBMClassifier"',
            '"__class__": "OwnClassifier"',
            "holds lightgbm.sklearn.OwnClassifier; expected",
        ),
        (
            '"_Booster"',
            '"_Bster"',
            "model.skops is not a fitted estimator of LightGBM .*; expected: that, or model.booster_",
        ),
        ("Tree=1", "Tree=9", "tree 1 is not where tree_sizes has it"),
    ],
)
def test_estimator_that_is_another_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    def changed(folder: Path) -> dict[str, Any]:
        manifest, path = estimator(folder), folder / "model" / "model.skops"
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        files["schema.json"] = files["schema.json"].replace(old.encode(), new.encode())
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return manifest

    with pytest.raises(WillNotLoad, match=said):
        loaded(changed, tmp_path)


def test_refusal_names_the_files_that_are_there(tmp_path: Path) -> None:
    def renamed(folder: Path) -> dict[str, Any]:
        manifest = xgboost(folder)
        (folder / "model" / "model.ubj").rename(folder / "model" / "model.bin")
        described = folder / "model" / "MLmodel"
        described.write_text(described.read_text().replace("model.ubj", "model.bin"))
        return manifest

    with pytest.raises(WillNotLoad, match=r"xgboost: files model/model.bin; expected: exactly one of .ubj, .json"):
        loaded(renamed, tmp_path)
