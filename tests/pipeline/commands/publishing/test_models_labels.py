"""`halflife models publish` of models whose classes have labels: the positive one must be named, and no label is
lost."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tests.pipeline.commands.commands import Models, Ran

ROWS = pd.DataFrame(np.random.default_rng(1).normal(size=(90, 2)), columns=["a", "b"])
CLASSES = (ROWS.a > 0).astype(int).to_numpy()
NEW = ("--version", "n1", "--trained-at", "2013-03-01T00:00:00Z")
INPUTS = ("--input", "a:number", "--input", "b:number")


def fitted(labels: list[Any], model: Any = None) -> Any:
    """A classifier of as many classes as there are labels."""
    classes = CLASSES + (2 * (ROWS.b > 0.5) if len(labels) > 2 else 0)
    return (model or LogisticRegression()).fit(ROWS, np.array(labels)[classes % len(labels)])


def by_skops(folder: Path, labels: list[Any]) -> Path:
    skops.io.dump(fitted(labels), folder / "m.skops")
    return folder / "m.skops"


def by_onnx(folder: Path, labels: list[Any], zipmap: bool = False) -> Path:
    from skl2onnx import to_onnx

    model = fitted(labels)
    values = ROWS.to_numpy(np.float32)[:1]
    converted = to_onnx(model, values, target_opset=17, options={id(model): {"zipmap": zipmap}})
    (folder / "m.onnx").write_bytes(converted.SerializeToString())
    return folder / "m.onnx"


def by_zipmap(folder: Path, labels: list[Any]) -> Path:
    return by_onnx(folder, labels, zipmap=True)


def by_mlflow(folder: Path, labels: list[Any], flavour: str = "sklearn", model: Any = None) -> Path:
    import importlib

    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"mlflow.{flavour}").save_model(
            fitted(labels, model), str(folder / "m"), signature=infer_signature(ROWS),
            serialization_format="skops", pip_requirements=["none"],
        )  # fmt: skip
    return folder / "m"


def by_lightgbm(folder: Path, labels: list[Any]) -> Path:
    from lightgbm import LGBMClassifier

    return by_mlflow(folder, labels, "lightgbm", LGBMClassifier(n_estimators=2, verbose=-1))


def by_xgboost(folder: Path, labels: list[Any]) -> Path:
    """As XGBClassifier saved itself before 2.0, while it took other labels than 0, 1, …"""
    import xgboost

    data = xgboost.DMatrix(ROWS, CLASSES)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, data, num_boost_round=2)
    booster.set_attr(scikit_learn=json.dumps({"use_label_encoder": True, "classes_": labels}))
    booster.save_model(folder / "m.ubj")
    return folder / "m.ubj"


def by_pmml(folder: Path, labels: list[Any]) -> Path:
    values = "".join(f'<Value value="{label}"/>' for label in labels)
    tables = "".join(f'<RegressionTable intercept="{index}" targetCategory="{label}"><NumericPredictor name="a" '
                     f'coefficient="{index}"/></RegressionTable>' for index, label in enumerate(labels))  # fmt: skip
    outputs = "".join(
        f'<OutputField name="p{label}" optype="continuous" dataType="double" feature="probability" value="{label}"/>'
        for label in labels
    )
    (folder / "m.pmml").write_text(
        f"""<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header/><DataDictionary>
        <DataField name="y" optype="categorical" dataType="string">{values}</DataField>
        <DataField name="a" optype="continuous" dataType="double"/>
        <DataField name="b" optype="continuous" dataType="double"/></DataDictionary>
        <RegressionModel functionName="classification" normalizationMethod="softmax"><MiningSchema>
        <MiningField name="y" usageType="target"/><MiningField name="a"/><MiningField name="b"/></MiningSchema>
        <Output>{outputs}</Output>{tables}</RegressionModel></PMML>"""
    )
    return folder / "m.pmml"


Write = Callable[[Path, list[Any]], Path]
TOOLS: list[Write] = [by_skops, by_onnx, by_zipmap, by_mlflow, by_lightgbm, by_xgboost, by_pmml]


def publish(models: Models, folder: Path, model: Path, *words: str) -> Ran:
    ROWS.to_csv(folder / "rows.csv", index=False)
    return models("publish", model, *NEW, "--sample", folder / "rows.csv", *words)


@pytest.mark.parametrize("write", TOOLS, ids=[write.__name__ for write in TOOLS])
@pytest.mark.parametrize("words", [(), ("--output", "probability")], ids=["no output said", "probability"])
def test_labels_without_a_positive_one_are_refused(
    models: Models, tmp_path: Path, write: Write, words: tuple[str, ...]
) -> None:
    ran = publish(models, tmp_path, write(tmp_path, ["ham", "spam"]), *words)
    assert (ran.code, "expected: --positive ham|spam\n" in ran.err) == (1, True), ran
    assert models.store.versions() == ["v1", "v2", "v3"]


@pytest.mark.parametrize("write", TOOLS, ids=[write.__name__ for write in TOOLS])
@pytest.mark.parametrize("positive", ["ham", "spam"])
def test_the_positive_label_is_the_one_whose_probability_is_scored(
    models: Models, tmp_path: Path, write: Write, positive: str
) -> None:
    ran = publish(models, tmp_path, write(tmp_path, ["ham", "spam"]), "--positive", positive)
    assert ran.code == 0, ran
    manifest = models.store.read_manifest("n1")
    assert (manifest.output.kind, manifest.output.positive) == ("probability", positive)
    records = [json.loads(line) for line in models.store.read_file(manifest, "golden.jsonl", 2**20).splitlines()]
    rises = np.corrcoef([each["inputs"]["a"] for each in records], [each["score"] for each in records])[0, 1]
    assert (rises > 0) == (positive == "spam")


@pytest.mark.parametrize("write", TOOLS, ids=[write.__name__ for write in TOOLS])
@pytest.mark.parametrize("labels", [[0, 1], [False, True]], ids=["numbers", "booleans"])
def test_of_0_and_1_the_second_is_positive(models: Models, tmp_path: Path, write: Write, labels: list[Any]) -> None:
    ran = publish(models, tmp_path, write(tmp_path, labels), "--output", "probability")
    assert ran.code == 0, ran
    manifest = models.store.read_manifest("n1")
    assert manifest.output.positive is None
    records = [json.loads(line) for line in models.store.read_file(manifest, "golden.jsonl", 2**20).splitlines()]
    assert np.corrcoef([each["inputs"]["a"] for each in records], [each["score"] for each in records])[0, 1] > 0


@pytest.mark.parametrize(
    ("labels", "listed"),
    [
        ([1, 2], "1|2"),
        ([-1, 1], "-1|1"),
        (["no", "yes"], "no|yes"),
        (["a b", "c"], "'a b'|c"),
        ([0, 1, 2], "0|1|2"),
        (["setosa", "versicolor", "virginica"], "setosa|versicolor|virginica"),
    ],
)
@pytest.mark.parametrize("words", [(), ("--output", "class"), ("--no_check", "--output", "probability")])
def test_other_pairs_and_more_than_two_labels_need_a_named_positive(
    models: Models, tmp_path: Path, labels: list[Any], listed: str, words: tuple[str, ...]
) -> None:
    ran = models("publish", by_skops(tmp_path, labels), *NEW, *INPUTS, *words)
    assert (ran.code, f"expected: --positive {listed}\n" in ran.err) == (1, True), ran


@pytest.mark.parametrize(
    ("model", "words", "kind"),
    [
        (HistGradientBoostingClassifier(max_iter=2), (), "probability"),
        (HistGradientBoostingClassifier(max_iter=2), ("--output", "class"), "class"),
        (LinearSVC(), (), "class"),
    ],
    ids=["probability", "class", "no probabilities"],
)
@pytest.mark.parametrize("labels", [["ham", "spam"], ["x", "y", "z"]], ids=["two", "three"])
def test_kind_of_a_model_whose_positive_class_is_stated(
    models: Models, tmp_path: Path, model: Any, words: tuple[str, ...], kind: str, labels: list[str]
) -> None:
    skops.io.dump(fitted(labels, model), tmp_path / "m.skops")
    ran = publish(models, tmp_path, tmp_path / "m.skops", "--positive", labels[0], *words)
    assert ran.code == 0, ran
    output = models.store.read_manifest("n1").output
    assert (output.kind, output.positive) == (kind, labels[0])


@pytest.mark.parametrize("words", [("--output", "class"), ("--output", "probability"), ()])
def test_positive_that_is_no_label_is_refused(models: Models, tmp_path: Path, words: tuple[str, ...]) -> None:
    ran = publish(models, tmp_path, by_skops(tmp_path, ["ham", "spam"]), "--positive", "Spam", "--json", *words)
    assert (ran.code, ran.json["detail"]) == (1, "output.positive 'Spam'; allowed: ham, spam"), ran


def test_labels_that_a_setting_gives_are_labels_too(models: Models) -> None:
    words = ("--scorer", "tfserving", *NEW, *INPUTS, "--output", "class", "--no_check")
    server = [f"--setting={each}" for each in ("url=https://x", "model=m", 'version="7"')]
    ran = models("publish", *words, *server, '--setting=classes=["ham","spam"]')
    assert (ran.code, "expected: --positive ham|spam\n" in ran.err) == (1, True), ran
    models.json("publish", *words, *server, '--setting=classes=["ham","spam"]', "--positive", "spam")


def test_labels_are_read_where_files_are_published_as_another_kind(models: Models, tmp_path: Path) -> None:
    ran = models("publish", by_mlflow(tmp_path, ["ham", "spam"]), *NEW, *INPUTS, "--scorer", "sklearn")
    assert (ran.code, "expected: --positive ham|spam\n" in ran.err) == (1, True), ran


def test_margin_of_a_classifier_is_no_score_of_a_class(models: Models, tmp_path: Path) -> None:
    words = ("--output", "regression", "--setting", "method=decision_function")
    assert publish(models, tmp_path, by_skops(tmp_path, ["ham", "spam"]), *words).code == 0


REGRESSION = ("--output", "regression")


@pytest.mark.parametrize("write", [by_skops, by_mlflow], ids=["skops", "mlflow"])
@pytest.mark.parametrize("labels", [["ham", "spam"], ["a", "b", "c"], ["0", "none"]], ids=["two", "three", "a number"])
def test_regression_of_texts_is_refused_with_class_and_probability(
    models: Models, tmp_path: Path, write: Write, labels: list[Any]
) -> None:
    ran = publish(models, tmp_path, write(tmp_path, labels), *REGRESSION)
    assert ran.code == 1
    assert f"a regression of labels that are not numbers: {', '.join(labels)}; expected: --output class" in ran.err
    assert f"with --positive {'|'.join(labels)}\n" in ran.err


def test_regression_of_labels_that_are_numbers_is_published(models: Models, tmp_path: Path) -> None:
    ran = publish(models, tmp_path, by_skops(tmp_path, [10, 20]), *REGRESSION)
    assert ran.code == 0, ran
