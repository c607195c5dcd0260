"""Beam's own servers in Python, on loopback: they have no authentication, and Beam lets them listen everywhere.

Whoever reaches the port of a worker pool can make it connect to another server and run that server's code.
"""

from types import ModuleType
from typing import Any

import grpc

LOOPBACK = "127.0.0.1"
_EVERYWHERE = "[::]:"


class _Server:
    """A gRPC server that replaces an address of all interfaces by one of loopback."""

    def __init__(self, server: grpc.Server) -> None:
        self._server = server

    def add_insecure_port(self, address: str) -> int:
        """As gRPC's. Raises `RuntimeError` where nothing can listen there."""
        if address.startswith(_EVERYWHERE):
            address = f"{LOOPBACK}:{address.removeprefix(_EVERYWHERE)}"
        return int(self._server.add_insecure_port(address))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


class _Grpc:
    """The module `grpc` as one of Beam's modules sees it."""

    def server(self, *arguments: Any, **options: Any) -> _Server:
        """As `grpc.server`."""
        return _Server(grpc.server(*arguments, **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(grpc, name)


def bind_to_loopback() -> None:
    """From now on the servers that Beam's Python runners start in this process listen on loopback only.

    They are those of DirectRunner with several workers, and the worker pool of `--environment_type=LOOPBACK`. Other
    machines could not use them anyway: Beam gives their address as `localhost`.
    """
    from apache_beam.runners.portability import abstract_job_service, local_job_service
    from apache_beam.runners.portability.fn_api_runner import worker_handlers
    from apache_beam.runners.worker import worker_pool_main

    for module in (worker_handlers, worker_pool_main, abstract_job_service, local_job_service):
        _replace(module)


def _replace(module: ModuleType) -> None:
    if not isinstance(vars(module)["grpc"], _Grpc):
        vars(module)["grpc"] = _Grpc()
