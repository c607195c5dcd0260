"""The ports that a job opens on DirectRunner are on loopback, however many workers it has."""

import subprocess
import sys

import pytest

from tests.listening import listeners_of_descendants
from tests.pipeline.jobs.flows import Flow, json_lines, trips


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading", "multi_processing"])
def test_a_job_on_direct_runner_opens_ports_on_loopback_alone(flow: Flow, mode: str) -> None:
    flow.feed(json_lines(trips(50)))
    flow.write_spec(flow.spec())
    command = [sys.executable, "-m", "pipeline", "--job", str(flow.root / "job.yaml")]
    workers = [f"--direct_running_mode={mode}", f"--direct_num_workers={1 if mode == 'in_memory' else 2}"]
    with listeners_of_descendants() as found:
        done = subprocess.run([*command, *workers], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [one for one in found if not one.on_loopback] == []
