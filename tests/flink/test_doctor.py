"""The doctor on a real service: a cluster of Flink, topics of Kafka, a store on S3."""

from pathlib import Path

import pytest

from examples.flights import service
from models.store.store import ModelStore
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.local.parts import job_server_jar
from tests.pipeline.commands.commands import halflife
from tests.pipeline.commands.jobs import Examined
from tests.servers import needs

pytestmark = needs("java", "mvn", "go")


@pytest.fixture(scope="module")
def given(root: Path, broker: KafkaBroker, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of a service that is ready to start: events in its topic, a version released in its store."""
    url = f"{s3.create_bucket('examined')}/store"
    store = ModelStore(url, service.MODEL)
    service.publish(store, "v1", 0.03, tmp_path_factory.mktemp("payload"))
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    service.produce(broker, service.flights(root / "tests/data/flights/departures-2013-01.avro")[:50])
    return [*service.arguments(broker, url), "--set", f"events.uri=kafka://{broker.bootstrap}/flights"]


def examined(cluster: FlinkCluster, given: list[str], *words: str) -> Examined:
    flink = ["--runner=flink", f"--flink_master={cluster.master}", f"--flink_job_server_jar={job_server_jar()}"]
    ran = halflife("doctor", *given, *flink, *words, "--json")
    return Examined(ran, {each["check"]: each for each in ran.json["checks"]})


def test_service_that_would_run_has_no_failure(cluster: FlinkCluster, given: list[str]) -> None:
    found = examined(cluster, given, "--flink_version=1.19", "--environment_type=LOOPBACK", "--parallelism=1")
    assert found.ran.json["failed"] == 0, found.bad()
    assert "without golden records" in found.said("version v1")
    for check in ("events.uri", "events.uri rights", "sinks.scores rights", "timeline", "--flink_master",
                  "--flink_version", "--parallelism", "checkpoint folder", "restarts", "worker memory"):  # fmt: skip
        assert found.verdict(check) == "ok", found.said(check)


def test_missing_capacity_of_the_cluster_is_reported(cluster: FlinkCluster, given: list[str]) -> None:
    slots = int(cluster.rest("/overview")["slots-total"])
    found = examined(cluster, given, "--environment_type=EXTERNAL", f"--parallelism={slots + 1}")
    assert found.ran.code == 1
    assert f"{slots + 1} slot(s) needed, " in found.said("--parallelism")
    assert {found.verdict(check) for check in ("--flink_version", "--parallelism", "--environment_config")} == {"fail"}
    assert "--flink_version=1.19" in found.said("--flink_version")


def test_topic_that_is_not_there_fails_and_the_rest_is_examined(cluster: FlinkCluster, given: list[str]) -> None:
    words = ["--set", f"sinks.scores={given[-1].partition('=')[2].rpartition('/')[0]}/absent"]
    found = examined(cluster, given, *words, "--flink_version=1.19", "--environment_type=LOOPBACK")
    assert (found.verdict("sinks.scores"), found.verdict("sinks.drift")) == ("fail", "ok")
    assert "absent" in found.said("sinks.scores")
