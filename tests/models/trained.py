"""Models as the tools of others leave them, trained on made-up numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.models import bundle_folders as bundles

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
    return xgboost_file(folder / "m.ubj", feature_names=["delay", "distance"], feature_types=["float", "int"])


def xgboost_json(folder: Path) -> Path:
    return xgboost_file(folder / "m.json")


def xgboost_file(path: Path, **names: Any) -> Path:
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


def pmml_regression(folder: Path) -> Path:
    fields = "".join(
        f'<DataField name="{name}" optype="continuous" dataType="{kind}"/>'
        for name, kind in (("late", "double"), ("delay", "double"), ("distance", "integer"))
    )
    (folder / "m.pmml").write_text(
        f"""<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header/><DataDictionary>{fields}</DataDictionary>
        <RegressionModel functionName="regression"><MiningSchema><MiningField name="late" usageType="target"/>
        <MiningField name="delay"/><MiningField name="distance"/></MiningSchema><RegressionTable intercept="1">
        <NumericPredictor name="delay" coefficient="0.5"/><NumericPredictor name="distance" coefficient="2"/>
        </RegressionTable></RegressionModel></PMML>"""
    )
    return folder / "m.pmml"


def mlflow_sklearn(folder: Path) -> Path:
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    rows = pd.DataFrame({"delay": FEATURES[:, 0].astype("float64"), "distance": range(ROWS)})
    model = LogisticRegression(max_iter=500).fit(rows, LATE)
    # Given the requirements, MLflow does not start a process to find them out.
    mlflow.sklearn.save_model(
        model,
        str(folder / "m"),
        signature=infer_signature(rows),
        serialization_format="skops",
        pip_requirements=["none"],
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
    xgboost_file(folder / "m" / "m.ubj")
    return folder / "m"
