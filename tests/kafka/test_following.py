"""Following a topic under a runner: bundles, finalizers and restarts, in a process that is killed with -9."""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runners.flink.local.processes import Process
from tests.kafka.topics import Topics, event

SECONDS = 90.0
Start = Callable[[], Process]


def until(holds: Callable[[], bool], job: Process, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert job.runs, job.log.read_text()[-2000:]
        assert time.monotonic() < deadline, f"not {what} after {SECONDS:.0f} s: {job.log.read_text()[-2000:]}"


def told(topics: Topics, topic: str) -> list[str]:
    """What the job wrote, in order: ids of events, and details of letters."""
    rows = [json.loads(message.value() or b"") for message in topics.read(topic)]
    return [row["event_id"] if row["stage"] == "event" else row["detail"] for row in rows]


@pytest.fixture
def events(topics: Topics) -> str:
    return topics.create(2)


@pytest.fixture
def out(topics: Topics) -> str:
    return topics.create()


@pytest.fixture
def group() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def start(topics: Topics, events: str, out: str, group: str, tmp_path: Path, root: Path) -> Iterator[Start]:
    """Starts the job from what its group committed; each is killed at the end."""
    started: list[Process] = []

    def make() -> Process:
        hasty = "reconnect.backoff.max.ms=500"
        uris = [
            f"kafka://{topics.broker.bootstrap}/{events}?start=committed&group={group}&idle_after=1s&{hasty}",
            f"kafka://{topics.broker.bootstrap}/{out}?{hasty}",
        ]
        command = [sys.executable, "-m", "tests.kafka.following", *uris, "0"]
        started.append(Process("the job", command, tmp_path / f"job-{len(started)}.log", {"PYTHONPATH": str(root)}))
        return started[-1]

    yield make
    for job in started:
        job.kill()


def test_killed_job_continues_from_what_its_bundles_committed(
    topics: Topics, events: str, out: str, group: str, start: Start
) -> None:
    topics.write(events, [event(number) for number in range(50)])
    topics.write(events, [event(number) for number in range(50, 60)] + [None], partition=1)
    first = start()
    until(lambda: topics.committed(events, group, [0, 1]) == {0: 50, 1: 11}, first, "committed")
    assert sorted(told(topics, out))[:60] == sorted(f"e{number}" for number in range(60))  # written before committed
    first.kill()
    topics.write(events, [event(number) for number in range(60, 70)])
    second = start()
    until(lambda: topics.committed(events, group, [0, 1]) == {0: 60, 1: 11}, second, "committed again")
    found = told(topics, out)
    assert sorted(one for one in found if one.startswith("e")) == sorted(f"e{number}" for number in range(70))
    assert len([one for one in found if "a tombstone" in one]) == 1


def test_outage_of_the_broker_costs_nothing_but_time(
    topics: Topics, events: str, out: str, group: str, start: Start
) -> None:
    topics.write(events, [event(0)])
    job = start()
    until(lambda: topics.committed(events, group) == {0: 1}, job, "committed")
    topics.broker.kill()
    topics.broker.start()
    topics.write(events, [event(1)])
    until(lambda: topics.committed(events, group) == {0: 2}, job, "committed after the outage")
    assert told(topics, out) == ["e0", "e1"]
