"""Machines die while the job runs: that costs time and repetition, but never an event or an answer.

All tests use one job, in the order of this file; its dead letters are files on a small disk, all other records go to
topics. Each test ends with the same check: the events sent are the events scored. The last one compares every answer,
with its features, with those of an undisturbed run.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest

from examples.flights import service
from examples.flights.service import Event, records
from runners.flink.job_metrics import job_metrics
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.worker_pool import WorkerPool
from tests.disks import SmallDisk, small_disk
from tests.flink.running import Machines, Running, answers_of, running, undisturbed
from tests.servers import needs

pytestmark = needs("java", "mvn", "go")


HOUR_US = 3_600_000_000
RECEIPTS = "receipts"  # the client for which the broker gets a quota
POISON = [b"{broken", b"\xff\xfe\x00", b'{"id": 7}', b"[]", b'{"id": "x", "departed_at": "yesterday"}']


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk") / "small", 64) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def live(
    machines: Machines, month: list[Event], disk: SmallDisk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    letters = f"sinks.dead_letters={disk.folder}/dead"
    audit = f"sinks.audit=kafka://{machines.broker.bootstrap}/audit?client.id={RECEIPTS}"
    with running(machines, month, tmp_path_factory.mktemp("job"), [letters, audit]) as started:
        yield started


def letter_files(disk: SmallDisk) -> list[Path]:
    """The files of dead letters that readers see."""
    return sorted((disk.folder / "dead").glob("dead_letters-*.avro"))


def letters(disk: SmallDisk) -> list[bytes]:
    """The payload of every dead letter. Raises for a file that is not whole."""
    found: list[bytes] = []
    for path in letter_files(disk):
        with path.open("rb") as stream:
            found += [row["payload"] for row in fastavro.reader(stream) if isinstance(row, dict)]
    return found


def test_killed_python_worker_is_replaced_and_nothing_is_lost(live: Running, pool: WorkerPool) -> None:
    before = live.restores
    live.send_until_some_are_scored(200)
    killed = pool.kill_workers()
    live.send(100)
    live.wait_until_all_scored("kill -9 of the Python worker")
    assert killed
    assert set(pool.workers()).isdisjoint(killed)
    assert live.restores > before


def test_killed_worker_pool_is_started_again_and_scoring_continues(live: Running, pool: WorkerPool) -> None:
    pool.kill_pool()
    live.send(100)
    live.wait_until_all_scored("kill -9 of the worker pool")
    pool.kill_workers()
    live.send(100)
    live.wait_until_all_scored("kill -9 of the worker that the pool before it had started")


def test_killed_task_manager_is_replaced_and_nothing_is_lost(live: Running, cluster: FlinkCluster) -> None:
    live.send_until_some_are_scored(200)
    cluster.kill_busy_task_manager()
    cluster.add_task_manager()
    live.send(100)
    live.wait_until_all_scored("kill -9 of the task manager")


def test_killed_broker_comes_back_and_nothing_is_lost(live: Running, broker: KafkaBroker) -> None:
    live.send_until_some_are_scored(200)
    broker.kill()
    broker.start()
    live.send(100)
    live.wait_until_all_scored("kill -9 of the broker")


def test_scoring_continues_without_the_store_and_missed_releases_follow(live: Running, s3: S3Server) -> None:
    s3.kill()
    live.send(200)
    live.wait_until_all_scored("kill -9 of the store")
    live.wait_until(lambda: bool(silences(live)), 60, "a heartbeat that says the store does not answer")
    s3.start()
    live.store.append_release(champion="v2", effective_from_us=live.reached_us() + 3 * HOUR_US, by="tests")
    live.wait_until(lambda: bool(service.told(live.broker, "released", "v2")), 60, "v2 admitted once the store is back")
    live.wait_until_loaded("v2")


def silences(live: Running) -> list[str]:
    """The evidence of the heartbeats that had no answer from the store."""
    told = records(live.broker, "audit.models")
    return [event["evidence"] for event in told if event["reason"] == "store_unavailable"]


def test_poison_among_good_events_becomes_dead_letters_and_stops_nothing(live: Running, disk: SmallDisk) -> None:
    before = live.restores
    service.produce_values(live.broker, [("poison", value) for value in POISON])
    live.send(200)
    live.wait_until_all_scored("a poison batch")
    live.wait_until(lambda: len(letters(disk)) >= len(POISON), 30, "the dead letters of the poison")
    assert sorted(letters(disk)) == sorted(POISON)
    assert live.restores == before


def test_metrics_of_the_job_are_on_the_page_of_flink(live: Running) -> None:
    def shown() -> dict[str, float]:
        return job_metrics(live.cluster, live.job_id)

    # Flink collects them every ten seconds, and counts from zero after a restore. Scores of earlier events may be
    # on the page before the letters are.
    live.wait_until(lambda: shown().get("dead_letters/decode", 0) >= len(POISON), 30, "the dead letters on the page")
    assert shown()["events_scored"] >= 200
    assert shown()["live_versions"] >= 1
    assert time.time() - shown()["watcher_polled_at_ms"] / 1000 < 60


def failures(live: Running) -> list[str]:
    """The reason that Flink gives for the job's failure."""
    told = live.cluster.rest(f"/jobs/{live.job_id}/exceptions")["exceptionHistory"]["entries"]
    return [entry["stacktrace"] for entry in told]


def test_full_disk_fails_the_job_until_there_is_space_and_nothing_is_lost_or_torn(
    live: Running, disk: SmallDisk
) -> None:
    seen, before = letter_files(disk), live.restores
    disk.fill()
    service.produce_values(live.broker, [("more poison", b"{more")])
    live.send(100)
    live.wait_until(lambda: live.restores >= before + 2, 180, "two restarts for the full disk")
    said = [line for text in failures(live) for line in text.splitlines() if "No space left on device" in line]
    assert any(f"{disk.folder}/dead/dead_letters-" in line for line in said)
    assert letter_files(disk) == seen
    disk.make_room()
    live.send(100)
    live.wait_until_all_scored("a full disk")
    live.wait_until(lambda: b"{more" in letters(disk), 60, "the dead letter that had no room")
    assert set(letters(disk)) == {*POISON, b"{more"}


def test_slow_sink_slows_the_reader_down_and_nothing_is_lost_or_repeated(live: Running) -> None:
    def read() -> int:
        return int(job_metrics(live.cluster, live.job_id).get("records_read", 0))

    def receipts() -> int:
        return service.count(live.broker, "audit.receipts")

    before, read_before, receipts_before = live.restores, read(), receipts()
    # Polls, bundles and buffers between the steps hold tens of thousands of events (benchmarks/SLOW.md). The watermark
    # has reached these events: none waits in state for its features, where a sink could not hold it back.
    written_before, many = len(live.scores()), 100_000

    def held_back() -> bool:
        # The broker accepts about 10,000 at once. The rest takes longer than the ten seconds of a metric's greatest
        # age. What a bundle read is counted with its end.
        return receipts() >= receipts_before + 15_000 and read() > read_before

    live.broker.slow_down(RECEIPTS, 30_000)
    try:
        live.send_copies(many)
        live.wait_until(held_back, 120, "receipts, as the broker takes them")
        ahead = read() - read_before
        print(f"behind a slow sink: {receipts() - receipts_before} receipts of {many} events, {ahead} counted as read")
    finally:
        live.broker.slow_down(RECEIPTS, None)
    live.wait_until_all_scored("a slow sink")
    assert ahead < many - 20_000
    assert live.restores == before
    assert len(live.scores()) == written_before + many


def test_answers_and_features_are_those_of_an_undisturbed_run(live: Running, tmp_path: Path) -> None:
    answers = answers_of(records(live.broker, "audit.receipts"))
    expected = undisturbed(live.broker, live.store.url, tmp_path)
    said = {(score["score_id"], score["version"], score["score"], score["late"]) for score in live.scores()}
    assert said == {(answer.score_id, answer.version, answer.score, False) for answer in expected}
    assert {answer.version for answer in answers} == {"v1", "v2"}
    assert sorted(answers ^ expected) == []


def test_a_job_that_recovers_is_the_same_run(live: Running) -> None:
    events = [event for event in records(live.broker, "audit.models") if event["kind"] == "run_started"]
    (run,) = {json.loads(event["evidence"])["run"] for event in events}
    assert live.restores > 0
    assert {receipt["run"] for receipt in records(live.broker, "audit.receipts")} == {run}
