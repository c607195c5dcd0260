"""A job that follows a topic on the cluster, the events sent so far, and the check after every failure."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from examples.flights import service
from examples.flights.service import Event, Job, records
from models.serving.cache import worker_name
from models.store.store import ModelStore
from models.tables.table_store import TableStore
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.worker_pool import WorkerPool
from schemas.times import parse_time_us
from tests.transforms.beam import flights

FIRST_EVENTS = 200
TABLE = "carriers"
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]


class Machines(NamedTuple):
    """What a service runs on, and what can die."""

    cluster: FlinkCluster
    broker: KafkaBroker
    s3: S3Server
    pool: WorkerPool


class Answer(NamedTuple):
    """The parts of an answer that do not differ from run to run; `features` as JSON."""

    score_id: str
    version: str
    score: float
    features: str


class KeptRecords:
    """Reads a topic of one partition: each call returns all of its records so far, and fetches each once."""

    def __init__(self, broker: KafkaBroker, topic: str) -> None:
        self._broker, self._topic = broker, topic
        self._found: list[dict[str, Any]] = []

    def __call__(self) -> list[dict[str, Any]]:
        self._found += records(self._broker, self._topic, len(self._found))
        return [*self._found]


class Running(NamedTuple):
    """One service under test; `sent` grows as a test sends events. `scores` reads what it has answered."""

    job: Job
    cluster: FlinkCluster
    broker: KafkaBroker
    pool: WorkerPool
    store: ModelStore
    events: Iterator[Event]
    sent: list[Event]
    scores: Callable[[], list[dict[str, Any]]]

    def send(self, count: int) -> list[Event]:
        """The next events of the month, in the order of their time."""
        batch = [next(self.events) for _ in range(count)]
        service.produce(self.broker, batch)
        self.sent.extend(batch)
        return batch

    def send_copies(self, count: int) -> list[Event]:
        """This many events like the last one sent, at its time and each with an id of its own."""
        last = self.sent[-1]
        batch = [{**last, "id": f"{last['id']}-{number}"} for number in range(count)]
        service.produce(self.broker, batch)
        self.sent.extend(batch)
        return batch

    def send_until_some_are_scored(self, count: int) -> None:
        """Sends events and returns in the middle of their scoring: a failure now repeats some of it."""
        before = len(self.scores())
        self.send(count)
        self.wait_until(lambda: len(self.scores()) > before, 120, "the first scores of a batch")

    def wait_until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Looks twice a second; raises when the job ended or the time is over."""
        try:
            self.job.wait_until(holds, seconds, what)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self._situation()}") from None

    def _situation(self) -> str:
        """Information that helps to distinguish a slow job from one that makes no progress."""
        load, states = os.getloadavg()[0], sorted(self.cluster.job_states().values())
        return f"{len(self.sent)} events sent, {len(self.scores())} scores, jobs {states}, load of the machine {load}"

    def wait_until_loaded(self, version: str) -> None:
        """Returns once every worker that runs holds a version, by the store's access log.

        A stream does not wait for a version to load: earlier events are answered by the previous release.
        """
        host = worker_name().rpartition("-")[0]

        def loaded() -> bool:
            entries = self.store.accesses().entries
            holders = {one.actor for one in entries if (one.action, one.detail.get("version")) == ("loaded", version)}
            workers = {f"{host}-{pid}" for pid in self.pool.workers()}
            return bool(workers) and workers <= holders

        self.wait_until(loaded, 240, f"{version} loaded by every worker")

    def wait_until_all_scored(self, after: str) -> None:
        """Checks that exactly the events that were sent have scores; returns how many were written twice."""
        self.wait_for_scores(300, f"all events scored after {after}")
        wanted, scores = {event["id"] for event in self.sent}, self.scores()
        repeated = len(scores) - len({score["score_id"] for score in scores})
        print(f"after {after}: {len(wanted)} events, {repeated} scores written twice so far")
        assert {score["event_id"] for score in scores} == wanted

    def wait_for_scores(self, seconds: float, what: str) -> None:
        """Raises when some event that was sent has no score after so many seconds."""
        wanted = {event["id"] for event in self.sent}
        self.wait_until(lambda: {score["event_id"] for score in self.scores()} >= wanted, seconds, what)

    def reached_us(self) -> int:
        """The event time of the last event sent, in microseconds."""
        return int(self.sent[-1]["departed_at"].timestamp() * 1e6)

    @property
    def restores(self) -> int:
        """How often Flink has restored the job from a checkpoint."""
        return int(self.cluster.rest(f"/jobs/{self.job_id}/checkpoints")["counts"]["restored"])

    @property
    def job_id(self) -> str:
        """The one job of this cluster that has not ended."""
        (found,) = self.cluster.live_jobs()
        return found


def prepared_store(s3: S3Server, bucket: str, folder: Path) -> tuple[str, ModelStore]:
    """A store with two versions, of which v1 is released."""
    url = f"{s3.create_bucket(bucket)}/store"
    store = ModelStore(url, service.MODEL)
    for version, slope in (("v1", 0.03), ("v2", 0.06)):
        service.publish(store, version, slope, folder / "payload")
    first_us = parse_time_us("2013-01-01T00:00:00Z")
    store.append_release(champion="v1", effective_from_us=first_us, by="tests")
    publish_table(TableStore(url, TABLE), "first", 1, folder).append_release(
        version="first", effective_from_us=first_us, by="tests"
    )
    return url, store


def publish_table(table: TableStore, version: str, rank: int, folder: Path) -> TableStore:
    """A version of the table in which every carrier has this rank; returns the table."""
    path = folder / f"{version}.parquet"
    parquet.write_table(pa.table({"carrier": CARRIERS, "rank": [rank] * len(CARRIERS)}), path)
    told = {"version": version, "key": ["carrier"], "columns": {"rank": "integer"}, "rows": len(CARRIERS)}
    table.publish(path, {**told, "created_by": "tests", "created_at": "now"})
    return table


def following(broker: KafkaBroker, url: str) -> list[str]:
    """The job's options to follow the topic."""
    topic = f"events.uri=kafka://{broker.bootstrap}/flights?idle_after=3s"
    return [*service.arguments(broker, url), "--set", topic]


@contextmanager
def running(
    machines: Machines,
    events: Iterable[Event],
    folder: Path,
    settings: Sequence[str] = (),
    scores: Callable[[], list[dict[str, Any]]] | None = None,
) -> Iterator[Running]:
    """The job with workers of the pool, once it has scored its first events.

    `settings` change the job; where they send its scores elsewhere than to the topic, `scores` reads them there.
    """
    cluster, broker, s3, pool = machines
    url, store = prepared_store(s3, "models", folder)
    given = [*following(broker, url), *(word for setting in settings for word in ("--set", setting))]
    with service.submitted(cluster, given, folder, pool.arguments) as job:
        read = scores or KeptRecords(broker, "scores")
        under_test = Running(job, cluster, broker, pool, store, iter(events), [], read)
        under_test.send(FIRST_EVENTS)
        under_test.wait_until_all_scored("the start")
        yield under_test


class Resumable:
    """A service that can be submitted again from where it was; `given` are the options of its job."""

    def __init__(self, stack: ExitStack, live: Running, pool: WorkerPool, given: Sequence[str], folder: Path) -> None:
        self.live, self.pool, self.folder = live, pool, folder
        self._stack, self._given = stack, given

    def resume(self, savepoint: str, *options: str, change: str = "") -> None:
        """Submits the job again from a savepoint or checkpoint, with later options and a changed setting."""
        self.live.job.let_go()
        given = [*self._given, *(("--set", change) if change else ())]
        chosen = [*self.pool.arguments, f"--savepoint_path={savepoint}", *options]
        job = self._stack.enter_context(service.submitted(self.live.cluster, given, self.folder, chosen))
        self.live = self.live._replace(job=job)


def answers_of(receipts: list[dict[str, Any]]) -> set[Answer]:
    """What the receipts say, each answer once."""
    return {
        Answer(one["score_id"], one["version"], one["score"], json.dumps(one["features"], sort_keys=True))
        for one in receipts
    }


def run_on_direct(broker: KafkaBroker, url: str, folder: Path, *settings: str) -> Path:
    """One bounded run over the same topic and store on DirectRunner, and where its records are."""
    uri = f"events.uri=kafka://{broker.bootstrap}/flights?until=latest"
    sinks = [f"sinks.{name}={folder}/direct/{name}" for name in ("scores", "audit", "drift", "quality", "dead_letters")]
    words = [word for setting in (uri, *sinks, *settings) for word in ("--set", setting)]
    command = [sys.executable, "-m", "pipeline", *service.arguments(broker, url), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "direct"


def undisturbed(broker: KafkaBroker, url: str, folder: Path, *settings: str) -> set[Answer]:
    """The answers to the same topic and store in one bounded run on DirectRunner; `settings` change the job."""
    return answers_of(flights.records(run_on_direct(broker, url, folder, *settings) / "audit" / "receipts"))
