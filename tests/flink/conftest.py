"""Real servers for the tests of the service: one Flink cluster for all, a broker, a store and workers for each file."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from examples.flights import service
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.worker_pool import WorkerPool
from tests.conformance import runs
from tests.conformance.scenario import Answer, Scenario, unfold
from tests.flink.running import Machines
from tests.listening import Listener, listeners_of_descendants


class Watched(NamedTuple):
    """What a run answered, and what its processes listened on."""

    answers: set[Answer]
    listeners: set[Listener]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    with FlinkCluster(tmp_path_factory.mktemp("flink")) as started:
        yield started


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that this process, and those that it starts from now on, find by their environment."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as started:
        service.create_topics(started)
        yield started


@pytest.fixture(scope="module")
def pool(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerPool]:
    with WorkerPool(tmp_path_factory.mktemp("workers")) as started:
        yield started


@pytest.fixture(scope="module")
def machines(cluster: FlinkCluster, broker: KafkaBroker, s3: S3Server, pool: WorkerPool) -> Machines:
    return Machines(cluster, broker, s3, pool)


@pytest.fixture(scope="session")
def month(root: Path) -> list[service.Event]:
    """Flights of a month in the order of their event time."""
    return service.flights(root / "tests/data/flights/departures-2013-01.avro")


@pytest.fixture(scope="session")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return unfold(tmp_path_factory.mktemp("conformance"))


@pytest.fixture(scope="session")
def bounded_on_flink(scenario: Scenario, cluster: FlinkCluster) -> Watched:
    """The scenario's events in a file, scored by a job on Flink."""
    with listeners_of_descendants() as found:
        answers = runs.on_flink_bounded(scenario, cluster.master)
    return Watched(answers, found)
