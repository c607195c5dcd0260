"""What each tool's model says of itself: recognised by name, read by the tool's own library."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.publishing.description import CannotPublish, Description, FoundInput
from models.publishing.recognise import recognise
from tests.unit.models import bundles

ROWS = 200
RANDOM = np.random.default_rng(3)
FEATURES = RANDOM.normal(size=(ROWS, 2)).astype(np.float32)
LATE = (FEATURES[:, 0] > 0).astype(np.int64)
Write = Callable[[Path], Path]


def onnx_matrix(folder: Path) -> Path:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    (folder / "m.onnx").write_bytes(to_onnx(LogisticRegression().fit(FEATURES, LATE), FEATURES[:1]).SerializeToString())
    return folder / "m.onnx"


def onnx_columns(folder: Path) -> Path:
    from onnx import TensorProto, helper, save_model

    kinds = {"delay": TensorProto.FLOAT, "distance": TensorProto.INT64, "weekend": TensorProto.BOOL, "carrier": 8}
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Sigmoid", ["delay"], ["score"])], "late", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    save_model(model, folder / "m.onnx")
    return folder / "m.onnx"


def xgboost_named(folder: Path) -> Path:
    return _xgboost(folder / "m.ubj", feature_names=["delay", "distance"], feature_types=["float", "int"])


def xgboost_json(folder: Path) -> Path:
    return _xgboost(folder / "m.json")


def _xgboost(path: Path, **names: Any) -> Path:
    import xgboost

    data = xgboost.DMatrix(FEATURES, LATE, **names)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, data, num_boost_round=2)
    booster.save_model(path)
    return path


def lightgbm_named(folder: Path) -> Path:
    return _lightgbm(folder / "m.txt", ["delay", "distance"], "binary")


def lightgbm_unnamed(folder: Path) -> Path:
    return _lightgbm(folder / "m.txt", "auto", "regression")


def _lightgbm(path: Path, names: Any, objective: str) -> Path:
    import lightgbm

    data = lightgbm.Dataset(FEATURES, LATE, feature_name=names)
    booster = lightgbm.train({"objective": objective, "verbose": -1, "num_leaves": 3}, data, num_boost_round=2)
    booster.save_model(path)
    return path


def pmml(folder: Path) -> Path:
    (folder / "m.pmml").write_text(
        """<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header/><DataDictionary>
        <DataField name="late" optype="categorical" dataType="string"/>
        <DataField name="delay" optype="continuous" dataType="double"/>
        <DataField name="stops" optype="continuous" dataType="integer"/>
        <DataField name="carrier" optype="categorical" dataType="string"/>
        <DataField name="unused" optype="categorical" dataType="string"/></DataDictionary>
        <TreeModel functionName="classification"><MiningSchema><MiningField name="late" usageType="target"/>
        <MiningField name="delay"/><MiningField name="stops" usageType="active"/><MiningField name="carrier"/>
        </MiningSchema><Node score="a"><True/></Node></TreeModel></PMML>"""
    )
    return folder / "m.pmml"


def mlflow_folder(folder: Path) -> Path:
    (folder / "m").mkdir()
    (folder / "m" / "model.skops").write_bytes(b"not read")
    (folder / "m" / "MLmodel").write_text(
        "flavors: {}\nutc_time_created: '2026-11-25 16:34:58.388703'\nsignature:\n  inputs: '"
        '[{"type": "double", "name": "delay"}, {"type": "long", "name": "stops", "required": false},'
        ' {"type": "string", "name": "carrier", "required": true}]\'\n'
    )
    return folder / "m"


def skops_regressor(folder: Path) -> Path:
    import skops.io
    from sklearn.linear_model import LinearRegression

    skops.io.dump(LinearRegression().fit(FEATURES, LATE), folder / "m.skops")
    return folder / "m.skops"


def saved_model_matrix(folder: Path) -> Path:
    bundles.tensorflow_matrix(folder / "m")
    return folder / "m"


def folder_with_one_model(folder: Path) -> Path:
    (folder / "m").mkdir()
    (folder / "m" / "notes.txt").write_text("no model")
    (folder / "m" / "settings.json").write_text("{}")
    _xgboost(folder / "m" / "m.ubj")
    return folder / "m"


NUMBER = FoundInput("delay", "number")
CARRIER = FoundInput("carrier", "string")
EACH_TYPE = (NUMBER, FoundInput("distance", "integer"), FoundInput("weekend", "boolean"), CARRIER)
SAID: list[tuple[Write, str, Description]] = [
    (onnx_matrix, "onnx", Description(width=2)),
    (onnx_columns, "onnx", Description(EACH_TYPE)),
    (
        xgboost_named,
        "xgboost",
        Description(
            (FoundInput("delay", "number", True), FoundInput("distance", "integer", True)), output="probability"
        ),
    ),
    (xgboost_json, "xgboost", Description(width=2, output="probability")),
    (
        lightgbm_named,
        "lightgbm",
        Description((FoundInput("delay", None, True), FoundInput("distance", None, True)), output="probability"),
    ),
    (lightgbm_unnamed, "lightgbm", Description(width=2, output="regression")),
    (
        pmml,
        "pmml",
        Description((NUMBER, FoundInput("stops", "integer"), FoundInput("carrier", "string")), output="probability"),
    ),
    (
        mlflow_folder,
        "mlflow",
        Description(
            (
                FoundInput("delay", "number", False),
                FoundInput("stops", "integer", True),
                FoundInput("carrier", "string", False),
            )
        ),
    ),
    (skops_regressor, "sklearn", Description(width=2, output="regression")),
    (saved_model_matrix, "tensorflow", Description(width=3)),
    (folder_with_one_model, "xgboost", Description(width=2, output="probability")),
]


@pytest.mark.parametrize(("write", "scorer", "said"), SAID, ids=[write.__name__ for write, _, _ in SAID])
def test_model_says_what_it_is_and_what_it_reads(tmp_path: Path, write: Write, scorer: str, said: Description) -> None:
    found = recognise(write(tmp_path))
    assert (found.scorer, found.description) == (scorer, said)
    assert all(path.startswith("model/") for path in found.files)


def test_mlflow_says_when_it_was_made(tmp_path: Path) -> None:
    assert recognise(mlflow_folder(tmp_path)).provenance.trained_at == "2026-11-25T16:34:58.388703Z"


def test_another_scorer_may_be_named(tmp_path: Path) -> None:
    found = recognise(mlflow_folder(tmp_path), scorer="sklearn")
    assert (found.scorer, found.description) == ("sklearn", Description())
    assert sorted(found.files) == ["model/MLmodel", "model/model.skops"]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for name, content in {"a.txt": "treeless", "b.json": "{}", "c.csv": "x"}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(CannotPublish, match="is no model; allowed: a SavedModel folder"):
            recognise(tmp_path / name)
    with pytest.raises(CannotPublish, match="is no model"):
        recognise(tmp_path)


def test_folder_with_two_models_is_refused(tmp_path: Path) -> None:
    _xgboost(tmp_path / "a.ubj")
    _xgboost(tmp_path / "b.ubj")
    with pytest.raises(CannotPublish, match="is no model"):
        recognise(tmp_path)


def test_link_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    folder = mlflow_folder(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (folder / "linked").symlink_to(tmp_path / "secret")
    with pytest.raises(Exception, match="this link leads out of it"):
        recognise(folder)


def test_entities_of_an_untrusted_pmml_are_not_expanded_without_end(tmp_path: Path) -> None:
    nested = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE PMML [<!ENTITY e0 "{"x" * 1000}">{nested}]><PMML>&e9;</PMML>'
    (tmp_path / "m.pmml").write_text(bomb)
    with pytest.raises(CannotPublish, match="is not readable as a model of pmml"):
        recognise(tmp_path / "m.pmml")


PUBLISH_FROM_REGISTRY = """
import sys, pandas
import mlflow
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
rows = pandas.DataFrame({"delay": [0.0, 1.0, 2.0, 3.0], "stops": [1, 2, 3, 4]})
model = LogisticRegression().fit(rows, [0, 0, 1, 1])
with mlflow.start_run():
    mlflow.log_params({"C": 1.0})
    mlflow.log_metrics({"auc": 0.9, "lost": float("nan")})
    mlflow.log_input(mlflow.data.from_pandas(rows, source="s3://id:hush@bucket/train.parquet"))
    mlflow.sklearn.log_model(model, name="m", signature=infer_signature(rows), registered_model_name="late")
mlflow.MlflowClient().set_registered_model_alias("late", "best", 1)
from pipeline.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_registered_model_brings_its_run_along(tmp_path: Path, root: Path) -> None:
    from models.store import ModelStore

    words = ["models", "publish", "models:/late@best", "--version", "m1", "--scorer", "sklearn", "--no_check"]
    place = ["--store", str(tmp_path / "store"), "--model", "late", "--output", "probability"]
    inputs = ["--input", "delay:number", "--input", "stops:integer"]
    # A process of its own: MLflow keeps its settings in the environment and in globals.
    setting = {"MLFLOW_TRACKING_URI": (tmp_path / "runs").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    command = [sys.executable, "-c", PUBLISH_FROM_REGISTRY, *words, *place, *inputs]
    done = subprocess.run(command, cwd=root, env=os.environ | setting, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = ModelStore(str(tmp_path / "store"), "late").read_manifest("m1")
    assert (found.quality, found.training["hyperparameters"]) == ({"auc": 0.9}, {"C": "1.0"})
    assert found.training["data"] == [{"uri": "s3://bucket/train.parquet", "rows": 4}]
    assert found.training["parameters"]["mlflow_model"] == "models:/late/1"
    assert "hush" not in found.raw.decode() + done.stdout
