"""The Open Inference Protocol against the real MLServer, over REST and gRPC."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundles.manifest import Manifest
from models.scorers import NotReady, PartlyScored, Scorer, WillNotLoad
from models.scorers.remote.protocols.openinference import OpenInferenceScorer
from models.testing import Sample, contract_tests
from tests.models.bundle_folders import NUMBERS, flights
from tests.remote.manifests import BASE, batch, errors_of, loaded, manifest, paced
from tests.remote.servers.doubles import Turned
from tests.remote.servers.published import differing_fields
from tests.remote.servers.servers import MlServer

SCHEMES = pytest.mark.parametrize("scheme", ["http", "grpc"])
def with_mlserver(server: MlServer, scheme: str, folder: Path, **more: Any) -> Scorer:
    return loaded(folder, "openinference", {**BASE, "url": server.url(scheme), **more})


@SCHEMES
def test_scores_are_those_of_the_servers_model(mlserver: MlServer, scheme: str, tmp_path: Path) -> None:
    rows = batch(350)
    scores = with_mlserver(mlserver, scheme, tmp_path, max_rows=100).score(rows)
    np.testing.assert_allclose(scores, mlserver.expected(rows), atol=1e-9)


@SCHEMES
def test_classes_are_scores_of_kind_class(mlserver: MlServer, scheme: str, tmp_path: Path) -> None:
    parameters = {**BASE, "url": mlserver.url(scheme), "output": "predict"}
    scores = loaded(tmp_path, "openinference", parameters, output={"kind": "class"}).score(batch(50))
    np.testing.assert_array_equal(scores, mlserver.expected(batch(50)) > 0.5)


@SCHEMES
@pytest.mark.parametrize("change", [{"version": "v2"}, {"model": "early"}])
def test_a_version_that_is_not_served_is_not_ready(
    change: dict[str, str], mlserver: MlServer, scheme: str, tmp_path: Path
) -> None:
    with pytest.raises(NotReady, match=r"^openinference: .*127\.0\.0\.1:.*not found"):
        with_mlserver(mlserver, scheme, tmp_path, **change)


@SCHEMES
def test_without_a_pinned_version_the_first_one_is_kept(mlserver: MlServer, scheme: str, tmp_path: Path) -> None:
    parameters = {key: value for key, value in BASE.items() if key != "version"}
    scorer = loaded(tmp_path, "openinference", {**parameters, "url": mlserver.url(scheme)})
    np.testing.assert_allclose(scorer.score(batch(5)), mlserver.expected(batch(5)), atol=1e-9)


@SCHEMES
def test_a_missing_output_fails_with_the_servers_message(mlserver: MlServer, scheme: str, tmp_path: Path) -> None:
    with pytest.raises(PartlyScored, match="only supports 'predict'"):
        with_mlserver(mlserver, scheme, tmp_path, output="absent").score(batch(8))


def test_a_null_that_json_cannot_represent_will_not_load(mlserver: MlServer, tmp_path: Path) -> None:
    inputs = [{"name": "delay", "type": "number", "nullable": True}, *NUMBERS[1:]]
    with pytest.raises(WillNotLoad, match="'delay' may be null, which the protocol's JSON cannot say"):
        loaded(tmp_path, "openinference", {**BASE, "url": mlserver.url("http")}, inputs=inputs)


def test_a_killed_server_loses_only_records_of_its_down_time(mlserver: MlServer, tmp_path: Path) -> None:
    turned = Turned()
    limits = {"deadline_s": 10, "max_rows": 50, "circuit": {"failures": 2, "open_s": 60}}
    scorers = [
        paced(OpenInferenceScorer, tmp_path / scheme, {**BASE, **limits, "url": mlserver.url(scheme)}, turned.pace())
        for scheme in ("http", "grpc")
    ]
    before = [scorer.score(batch(200)) for scorer in scorers]
    mlserver.process.kill()
    down = [[errors_of(scorer, 200) for _ in range(3)] for scorer in scorers]
    mlserver.process.start()
    still_open = [errors_of(scorer, 200) for scorer in scorers]
    turned.now += 60
    after = [scorer.score(batch(200)) for scorer in scorers]
    for index in range(2):
        assert down[index][0] <= {"ServerUnavailable", "CircuitOpen"}
        assert down[index][2] == still_open[index] == {"CircuitOpen"}
        np.testing.assert_array_equal(before[index], after[index])


def test_fields_of_messages_are_the_published_ones(mlserver: MlServer) -> None:
    published = json.loads((mlserver.folder / "published.json").read_text())
    assert differing_fields("openinference", published) == []


RUNNING: list[MlServer] = []


@pytest.fixture(scope="session")
def running(mlserver: MlServer) -> None:
    """For the contract, whose bundles are made without fixtures."""
    RUNNING.append(mlserver)


def spoil(folder: Path, made: Manifest) -> Manifest:
    """Without payload a bundle is spoilt by its parameters: no such model."""
    return manifest(folder, "openinference", {**made.parameters, "model": "absent"})


def sample(scheme: str) -> Sample:
    parameters = {**BASE, "url": RUNNING[0].url(scheme)}
    document = {"inputs": NUMBERS, "output": {"kind": "probability"}, "parameters": parameters}
    return Sample(document, flights(20).select(["delay", "distance", "weekend"]))


test_contract_rest = contract_tests(
    "openinference",
    lambda folder: sample("http"),
    label="openinference-rest",
    spoil=spoil,
    fixtures=("running",),
)
test_contract_grpc = contract_tests(
    "openinference",
    lambda folder: sample("grpc"),
    label="openinference-grpc",
    spoil=spoil,
    fixtures=("running",),
)
