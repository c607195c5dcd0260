"""`models publish` of models that read vectors and times: what the sample and the graph show, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.bundles.manifest import Input
from models.publishing.inputs import parse_input
from models.publishing.samples import read_sample
from models.publishing.tools.from_onnx import describe
from schemas.vectors import of_rows
from tests.models.scorers.test_vector_inputs import ROWS, graph
from tests.pipeline.commands.commands import Models


def published(models: Models, folder: Path, vectors: pa.Array) -> Any:
    said = ("--version", "n1", "--output", "regression", "--sample", sample(folder, vectors))
    return models("publish", folder / "model.onnx", *said)


def sample(folder: Path, vectors: Any) -> str:
    pq.write_table(pa.table({"pixels": vectors}), folder / "sample.parquet")
    return str(folder / "sample.parquet")


@pytest.mark.parametrize(
    ("vectors", "kind"),
    [
        (of_rows(ROWS), "vector[12]"),
        (pa.array(ROWS.tolist(), pa.list_(pa.float32())), "vector[12]"),
        (of_rows(ROWS.astype(np.float64)), "vector[12,float64]"),
    ],
    ids=["fixed", "lists", "64 bits"],
)
def test_sample_shows_a_vector(models: Models, tmp_path: Path, vectors: pa.Array, kind: str) -> None:
    graph(tmp_path, {"x": ([None, 3, 4], "FLOAT")})
    ran = published(models, tmp_path, vectors)
    assert ran.code == 0, ran.err
    assert "no drift is measured of pixels: vectors and times have no profile" in ran.err
    assert json.loads(models.store.read_manifest("n1").raw)["inputs"] == [{"name": "pixels", "type": kind}]
    assert models("check", "n1", "--json").json["admitted"]
    models.store.fetch("n1", tmp_path / "back")
    [first, *_] = (tmp_path / "back" / "golden.jsonl").read_text().splitlines()
    assert json.loads(first)["inputs"]["pixels"] == ROWS[0].tolist()
    profile = json.loads((tmp_path / "back" / "profile.json").read_text())
    assert [column["name"] for column in profile["columns"]] == ["score"]


def test_sample_of_another_length_is_refused(models: Models, tmp_path: Path) -> None:
    graph(tmp_path, {"x": ([None, 12], "FLOAT")})
    ran = published(models, tmp_path, of_rows(ROWS[:, :11]))
    assert ran.code != 0
    assert "inputs pixels are 11; expected: 12 in the model's order" in ran.err


def test_graph_shows_the_vectors_among_several_inputs(tmp_path: Path) -> None:
    graph(tmp_path, {"age": ([None, 1], "FLOAT"), "pixels": ([None, 3, 4], "DOUBLE")})
    found = [(each.name, each.type) for each in describe(tmp_path / "model.onnx", False).inputs]
    assert found == [("age", "number"), ("pixels", "vector[12,float64]")]


def test_stated_inputs_may_be_vectors_and_times() -> None:
    pixels, booked = parse_input("pixels:vector[784]:nullable"), parse_input("booked:timestamp=1970-01-01T00:00:01Z")
    assert (pixels.type, pixels.nullable, booked.type, booked.default) == ("vector[784]", True, "timestamp", 1_000_000)
    assert Input(booked.name, booked.type, default=booked.default).default == 1_000_000
    for text, says in (
        ("pixels:vector[784]=1", "default '1' is not allowed; expected: none, a vector has no default"),
        ("pixels:vector[70000]", "n up to 65536"),
        ("booked:timestamp=soon", "default 'soon' is not allowed; expected: a value of type timestamp"),
    ):
        with pytest.raises(ValueError, match="expected: ") as caught:
            parse_input(text)
        assert says in str(caught.value)


def test_lists_of_several_lengths_in_a_sample_are_no_vectors(tmp_path: Path) -> None:
    path = sample(tmp_path, pa.array([[1.0], [1.0, 2.0]]))
    assert pa.types.is_list(read_sample(Path(path)).schema.field("pixels").type)
