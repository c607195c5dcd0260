"""Vectors to servers: every bit of single and double arrives by REST and gRPC, and receipts score again to the bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Input, Manifest
from models.scorers import PartlyScored, WillNotLoad
from tests.models.bundle_folders import document, write_bundle
from tests.pipeline.jobs.flows import START_US, Flow, json_lines, read_avro
from tests.pipeline.jobs.formats.test_vectors import scored_again
from tests.remote.manifests import BASE, batch, loaded
from tests.remote.servers import late
from tests.remote.servers.servers import KServe, MlServer, TfServing
from tests.remote.test_tfserving import MATRIX

ROWS = 70
RANDOM = np.random.default_rng(17)
PIXELS = RANDOM.normal(size=(ROWS, 12)).astype(np.float32)
EMBEDDING = np.concatenate([RANDOM.normal(size=(ROWS - 2, 4)) / 3, [[5e-324, -0.0, 1.7e308, 0.1]] * 2])
AGE = np.where(np.arange(ROWS) % 3, 2**53 + 1, 7 - np.arange(ROWS))
INPUTS = [{"name": "pixels", "type": "vector[12]"}, {"name": "embedding", "type": "vector[4,float64]"},
          {"name": "age", "type": "integer"}]  # fmt: skip
SERVED = [(kind, scheme) for kind in ("tfserving", "openinference") for scheme in ("http", "grpc")]
PARAMETERS = {"tfserving": {"model": "late", "version": "3", "signature": "bits"}, "openinference": {"model": "bits"}}


def records() -> Iterator[dict[str, Any]]:
    for row in range(ROWS):
        yield {"id": f"p{row}", "at": START_US + row, "age": int(AGE[row]), "pixels": PIXELS[row].tolist(),
               "embedding": EMBEDDING[row].tolist()}  # fmt: skip


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """A job over vectors, with input."""
    made = Flow(tmp_path, capsys)
    made.feed(json_lines(records()))
    return made


def publish(flow: Flow, kind: str, url: str) -> Manifest:
    """A version behind the server, and its release."""
    parameters = {**PARAMETERS[kind], "feed": "named", "url": url, "max_rows": 32}
    folder = flow.root / "bundle"
    folder.mkdir()
    output = {"kind": "regression"}
    said = document(kind, model="trips", inputs=INPUTS, output=output, linear=None, parameters=parameters)
    flow.store.publish(folder, {key: value for key, value in said.items() if key != "model" and value is not None})
    flow.store.append_release(champion=said["version"], effective_from_us=0, by="tests")
    return write_bundle(folder, said)


@pytest.mark.parametrize(("kind", "scheme"), SERVED)
def test_vectors_reach_the_server_and_receipts_score_again_to_the_bit(
    flow: Flow, tf_serving: TfServing, kserve: KServe, kind: str, scheme: str
) -> None:
    server = tf_serving if kind == "tfserving" else kserve
    manifest = publish(flow, kind, server.url(scheme))
    columns = {"age": "integer", "pixels": "vector[12]", "embedding": "vector[4,float64]"}
    outcome = flow.run({**flow.spec(columns=columns), "features": list(columns)})
    assert (outcome.code, outcome.summary["scored"]) == (0, ROWS), outcome.err
    receipts = read_avro(flow.root / "audit" / "receipts")
    expected = {f"p{row}": score for row, score in enumerate(late.bits(PIXELS, EMBEDDING, AGE))}
    assert {receipt["event_id"]: receipt["score"] for receipt in receipts} == expected
    scores = {receipt["score_id"]: receipt["score"] for receipt in receipts}
    assert scored_again(receipts, flow.root / "bundle", manifest) == scores
    assert {(each["features"]["pixels"][:3], each["features"]["embedding"][:3]) for each in receipts} == {
        (b"<f4", b"<f8")
    }


def as_vectors(rows: pa.RecordBatch, kind: str) -> pa.RecordBatch:
    """The numbers of each row as one vector."""
    numbers = np.column_stack([np.asarray(column.cast(pa.float64())) for column in rows.columns])
    flat = pa.array(numbers.ravel()).cast(pa.float64() if "float64" in kind else pa.float32())
    vectors = pa.RecordBatch.from_pydict({"features": pa.FixedSizeListArray.from_arrays(flat, numbers.shape[1])})
    return prepare_inputs(vectors, [Input("features", kind)])[0]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_vector_is_the_matrix_that_single_numbers_are(
    tf_serving: TfServing, mlserver: MlServer, kserve: KServe, scheme: str, tmp_path: Path
) -> None:
    single = {"model": "late", "input": "features", "datatypes": {"features": "FP64"}}
    served: list[tuple[str, dict[str, Any], str, str]] = [
        ("tfserving", MATRIX, tf_serving.url(scheme), "vector[3]"),
        ("openinference", BASE, mlserver.url(scheme), "vector[3,float64]"),
        ("openinference", single, kserve.url(scheme), "vector[3,float64]"),
    ]
    for index, (kind, parameters, url, element) in enumerate(served):
        said, rows = {**parameters, "url": url, "max_rows": 20}, batch(50)
        plain = loaded(tmp_path / f"{index}a", kind, said).score(rows)
        inputs = [{"name": "features", "type": element}]
        found = loaded(tmp_path / f"{index}b", kind, said, inputs=inputs).score(as_vectors(rows, element))
        np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_vectors_that_the_server_does_not_take_are_named(kserve: KServe, scheme: str, tmp_path: Path) -> None:
    said = {**PARAMETERS["openinference"], "feed": "named", "url": kserve.url(scheme)}
    other = {**said, "datatypes": {"pixels": "INT64"}}
    with pytest.raises(WillNotLoad, match=r"'pixels' is a vector\[12\], its tensor takes INT64; allowed: FP32, FP64"):
        loaded(tmp_path / "type", "openinference", other, inputs=INPUTS, output={"kind": "regression"})
    inputs = [{"name": "pixels", "type": "vector[11]"}, *INPUTS[1:]]
    scorer = loaded(tmp_path / "length", "openinference", said, inputs=inputs, output={"kind": "regression"})
    pixels = pa.array(PIXELS[:2, :11].tolist(), pa.list_(pa.float32(), 11))
    embedding = pa.array(EMBEDDING[:2].tolist(), pa.list_(pa.float64(), 4))
    rows = pa.RecordBatch.from_pydict({"pixels": pixels, "embedding": embedding, "age": [1, 2]})
    prepared = prepare_inputs(rows, [Input(each["name"], each["type"]) for each in inputs])[0]
    with pytest.raises(PartlyScored) as caught:
        scorer.score(prepared)
    assert sorted(caught.value.failures) == [0, 1]
