"""One Python worker of a Flink task manager: does what Beam expects of a container's start program, without a
container.

Beam's worker pool starts it for each environment (`--container_executable`). It asks the task manager for the job's
options and becomes Beam's SDK worker, with its log in the task manager's. Nothing is
downloaded: the package and the extras of the job are installed where the pool runs.
"""

import argparse
import gc
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format

_ANSWER_SECONDS = 60.0


def environment(worker_id: str, logging_endpoint: str, control_endpoint: str, info: Any) -> dict[str, str]:
    """The variables that Beam's SDK worker reads; `info` is the runner's `ProvisionInfo`.

    Endpoints that the runner names in `info` take precedence over those of the command line, as in Beam's own start
    program.
    """
    from apache_beam.portability.api import endpoints_pb2

    def described(url: str, named: Any) -> str:
        chosen = named if named.url else endpoints_pb2.ApiServiceDescriptor(url=url)
        return str(text_format.MessageToString(chosen))

    found = {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json.dumps(json_format.MessageToDict(info.pipeline_options)),
        "LOGGING_API_SERVICE_DESCRIPTOR": described(logging_endpoint, info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": described(control_endpoint, info.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.status_endpoint.url:
        found["STATUS_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(info.status_endpoint)
    return found


def provisioned(endpoint: str, worker_id: str) -> Any:
    """The runner's `ProvisionInfo` for this worker. Raises `grpc.RpcError` where the runner does not answer."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        named = [("worker_id", worker_id)]
        return stub.GetProvisionInfo(request, timeout=_ANSWER_SECONDS, metadata=named, wait_for_ready=True).info


def start_program(folder: Path, python: str) -> Path:
    """Writes the one file that `--container_executable` takes, which runs this module with that interpreter.

    Each worker writes a file in `folder/started`, named by its process id, with its arguments, one per line.
    """
    started = folder / "started"
    started.mkdir()
    program = folder / "worker"
    # Written beside and moved, so that readers see all of it or nothing.
    note = f"printf '%s\\n' \"$@\" > '{folder}'/$$ && mv '{folder}'/$$ '{started}'/$$"
    program.write_text(f"#!/bin/sh\n{note}\nexec '{python}' -m runners.flink.worker \"$@\"\n")
    program.chmod(0o755)
    return program


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one worker until the task manager ends it or goes away."""
    parser = argparse.ArgumentParser(prog="python -m runners.flink.worker", allow_abbrev=False)
    parser.add_argument("--id", required=True)
    for name in ("logging", "provision", "control"):
        parser.add_argument(f"--{name}_endpoint", required=True)
    given, _ = parser.parse_known_args(arguments)  # --artifact_endpoint: nothing is staged
    info = provisioned(given.provision_endpoint, given.id)
    os.environ.update(environment(given.id, given.logging_endpoint, given.control_endpoint, info))
    import objsize  # type: ignore[import-untyped]  # has no types
    from apache_beam.runners.worker import sdk_worker_main

    # Beam's state cache measures the size of each value. To leave out objects that modules hold, each measurement walks
    # all modules: a third of a worker's time in a slow stream. No state here refers to such objects.
    objsize.default_settings.update(exclude_modules_globals=False)
    # Batches are made of thousands of short-lived tuples: by default Python looks for cycles every 700 of them.
    gc.set_threshold(50_000, 20, 50)
    sdk_worker_main.main([])


if __name__ == "__main__":
    main()
