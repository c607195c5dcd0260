"""A model of each tool, published as the tool left it: inferred, tried on a sample, admitted."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.models import trained
from tests.models.trained import FEATURES, Write
from tests.pipeline.commands.commands import Models

OUTPUT = ("--output", "probability")
TOOLS: list[tuple[Write, str, tuple[str, ...]]] = [
    (trained.onnx_matrix, "onnx", OUTPUT),
    (trained.xgboost_named, "xgboost", ()),
    (trained.xgboost_json, "xgboost", ()),
    (trained.lightgbm_named, "lightgbm", ()),
    (trained.lightgbm_unnamed, "lightgbm", ()),
    (trained.skops_regressor, "sklearn", ()),
    (trained.pmml_regression, "pmml", ()),
    (trained.mlflow_sklearn, "mlflow", OUTPUT),
]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The training data; xgboost was told that one column holds whole numbers."""
    columns = {"delay": FEATURES[:, 0].astype("float64"), "distance": FEATURES[:, 1].round().astype("int64")}
    parquet.write_table(pa.table(columns), tmp_path / "sample.parquet")
    return tmp_path / "sample.parquet"


@pytest.mark.parametrize(("write", "scorer", "words"), TOOLS, ids=[write.__name__ for write, _, _ in TOOLS])
def test_model_of_a_tool_is_published_as_it_is(
    models: Models, tmp_path: Path, sample: Path, write: Write, scorer: str, words: tuple[str, ...]
) -> None:
    path = write(tmp_path)
    said = models.json("publish", path, "--version", "n1", "--sample", sample, *words)
    assert (said["scorer"], said["golden_records"], said["profile_rows"]) == (scorer, 20, len(FEATURES))
    assert [each.name for each in models.store.read_manifest("n1").inputs] == ["delay", "distance"]
    assert models.json("check", "n1")["admitted"]
