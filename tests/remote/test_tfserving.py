"""TensorFlow Serving's protocol, REST and gRPC, against a SavedModel behind the published protos."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Manifest
from models.scorers import NotReady, PartlyScored, Scorer
from models.testing import Sample, contract_tests
from tests.models.bundle_folders import INPUTS, NUMBERS, flights
from tests.remote.manifests import batch, loaded, manifest
from tests.remote.servers import late
from tests.remote.servers.published import differing_fields
from tests.remote.servers.servers import TfServing

SCHEMES = pytest.mark.parametrize("scheme", ["http", "grpc"])
MATRIX = {
    "model": "late",
    "version": "3",
    "signature": "matrix",
    "input": "features",
    "output": "probabilities",
}
NAMED = {"model": "late", "version": "3", "feed": "named"}


def with_matrix(server: TfServing, scheme: str, folder: Path, **more: Any) -> Scorer:
    return loaded(folder, "tfserving", {**MATRIX, "url": server.url(scheme), **more})


@SCHEMES
def test_a_matrix_scores_as_the_model_does(tf_serving: TfServing, scheme: str, tmp_path: Path) -> None:
    rows = batch(300)
    scores = with_matrix(tf_serving, scheme, tmp_path, max_rows=64).score(rows)
    np.testing.assert_allclose(scores, late.expected(rows), atol=1e-6)


@SCHEMES
def test_columns_by_name_keep_their_types(tf_serving: TfServing, scheme: str, tmp_path: Path) -> None:
    parameters = {**NAMED, "url": tf_serving.url(scheme)}
    made = manifest(tmp_path, "tfserving", parameters, inputs=INPUTS)
    scorer = loaded(tmp_path, "tfserving", parameters, inputs=INPUTS)
    rows, _ = prepare_inputs(flights(100), made.inputs)
    np.testing.assert_allclose(scorer.score(rows), late.expected(rows), atol=1e-6)


@SCHEMES
def test_one_of_several_outputs_is_chosen_by_name(tf_serving: TfServing, scheme: str, tmp_path: Path) -> None:
    parameters = {**MATRIX, "url": tf_serving.url(scheme), "output": "logits"}
    scores = loaded(tmp_path, "tfserving", parameters, output={"kind": "regression"}).score(batch(20))
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), late.expected(batch(20)), atol=1e-6)


@SCHEMES
def test_a_column_can_be_chosen(tf_serving: TfServing, scheme: str, tmp_path: Path) -> None:
    scores = with_matrix(tf_serving, scheme, tmp_path, column=0).score(batch(20))
    np.testing.assert_allclose(scores, 1 - late.expected(batch(20)), atol=1e-6)


@SCHEMES
def test_a_record_that_the_graph_asserts_against_costs_one_failure(
    tf_serving: TfServing, scheme: str, tmp_path: Path
) -> None:
    rows = batch(100)
    delays = rows.column("delay").to_pylist()
    delays[33] = 2 * late.POISON_DELAY
    poisoned = rows.set_column(0, "delay", pa.array(delays))
    with pytest.raises(PartlyScored) as caught:
        with_matrix(tf_serving, scheme, tmp_path).score(poisoned)
    [(row, (error, detail))] = caught.value.failures.items()
    assert (row, error) == (33, "RecordsRefused")
    assert "delay is poison" in detail
    good = np.delete(caught.value.scores, 33)
    np.testing.assert_allclose(good, np.delete(late.expected(rows), 33), atol=1e-6)


@SCHEMES
@pytest.mark.parametrize("change", [{"version": "4"}, {"model": "early"}])
def test_a_version_that_is_not_served_is_not_ready(
    change: dict[str, str], tf_serving: TfServing, scheme: str, tmp_path: Path
) -> None:
    with pytest.raises(NotReady, match="Servable not found"):
        with_matrix(tf_serving, scheme, tmp_path, **change)


@SCHEMES
def test_an_unknown_signature_says_so(tf_serving: TfServing, scheme: str, tmp_path: Path) -> None:
    with pytest.raises(PartlyScored, match=r'1 of 1 records not scored.*absent.*not found in signature def'):
        with_matrix(tf_serving, scheme, tmp_path, signature="absent").score(batch(1))


def test_fields_of_messages_are_the_published_ones(tf_serving: TfServing) -> None:
    published = json.loads((tf_serving.folder / "published.json").read_text())
    assert differing_fields("tfserving", published) == []


RUNNING: list[TfServing] = []


@pytest.fixture(scope="session")
def running(tf_serving: TfServing) -> None:
    """For the contract, whose bundles are made without fixtures."""
    RUNNING.append(tf_serving)


def spoil(folder: Path, made: Manifest) -> Manifest:
    """Without payload a bundle is spoilt by its parameters: no such version."""
    return manifest(folder, "tfserving", {**made.parameters, "version": "99"})


def by_matrix(folder: Path) -> Sample:
    parameters = {**MATRIX, "url": RUNNING[0].url("http")}
    document = {"inputs": NUMBERS, "output": {"kind": "probability"}, "parameters": parameters}
    return Sample(document, flights(20).select(["delay", "distance", "weekend"]))


def by_name(folder: Path) -> Sample:
    parameters = {**NAMED, "url": RUNNING[0].url("grpc")}
    return Sample({"inputs": INPUTS, "output": {"kind": "probability"}, "parameters": parameters}, flights(20))


def nan(folder: Path) -> Sample:
    """A null delay, which this signature turns into NaN."""
    inputs = [{"name": "delay", "type": "number", "nullable": True}, *INPUTS[1:]]
    rows = flights(8).set_column(0, "delay", pa.nulls(8, pa.float64()))
    return Sample({**by_name(folder).manifest, "inputs": inputs}, rows)


test_contract_rest = contract_tests(
    "tfserving", by_matrix, label="tfserving-rest", spoil=spoil, fixtures=("running",)
)
test_contract_grpc = contract_tests(
    "tfserving", by_name, label="tfserving-grpc", spoil=spoil, make_nan=nan, fixtures=("running",)
)
