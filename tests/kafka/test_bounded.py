"""A topic up to its end: every record is an event or a dead letter, and everything unusual is counted."""

import json
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.endpoints.kafka.client import TopicUnreadable
from pipeline.endpoints.kafka.registry import schema_of
from pipeline.endpoints.kafka.source import ReadTopic
from runners.direct import bounded_runner
from schemas.job import EventsSpec
from schemas.times import now_us
from tests.kafka.test_damage import damage
from tests.kafka.topics import START_US, Topics, event
from transforms.decoding.decode import DecodeEvents
from transforms.flow import metrics

SPEC = EventsSpec("", "json", "id", "at", None, 0, (("delay", "number"),), (0, 2 * now_us()), "us")
FIELD = {"name": "id", "type": "string"}
SCHEMA = json.dumps({"type": "record", "name": "E", "fields": [FIELD]})
RECORD = json.dumps({"schema": SCHEMA}).encode()


def values(batch: pa.RecordBatch, column: str) -> list[str]:
    found: list[str] = batch.column(column).to_pylist()
    return found


def test_every_record_is_an_event_or_a_letter_and_the_odd_ones_are_counted(topics: Topics) -> None:
    topic = topics.create(2)
    ahead = (now_us() - START_US) / 60_000_000 + 600
    for batch in ([event(0), None, event(1, ahead)], [event(2), event(3)], [event(4), b"{"]):
        topics.write(topic, batch)
    topics.write(topic, [event(5)], partition=1)
    damage(topics, topic, 1)
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        decoded = pipeline | ReadTopic(topics.address(topic, "?until=latest"), SPEC) | DecodeEvents(SPEC)
        ids = decoded.good | "Ids" >> beam.FlatMap(values, "__event_id")
        errors = decoded.dead_letters | "Errors" >> beam.FlatMap(values, "error")
        assert_that(ids, equal_to(["e0", "e1", "e4", "e5"]), "events")
        assert_that(errors, equal_to([*["UnreadableInput"] * 3, "MalformedJson"]), "letters")
    counts = metrics.counts_of(pipeline.result)
    names = ("records_in_future", "kafka_records_lost", "kafka_offsets_skipped", "records_read", "dead_letters/decode")
    assert [counts[name] for name in names] == [1, 2, 0, 8, 4]


@pytest.fixture
def guarded() -> Iterator[str]:
    """An HTTP server that gives one schema to a user with the right password."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is http.server's
            allowed = self.headers["Authorization"] == "Basic bWU6c2VzYW1l"  # me:sesame
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(RECORD if allowed else b"{}")

        def log_message(self, *message: object) -> None:
            """Nothing is logged."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_password_of_a_registry_is_in_the_environment(
    topics: Topics, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = topics.address("any", f"?registry={guarded}" + "&registry_auth=${HALFLIFE_REGISTRY_PASSWORD}")
    frame = struct.pack(">bI", 0, 7)
    monkeypatch.setenv("HALFLIFE_REGISTRY_PASSWORD", "me:open")
    with pytest.raises(TopicUnreadable, match=rf"the schema registry {guarded} refuses \(401"):
        schema_of(frame, address)
    monkeypatch.setenv("HALFLIFE_REGISTRY_PASSWORD", "me:sesame")
    assert schema_of(frame, address) == SCHEMA
