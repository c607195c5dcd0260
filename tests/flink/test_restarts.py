"""The job goes on from a savepoint or a checkpoint: with another parallelism, with another job manager.

One stream of events through three submissions, in the order of this file; the oracle is that of `test_failures.py`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from examples.flights import service
from examples.flights.service import records
from runners.flink.broker import KafkaBroker
from runners.flink.cluster import FlinkCluster
from runners.flink.objects import S3Server
from runners.flink.parts import missing_tools
from runners.flink.worker_pool import WorkerPool
from tests.flink.running import Running, answers_of, following, running, undisturbed

MISSING = missing_tools("java", "mvn", "go")
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on the PATH: {', '.join(MISSING)}")


class Resumable:
    """A service that can be submitted again from where it was."""

    def __init__(self, stack: ExitStack, live: Running, pool: WorkerPool, folder: Path) -> None:
        self.live, self._stack, self._pool, self._folder = live, stack, pool, folder

    def resume(self, place: str, *options: str) -> None:
        """Submits the job again from a savepoint or checkpoint; later options win."""
        given = following(self.live.broker, self.live.store.url)
        chosen = [*self._pool.arguments, f"--savepoint_path={place}", *options]
        job = self._stack.enter_context(service.submitted(self.live.cluster, given, self._folder, chosen))
        self.live = self.live._replace(job=job)


@pytest.fixture(scope="module")
def resumable(
    cluster: FlinkCluster,
    broker: KafkaBroker,
    s3: S3Server,
    pool: WorkerPool,
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Resumable]:
    folder = tmp_path_factory.mktemp("job")
    with ExitStack() as stack:
        live = stack.enter_context(running(cluster, broker, s3, pool, root, folder))
        yield Resumable(stack, live, pool, folder)


def test_job_goes_on_from_its_savepoint_with_another_parallelism(resumable: Resumable, cluster: FlinkCluster) -> None:
    resumable.live.send_until_some_are_scored(200)
    place = cluster.stop_with_savepoint(resumable.live.job_id)
    resumable.live.send(100)
    resumable.resume(place, "--parallelism=1")
    resumable.live.wait_until_all_scored("a savepoint and half the parallelism")
    assert resumable.live.restores == 1


def test_job_goes_on_from_its_last_checkpoint_when_the_job_manager_was_killed(
    resumable: Resumable, cluster: FlinkCluster
) -> None:
    resumable.live.send_until_some_are_scored(200)
    place = cluster.last_checkpoint(resumable.live.job_id)
    cluster.restart_job_manager()
    resumable.live.send(100)
    resumable.resume(place)
    resumable.live.wait_until_all_scored("kill -9 of the job manager")
    assert resumable.live.restores == 1


def test_answers_and_features_are_those_of_an_undisturbed_run(resumable: Resumable, tmp_path: Path) -> None:
    live = resumable.live
    expected = undisturbed(live.broker, live.store.url, tmp_path)
    assert sorted(answers_of(records(live.broker, "audit.receipts")) ^ expected) == []
