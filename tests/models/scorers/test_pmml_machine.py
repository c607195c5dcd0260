"""The virtual machine of kind pmml: who may talk to it, and where it listens."""

from pathlib import Path

import pytest

from tests.models.scorers.test_pmml import classification, loaded


@pytest.fixture
def port(tmp_path: Path) -> int:
    from pypmml.jvm import Py4jGateway

    loaded(tmp_path, classification())
    assert Py4jGateway._gateway is not None
    return int(Py4jGateway._gateway.gateway_parameters.port)


def listening(port: int) -> set[str]:
    """The addresses, as the kernel writes them, on which a TCP port listens."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if local.endswith(f":{port:04X}") and state == "0A":
                found.add(local.partition(":")[0])
    return found


def test_stranger_on_this_machine_is_refused(port: int) -> None:
    from py4j.java_gateway import GatewayParameters, JavaGateway
    from py4j.protocol import Py4JError

    stranger = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    with pytest.raises(Py4JError):
        stranger.jvm.java.lang.System.getProperty("user.home")


def test_wrong_secret_is_refused(port: int) -> None:
    from py4j.java_gateway import GatewayParameters, JavaGateway
    from py4j.protocol import Py4JError

    stranger = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token="guessed"))
    with pytest.raises(Py4JError):
        stranger.jvm.java.lang.System.getProperty("user.home")


def test_it_listens_on_loopback_alone(port: int) -> None:
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    found = listening(port)
    assert found
    assert found <= loopback
