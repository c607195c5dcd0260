"""The job as a service: Kafka in and out, models on S3, Flink under it; a model takes over, a machine dies."""

from typing import Any, NamedTuple

import pytest

from examples.flights import service
from examples.flights.service import Event, records, scored_ids, time_us
from runners.flink.broker import KafkaBroker
from runners.flink.cluster import FlinkCluster
from runners.flink.objects import S3Server
from schemas.times import parse_time_us
from tests.beam import flights
from tests.flink.running import prepared_store, run_on_direct
from tests.servers import needs

CUT_OVER = "2013-01-02T12:00:00Z"
EVENTS = 2000
pytestmark = needs("java", "mvn", "go")


class Answers(NamedTuple):
    """What the service left behind, and what it was given."""

    events: list[Event]
    scores: list[dict[str, Any]]
    receipts: list[dict[str, Any]]
    dead_letters: list[dict[str, Any]]
    bounded: list[Any]


@pytest.fixture(scope="module")
def answers(
    month: list[Event],
    cluster: FlinkCluster,
    s3: S3Server,
    broker: KafkaBroker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Answers:
    """The story: v1 serves; v2 is released ahead of its time; a task manager is killed; all events are scored."""
    folder = tmp_path_factory.mktemp("job")
    url, store = prepared_store(s3, "models", folder)
    events = month[:EVENTS]
    given = service.arguments(broker, url)
    service.produce(broker, events[:700])
    following = [*given, "--set", f"events.uri=kafka://{broker.bootstrap}/flights?idle_after=5s"]
    with service.submitted(cluster, following, folder) as job:
        job.wait_until(lambda: len(records(broker, "scores")) >= 500, 240, "500 scores by v1")
        store.append_release(champion="v2", effective_from_us=parse_time_us(CUT_OVER), by="tests")
        job.wait_until(lambda: bool(service.told(broker, "released", "v2")), 60, "v2 admitted while the job runs")
        service.produce(broker, events[700:1400])
        job.wait_until(lambda: scored_by(broker, "v2") > 0, 120, "a score by v2")
        cluster.kill_busy_task_manager()
        cluster.add_task_manager()
        service.produce(broker, events[1400:])
        job.wait_until(lambda: len(scored_ids(broker)) == len(events), 180, "all events scored after the failure")
    scores, receipts, letters = (records(broker, topic) for topic in ("scores", "audit.receipts", "dead"))
    bounded = flights.records(run_on_direct(broker, url, folder) / "scores")
    return Answers(events, scores, receipts, letters, bounded)


def scored_by(broker: KafkaBroker, version: str) -> int:
    return sum(score["version"] == version for score in records(broker, "scores"))


def test_every_event_is_scored_and_nothing_else(answers: Answers) -> None:
    scored = {score["score_id"]: score["event_id"] for score in answers.scores}
    print(f"{len(answers.scores) - len(scored)} scores written twice after the failure, of {len(scored)}")
    assert sorted(scored.values()) == sorted(event["id"] for event in answers.events)


def test_repeated_scores_differ_only_in_when_they_were_computed(answers: Answers) -> None:
    said = {(score["score_id"], score["score"], score["version"], score["late"]) for score in answers.scores}
    assert len(said) == len(answers.events)


def test_cut_over_is_at_the_released_event_time_on_every_receipt(answers: Answers) -> None:
    at = parse_time_us(CUT_OVER)
    expected = {receipt["event_id"]: "v2" if time_us(receipt) >= at else "v1" for receipt in answers.receipts}
    assert {receipt["event_id"]: receipt["version"] for receipt in answers.receipts} == expected
    assert set(expected.values()) == {"v1", "v2"}
    assert len(expected) == len(answers.events)


def test_service_and_bounded_run_give_the_same_scores(answers: Answers) -> None:
    served = {(score["score_id"], score["score"], score["version"]) for score in answers.scores}
    assert served == {(score["score_id"], score["score"], score["version"]) for score in answers.bounded}


def test_no_event_is_late_or_dead_lettered_for_the_failure(answers: Answers) -> None:
    assert [score["event_id"] for score in answers.scores if score["late"]] == []
    assert {letter["error"] for letter in answers.dead_letters} == set()
