"""The model servers of the tests listen on loopback alone, as the product's own servers do."""

import os

import pytest

from tests.listening import descendants, listeners
from tests.remote.servers.servers import KServe, MlServer, TfServing


@pytest.mark.parametrize("name", ["mlserver", "tf_serving", "kserve"])
def test_model_servers_listen_on_loopback_alone(request: pytest.FixtureRequest, name: str) -> None:
    server: MlServer | TfServing | KServe = request.getfixturevalue(name)
    found = listeners(descendants(os.getpid()))
    assert {server.http_port, server.grpc_port} <= {one.port for one in found}
    assert sorted(one for one in found if not one.on_loopback) == []
