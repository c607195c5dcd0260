"""A short soak: the same as `make soak`, with one seed, in which each kind of machine dies."""

from pathlib import Path

import pytest

from examples.flights import service
from runners.flink.broker import KafkaBroker
from runners.flink.cluster import FlinkCluster
from runners.flink.objects import S3Server
from runners.flink.worker_pool import WorkerPool
from tests.flink.soak.account import Account, table
from tests.flink.soak.machines import Machines
from tests.flink.soak.plan import Kind
from tests.flink.soak.trial import Trial, account
from tests.servers import needs

# Workers die while the store is away, and the broker in the first seconds.
TRIAL = Trial(minutes=2.0, kills=7, seed=89)
pytestmark = needs("java", "mvn", "go")


@pytest.fixture(scope="module")
def found(
    cluster: FlinkCluster,
    broker: KafkaBroker,
    s3: S3Server,
    pool: WorkerPool,
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Account:
    flights = service.flights(root / "tests/data/flights/departures-2013-01.avro")
    come = account(TRIAL, Machines(cluster, broker, s3, pool), flights, tmp_path_factory.mktemp("soak"), print)
    print(table(come))
    return come


def test_every_kind_of_machine_died_and_the_job_was_taken_back(found: Account) -> None:
    assert found.kills.total() == TRIAL.kills
    assert set(found.kills) == set(Kind)
    assert found.restores >= 2


def test_no_event_is_lost(found: Account) -> None:
    assert found.events > 2000
    assert found.lost == []
    assert found.scored == found.events
    assert found.dead_letters == 0


def test_every_answer_is_that_of_an_undisturbed_run_by_the_version_of_its_time(found: Account) -> None:
    assert found.differing == []
    assert set(found.versions) == {"v1", "v2"}
    assert min(found.versions.values()) > 300


def test_what_was_scored_twice_has_a_restore_between(found: Account) -> None:
    assert found.unexplained == 0
