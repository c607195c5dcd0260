"""Events from a subscription to topics, against a real Pub/Sub server in memory (`pstest`, of Google's Go client).

Beam's own source and sink speak to it, as they do on DirectRunner; on Dataflow the service replaces both.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from google.api_core.exceptions import DeadlineExceeded
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from models.serving.cache import ModelHandle, shared_cache
from pipeline.command_line.options import RunOptions
from pipeline.dag import build
from pipeline.endpoints.outputs import write_outputs
from pipeline.endpoints.pubsub.address import PubsubAddress
from pipeline.endpoints.pubsub.source import blocks_of
from pipeline.run import prepare
from schemas.job import EventsSpec
from tests.dataflow.doubles.emulators import PROJECT, PubsubServer
from tests.pipeline.jobs.flows import Flow, json_lines, trip, trips
from tests.transforms.beam.streams import OneTick, replaying_runner
from transforms.decoding.decode_raw import decode_raw

ROOT = f"projects/{PROJECT}"
SINKS = ("scores", "audit.receipts", "audit.models", "letters")
SECONDS = 60.0


class Topics:
    """Topics with a subscription of the same name each, on the server; `received` holds what was pulled so far."""

    def __init__(self, *names: str) -> None:
        self.publisher, self.subscriber = PublisherClient(), SubscriberClient()
        self.received: dict[str, list[Any]] = {name: [] for name in names}
        for name in names:
            self.publisher.create_topic(name=f"{ROOT}/topics/{name}")
            self.subscriber.create_subscription(name=f"{ROOT}/subscriptions/{name}", topic=f"{ROOT}/topics/{name}")

    def publish(self, topic: str, data: bytes, **attributes: str) -> None:
        self.publisher.publish(f"{ROOT}/topics/{topic}", data, **attributes).result()

    def pull_until(self, **counts: int) -> Mapping[str, list[Any]]:
        """Pulls until so many messages came from each of the named topics (underscores for dots)."""
        deadline = time.monotonic() + SECONDS
        for name, count in ((name.replace("_", "."), count) for name, count in counts.items()):
            while len(self.received[name]) < count:
                assert time.monotonic() < deadline, {name: len(found) for name, found in self.received.items()}
                self._pull(name)
        return self.received

    def _pull(self, name: str) -> None:
        subscription = f"{ROOT}/subscriptions/{name}"
        try:
            pulled = self.subscriber.pull(subscription=subscription, max_messages=100, timeout=1, retry=None)
        except DeadlineExceeded:
            return  # nothing has arrived yet
        self.received[name] += [one.message for one in pulled.received_messages]
        if pulled.received_messages:
            acks = [one.ack_id for one in pulled.received_messages]
            self.subscriber.acknowledge(subscription=subscription, ack_ids=acks)

    def delete(self) -> None:
        for name in self.received:
            self.subscriber.delete_subscription(subscription=f"{ROOT}/subscriptions/{name}")
            self.publisher.delete_topic(topic=f"{ROOT}/topics/{name}")


@pytest.fixture
def sinks(pubsub: PubsubServer) -> Iterator[Topics]:
    topics = Topics(*SINKS)
    yield topics
    topics.delete()


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    made = Flow(tmp_path, capsys)
    made.publish()
    return made


def spec_of(flow: Flow, uri: str) -> dict[str, Any]:
    columns = {"delay": "number", "distance": "integer", "carrier": "string"}
    spec = flow.spec(uri=uri, time_unit="us", columns=columns)
    out = {name: f"pubsub://{PROJECT}/{name}" for name in ("scores", "audit")}
    return spec | {"sinks": {**out, "dead_letters": f"pubsub://{PROJECT}/letters"}}


def test_stream_of_messages_is_scored_into_topics_and_what_is_broken_becomes_a_letter(
    sinks: Topics, flow: Flow
) -> None:
    source = Topics("trips")
    uri = f"pubsub://{PROJECT}/trips?timestamp_attribute=at"
    prepared = prepare(RunOptions(flow.write_spec(spec_of(flow, uri)), (), None, False, False, None, ()))
    digest = flow.store.read_manifest("v1").digest
    shared_cache().load(ModelHandle(prepared.job.model.store, prepared.job.model.name, "v1", digest))
    now = int(time.time())
    for number in range(25):  # ahead of the clock, which is this runner's watermark
        row = trip(number, at=(now + 30 + number) * 1_000_000)
        source.publish("trips", json.dumps(row).encode(), at=str((now + 30 + number) * 1000))
    source.publish("trips", b"{broken", at=str(now * 1000))
    source.publish("trips", b"", at=str(now * 1000))
    pipeline = beam.Pipeline(runner=replaying_runner(), options=PipelineOptions(["--streaming"]))
    raw = pipeline | "ReadEvents" >> prepared.source.read(prepared.job.events)
    write_outputs(build(raw, prepared.job), prepared.job, "run")
    pipeline.replace_all([OneTick()])
    running = pipeline.run()
    try:
        found = sinks.pull_until(scores=25, audit_receipts=25, letters=2)
    finally:
        running.cancel()
        source.delete()
    scores = [json.loads(message.data) for message in found["scores"]]
    assert sorted(score["event_id"] for score in scores) == sorted(f"t{number}" for number in range(25))
    assert {score["late"] for score in scores} == {False}
    assert [message.attributes["score_id"] for message in found["scores"]] == [score["score_id"] for score in scores]
    assert sorted(json.loads(message.data)["payload"] for message in found["letters"]) == ["", "e2Jyb2tlbg=="]


def test_cloudevents_that_the_server_delivers_are_read(pubsub: PubsubServer) -> None:
    """As Beam's source makes messages of what it pulls; no Beam in between."""
    topics = Topics("clouds")
    attributes = {"ce-specversion": "1.0", "ce-source": "/trips", "ce-type": "trip", "ce-id": "binary"}
    topics.publish("clouds", json.dumps({"at": 1_000_000, "delay": 0.5}).encode(), **attributes)
    whole = {"specversion": "1.0", "source": "/trips", "type": "trip", "id": "batch", "data": {"at": 1, "delay": 2.0}}
    topics.publish("clouds", json.dumps([whole]).encode(), **{"content-type": "application/cloudevents-batch+json"})
    messages = [PubsubMessage._from_message(each) for each in topics.pull_until(clouds=2)["clouds"]]
    topics.delete()
    said = EventsSpec("", "json", "id", "at", None, 0, (("delay", "number"),), (0, 2**52), "us", envelope="cloudevents")
    address = PubsubAddress(PROJECT, "subscriptions", "clouds", None, None, "")
    (block,) = blocks_of(messages, address, "json", "cloudevents")
    events, letters, *_ = decode_raw(block, said, 0)
    assert events is not None
    assert (sorted(events.column("__event_id").to_pylist()), letters) == (["batch", "binary"], [])


def test_bounded_job_publishes_what_it_scored(sinks: Topics, flow: Flow) -> None:
    flow.feed(json_lines(trips(30)))
    outcome = flow.run(flow.spec() | {"sinks": spec_of(flow, "x")["sinks"]})
    assert (outcome.code, outcome.summary["scored"]) == (0, 30)
    found = sinks.pull_until(scores=30, audit_receipts=30, audit_models=2)
    assert {message.attributes["record"] for message in found["audit.models"]} == {"ModelEvent"}
    assert all(json.loads(message.data)["digest"] for message in found["audit.receipts"])


def test_subscription_that_is_not_there_stops_the_job_with_its_name(pubsub: PubsubServer, flow: Flow) -> None:
    outcome = flow.run(spec_of(flow, f"pubsub://{PROJECT}/nothing?timestamp_attribute=at"))
    assert outcome.code == 1
    assert f"pubsub://{PROJECT}/subscriptions/nothing cannot be read: 404" in outcome.err


def test_topic_that_is_not_there_stops_the_job_before_it_reads(pubsub: PubsubServer, flow: Flow) -> None:
    flow.feed(json_lines(trips(1)))
    outcome = flow.run(flow.spec() | {"sinks": {"scores": f"pubsub://{PROJECT}/nothing"}})
    assert outcome.code == 1
    assert f"sinks.scores: pubsub://{PROJECT}/topics/nothing cannot be written: 404" in outcome.err


def test_runner_that_does_not_read_messages_is_refused(pubsub: PubsubServer, flow: Flow) -> None:
    source = Topics("local")
    outcome = flow.run(spec_of(flow, f"pubsub://{PROJECT}/local?timestamp_attribute=at"))
    source.delete()
    assert outcome.code == 2
    assert "expected: it with --runner=DataflowRunner, which reads it" in outcome.err
