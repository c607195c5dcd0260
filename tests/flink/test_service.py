"""The job as a service: Kafka in and out, models on S3, Flink under it; a model takes over, a machine dies."""

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest

from examples.flights import service
from examples.flights.service import Event, records, scored_ids, time_us
from models.store import ModelStore
from runners.flink.broker import KafkaBroker
from runners.flink.cluster import FlinkCluster
from runners.flink.objects import S3Server
from runners.flink.parts import missing_tools
from schemas.times import parse_time_us

CUT_OVER = "2013-01-02T12:00:00Z"
EVENTS = 2000
MISSING = missing_tools("java", "mvn", "go")
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on the PATH: {', '.join(MISSING)}")


class Answers(NamedTuple):
    """What the service left behind, and what it was given."""

    events: list[Event]
    scores: list[dict[str, Any]]
    receipts: list[dict[str, Any]]
    dead_letters: list[dict[str, Any]]
    bounded: list[Any]


@pytest.fixture(scope="module")
def answers(
    root: Path, cluster: FlinkCluster, s3: S3Server, broker: KafkaBroker, tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """The story: v1 serves; v2 is released ahead of its time; a task manager is killed; all events are scored."""
    folder = tmp_path_factory.mktemp("job")
    url = f"{s3.create_bucket('models')}/store"
    store = ModelStore(url, service.MODEL)
    for version, slope in (("v1", 0.03), ("v2", 0.06)):
        service.publish(store, version, slope, folder / "payload")
    store.append_release(champion="v1", effective_from_us=parse_time_us("2013-01-01T00:00:00Z"), by="tests")
    events = service.flights(root / "tests/data/flights/departures-2013-01.avro")[:EVENTS]
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
    return Answers(events, scores, receipts, letters, bounded(broker, given, folder))


def scored_by(broker: KafkaBroker, version: str) -> int:
    return sum(score["version"] == version for score in records(broker, "scores"))


def bounded(broker: KafkaBroker, given: list[str], folder: Path) -> list[Any]:
    """The scores of the same topic and store in one bounded run on DirectRunner."""
    uri = f"events.uri=kafka://{broker.bootstrap}/flights?until=latest"
    sinks = [f"sinks.{name}={folder}/direct/{name}" for name in ("scores", "audit", "drift", "dead_letters")]
    words = [word for setting in (uri, *sinks) for word in ("--set", setting)]
    command = [sys.executable, "-m", "pipeline", *given, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Any] = []
    for path in (folder / "direct" / "scores").glob("*.avro"):
        with path.open("rb") as stream:
            found += list(fastavro.reader(stream))
    return found


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
