"""`make bench-idle`: how the checkpoints and the memory of a job that waits for events develop.

    python -m benchmarks.stream.idle --minutes 120
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.arguments import positive
from benchmarks.stream.__main__ import SUBJECTS, Machines, Phase, say, send, started, wait_until_answered
from benchmarks.stream.figures import resident_bytes
from benchmarks.table import MIB, machine, markdown, thinned

_EVENTS = Phase("before", 20, 10.0)
_ROWS = 13


class Look(NamedTuple):
    """The job at one moment: minutes since its last event, checkpoints completed and failed so far, the state in the
    latest (bytes), and the memory in use (bytes)."""

    minutes: float
    completed: int
    failed: int
    state_bytes: int
    python_bytes: int
    flink_bytes: int


def look(machines: Machines, minutes: float) -> Look:
    """What Flink and the machine say now."""
    found: dict[str, Any] = machines.cluster.rest(f"/jobs/{machines.running_job()}/checkpoints")
    latest = found["latest"]["completed"]
    return Look(
        minutes,
        found["counts"]["completed"],
        found["counts"]["failed"],
        latest["state_size"] if latest else 0,
        resident_bytes(machines.pool.process),
        sum(map(resident_bytes, machines.cluster.task_managers)),
    )


def watch(folder: Path, minutes: float) -> list[Look]:
    """A job that scored some events, looked at once a minute from then on."""
    subject = SUBJECTS[0]
    with started(folder, ()) as machines, subject.submitted(machines, folder) as job:
        send(machines, 0, _EVENTS)
        wait_until_answered(job, machines.broker, subject.answers, _EVENTS.events)
        began = time.monotonic()
        looks = []
        while (passed := (time.monotonic() - began) / 60) < minutes + 0.5:
            looks.append(look(machines, passed))
            say(f"{looks[-1]}")
            time.sleep(60)  # the interval of the measurements, not a wait for something
    return looks


def page(looks: list[Look]) -> str:
    """The whole page."""
    rows = [
        [
            f"{one.minutes:.0f}",
            f"{one.completed:,}",
            str(one.failed),
            f"{one.state_bytes:,}",
            f"{one.python_bytes / MIB:,.0f}",
            f"{one.flink_bytes / MIB:,.0f}",
        ]
        for one in thinned(looks, _ROWS)
    ]
    header = ["minutes", "checkpoints", "failed", "state in the latest, bytes", "Python, MiB", "task managers, MiB"]
    parts = [
        "# A job that waits",
        "Written by `python -m benchmarks.stream.idle`.",
        machine(),
        METHOD,
        markdown(header, rows),
    ]
    return "\n\n".join(parts) + "\n"


METHOD = """\
The embedded job on Flink scored 200 events; then its topic of two partitions stayed silent. It polls the store of
models once a second, keeps reading its topic and takes a checkpoint every ten seconds. Memory is the resident memory of
the Python workers with their pool, and of both task managers."""


def main() -> int:
    """Watches and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream.idle", allow_abbrev=False)
    parser.add_argument("--minutes", type=positive, default=120.0, help="how long the topic is silent (default 120)")
    parser.add_argument("--work", type=Path, default=Path("out/bench-idle"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/IDLE.md"))
    given = parser.parse_args()
    given.out.write_text(page(watch(given.work.absolute(), given.minutes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
