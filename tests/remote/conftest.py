"""Fixtures: the operator's list of servers, a scripted server, and real servers where they can be had."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.remote.servers.doubles import Reply, ScriptedServer, Turned
from tests.remote.servers.processes import KSERVE, MLSERVER, EnvironmentNotMade, environment_of
from tests.remote.servers.servers import KServe, MlServer, TfServing


@pytest.fixture(autouse=True)
def _loopback_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = "http://127.0.0.1, grpc://127.0.0.1, https://localhost, grpcs://localhost, sagemaker://us-east-1/late"
    monkeypatch.setenv("HALFLIFE_REMOTE_HOSTS", allowed)


@pytest.fixture
def turned() -> Turned:
    """A clock that the test turns."""
    return Turned()


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A server whose answers the test gives."""
    server = ScriptedServer(lambda request: Reply(b"{}"))
    yield server
    server.stop()


def _environment(packages: Sequence[str]) -> Path:
    try:
        return environment_of(packages)
    except EnvironmentNotMade as reason:
        pytest.skip(f"{packages[0]} cannot be installed: {reason}")


@pytest.fixture(scope="session")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlServer]:
    """The real MLServer with one trained model, REST and gRPC."""
    server = MlServer.make(_environment(MLSERVER), tmp_path_factory.mktemp("mlserver"))
    server.process.start()
    yield server
    server.process.kill()


@pytest.fixture(scope="session")
def tf_serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TfServing]:
    """A process that serves a SavedModel by the protos of `tensorflow-serving-api`, and by REST."""
    server = TfServing.make(tmp_path_factory.mktemp("tf_serving"))
    server.process.start()
    yield server
    server.process.kill()


@pytest.fixture(scope="session")
def kserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KServe]:
    """The real KServe model server with a model of its own, REST and gRPC."""
    server = KServe.make(_environment(KSERVE), tmp_path_factory.mktemp("kserve"))
    server.process.start()
    yield server
    server.process.kill()
