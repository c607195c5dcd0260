"""Flights as a service: models on S3, events and answers on Kafka, the job on Flink, and ways to look at it."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fastavro

from models.store.store import ModelStore
from runners.flink.local import parts
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.processes import Process
from schemas.times import parse_time_us

Event = dict[str, Any]
MODEL = "flight-delay"
LOOPBACK = "--environment_type=LOOPBACK"
_QUIET = {"log_level": 2}  # a client asks a broker that has just started, or was killed, again; not worth a message
_BROKER_SECONDS = 240  # a broker that was killed comes back
# By default a client tries again up to ten seconds later, at another time for each partition: one that is silent for so
# long counts as idle, and its records are then late.
_SOON = {"reconnect.backoff.max.ms": 500, "retry.backoff.max.ms": 500}
_ANSWERS = ("scores", "audit.receipts", "audit.models", "drift", "quality", "dead")
TOPICS = {"flights": 2, "labels": 2} | dict.fromkeys(_ANSWERS, 1)
_NUMBER = {"type": "number", "nullable": True, "default": 0.0}
INPUTS = [
    {"name": "dep_delay", **_NUMBER},
    {"name": "origin_departures_1h", "type": "integer", "nullable": True, "default": 0},
    {"name": "origin_delay_mean_1h", **_NUMBER},
    {"name": "carrier_delay_mean_24h", **_NUMBER},
]


def publish(store: ModelStore, version: str, slope: float, folder: Path) -> None:
    """A linear model over plain and windowed features, as a version of the store."""
    folder.mkdir(parents=True, exist_ok=True)
    coefficients = {"dep_delay": slope, "origin_departures_1h": 0.01, "origin_delay_mean_1h": 0.02}
    coefficients |= {"carrier_delay_mean_24h": 0.01}
    linear = {"intercept": -1.0, "coefficients": coefficients}
    store.publish(folder, manifest(version) | {"linear": linear})


def manifest(version: str) -> dict[str, Any]:
    """The manifest of a version; callers change what differs."""
    return {
        "model": MODEL,
        "version": version,
        "scorer": "linear",
        "inputs": INPUTS,
        "output": {"kind": "probability"},
        "training": {"trained_at": "2013-01-01T00:00:00Z"},
        "created_by": "examples.flights.service",
    }


def publish_broken(store: ModelStore, version: str) -> None:
    """A version that reads a column which no event has: the job refuses it with `wrong_inputs`."""
    inputs = [{"name": "colour", **_NUMBER}]
    linear = {"intercept": 0.0, "coefficients": {"colour": 1.0}}
    with TemporaryDirectory() as folder:
        store.publish(Path(folder), manifest(version) | {"inputs": inputs, "linear": linear})


def flights(path: Path) -> list[Event]:
    """Departures in the order of their event time."""
    with path.open("rb") as stream:
        rows = [row for row in fastavro.reader(stream) if isinstance(row, dict)]
    return sorted(rows, key=lambda row: (row["departed_at"], row["id"]))


def create_topics(broker: KafkaBroker, **config: str) -> None:
    """The topics of the job: two partitions of events and of labels, one of each answer; `config` are settings, with
    `_` for `.`."""
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # public, not declared so

    admin = AdminClient({"bootstrap.servers": broker.bootstrap, **_QUIET})
    settings = {name.replace("_", "."): value for name, value in config.items()}
    made = admin.create_topics([NewTopic(name, count, 1, config=settings) for name, count in TOPICS.items()])
    for answer in made.values():
        answer.result()


def produce(broker: KafkaBroker, events: list[Event]) -> None:
    """Events as JSON under their ids; returns when the broker has them all."""
    produce_values(broker, [(event["id"], json.dumps(event, default=_rfc3339).encode()) for event in events])


def produce_values(broker: KafkaBroker, records: list[tuple[str, bytes]], topic: str = "flights") -> None:
    """Records of any content under their keys; returns when the broker has them all."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, **_QUIET, **_SOON})
    for key, value in records:
        producer.produce(topic, value, key=key.encode())
    assert producer.flush(_BROKER_SECONDS) == 0


def _rfc3339(time_of_day: datetime) -> str:
    return time_of_day.isoformat().replace("+00:00", "Z")


def records(broker: KafkaBroker, topic: str, first: int = 0) -> list[dict[str, Any]]:
    """Everything that a topic of one partition holds now, from the offset `first` on."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "tests", "enable.auto.commit": False})
    try:
        partition = TopicPartition(topic, 0, first)
        end = _end_of(consumer, partition)
        consumer.assign([partition])
        found: list[dict[str, Any]] = []
        while len(found) < end - first:
            missing = end - first - len(found)
            found += [json.loads(message.value() or b"{}") for message in consumer.consume(missing, 5.0)]
        return found
    finally:
        consumer.close()


def count(broker: KafkaBroker, topic: str, partitions: int = 1) -> int:
    """How many records a topic of so many partitions holds now."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "tests"})
    try:
        return sum(_end_of(consumer, TopicPartition(topic, partition)) for partition in range(partitions))
    finally:
        consumer.close()


def _end_of(consumer: Any, partition: Any) -> int:
    """Where a partition ends now; one that was just made may have no leader yet."""
    from confluent_kafka import KafkaException

    deadline = time.monotonic() + 30
    while True:
        try:
            return int(consumer.get_watermark_offsets(partition, timeout=30)[1])
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            consumer.poll(0.5)


def told(broker: KafkaBroker, kind: str, version: str) -> list[dict[str, Any]]:
    """Model events of a kind about a version."""
    return [event for event in records(broker, "audit.models") if (event["kind"], event["version"]) == (kind, version)]


def scored_ids(broker: KafkaBroker) -> set[str]:
    """The ids of all events that have a score."""
    return {score["event_id"] for score in records(broker, "scores")}


def time_us(record: Mapping[str, Any]) -> int:
    """The event time of a score or receipt."""
    return parse_time_us(record["event_time"])


class Job:
    """`python -m pipeline` as a process of its own, which submits the job and follows it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def wait_until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Looks twice a second; fails when the job has ended or the time is over."""
        deadline = time.monotonic() + seconds
        while not holds():
            ended = not self._process.runs
            if ended or time.monotonic() > deadline:
                last = "\n".join(self._process.log.read_text("utf-8", "replace").splitlines()[-25:])
                raise AssertionError(f"{what}: {'the job ended' if ended else f'not within {seconds:.0f} s'}\n{last}")
            time.sleep(0.5)

    def let_go(self) -> None:
        """Ends it and its job server. The job continues, and so do its workers, which (except with LOOPBACK) belong to
        the cluster."""
        self._process.kill()


def arguments(broker: KafkaBroker, store: str) -> list[str]:
    """The job's own options: the embedded job with topics instead of files."""
    topics = f"kafka://{broker.bootstrap}"
    sinks = {"scores": "scores", "audit": "audit", "drift": "drift", "quality": "quality", "dead_letters": "dead"}
    chosen = {"events.format": "json", "model.store": store, "model.poll": "1s"}
    # A day of flights is replayed in seconds. What a failure repeats is then far back in event time, and a release is
    # dropped when it is further back than the bound on disorder and this together.
    chosen |= {"windows.allowed_lateness": "5d"}
    chosen |= {f"sinks.{name}": f"{topics}/{topic}" for name, topic in sinks.items()}
    return [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]


@contextmanager
def submitted(
    cluster: FlinkCluster,
    given: Sequence[str],
    folder: Path,
    options: Sequence[str] = (LOOPBACK,),
    program: Sequence[str] = ("pipeline", "--verbose"),
) -> Iterator[Job]:
    """The job on the cluster, which is cancelled at the end of the block; `options` say where its workers are.

    `program` is the module that builds it, with what comes before its `given` arguments.
    """
    command = [
        *(sys.executable, "-m", *program, *given),
        *("--runner=FlinkRunner", f"--flink_master={cluster.master}", "--parallelism=2"),
        *(f"--flink_job_server_jar={parts.job_server_jar()}", "--checkpointing_interval=1000", *options),
    ]
    process = Process("the job", command, folder / "job.log")
    try:
        yield Job(process)
    finally:
        try:
            for job_id in cluster.live_jobs():
                cluster.cancel(job_id)
            process.ends_within(60)
        finally:  # also where it does not end by itself, or the cluster does not answer
            process.kill()
