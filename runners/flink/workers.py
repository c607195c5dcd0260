"""Checks of where a job's Python code runs beside Flink: the environment, and its memory."""

import ipaddress
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from runners.findings import Facts, Finding, fail, memory, ok, unchecked, warn
from runners.flink import rest

_CONNECT_SECONDS = 5.0
_TYPES = ("DOCKER", "PROCESS", "EXTERNAL", "LOOPBACK")
_CHECK = "--environment_type"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_workers(portable: Any, url: str | None, facts: Facts, machine_bytes: int | None) -> Iterator[Finding]:
    """The findings on the environment; `url`: the cluster's REST interface, None without a cluster."""
    here = url is None or is_loopback(urlsplit(url).hostname or "")
    kind = (portable.environment_type or ("LOOPBACK" if url is None else "DOCKER")).upper()
    if kind not in _TYPES:
        yield fail(_CHECK, f"{kind!r} is not known", f"allowed: {', '.join(_TYPES)}")
        return
    yield _environment(kind, portable, here)
    if kind == "LOOPBACK" and machine_bytes is not None:
        yield memory("worker memory", facts, 1, machine_bytes, "of this machine")
    elif kind == "EXTERNAL" and url is not None:
        yield _beside_task_managers(portable, url, facts)
    else:
        yield unchecked("worker memory", f"what a worker of kind {kind} may have is not known here")


def _environment(kind: str, portable: Any, here: bool) -> Finding:
    if kind == "LOOPBACK":
        if here:
            found = "LOOPBACK: the worker is the submitting process, and the job ends with it"
            return warn(_CHECK, found, "for a service: EXTERNAL, with a worker pool beside each task manager")
        found = "LOOPBACK puts the worker into this process, which the cluster's machines cannot reach"
        return fail(_CHECK, found, "EXTERNAL, with a worker pool beside each task manager (docs/flink.md)")
    if kind == "EXTERNAL":
        return _worker_pool(portable, here)
    if kind == "PROCESS":
        return _process(portable.environment_config)
    image = portable.environment_config or "Beam's own image, in which this package is not"
    return warn(_CHECK, f"DOCKER: {image}", "an image with this package, and docker on each machine; or EXTERNAL")


def _process(config: str | None) -> Finding:
    try:
        command = json.loads(config or "")["command"]
    except (ValueError, TypeError, KeyError):
        return fail("--environment_config", f"{config!r} has no command", '{"command": "<program>"} for PROCESS')
    return unchecked(_CHECK, f"PROCESS: {str(command)[:80]} must be on each machine of the cluster")


def _worker_pool(portable: Any, here: bool) -> Finding:
    """Whether a gRPC server takes connections where EXTERNAL says."""
    options = dict(option.partition("=")[::2] for option in portable.environment_options or ())
    address = portable.environment_config or options.get("external_service_address") or ""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        found = f"EXTERNAL without an address: {address or 'none'}"
        return fail("--environment_config", found, "host:port of the worker pool, such as localhost:50000")
    if is_loopback(host) and not here:
        return unchecked(_CHECK, f"EXTERNAL: {address} is a pool beside each task manager, out of reach from here")
    import grpc

    channel = grpc.insecure_channel(address)
    try:
        grpc.channel_ready_future(channel).result(timeout=_CONNECT_SECONDS)
    except grpc.FutureTimeoutError:
        found = f"EXTERNAL: nobody speaks gRPC at {address}"
        return fail(_CHECK, found, "start the worker pool there (docs/flink.md), or name its address")
    finally:
        channel.close()
    return ok(_CHECK, f"EXTERNAL: the worker pool answers at {address}")


def _beside_task_managers(portable: Any, url: str, facts: Facts) -> Finding:
    """A pool shares its machine with the task manager: the task manager's memory is not available to the worker."""
    check, path = "worker memory", "/taskmanagers"
    try:
        left = [
            rest.number(manager.get("hardware"), "physicalMemory", path)
            - rest.number(manager.get("memoryConfiguration"), "totalProcessMemory", path)
            for manager in rest.task_managers(url)
        ]
    except rest.NoFlink as error:
        return unchecked(check, f"the cluster does not say what its task managers leave: {error}")
    if not left:
        return unchecked(check, "the cluster has no task manager")
    asked = str(portable.sdk_worker_parallelism)
    processes = int(asked) if asked.isdecimal() and asked != "0" else 1
    return memory(check, facts, processes, max(min(left), 0), "beside the task manager with the least")
