"""What each tool's model says of itself: recognised by name, read by the tool's own library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.publishing.description import CannotPublish, Description, FoundInput
from models.publishing.recognise import recognise
from tests.models.trained import (
    Write,
    folder_with_one_model,
    lightgbm_named,
    lightgbm_unnamed,
    mlflow_folder,
    onnx_columns,
    onnx_matrix,
    pmml,
    saved_model_matrix,
    skops_regressor,
    xgboost_file,
    xgboost_json,
    xgboost_named,
)

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


def test_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    for name, content in {"a.txt": "treeless", "b.json": "{}", "c.csv": "x"}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(CannotPublish, match="is not a model; expected: a SavedModel folder"):
            recognise(tmp_path / name)
    with pytest.raises(CannotPublish, match="is not a model"):
        recognise(tmp_path)


def test_folder_with_two_models_is_refused(tmp_path: Path) -> None:
    xgboost_file(tmp_path / "a.ubj")
    xgboost_file(tmp_path / "b.ubj")
    with pytest.raises(CannotPublish, match="is not a model"):
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
from pipeline.verbs import main
sys.exit(main(sys.argv[1:]))
"""


def test_registered_model_brings_its_run_along(tmp_path: Path, root: Path) -> None:
    from models.store.store import ModelStore

    words = ["models", "publish", "models:/late@best", "--version", "m1", "--scorer", "sklearn", "--no_check"]
    options = ["--store", str(tmp_path / "store"), "--model", "late", "--output", "probability"]
    inputs = ["--input", "delay:number", "--input", "stops:integer"]
    # A process of its own: MLflow keeps its settings in the environment and in globals.
    setting = {"MLFLOW_TRACKING_URI": (tmp_path / "runs").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    command = [sys.executable, "-c", PUBLISH_FROM_REGISTRY, *words, *options, *inputs]
    done = subprocess.run(command, cwd=root, env=os.environ | setting, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = ModelStore(str(tmp_path / "store"), "late").read_manifest("m1")
    assert (found.quality, found.training["hyperparameters"]) == ({"auc": 0.9}, {"C": "1.0"})
    data = found.training["data"][0]
    assert {key: data[key] for key in ("uri", "rows", "name", "source_type")} == {
        "uri": "s3://bucket/train.parquet", "rows": 4, "name": "dataset", "source_type": "s3"}  # fmt: skip
    assert found.training["parameters"]["mlflow_model"] == "models:/late/1"
    assert "hush" not in found.raw.decode() + done.stdout
