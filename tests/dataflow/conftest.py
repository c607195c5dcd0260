"""The embedded job as Dataflow would get it, and servers that stand in for Google's, once for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from tests.dataflow.doubles.emulators import GcsServer, PubsubServer
from tests.dataflow.flights_stream import KAFKA_PASSWORD, translate
from tests.servers import skipped_without


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def translated() -> beam_runner_api_pb2.Pipeline:
    """The pipeline proto that `DataflowRunner` would submit for the flights job as a stream."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFLIFE_KAFKA_PASSWORD", KAFKA_PASSWORD)
        return translate()


@pytest.fixture(scope="session")
def steps(translated: beam_runner_api_pb2.Pipeline) -> dict[str, beam_runner_api_pb2.PTransform]:
    """The transforms by their full label."""
    return {step.unique_name: step for step in translated.components.transforms.values()}


@pytest.fixture(scope="session")
def pubsub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubsubServer]:
    """A Pub/Sub server for this test process."""
    with skipped_without("PubsubServer cannot be built", "go"):  # with Go, when it runs for the first time on a machine
        server = PubsubServer(tmp_path_factory.mktemp("pubsub"))
    yield server
    server.process.stop()


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """A GCS server for this test process."""
    with skipped_without("GcsServer cannot be built", "go"):  # with Go, when it runs for the first time on a machine
        server = GcsServer(tmp_path_factory.mktemp("gcs"))
    yield server
    server.stop()


@pytest.fixture
def gcs(gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    """The server, with the environment that leads to it."""
    for name, value in gcs_server.environment.items():
        monkeypatch.setenv(name, value)
    return gcs_server


@pytest.fixture
def pubsub(pubsub_server: PubsubServer, monkeypatch: pytest.MonkeyPatch) -> PubsubServer:
    """The server, with the environment that leads to it."""
    for name, value in pubsub_server.environment.items():
        monkeypatch.setenv(name, value)
    return pubsub_server
