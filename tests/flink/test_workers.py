"""The Python workers of a task manager: their options, and that the pool beside it is always restarted."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apache_beam.portability.api import beam_provision_api_pb2, endpoints_pb2
from google.protobuf import struct_pb2, text_format

from examples.flights import service
from examples.flights.service import Event
from runners.flink.local.processes import LOOPBACK, answers
from runners.flink.started_workers import StartedWorkers
from runners.flink.worker import environment, start_program
from runners.flink.worker_pool import WorkerPool, keep
from tests.flink.running import Machines, following, prepared_store
from tests.servers import needs

SAYS_SO_AND_ENDS = """
import os, sys
path = sys.argv[1]
with open(path, "a") as log:
    log.write("started\\n")
"""


def told(info: Any) -> dict[str, str]:
    return environment("1-1", "localhost:1", "localhost:2", info)


def endpoint(text: str) -> str:
    return str(text_format.Parse(text, endpoints_pb2.ApiServiceDescriptor()).url)


def test_worker_has_the_options_and_endpoints_of_its_job() -> None:
    options = struct_pb2.Struct()
    options.update({"beam:option:streaming:v1": True})
    capabilities = ["beam:protocol:x:v1", "beam:protocol:y:v1"]
    found = told(beam_provision_api_pb2.ProvisionInfo(pipeline_options=options, runner_capabilities=capabilities))
    assert json.loads(found["PIPELINE_OPTIONS"]) == {"beam:option:streaming:v1": True}
    assert endpoint(found["LOGGING_API_SERVICE_DESCRIPTOR"]) == "localhost:1"
    assert endpoint(found["CONTROL_API_SERVICE_DESCRIPTOR"]) == "localhost:2"
    assert found["RUNNER_CAPABILITIES"] == "beam:protocol:x:v1 beam:protocol:y:v1"
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in found


def test_endpoints_that_the_runner_names_win() -> None:
    named = endpoints_pb2.ApiServiceDescriptor(url="localhost:3")
    found = told(beam_provision_api_pb2.ProvisionInfo(control_endpoint=named))
    assert endpoint(found["CONTROL_API_SERVICE_DESCRIPTOR"]) == "localhost:3"


def test_program_that_ends_is_started_again_until_the_keeper_ends(tmp_path: Path) -> None:
    ended, said = threading.Event(), []

    def hear(text: str) -> None:
        said.append(text)
        if len(said) == 2:
            ended.set()

    keep([sys.executable, "-c", SAYS_SO_AND_ENDS, str(tmp_path / "log")], ended, hear, lambda: None)
    assert said == ["the worker pool ended with 0; starting it again"] * 2
    assert (tmp_path / "log").read_text() == "started\n" * 2


def test_killed_pool_answers_again_and_ends_with_its_keeper(tmp_path: Path) -> None:
    with WorkerPool(tmp_path) as pool:
        killed = pool.kill_pool()
        assert killed
        assert pool.process is not None
        pool.process.wait_until(lambda: "starting it again" in pool.log.read_text() and answers(pool.port), 60)
    deadline = time.monotonic() + 20
    while answers(pool.port) and time.monotonic() < deadline:
        pass
    assert not answers(pool.port)


class Kept:
    """A worker that does nothing, started as Beam's pool starts one, and who looks after it."""

    def __init__(self, folder: Path, control: str) -> None:
        does_nothing = folder / "python"
        does_nothing.write_text("#!/bin/sh\nexec sleep 600\n")
        does_nothing.chmod(0o755)
        self.said: list[str] = []
        self.started = folder / "started"
        program = start_program(folder, str(does_nothing))
        self.workers = StartedWorkers(self.started, program, self.said.append)
        self.given = ["--id=1-1", f"--control_endpoint={control}"]
        self.pool = subprocess.Popen([str(program), *self.given])
        self.look_until(lambda: self.pids() == [self.pool.pid])

    def pids(self) -> list[int]:
        return [int(path.name) for path in self.started.iterdir()]

    def look_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            self.workers.look()
            time.sleep(0.1)


def test_worker_that_dies_before_its_task_manager_has_it_is_started_again(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as waits:
        kept = Kept(tmp_path, f"localhost:{waits.getsockname()[1]}")
        os.kill(kept.pool.pid, signal.SIGKILL)  # its pool does not wait for it: it stays a zombie
        kept.look_until(lambda: bool(kept.pids()) and kept.pids() != [kept.pool.pid])
    (pid,) = kept.pids()
    assert (kept.started / str(pid)).read_text().splitlines() == kept.given
    assert kept.said == [
        f"worker {kept.pool.pid} has ended, and its task manager waits for it; starting it again"
    ]
    kept.workers.end()
    kept.look_until(lambda: kept.pids() == [])
    kept.pool.wait()


def test_worker_whose_task_manager_has_gone_is_forgotten(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as closed:
        gone = f"localhost:{closed.getsockname()[1]}"
    kept = Kept(tmp_path, gone)
    kept.pool.kill()
    kept.pool.wait()
    kept.look_until(lambda: kept.pids() == [])
    assert kept.said == []


@needs("java", "mvn", "go")
def test_worker_of_a_start_that_is_cancelled_ends(machines: Machines, month: list[Event], tmp_path: Path) -> None:
    cluster, broker, s3, pool = machines
    service.produce(broker, month[:10])
    url, _ = prepared_store(s3, "cancelled", tmp_path)
    # One subtask has one worker. The workers of two task managers could have the same name, by which this pool stops
    # them.
    options = [*pool.arguments, "--parallelism=1"]
    with service.submitted(cluster, following(broker, url), tmp_path, options) as job:
        job.wait_until(lambda: bool(pool.workers()), 120, "a worker that starts")
        for starting in pool.workers():
            os.kill(starting, signal.SIGSTOP)  # it will not connect
        (job_id,) = cluster.live_jobs()
        cluster.cancel(job_id)
        assert pool.process is not None
        pool.process.wait_until(lambda: not pool.workers(), 60)
