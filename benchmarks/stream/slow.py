"""`make bench-slow`: what a job does, with its memory and its events, while a sink is slower than the stream.

    python -m benchmarks.stream.slow --rate 5000 --minutes 6
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.arguments import positive, positive_whole
from benchmarks.stream.__main__ import (
    SUBJECTS,
    Machines,
    Phase,
    say,
    sender_command,
    started,
    wait_until_answered,
)
from benchmarks.stream.figures import resident_bytes
from benchmarks.table import MIB, machine, markdown, thinned
from examples.flights import service
from runners.flink.job_metrics import job_metrics
from transforms.flow.metrics import RECORDS_READ

_SLOW = "slow"
_LOOK_SECONDS, _AFTER_SECONDS, _METRIC_SECONDS = 15.0, 60.0, 60.0
_ROWS = 16


class Look(NamedTuple):
    """The job at one moment: seconds since the sink became slow, events sent, read by the job, with a receipt;
    checkpoints completed, restores so far, and the memory in use (bytes)."""

    seconds: float
    sent: int
    read: int
    receipts: int
    checkpoints: int
    restored: int
    python_bytes: int
    flink_bytes: int


def look(machines: Machines, seconds: float) -> Look:
    """What Flink, the broker and the machine say now."""
    cluster, broker = machines.cluster, machines.broker
    running = machines.running_job()
    checkpoints = cluster.rest(f"/jobs/{running}/checkpoints")["counts"]
    return Look(
        seconds,
        service.count(broker, "flights", partitions=2),
        int(job_metrics(cluster, running).get(RECORDS_READ, 0)),
        service.count(broker, "audit.receipts"),
        checkpoints["completed"],
        checkpoints["restored"],
        resident_bytes(machines.pool.process),
        sum(map(resident_bytes, cluster.task_managers)),
    )


def looks(machines: Machines, sender: "subprocess.Popen[str]", after_s: float) -> Iterator[Look]:
    """One measurement every few seconds while events are sent, and for so long afterwards."""
    began, ended = time.monotonic(), None
    while ended is None or time.monotonic() - ended < after_s:
        yield look(machines, time.monotonic() - began)
        if ended is None and sender.poll() is not None:
            ended = time.monotonic()
        time.sleep(_LOOK_SECONDS)  # the interval of the measurements, not a wait for something


class Measured(NamedTuple):
    """All measurements, how long the backlog took once the sink was fast again (s), and scores beyond one for each
    event."""

    looks: list[Look]
    drained_s: float
    twice: int


def measure(folder: Path, rate: int, minutes: float, quota: int) -> Measured:
    """A job that has scored some events, and then has a sink that takes `quota` bytes a second."""
    subject, before = SUBJECTS[0], Phase("before", rate, 45.0)
    with started(folder, ()) as machines:
        receipts = f"sinks.audit=kafka://{machines.broker.bootstrap}/audit?client.id={_SLOW}"
        with subject.submitted(machines._replace(more=("--set", receipts)), folder) as job:
            subprocess.run(sender_command(machines, 0, before), check=True, stdout=subprocess.DEVNULL)
            wait_until_answered(job, machines.broker, subject.answers, before.events)
            machines.broker.slow_down(_SLOW, quota)
            then = Phase("behind a slow sink", rate, minutes * 60)
            found = []
            with subprocess.Popen(
                sender_command(machines, before.events, then), stdout=subprocess.PIPE, text=True
            ) as sender:
                try:
                    for one in looks(machines, sender, _AFTER_SECONDS):
                        say(f"{one}")
                        found.append(one)
                finally:
                    sender.kill()  # it has ended, unless a measurement failed
            machines.broker.slow_down(_SLOW, None)
            lifted, whole = time.monotonic(), before.events + then.events
            wait_until_answered(job, machines.broker, "audit.receipts", whole)
            drained_s = time.monotonic() - lifted
            job.wait_until(lambda: look(machines, 0).read >= whole, _METRIC_SECONDS, f"{whole:,} events in the metric")
            found.append(look(machines, found[-1].seconds + drained_s))
            say(f"{found[-1]}")
            return Measured(found, drained_s, service.count(machines.broker, subject.answers) - whole)


def page(measured: Measured, rate: int, quota: int) -> str:
    """The whole page."""
    rows = [
        [
            f"{one.seconds:.0f}",
            f"{one.sent:,}",
            f"{one.read:,}",
            f"{one.receipts:,}",
            str(one.checkpoints),
            str(one.restored),
            f"{one.python_bytes / MIB:,.0f}",
            f"{one.flink_bytes / MIB:,.0f}",
        ]
        for one in thinned(measured.looks, _ROWS)
    ]
    header = ["s", "sent", "read", "receipts", "checkpoints", "restores", "Python, MiB", "task managers, MiB"]
    parts = [
        "# A sink slower than the stream",
        "Written by `python -m benchmarks.stream.slow`.",
        machine(),
        METHOD.format(rate=rate, quota=quota, drained=measured.drained_s, twice=measured.twice),
        markdown(header, rows),
    ]
    return "\n\n".join(parts) + "\n"


METHOD = """\
The embedded job on Flink, with events at {rate:,} a second and a broker that takes {quota:,} bytes of receipts a second
(Kafka's own quota). The last row is after the quota was lifted: {drained:.0f} s later every event had its receipt, and
{twice:,} scores had been written twice. *read* is the job's own counter, which Flink collects every ten seconds. Memory
is the resident memory of the Python workers with their pool, and of both task managers (with heaps of up to 1.5 GiB
each)."""


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream.slow", allow_abbrev=False)
    parser.add_argument("--rate", type=positive_whole, default=5_000, help="events a second (default 5000)")
    parser.add_argument("--minutes", type=positive, default=6.0, help="how long events are sent (default 6)")
    parser.add_argument("--quota", type=positive_whole, default=60_000, help="bytes of receipts a second (60000)")
    parser.add_argument("--work", type=Path, default=Path("out/bench-slow"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/SLOW.md"))
    given = parser.parse_args()
    measured = measure(given.work.absolute(), given.rate, given.minutes, given.quota)
    given.out.write_text(page(measured, given.rate, given.quota))
    return 0


if __name__ == "__main__":
    sys.exit(main())
