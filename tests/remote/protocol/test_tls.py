"""TLS: the server is verified, and a client certificate sent, from files whose paths are in the environment."""

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import trustme

from models.scorers import NotReady, WillNotLoad
from tests.remote.manifests import BASE, batch, loaded
from tests.remote.protocol.test_rpc_failures import Scripted
from tests.remote.servers.doubles import ScriptedServer
from tests.remote.test_wrong_answers import right, serving

TLS = {
    "ca": "HALFLIFE_REMOTE_SECRET_CA",
    "certificate": "HALFLIFE_REMOTE_SECRET_CERTIFICATE",
    "key": "HALFLIFE_REMOTE_SECRET_KEY",
}
CA_ONLY = {"ca": TLS["ca"]}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority whose certificate and a client certificate are where the environment says."""
    made = trustme.CA()
    client = made.issue_cert("client@example.org")
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    for key, name in (("ca", "ca.pem"), ("certificate", "client.pem"), ("key", "client.key")):
        monkeypatch.setenv(TLS[key], str(tmp_path / name))
    return made


@pytest.fixture
def https(authority: trustme.CA) -> Iterator[Callable[[bool], dict[str, Any]]]:
    """Starts a REST server that asks for client certificates or not, and gives parameters for it."""
    servers: list[ScriptedServer] = []

    def start(mutual: bool) -> dict[str, Any]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        if mutual:
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        server = ScriptedServer(right, context)
        servers.append(server)
        return {**serving(server, right), "url": f"https://localhost:{server.port}"}

    yield start
    for server in servers:
        server.stop()


def test_a_verified_server_is_asked(https: Callable[[bool], dict[str, Any]], tmp_path: Path) -> None:
    scores = loaded(tmp_path, "tfserving", {**https(False), "tls": CA_ONLY}).score(batch(3))
    np.testing.assert_array_equal(scores, [row["weekend"] / 2 for row in batch(3).to_pylist()])


def test_a_server_of_another_authority_is_not(https: Callable[[bool], dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"request refused: .*certificate verify failed"):
        loaded(tmp_path, "tfserving", https(False))


def test_a_client_certificate_opens_a_server_that_asks_for_one(
    https: Callable[[bool], dict[str, Any]], tmp_path: Path
) -> None:
    parameters = https(True)
    assert len(loaded(tmp_path, "tfserving", {**parameters, "tls": TLS}).score(batch(3))) == 3
    with pytest.raises(NotReady):
        loaded(tmp_path, "tfserving", {**parameters, "tls": CA_ONLY})


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_file_that_cannot_be_read_will_not_load(
    scheme: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TLS["ca"], str(tmp_path / "absent.pem"))
    parameters = {**BASE, "url": f"{scheme}://localhost:1", "tls": CA_ONLY}
    with pytest.raises(WillNotLoad, match=r"^openinference: parameters\.tls.*No such file .*; expected: readable PEM"):
        loaded(tmp_path, "openinference", parameters)


def test_grpc_verifies_both_sides(authority: trustme.CA, tmp_path: Path) -> None:
    certificate = authority.issue_cert("localhost")
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())
    credentials = grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), require_client_auth=True)
    server, handler = grpc.server(ThreadPoolExecutor(4)), Scripted()
    server.add_generic_rpc_handlers((handler,))
    url = f"grpcs://localhost:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    parameters = {**BASE, "output": "score", "url": url}
    assert len(loaded(tmp_path, "openinference", {**parameters, "tls": TLS}).score(batch(3))) == 3
    with pytest.raises(NotReady, match="UNAVAILABLE"):
        loaded(tmp_path, "openinference", {**parameters, "tls": CA_ONLY})
    with pytest.raises(NotReady, match=r"request refused: .* CERTIFICATE_VERIFY_FAILED"):
        loaded(tmp_path, "openinference", parameters)
    server.stop(None).wait()
