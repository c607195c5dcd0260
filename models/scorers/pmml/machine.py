"""The Java virtual machine in which PMML4S evaluates: one for each process, on loopback, reserved for this process."""

import os
import shutil
import threading

from models.scorers.base import UnknownScorer

_LOOPBACK = "127.0.0.1"
_OPTIONS = ("-XX:+UseSerialGC",)
_starting = threading.Lock()


def start_machine() -> None:
    """Start the virtual machine of `pypmml` unless it runs.

    A py4j gateway runs any command, so it listens on loopback only and demands of each connection a secret that only
    this process received, through a pipe. It ends with this process.

    Raises:
        UnknownScorer: there is no Java.
    """
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise UnknownScorer("scorer 'pmml' needs Java; expected: java on the PATH, or JAVA_HOME")
    from pypmml.base import PMMLContext

    with _starting:
        if PMMLContext._active_pmml_context is None:
            PMMLContext(gateway_instance=_guarded_gateway())


def _guarded_gateway() -> object:
    """The gateway as `pypmml` starts it, but with a secret, for which `pypmml` has no option."""
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
    from pypmml.jvm import Py4jGateway

    gateway = Py4jGateway()
    port, secret = launch_gateway(
        classpath=gateway.classpath,
        javaopts=[*gateway.java_opts, *_OPTIONS],
        java_path=None,  # that of JAVA_HOME, else the one on the PATH
        die_on_exit=True,
        enable_auth=True,
    )
    parameters = GatewayParameters(address=_LOOPBACK, port=port, auth_token=secret, auto_convert=True)
    Py4jGateway._gateway = JavaGateway(gateway_parameters=parameters)
    Py4jGateway._jvm = Py4jGateway._gateway.jvm
    return gateway
