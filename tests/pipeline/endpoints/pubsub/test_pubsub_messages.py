"""What a bundle of messages becomes, and what records become as messages."""

import io
import json
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage

from pipeline.endpoints.pubsub.address import PubsubAddress
from pipeline.endpoints.pubsub.sink import attributes_of, messages_of
from pipeline.endpoints.pubsub.source import blocks_of
from schemas.job import EventsSpec
from schemas.records import DeadLetter, arrow_schema, record_batch
from schemas.times import parse_time_us
from transforms.decoding.decode_raw import decode_raw

AT = parse_time_us("2013-01-01T12:00:00Z")
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Trip",
    "fields": [{"name": name, "type": kind} for name, kind in (("id", "string"), ("at", "long"), ("delay", "double"))],
}
ADDRESS = PubsubAddress("my-project", "subscriptions", "trips", "at", None, json.dumps(SCHEMA))


def datum(number: int) -> bytes:
    stream = io.BytesIO()
    row = {"id": f"e{number}", "at": AT + number, "delay": 0.5}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMA), row)
    return stream.getvalue()


def example(number: int) -> bytes:
    from tensorflow.core.example.example_pb2 import Example

    written = Example()
    written.features.feature["id"].bytes_list.value.append(f"e{number}".encode())
    written.features.feature["at"].int64_list.value.append(AT + number)
    written.features.feature["delay"].float_list.value.append(0.5)
    data: bytes = written.SerializeToString()
    return data


def as_json(number: int) -> bytes:
    return json.dumps({"id": f"e{number}", "at": AT + number, "delay": 0.5}, indent=1).encode()


@pytest.mark.parametrize(("format_name", "encode"), [("avro", datum), ("json", as_json), ("tfexample", example)])
def test_messages_of_each_format_are_one_block_and_damage_costs_its_own_message(format_name: Any, encode: Any) -> None:
    spec = EventsSpec("", format_name, "id", "at", None, 0, (("delay", "number"),), (0, 2 * AT), "us")
    broken = b"\xff\xff\xff broken"
    data = [encode(1), broken, encode(2)]
    blocks = blocks_of([PubsubMessage(one, {}, f"m{number}") for number, one in enumerate(data)], ADDRESS, format_name)
    assert [block.source for block in blocks] == ["pubsub://my-project/subscriptions/trips@m0"]
    events, letters, *_ = decode_raw(blocks[0], spec, AT)
    assert events is not None
    assert events.column("__event_id").to_pylist() == ["e1", "e2"]
    assert [letter.payload for letter in letters] == [broken]


def test_message_without_data_is_a_dead_letter_that_names_it() -> None:
    spec = EventsSpec("", "json", "id", "at", None, 0, (), (0, 2 * AT), "us")
    (block,) = blocks_of([PubsubMessage(b"", {"kind": "ping"}, "m7")], ADDRESS, "json")
    (letter,) = decode_raw(block, spec, AT)[1]
    assert (letter.error, letter.payload) == ("UnreadableInput", b"")
    assert letter.detail.startswith("pubsub://my-project/subscriptions/trips@m7: a message without data, with the")


CLOUD = {"specversion": "1.0", "source": "/trips", "type": "trip"}


def test_cloudevents_of_every_mode_are_read() -> None:
    columns = (("delay", "number"),)
    spec = EventsSpec("", "json", "id", "at", None, 0, columns, (0, 2 * AT), "us", envelope="cloudevents")
    bare = {"at": AT, "delay": 0.5}
    attributes = {f"ce-{name}": text for name, text in CLOUD.items()} | {"ce-id": "binary"}
    both = [{**CLOUD, "id": f"batch{number}", "data": bare} for number in range(2)]
    messages = [PubsubMessage(json.dumps({**CLOUD, "id": "structured", "data": bare}).encode(), {}, "m0"),
                PubsubMessage(json.dumps(bare).encode(), attributes, "m1"),
                PubsubMessage(json.dumps(both).encode(), {"content-type": "application/cloudevents-batch+json"}, "m2"),
                PubsubMessage(json.dumps(bare).encode(), {"kind": "other"}, "m3")]  # fmt: skip
    (block,) = blocks_of(messages, ADDRESS, "json", "cloudevents")
    events, (letter,), *_ = decode_raw(block, spec, AT)
    assert events is not None
    assert events.column("__event_id").to_pylist() == ["structured", "binary", "batch0", "batch1"]
    assert letter.detail.startswith("pubsub://my-project/subscriptions/trips@m3 and headers kind=b'other': specversion")


def scores(**changes: Any) -> pa.RecordBatch:
    schema = arrow_schema("Score")
    row: dict[str, Any] = {"score_id": "s1", "event_id": "e1", "model": "m", "version": "v1", "role": "champion"}
    row |= {"release": 3, "event_time": AT, "score": 0.5, "late": False, "reasons": [], "scored_at": AT} | changes
    return pa.RecordBatch.from_pylist([row], schema)


def test_score_is_a_json_message_that_can_be_filtered_by_its_attributes() -> None:
    (message,) = messages_of(scores(), "Score")
    assert json.loads(message.data)["score"] == 0.5
    shared = {"record": "Score", "model": "m", "version": "v1", "role": "champion"}
    assert message.attributes == {**shared, "score_id": "s1", "id": "s1"}


def test_attributes_fit_whatever_the_event_held() -> None:
    row = dict.fromkeys(("window_start", "window_end", "segment", "column", "statistic"), "x" * 5000)
    attributes = attributes_of({**row, "model": "m", "version": "v", "role": "shadow"}, "DriftStatistic")
    assert max(len(value) for value in attributes.values()) <= 1024


def test_record_too_long_for_a_message_goes_in_numbered_parts_under_one_id() -> None:
    letter = DeadLetter("decode", "E", "d", bytes(9_000_000), None, None, AT)
    messages = list(messages_of(record_batch("DeadLetter", [letter]), "DeadLetter"))
    assert [message.attributes["part"] for message in messages] == ["1/2", "2/2"]
    assert len({message.attributes["id"] for message in messages}) == 1
    for message in messages:
        message._to_proto_str(for_publish=True)  # raises for what the service would refuse
    assert len(json.loads(b"".join(message.data for message in messages))["payload"]) == 12_000_000
