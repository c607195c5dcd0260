"""The loop of the example on one stream: topics in, folders out, and a rollout that the running job follows."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # public, not declared so

from examples.flights import service
from examples.loop.arriving import Arrivals, Stream
from examples.loop.plan import Loop
from examples.loop.rounds import SINKS, LoopFolders, Rounds
from gates.records import QualityRecords
from gates.windows import ERROR, LOSS_DIFFERENCE
from models.store.store import ModelStore
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from tests.transforms.beam.flights import records

_SECONDS = 240.0
_EVENTS, _LABELS = "loop-events", "loop-labels"
_DAY_US = 86_400_000_000
_LABELLED_AFTER_US = 15 * _DAY_US  # the lateness of windows, and half of the horizon: labels are known after 14 days
_TYPES = {"int64": "integer", "double": "number", "string": "string", "large_string": "string", "bool": "boolean"}


@dataclass(slots=True)
class StreamedRounds(Rounds):
    """Rounds in which a running job scores: a look waits until it has answered what was sent, and has measured the last
    window whose labels are all there."""

    job: service.Job | None = None
    broker: KafkaBroker | None = None
    stream: Stream | None = None
    sent: int = 0

    def _run(self) -> int:
        """What has arrived since the look before goes to the topics, once the job knows the last release."""
        store = ModelStore(str(self.folders.store), self.loop.model)
        releases = store.scan_releases().releases
        self._wait(lambda: self._knows(releases[-1].sequence), f"release {releases[-1].sequence} known")
        self._wait(lambda: set(releases[-1].versions) <= _loaded(store), f"{releases[-1].versions} loaded")
        newest = max((self.folders.data / "recent").glob("events-*.parquet"))
        self._send(_LABELS, newest.with_name(newest.name.replace("events", "labels")))
        count = self._send(_EVENTS, newest)
        self.sent += count
        self._wait(lambda: len(records(self.folders.out / "scores")) >= self.sent, f"{self.sent} scores")
        reached = pq.read_table(newest)["applied_at"][-1].value  # the watermark of a topic that is read to its end
        self._wait(lambda: self._measured(int(reached) - _LABELLED_AFTER_US), "the quality of whole windows")
        return count

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        assert self.job is not None
        self.job.wait_until(holds, _SECONDS, what)

    def _knows(self, release: int) -> bool:
        told = records(self.folders.out / "audit" / "models")
        return any((each["kind"], each["release"]) == ("released", release) for each in told)

    def _measured(self, labelled_us: int) -> bool:
        """Whether each version in force has a record of the last window whose labels have all come, with all of them,
        and each shadow its difference from the champion: what a rollout reads of them comes from two branches."""
        in_it_us = labelled_us - 7 * _DAY_US
        rows = QualityRecords(str(self.folders.out / "quality"), self.loop.model).latest()
        whole = [each for each in rows if each.window_end > in_it_us and (each.label_coverage or 0) > 0.99]
        releases = ModelStore(str(self.folders.store), self.loop.model).scan_releases().releases
        begun = [each for each in releases if each.effective_from_us <= in_it_us]
        in_force = max(begun, key=lambda each: each.sequence)
        wanted = {(version, ERROR) for version in in_force.versions}
        wanted |= {(version, LOSS_DIFFERENCE) for version in in_force.shadows}
        return {(each.version, each.metric) for each in whole} >= wanted

    def _send(self, topic: str, file: Path) -> int:
        """The rows of a file as JSON, in order of time; returns how many."""
        assert self.broker is not None
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "enable.idempotence": True})
        rows = pq.read_table(file).to_pylist()
        for row in rows:
            producer.produce(topic, json.dumps(row, default=lambda time: time.isoformat()).encode())
            producer.poll(0)
        assert producer.flush(_SECONDS) == 0
        return len(rows)


def _loaded(store: ModelStore) -> set[str]:
    entries = store.accesses().entries
    return {str(each.detail.get("version")) for each in entries if each.action == "loaded"}


def _settings(broker: KafkaBroker, folders: LoopFolders, stream: Stream) -> list[str]:
    """The spec of the loop with topics for its input, and folders for what it writes."""
    columns = {field.name: _TYPES.get(str(field.type)) for field in stream.events.schema}
    features = {name: kind for name, kind in columns.items() if kind and name != "id"}
    values: dict[str, Any] = {
        **{"events.uri": f"kafka://{broker.bootstrap}/{_EVENTS}?idle_after=2s", "events.format": "json"},
        **{"labels.uri": f"kafka://{broker.bootstrap}/{_LABELS}?idle_after=2s", "labels.format": "json"},
        **{f"events.columns.{name}": kind for name, kind in features.items()},
        **{f"sinks.{name}": f"{folders.out}/{name}" for name in SINKS},
        **{"model.store": str(folders.store), "model.poll": "1s", "events.max_out_of_orderness": "1s"},
    }
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


@contextmanager
def looping(
    cluster: FlinkCluster, broker: KafkaBroker, loop: Loop, stream: Stream, folder: Path
) -> Iterator[StreamedRounds]:
    """The loop as one stream: its first version is released, and the job runs."""
    folders = LoopFolders(folder / "data", folder / "out")
    arrivals = Arrivals(folders.data, stream, loop.recent)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for answer in admin.create_topics([NewTopic(name, 1, 1) for name in (_EVENTS, _LABELS)]).values():
        answer.result()
    rounds = StreamedRounds(loop, folders, arrivals, lambda *told: print(*told))
    rounds.begin()
    given = ["--job", str(loop.job), *_settings(broker, folders, stream)]
    with service.submitted(cluster, given, folder) as job:
        rounds.job, rounds.broker, rounds.stream = job, broker, stream
        yield rounds
