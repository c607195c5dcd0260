"""Kind onnx: the classes are the labels that the graph holds, and of several numbers one is chosen."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing.subject import write_bundle
from tests.models.bundle_folders import document
from tests.pipeline.commands.commands import Models

INPUTS = [{"name": name, "type": "number"} for name in ("a", "b", "c")]
MATRIX = np.random.default_rng(5).normal(size=(120, 3)).astype(np.float32)
CLASSES = (MATRIX @ np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -1.0], [1.0, 1.0, 1.0]], np.float32)).argmax(axis=1)
ROWS = pa.RecordBatch.from_arrays([pa.array(MATRIX[:, index].astype(float)) for index in range(3)], names=list("abc"))
MODELS = [
    LogisticRegression(), RandomForestClassifier(5, random_state=1), GaussianNB(),
    HistGradientBoostingClassifier(max_iter=3), MLPClassifier((4,), max_iter=20, random_state=1),
]  # fmt: skip
LABELS = {"ten": [10, 30, 20], "reversed": [2, 1], "texts": ["z", "a", "m"], "two texts": ["no", "go"]}


def trained(model: Any, labels: list[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(MATRIX, np.array(labels)[CLASSES % len(labels)])


def convert(folder: Path, model: Any, **options: Any) -> None:
    opsets = {"": 17, "ai.onnx.ml": 3}
    converted = to_onnx(model, MATRIX[:1], target_opset=opsets, options={id(model): options} if options else None)
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(converted.SerializeToString())


def loaded(folder: Path, output: Mapping[str, Any], /, **parameters: Any) -> Scorer:
    said = document("onnx", inputs=INPUTS, output=output, parameters=parameters)
    return load_scorer("onnx", folder, write_bundle("onnx", folder, said))


@pytest.mark.parametrize("zipmap", [False, True], ids=["tensor", "maps"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("model", MODELS, ids=[type(model).__name__ for model in MODELS])
def test_positive_is_a_label(tmp_path: Path, model: Any, labels: list[Any], zipmap: bool) -> None:
    fitted = trained(model, labels)
    convert(tmp_path, fitted, zipmap=zipmap)
    truth = fitted.predict_proba(MATRIX)
    for index, label in enumerate(fitted.classes_):
        found = loaded(tmp_path, {"kind": "probability", "positive": str(label)}).score(ROWS)
        np.testing.assert_allclose(found, truth[:, index], atol=1e-5)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_class_is_the_label_or_its_index_where_it_is_a_text(tmp_path: Path, labels: list[Any]) -> None:
    fitted = trained(LogisticRegression(), labels)
    convert(tmp_path, fitted, zipmap=False)
    truth = [list(fitted.classes_).index(x) if isinstance(x, str) else x for x in fitted.predict(MATRIX).tolist()]
    assert loaded(tmp_path, {"kind": "class"}).score(ROWS).tolist() == truth


@pytest.mark.parametrize("zipmap", [False, True], ids=["tensor", "maps"])
def test_positive_that_is_no_label_is_refused(tmp_path: Path, zipmap: bool) -> None:
    convert(tmp_path, trained(LogisticRegression(), [2, 1]), zipmap=zipmap)
    with pytest.raises(WillNotLoad, match=r"output\.positive '0'; allowed: 1, 2"):
        loaded(tmp_path, {"kind": "probability", "positive": "0"})


def test_classes_in_another_order_than_the_model_s_are_refused(tmp_path: Path) -> None:
    convert(tmp_path, trained(LogisticRegression(), ["no", "go"]), zipmap=False)
    with pytest.raises(WillNotLoad, match="expected: in the model's order, go, no"):
        loaded(tmp_path, {"kind": "probability", "positive": "go"}, classes=["no", "go"])


def test_column_of_a_model_of_several_regressions(tmp_path: Path) -> None:
    fitted = LinearRegression().fit(MATRIX, MATRIX @ np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], np.float32))
    convert(tmp_path, fitted)
    for column in (0, 1):
        found = loaded(tmp_path, {"kind": "regression"}, column=column).score(ROWS)
        np.testing.assert_allclose(found, fitted.predict(MATRIX)[:, column], rtol=1e-4, atol=1e-4)
    with pytest.raises(WillNotLoad, match=r"parameters\.column 2; allowed: 0 to 1"):
        loaded(tmp_path, {"kind": "regression"}, column=2)
    with pytest.raises(WillNotLoad, match=r"2 numbers for each row; allowed: one, or parameters\.column"):
        loaded(tmp_path, {"kind": "regression"})


def test_anomaly_score_of_an_isolation_forest(tmp_path: Path) -> None:
    forest = IsolationForest(n_estimators=10, random_state=3).fit(MATRIX)
    convert(tmp_path, forest)
    found = loaded(tmp_path, {"kind": "regression"}, output="scores").score(ROWS)
    np.testing.assert_allclose(found, forest.decision_function(MATRIX), atol=1e-4)
    assert loaded(tmp_path, {"kind": "class"}).score(ROWS).tolist() == forest.predict(MATRIX).tolist()


def test_published_with_a_label_as_the_positive_class(tmp_path: Path) -> None:
    convert(tmp_path / "model", trained(LogisticRegression(), [2, 1]), zipmap=False)
    models = Models((tmp_path / "store").as_uri())
    words = (tmp_path / "model" / "model.onnx", "--version", "v1", "--output", "probability")
    inputs = [word for name in "abc" for word in ("--input", f"{name}:number")]
    refused = models("publish", *words, *inputs, "--positive", "0")
    assert (refused.code, "output.positive '0'; allowed: 1, 2" in refused.err) == (1, True)
    models.json("publish", *words, *inputs, "--positive", "1")
