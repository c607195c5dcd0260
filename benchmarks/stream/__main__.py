"""`make bench-stream`: how many events a second the service takes, how fast it answers, how soon it recovers.

    python -m benchmarks.stream --rate 10000 --minutes 10

Everything runs on this machine: Kafka, Flink, S3, the Python workers and what sends the events.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.arguments import positive, positive_whole
from benchmarks.stream import page
from benchmarks.stream.figures import Flow, cpu_seconds, flow, recovery
from examples.flights import service
from examples.flights.service import Job
from models.store.store import ModelStore
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.worker_pool import WorkerPool

_FLIGHTS = Path("tests/data/flights/departures-2013-01.avro")
_WARM_UP_SECONDS = 45.0
_KILL_AFTER_SECONDS = 30.0
_AFTER_KILL_SECONDS = 60.0
_ANSWER_SECONDS = 240.0
_QUIET_SECONDS = 5.0
# Events have the time of sending and are out of order only as far as Kafka's partitions differ; later ones are marked
# late.
_SETTINGS = {"events.max_out_of_orderness": "250ms", "windows.allowed_lateness": "1m", "windows.shards": "1"}


class Phase(NamedTuple):
    """A stretch of the stream: how many events a second, for how long, and what is killed in it."""

    name: str
    rate: int
    seconds: float
    kill: bool = False

    @property
    def events(self) -> int:
        """How many events it has."""
        return round(self.rate * self.seconds)


class Sent(NamedTuple):
    """A phase that was sent: its first event's number, how far the sender ever lagged (s), when something was killed
    (ms since the epoch, 0 where nothing was), and the processor seconds a second of each part."""

    phase: Phase
    first: int
    behind_s: float
    killed_ms: int
    cores: dict[str, float]


class Machines(NamedTuple):
    """What a job runs on; `more` are options of the job that take precedence over ours."""

    cluster: FlinkCluster
    broker: KafkaBroker
    pool: WorkerPool
    more: Sequence[str]

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time used so far, by part."""
        return {
            "Kafka": cpu_seconds(self.broker.process),
            "Python workers": cpu_seconds(self.pool.process),
            "Flink": sum(map(cpu_seconds, self.cluster.task_managers)),
        }

    def running_job(self) -> str:
        """The id of the one job that runs. Raises `RuntimeError` where none or several do."""
        running = [job for job, state in self.cluster.job_states().items() if state == "RUNNING"]
        if len(running) != 1:
            raise RuntimeError(f"{len(running)} jobs run, not the one that is measured")
        return running[0]

    @property
    def options(self) -> list[str]:
        """Those of a job on these machines."""
        # One subtask keeps batches whole; its steps are spread over two Python processes, since one would be at its
        # limit.
        spread = ("--parallelism=1", "--sdk_worker_parallelism=2", "--max_bundle_time_mills=50")
        return [*self.pool.arguments, "--checkpointing_interval=10000", *spread, *self.more]


@contextmanager
def started(folder: Path, more: Sequence[str]) -> Iterator[Machines]:
    """All machines, in a folder that is emptied before, until the block ends."""
    shutil.rmtree(folder, ignore_errors=True)
    with KafkaBroker(folder / "kafka") as broker:
        # Every record has the time of the broker's clock, by which events and answers are compared.
        service.create_topics(broker, message_timestamp_type="LogAppendTime")
        with FlinkCluster(folder / "flink") as cluster, WorkerPool(folder / "workers") as pool:
            yield Machines(cluster, broker, pool, more)


def say(text: str) -> None:
    """One line of progress, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


class Subject(NamedTuple):
    """What is measured: how it is submitted, where its answers are, and how an answer names its event."""

    name: str
    submitted: Callable[[Machines, Path], AbstractContextManager[Job]]
    answers: str
    number_of: Callable[[bytes], int]


@contextmanager
def this_job(machines: Machines, folder: Path) -> Iterator[Job]:
    """The embedded job, all its features, scores and receipts, with a linear model."""
    with S3Server(folder / "s3") as s3:
        os.environ.update(s3.environment)
        store = ModelStore(f"{s3.create_bucket('models')}/store", service.MODEL)
        service.publish(store, "v1", 0.03, folder / "payload")
        store.append_release(champion="v1", effective_from_us=0, by="benchmarks")
        machines.pool.stop()
        machines.pool.start()  # with the store's environment
        topic = f"events.uri=kafka://{machines.broker.bootstrap}/flights"
        words = [word for name, value in _SETTINGS.items() for word in ("--set", f"{name}={value}")]
        given = [*service.arguments(machines.broker, store.url), "--set", topic, *words]
        with service.submitted(machines.cluster, given, folder, machines.options) as job:
            yield job


@contextmanager
def identity(machines: Machines, folder: Path) -> Iterator[Job]:
    """A job that writes what it reads."""
    topics = f"kafka://{machines.broker.bootstrap}"
    program = ("benchmarks.stream.identity", f"{topics}/flights", f"{topics}/dead")
    with service.submitted(machines.cluster, [], folder, machines.options, program) as job:
        yield job


def number_in_score(value: bytes) -> int:
    """The number of the event that a score answers."""
    return int(json.loads(value)["event_id"])


def number_in_letter(value: bytes) -> int:
    """The number of the event that the identity job passed on."""
    return int(json.loads(base64.b64decode(json.loads(value)["payload"]))["id"])


SUBJECTS = (
    Subject("this job", this_job, "scores", number_in_score),
    Subject("identity", identity, "dead", number_in_letter),
)


def wait_until_answered(job: Job, broker: KafkaBroker, topic: str, records: int) -> None:
    """Raises when the topic does not hold so many records in time, and no more come: some may be written twice."""
    ends = [(0, time.monotonic())]

    def quiet() -> bool:
        end, now = service.count(broker, topic), time.monotonic()
        if end != ends[-1][0]:
            ends.append((end, now))
        return end >= records and now - ends[-1][1] > _QUIET_SECONDS

    job.wait_until(quiet, _ANSWER_SECONDS, f"{records:,} answers")


def sender_command(machines: Machines, first: int, phase: Phase) -> list[str]:
    """The program that sends a phase's events, numbered from `first` on."""
    command = [sys.executable, "-m", "benchmarks.stream.sending", f"--bootstrap={machines.broker.bootstrap}"]
    return [*command, f"--first={first}", f"--rate={phase.rate}", f"--seconds={phase.seconds}", f"--flights={_FLIGHTS}"]


def send(machines: Machines, first: int, phase: Phase) -> tuple[float, int]:
    """Sends a phase's events to their end; how far the sender ever lagged (s), and when something was killed (ms)."""
    killed_ms = 0
    with subprocess.Popen(sender_command(machines, first, phase), stdout=subprocess.PIPE, text=True) as sender:
        if phase.kill:
            time.sleep(_KILL_AFTER_SECONDS)  # the failure comes in the middle
            machines.cluster.kill_busy_task_manager()
            killed_ms = time.time_ns() // 1_000_000
            machines.cluster.add_task_manager()
        said, _ = sender.communicate()
    if sender.returncode:
        raise RuntimeError(f"the sender ended with {sender.returncode}")
    return float(json.loads(said)["behind_s"]), killed_ms


def measure(subject: Subject, phases: Sequence[Phase], folder: Path, more: Sequence[str]) -> list[page.Measured]:
    """Runs all phases on one job, one after the other; the figures of each."""
    found: list[Sent] = []
    first = 0
    with started(folder, more) as machines:
        with subject.submitted(machines, folder) as job:
            for phase in phases:
                before, began = machines.cpu(), time.monotonic()
                say(f"{subject.name}: {phase.name}, {phase.rate:,} events/s for {phase.seconds:.0f} s")
                behind_s, killed_ms = send(machines, first, phase)
                used = {name: spent - before[name] for name, spent in machines.cpu().items()}
                cores = {name: spent / (time.monotonic() - began) for name, spent in used.items()}
                found.append(Sent(phase, first, behind_s, killed_ms, cores))
                first += phase.events
                wait_until_answered(job, machines.broker, subject.answers, first)
        say(f"{subject.name}: reading {first:,} events and their answers")
        times = flow(machines.broker.bootstrap, subject.answers, subject.number_of, first)
    return [_measured(subject, one, times.between(one.first, one.phase.events)) for one in found]


def _measured(subject: Subject, sent: Sent, own: Flow) -> page.Measured:
    done = own.complete
    return page.Measured(
        subject=subject.name,
        phase=sent.phase.name,
        rate=sent.phase.rate,
        seconds=sent.phase.seconds,
        missing=own.missing,
        answered_per_s=done.rate(),
        latency_ms=np.percentile(done.waited_ms, (50, 95, 99, 100)).tolist(),
        lag=done.lag(10.0),
        behind_s=sent.behind_s,
        cores=sent.cores,
        recovery=recovery(done, sent.killed_ms) if sent.killed_ms else None,
    )


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", allow_abbrev=False)
    parser.add_argument("--rate", type=positive_whole, default=10_000, help="events a second (default 10000)")
    parser.add_argument("--minutes", type=positive, default=10.0, help="how long at that rate (default 10)")
    parser.add_argument("--half-minutes", type=positive, default=3.0, help="how long at half the rate (default 3)")
    parser.add_argument("--only", choices=[subject.name for subject in SUBJECTS], help="one of both")
    parser.add_argument("--work", type=Path, default=Path("out/bench-stream"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/STREAM.md"))
    parser.add_argument("options", nargs="*", help="options of the job, after --, such as -- --parallelism=2")
    given = parser.parse_args()
    half = given.rate // 2
    phases = [
        Phase("warm-up", half, _WARM_UP_SECONDS),
        Phase("half the rate", half, given.half_minutes * 60),
        Phase("a task manager dies", half, _KILL_AFTER_SECONDS + _AFTER_KILL_SECONDS, kill=True),
        Phase("the whole rate", given.rate, given.minutes * 60),
    ]
    found: list[page.Measured] = []
    for subject in SUBJECTS:
        if given.only in (None, subject.name):
            chosen = phases if subject.name == "this job" else [phase for phase in phases if not phase.kill]
            found += measure(subject, chosen, given.work.absolute() / subject.name.replace(" ", "-"), given.options)
            print(page.table(found[-len(chosen) :]), flush=True)
    given.out.write_text(page.page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
