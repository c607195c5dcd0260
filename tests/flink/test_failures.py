"""What dies while the job runs, and what that costs: time and repetition, never an event or an answer.

One job lives through all of it, in the order of this file. Each test ends with the same oracle: the events sent are
the events scored; the last compares every answer, with its features, with those of a run that nothing disturbed.
"""

import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.flights import service
from examples.flights.service import Event, records
from runners.flink.broker import KafkaBroker
from runners.flink.cluster import FlinkCluster
from runners.flink.job_metrics import job_metrics
from runners.flink.objects import S3Server
from runners.flink.worker_pool import WorkerPool
from tests.flink.running import Machines, Running, answers_of, running, undisturbed
from tests.servers import needs

pytestmark = needs("java", "mvn", "go")


HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def live(
    machines: Machines, month: list[Event], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(machines, month, tmp_path_factory.mktemp("job")) as started:
        yield started


def test_killed_python_worker_is_replaced_and_nothing_is_lost(live: Running, pool: WorkerPool) -> None:
    before = live.restores
    live.send_until_some_are_scored(200)
    killed = pool.kill_workers()
    live.send(100)
    live.wait_until_all_scored("kill -9 of the Python worker")
    assert killed
    assert set(pool.workers()).isdisjoint(killed)
    assert live.restores > before


def test_killed_worker_pool_is_started_again_and_scoring_goes_on(live: Running, pool: WorkerPool) -> None:
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


def test_scoring_goes_on_without_the_store_and_what_was_missed_is_made_up(live: Running, s3: S3Server) -> None:
    s3.kill()
    live.send(200)
    live.wait_until_all_scored("kill -9 of the store")
    live.wait_until(lambda: bool(silences(live)), 60, "a heartbeat that says the store does not answer")
    s3.start()
    live.store.append_release(champion="v2", effective_from_us=live.reached_us() + 3 * HOUR_US, by="tests")
    live.wait_until(lambda: bool(service.told(live.broker, "released", "v2")), 60, "v2 admitted once the store is back")


def silences(live: Running) -> list[str]:
    """The evidence of the heartbeats that had no answer from the store."""
    told = records(live.broker, "audit.models")
    return [event["evidence"] for event in told if event["reason"] == "store_unavailable"]


def test_poison_among_good_events_becomes_dead_letters_and_stops_nothing(live: Running) -> None:
    before = live.restores
    poison = [b"{broken", b"\xff\xfe\x00", b'{"id": 7}', b"[]", b'{"id": "x", "departed_at": "yesterday"}']
    service.produce_values(live.broker, [("poison", value) for value in poison])
    live.send(200)
    live.wait_until_all_scored("a poison batch")
    live.wait_until(lambda: len(records(live.broker, "dead")) >= len(poison), 30, "the dead letters of the poison")
    assert sorted(b64decode(letter["payload"]) for letter in records(live.broker, "dead")) == sorted(poison)
    assert live.restores == before


def test_metrics_of_the_job_are_on_the_page_of_flink(live: Running) -> None:
    def shown() -> dict[str, float]:
        return job_metrics(live.cluster, live.job_id)

    # Flink collects them every ten seconds, and counts from zero after a restore.
    live.wait_until(lambda: shown().get("events_scored", 0) >= 200, 30, "the last scores on the page")
    assert shown()["dead_letters/decode"] >= 5
    assert shown()["live_versions"] >= 1
    assert time.time() - shown()["watcher_polled_at_ms"] / 1000 < 60


def test_answers_and_features_are_those_of_an_undisturbed_run(live: Running, tmp_path: Path) -> None:
    answers = answers_of(records(live.broker, "audit.receipts"))
    expected = undisturbed(live.broker, live.store.url, tmp_path)
    assert [score["event_id"] for score in live.scores() if score["late"]] == []
    assert {answer.version for answer in answers} == {"v1", "v2"}
    assert sorted(answers ^ expected) == []
