"""The job continues from a savepoint or a checkpoint: with another parallelism, another feature, another job manager.

One stream of events through four submissions, in the order of this file; the oracle is that of `test_failures.py`.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from examples.flights import service
from examples.flights.service import Event, records
from runners.flink.local.cluster import FlinkCluster
from tests.flink.running import Machines, Resumable, answers_of, following, running, undisturbed
from tests.flink.trained import late_departures
from tests.servers import needs

HOUR_US = 3_600_000_000
pytestmark = needs("java", "mvn", "go")


# Replaces a feature that no model reads by another aggregate of a column and key that the state knows.
CHANGE = "features[6]={name: origin_delay_max_1h, key: origin, column: dep_delay, aggregate: max, size: 1h, every: 5m}"
READ = ["dep_delay", "origin_delay_max_1h"]


def modules_named_in(savepoint: str) -> set[bytes]:
    """Modules of ours that the files of a savepoint name: if they moved, the savepoint could not be read."""
    rooms = "|".join(path.parent.name for path in Path(__file__).parents[2].glob("*/__init__.py"))
    files = [path for path in Path(urlsplit(savepoint).path).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > 10_000
    # Not after a dot: Flink itself names Beam's classes, which are in org.apache.beam.runners.
    named = re.compile(rb"(?<![.\w])(?:%s)\.[a-z_]+" % rooms.encode())
    return {found for path in files for found in named.findall(path.read_bytes())}


@pytest.fixture(scope="module")
def resumable(
    machines: Machines, month: list[Event], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Resumable]:
    folder = tmp_path_factory.mktemp("job")
    with ExitStack() as stack:
        live = stack.enter_context(running(machines, month, folder))
        yield Resumable(stack, live, machines.pool, following(machines.broker, live.store.url), folder)


def test_job_continues_from_its_savepoint_with_another_parallelism(resumable: Resumable, cluster: FlinkCluster) -> None:
    resumable.live.send_until_some_are_scored(200)
    savepoint = cluster.stop_with_savepoint(resumable.live.job_id)
    assert modules_named_in(savepoint) == set()
    resumable.live.send(100)
    resumable.resume(savepoint, "--parallelism=1")
    resumable.live.wait_until_all_scored("a savepoint and half the parallelism")
    assert resumable.live.restores == 1


def test_job_continues_from_its_last_checkpoint_when_the_job_manager_was_killed(
    resumable: Resumable, cluster: FlinkCluster
) -> None:
    resumable.live.send_until_some_are_scored(200)
    savepoint = cluster.last_checkpoint(resumable.live.job_id)
    cluster.restart_job_manager()
    resumable.live.send(100)
    resumable.resume(savepoint)
    resumable.live.wait_until_all_scored("kill -9 of the job manager")
    assert resumable.live.restores == 1


def test_changed_job_continues_from_its_savepoint_and_serves_a_new_scorer_of_the_new_feature(
    resumable: Resumable, cluster: FlinkCluster, month: list[Event], tmp_path: Path
) -> None:
    resumable.live.send(200)
    resumable.live.wait_until_all_scored("the events before the change")
    savepoint = cluster.stop_with_savepoint(resumable.live.job_id)
    store, cut_over = resumable.live.store, resumable.live.reached_us() + 3 * HOUR_US
    late_departures(month[:2000], READ, tmp_path / "payload")
    inputs = [{"name": name, "type": "number", "nullable": True, "default": 0.0} for name in READ]
    store.publish(tmp_path / "payload", service.manifest("v3") | {"scorer": "sklearn", "inputs": inputs})
    store.append_release(champion="v3", effective_from_us=cut_over, by="tests")
    resumable.resume(savepoint, change=CHANGE)
    resumable.live.wait_until_loaded("v3")
    resumable.live.send(300)
    resumable.live.wait_until_all_scored("a savepoint and a changed job")


def test_answers_and_features_are_those_of_an_undisturbed_run_of_the_changed_job(
    resumable: Resumable, tmp_path: Path
) -> None:
    live = resumable.live
    answers = answers_of(records(live.broker, "audit.receipts"))
    assert {answer.version for answer in answers} == {"v1", "v3"}
    assert sorted(answers ^ undisturbed(live.broker, live.store.url, tmp_path, CHANGE)) == []


def test_each_submission_is_a_run_of_its_own(resumable: Resumable) -> None:
    live = resumable.live
    events = [event for event in records(live.broker, "audit.models") if event["kind"] == "run_started"]
    runs = {json.loads(event["evidence"])["run"] for event in events}
    assert len(runs) == 4
    assert {receipt["run"] for receipt in records(live.broker, "audit.receipts")} == runs
