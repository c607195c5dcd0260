"""Runs one way in a process of its own and measures it from outside: wall, start-up, CPU and memory."""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workload import ROOT, Workload

JOB = "job"
WAYS = (JOB, "runinference", "runinference_expert", "bare")
PEERS = ("runinference", "runinference_expert")
_LOG_TAIL = 2_000


class BenchmarkFailed(RuntimeError):
    """A measured or preparing process ended with an error; the message ends with its last output."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, or the medians of several. Seconds are wall time except `cpu_s`; memory is in bytes.

    `steady_s` lasts from when the first event is about to be processed until all outputs are written;
    `startup_s` is the rest of the process's life: interpreter, imports, construction, model load and exit.
    """

    way: str
    months: int
    events: int
    wall_s: float
    startup_s: float
    steady_s: float
    cpu_s: float
    peak_bytes: int
    runs: int = 1

    @property
    def events_per_second(self) -> float:
        """Steady-state rate."""
        return self.events / self.steady_s

    @property
    def events_per_second_whole(self) -> float:
        """Rate with start-up."""
        return self.events / self.wall_s


def median(runs: Sequence[Measured]) -> Measured:
    """Each quantity's median over runs of one way on one input."""
    first = runs[0]
    names = ("wall_s", "startup_s", "steady_s", "cpu_s")
    wall, startup, steady, cpu = (statistics.median(getattr(run, name) for run in runs) for name in names)
    peak = int(statistics.median(run.peak_bytes for run in runs))
    return Measured(first.way, first.months, first.events, wall, startup, steady, cpu, peak, len(runs))


def measure(way: str, months: int, events: int, workload: Workload) -> Measured:
    """Runs `way` on the workload into an emptied `workload.out`.

    Raises:
        BenchmarkFailed: the process failed.
    """
    out = Path(workload.out)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    description = out / "workload.json"
    workload.save(description)
    command = _job_command(workload) if way == JOB else child(way, str(description))
    began = time.time()
    usage = spawn(command, out / "log.txt")
    wall_s = time.time() - began
    marks = json.loads(Path(workload.marks).read_text())
    steady_s = (
        marks["timing"]["steady_seconds"] if way == JOB else marks["ended_at"] - marks["first_event_at"]
    )
    cpu_s = usage.ru_utime + usage.ru_stime
    return Measured(way, months, events, wall_s, wall_s - steady_s, steady_s, cpu_s, usage.ru_maxrss * 1024)


def child(task: str, *arguments: str) -> list[str]:
    """The command line of one of the benchmark's own processes."""
    return [sys.executable, "-m", "benchmarks.child", task, *arguments]


def _job_command(workload: Workload) -> list[str]:
    out = workload.out
    settings = {
        "events.uri": workload.events,
        "model.store": workload.store,
        "sinks.scores": f"{out}/scores",
        "sinks.audit": f"{out}/audit",
        "sinks.dead_letters": f"{out}/dead_letters",
    }
    command = [sys.executable, "-m", "pipeline", "--job", str(ROOT / "benchmarks" / "flights.yaml")]
    for path, value in settings.items():
        command += ["--set", f"{path}={value}"]
    return [*command, "--summary", workload.marks]


def spawn(command: list[str], log: Path) -> resource.struct_rusage:
    """Runs a command to its end with its output in `log` and returns what it used.

    Linux counts the parent's memory at the fork into the child's peak: this process must stay small, so it
    imports none of the libraries it measures.
    """
    # Without written bytecode every start would compile all of Beam again.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = log.read_text(errors="replace")[-_LOG_TAIL:]
        raise BenchmarkFailed(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    return usage
