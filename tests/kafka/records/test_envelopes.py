"""Envelopes on a real topic: CloudEvents in every mode, and Debezium's changes as its converters write them."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.blocks import blocks_of
from pipeline.endpoints.kafka.source import ReadTopic, first_blocks
from pipeline.endpoints.sample import sampled_types
from pipeline.endpoints.sources import open_source
from runners.direct import bounded_runner
from runners.flink.local.registry import RegistryServer
from schemas.job import EventsSpec
from schemas.records import DeadLetter
from tests.kafka.reading import opened, read_until
from tests.kafka.records.test_payloads import AT, FIRST, datum, register
from tests.kafka.test_bounded import values as values_of
from tests.kafka.topics import START_US, Topics, event
from transforms.decoding.decode import DecodeEvents
from transforms.decoding.decode_raw import decode_raw
from transforms.flow import metrics

Found = tuple[dict[str, float], list[DeadLetter], dict[str, int]]
CLOUD = {"specversion": "1.0", "source": "/trips", "type": "trip"}


def spec(envelope: str, format_name: str = "json", event_id: str = "id", event_time: str = "at") -> EventsSpec:
    columns = (("delay", "number"),)
    plain = EventsSpec("", "json", event_id, event_time, None, 0, columns, (0, 2 * AT), "us", envelope=envelope)
    return replace(plain, format=format_name)  # type: ignore[arg-type]  # one of them


def decoded(address: KafkaAddress, said: EventsSpec, counts: Mapping[int, int]) -> Found:
    """The delays of a topic's events by their id, its dead letters, and what is skipped."""
    with opened(address) as reader:
        reader.seek(dict.fromkeys(counts, 0))
        records = read_until(reader, counts).records
    delays, letters, skipped = dict[str, float](), list[DeadLetter](), dict[str, int]()
    for block in blocks_of(records, address, said, AT).blocks:
        events, bad, gone, *_ = decode_raw(block, said, AT)
        letters += bad
        for kind, number in gone:
            skipped[kind] = skipped.get(kind, 0) + number
        if events is not None:
            delays |= zip(events.column("__event_id").to_pylist(), events.column("delay").to_pylist(), strict=True)
    return delays, letters, skipped


def cloud(number: int) -> dict[str, Any]:
    return {**CLOUD, "id": f"ce-{number}", "data": json.loads(event(number))}


def delays(*numbers: int, of: str = "e") -> dict[str, float]:
    return {f"{of}{number}": float(number) for number in numbers}


def batch(events: Iterable[Any], indent: int | None = None) -> bytes:
    return json.dumps(list(events), indent=indent).encode()


BATCHES: dict[str, tuple[Sequence[bytes], dict[str, float], Sequence[bytes], dict[str, int]]] = {
    "two batches and an event": ([batch([cloud(1), cloud(2)]), json.dumps(cloud(3)).encode(), batch([cloud(4)], 1)],
                                 delays(1, 2, 3, 4), [], {}),
    "an empty batch": ([b" [ ]\n", batch([cloud(1)])], delays(1), [], {"empty_batches": 1}),
    "a batch with what is no event": ([batch([cloud(1), 7, {"x": 1}, cloud(2)])], delays(1, 2),
                                      [b"7", b'{"x": 1}'], {}),
    "a batch that is cut off": ([batch([cloud(1), cloud(2)])[:-5], batch([cloud(3)])], delays(3),
                                [batch([cloud(1), cloud(2)])[:-5]], {}),
}  # fmt: skip


@pytest.mark.parametrize(("values", "events", "letters", "skipped"), BATCHES.values(), ids=BATCHES)
def test_each_event_of_a_batch_is_one(
    topics: Topics, values: Sequence[bytes], events: dict[str, float], letters: Sequence[bytes], skipped: dict[str, int]
) -> None:
    topic = topics.create()
    topics.write(topic, values, headers={"content-type": "application/cloudevents-batch+json"})
    address = topics.address(topic)
    found = decoded(address, spec("cloudevents"), {0: len(values)})
    assert (found[0], sorted(each.payload for each in found[1]), found[2]) == (events, sorted(letters), skipped)
    assert all(f"{topic}[0]@0 and headers content-type=" in letter.detail for letter in found[1])
    assert kind_of_delay(f"{address.public}?until=latest", "json", "cloudevents") == "number"


def kind_of_delay(uri: str, format_name: str, envelope: str) -> str:
    """The type that is inferred for the column `delay`."""
    sample = open_source({"uri": uri, "format": format_name, "envelope": envelope}).sample()
    return sampled_types(sample, format_name, {"delay": "features[0]"}, {"id": "events.event_id"})["delay"]


def test_array_in_no_envelope_stays_a_letter(topics: Topics) -> None:
    topic = topics.create()
    topics.write(topic, [batch([json.loads(event(1))])])
    assert [len(block.records) for block in first_blocks(topics.address(topic), "json")] == [1]


HEADERS = {"ce_specversion": "1.0", "ce_source": "/trips", "ce_type": "trip", "content-type": "application/json"}


@pytest.mark.parametrize("format_name", ["json", "avro"])
def test_attributes_of_binary_mode_are_columns(topics: Topics, registry: RegistryServer, format_name: str) -> None:
    topic, frame = topics.create(2), register(registry, FIRST)
    values = [frame + datum(FIRST, 1) if format_name == "avro" else event(1), frame + datum(FIRST, 2)]
    values[1] = values[1] if format_name == "avro" else event(2)
    for partition, value in enumerate(values):
        headers = HEADERS | {"ce_key": f"k{partition}", "ce_time": "2026-01-01T00:00:00Z"}
        topics.write(topic, [value], partition=partition, headers=headers)
    topics.write(topic, [values[0]], headers={**HEADERS, "ce_key": b"\xff", "ce_time": "2026-01-01T00:00:00Z"})
    topics.write(topic, [values[0]], headers={"ce_key": "k9"})
    address = topics.address(topic, f"?registry={registry.url}" if format_name == "avro" else "")
    said = spec("cloudevents", format_name, event_id="key", event_time="time")
    found = decoded(address, said, {0: 3, 1: 1})
    assert found[0] == {"k0": 1.0, "k1": 2.0}
    assert [(each.error, each.payload) for each in found[1]] == [("MalformedEnvelope", values[0])] * 2
    assert "header ce_key: b'\\xff' is not allowed" in found[1][0].detail
    assert "specversion: null is not allowed" in found[1][1].detail


# As Debezium's Avro converter registers them: names of a connector's own, defaults, types of Connect beside Avro's.
VALUE = {"type": "record", "name": "Value", "namespace": "lake.public.trips", "connect.name": "lake.public.trips.Value",
         "fields": [{"name": "id", "type": "string"},
                    {"name": "at", "type": {"type": "long", "connect.version": 1,
                                            "connect.name": "io.debezium.time.MicroTimestamp"}},
                    {"name": "delay", "type": ["null", "double"], "default": None}]}  # fmt: skip
ENVELOPE: dict[str, Any] = {
    "type": "record", "name": "Envelope", "namespace": "lake.public.trips",
    "connect.name": "lake.public.trips.Envelope",
    "fields": [
        {"name": "before", "type": ["null", VALUE], "default": None},
        {"name": "after", "type": ["null", "Value"], "default": None},
        {"name": "source", "type": {"type": "record", "name": "Source", "namespace": "io.debezium.connector.postgresql",
                                    "fields": [{"name": "table", "type": "string"},
                                               {"name": "lsn", "type": ["null", "long"], "default": None}]}},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"], "default": None},
        {"name": "transaction", "type": ["null", {"type": "record", "name": "block", "namespace": "event",
                                                  "fields": [{"name": "id", "type": "string"}]}], "default": None},
    ],
}  # fmt: skip
WIDER = {**ENVELOPE, "fields": [*ENVELOPE["fields"], {"name": "ts_us", "type": ["null", "long"], "default": None}]}


def change(op: str, number: int, **more: Any) -> dict[str, Any]:
    """A change as Debezium writes it; of a deleted row only the state before is there."""
    row = {"id": f"e{number}", "at": START_US, "delay": float(number)}
    sides = {"before": row, "after": None} if op == "d" else {"before": None, "after": row}
    whole = {**sides, "source": {"table": "trips", "lsn": 7}, "op": op, "ts_ms": START_US // 1000, "transaction": None}
    return whole | more


def framed(frame: bytes, schema: Any, records: Iterable[Mapping[str, Any]]) -> list[bytes]:
    return [frame + in_avro(schema, record) for record in records]


def in_avro(schema: Any, record: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return stream.getvalue()


KINDS = [change("r", 1), change("c", 2), change("u", 3), change("d", 2), change("t", 0, after=None)]
GONE = {"deletes": 1, "truncates": 1, "tombstones": 1}


def test_changes_of_a_registry_are_read_by_the_schema_of_each(topics: Topics, registry: RegistryServer) -> None:
    topic, frame, wider = topics.create(), register(registry, ENVELOPE), register(registry, WIDER)
    bad, cut = change("x", 5), framed(frame, ENVELOPE, [change("c", 6)])[0][:-4]
    values = [*framed(frame, ENVELOPE, KINDS), None, *framed(wider, WIDER, [change("c", 4, ts_us=None)]),
              *framed(frame, ENVELOPE, [bad]), cut]  # fmt: skip
    topics.write(topic, values, key=b"\x00\x00\x00\x00\x09\x02k")
    address = topics.address(topic, f"?registry={registry.url}")
    found = decoded(address, spec("debezium", "avro"), {0: len(values)})
    assert (found[0], found[2]) == (delays(1, 2, 3, 4), GONE)
    errors = [("MalformedAvro", cut), ("MalformedEnvelope", values[7])]
    assert sorted((letter.error, letter.payload) for letter in found[1]) == errors
    assert kind_of_delay(f"{address.public}?registry={registry.url}", "avro", "debezium") == "number"


def test_envelope_of_a_registry_is_a_column_too(topics: Topics, registry: RegistryServer) -> None:
    topic, frame = topics.create(), register(registry, ENVELOPE)
    topics.write(topic, framed(frame, ENVELOPE, KINDS))
    said = spec("debezium", "avro", event_time="ts_ms")
    found = decoded(topics.address(topic, f"?registry={registry.url}"), replace(said, time_unit="ms"), {0: 5})
    assert found[0] == delays(1, 2, 3)


JSONS: dict[str, Any] = {
    "without a schema": [*KINDS, None],
    "with its schema": [*({"schema": {"type": "struct"}, "payload": each} for each in KINDS),
                        {"schema": None, "payload": None}],
    "with a schema that is null": [*({"schema": None, "payload": each} for each in KINDS), None],
    "without before, source and time": [*({"after": each["after"], "op": each["op"]} for each in KINDS), None],
    "text null": [*KINDS, "null"],
}  # fmt: skip


@pytest.mark.parametrize("records", JSONS.values(), ids=JSONS)
def test_changes_in_json_are_read_with_a_schema_and_without(topics: Topics, records: Sequence[Any]) -> None:
    topic = topics.create()
    values = [None if each is None else b"null" if each == "null" else json.dumps(each).encode() for each in records]
    topics.write(topic, [*values, b'{"schema": {}}', b"{"], key=b"k")
    found = decoded(topics.address(topic), spec("debezium"), {0: len(values) + 2})
    assert (found[0], found[2]) == (delays(1, 2, 3), GONE)
    errors = [("MalformedEnvelope", b'{"schema": {}}'), ("MalformedJson", b"{")]
    assert sorted((letter.error, letter.payload) for letter in found[1]) == errors


def test_job_over_changes_counts_what_is_no_event(topics: Topics, registry: RegistryServer) -> None:
    topic, frame = topics.create(2), register(registry, ENVELOPE)
    topics.write(topic, [*framed(frame, ENVELOPE, KINDS), None])
    topics.write(topic, framed(frame, ENVELOPE, [change("c", number) for number in range(4, 9)]), partition=1)
    said = spec("debezium", "avro")
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        address = topics.address(topic, f"?until=latest&registry={registry.url}")
        read = pipeline | ReadTopic(address, said) | DecodeEvents(said)
        ids = read.good | "Ids" >> beam.FlatMap(values_of, "__event_id")
        assert_that(ids, equal_to([f"e{number}" for number in range(1, 9)]))
    counts = metrics.counts_of(pipeline.result)
    skipped = {kind: counts[f"{metrics.RECORDS_SKIPPED_PREFIX}{kind}"] for kind in GONE}
    assert (counts["records_read"], skipped) == (11, GONE)
