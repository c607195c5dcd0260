"""What values of a topic may be; a dead letter has the whole record: bytes, offset, key and headers."""

import io
import json
import struct
import uuid
from collections.abc import Callable
from typing import Any

import fastavro
import pyarrow as pa
import pytest
import requests

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.blocks import blocks_of
from pipeline.endpoints.kafka.registry import RegistryUnreachable
from runners.flink.local.processes import free_port
from runners.flink.local.registry import RegistryServer
from schemas.job import EventsSpec
from schemas.records import DeadLetter
from tests.kafka.reading import opened, read_until
from tests.kafka.topics import START_US, Topics, event
from transforms.decoding.decode_raw import decode_raw

AT = START_US + 3_600_000_000
ID_AND_TIME = [{"name": "id", "type": "string"}, {"name": "at", "type": "long"}]
FIRST = {"type": "record", "name": "E", "fields": [*ID_AND_TIME, {"name": "delay", "type": "double"}]}
SECOND = {"type": "record", "name": "E", "fields": [{"name": "gate", "type": ["null", "string"]}, *FIRST["fields"]]}
JSON = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
Found = tuple[dict[str, float], list[DeadLetter]]


def spec(format_name: str) -> EventsSpec:
    columns = (("delay", "number"),)
    return EventsSpec("", format_name, "id", "at", None, 0, columns, (0, 2 * AT), "us")  # type: ignore[arg-type]  # a test's format


def datum(schema: Any, number: int, **more: Any) -> bytes:
    stream = io.BytesIO()
    record = {"id": f"e{number}", "at": START_US, "delay": float(number), **more}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return stream.getvalue()


def register(registry: RegistryServer, schema: Any, kind: str = "AVRO") -> bytes:
    """Registers a schema under a subject of its own; the frame of its values."""
    body = {"schema": json.dumps(schema), "schemaType": kind}
    answer = requests.post(f"{registry.url}/subjects/{uuid.uuid4().hex}/versions", json=body, timeout=30)
    answer.raise_for_status()
    return struct.pack(">bI", 0, answer.json()["id"])


def decoded(address: KafkaAddress, count: int, format_name: str) -> Found:
    """The delays of the events of a topic by their id, and its dead letters."""
    with opened(address) as reader:
        reader.seek({0: 0})
        records = read_until(reader, {0: count}).records
    delays: dict[str, float] = {}
    letters: list[DeadLetter] = []
    for block in blocks_of(records, address, spec(format_name), AT).blocks:
        events, bad, *_ = decode_raw(block, spec(format_name), AT)
        letters += bad
        if events is not None:
            delays |= zip(events.column("__event_id").to_pylist(), events.column("delay").to_pylist(), strict=True)
    return delays, letters


@pytest.fixture
def topic(topics: Topics) -> str:
    return topics.create(max_message_bytes="20000000")


@pytest.fixture
def framed(topics: Topics, topic: str, registry: RegistryServer) -> Callable[[list[bytes], str], Found]:
    """Writes values, and returns what a job with the registry decodes them to."""

    def made(values: list[bytes], format_name: str = "avro") -> Found:
        topics.write(topic, values)
        return decoded(topics.address(topic, f"?registry={registry.url}"), len(values), format_name)

    return made


def test_avro_values_of_several_schemas_are_read_by_their_own(framed: Any, registry: RegistryServer) -> None:
    first, second = register(registry, FIRST), register(registry, SECOND)
    values = [first + datum(FIRST, 0), second + datum(SECOND, 1, gate="B2"), first + datum(FIRST, 2)]
    assert framed(values) == ({"e0": 0.0, "e1": 1.0, "e2": 2.0}, [])


def test_unknown_schema_costs_only_its_record_with_its_frame(framed: Any, registry: RegistryServer) -> None:
    frame = register(registry, FIRST)
    stray = struct.pack(">bI", 0, 999_999) + datum(FIRST, 1)
    delays, letters = framed([frame + datum(FIRST, 0), stray])
    assert delays == {"e0": 0.0}
    assert [letter.payload for letter in letters] == [stray]
    assert f"@1: schema 999999 of {registry.url} is not there" in letters[0].detail


@pytest.mark.parametrize("value", [b"{}", b"\x00\x00", b"\x01\x00\x00\x00\x01abc"])
def test_value_without_a_frame_is_a_dead_letter(framed: Any, value: bytes) -> None:
    delays, letters = framed([value])
    assert (delays, [letter.payload for letter in letters]) == ({}, [value])
    assert f"begins with {value[:5]!r}; expected: a zero byte" in letters[0].detail


def test_damaged_datum_keeps_its_frame_in_the_dead_letter(framed: Any, registry: RegistryServer) -> None:
    frame = register(registry, FIRST)
    cut, long = frame + datum(FIRST, 1)[:-3], frame + datum(FIRST, 2) + b"more"
    delays, letters = framed([frame + datum(FIRST, 0), cut, long, frame + datum(FIRST, 3)])
    assert delays == {"e0": 0.0, "e3": 3.0}
    assert [(letter.error, letter.payload) for letter in letters] == [("MalformedAvro", cut), ("MalformedAvro", long)]
    assert ["@1: " in letters[0].detail, "@2: " in letters[1].detail] == [True, True]


@pytest.mark.parametrize(
    ("schema", "kind", "said"),
    [(JSON, "JSON", "is of type JSON; expected: AVRO"), ("string", "AVRO", "is not a record")],
)
def test_schema_of_another_kind_is_named(
    framed: Any, registry: RegistryServer, schema: Any, kind: str, said: str
) -> None:
    letters = framed([register(registry, schema, kind) + b"{}"])[1]
    assert said in letters[0].detail


def test_json_values_with_a_frame_are_read_too(framed: Any, registry: RegistryServer) -> None:
    frame = register(registry, JSON, "JSON")
    delays, letters = framed([frame + event(1), frame + b"{"], "json")
    assert delays == {"e1": 1.0}
    assert [letter.payload for letter in letters] == [frame + b"{"]


def test_registry_that_does_not_answer_loses_nothing(topics: Topics, topic: str, registry: RegistryServer) -> None:
    frame = register(registry, FIRST)
    topics.write(topic, [frame + datum(FIRST, 0)])
    silent = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RegistryUnreachable, match=f"schema registry {silent} does not answer"):
        decoded(topics.address(topic, f"?registry={silent}"), 1, "avro")
    assert decoded(topics.address(topic, f"?registry={registry.url}"), 1, "avro")[0] == {"e0": 0.0}


def test_examples_are_read(topics: Topics, topic: str) -> None:
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    delay = pa.array([[2.5]], pa.list_(pa.float32()))
    rows = pa.RecordBatch.from_pydict({"id": [[b"e5"]], "at": [[START_US]], "delay": delay})
    topics.write(topic, [*RecordBatchToExamplesEncoder(None).encode(rows), b"none"])
    delays, letters = decoded(topics.address(topic), 2, "tfexample")
    assert delays == {"e5": 2.5}
    assert [(letter.error, letter.payload) for letter in letters] == [("MalformedExample", b"none")]


def test_dead_letter_names_offset_key_and_headers(topics: Topics, topic: str) -> None:
    topics.write(topic, [event(0), event(1)])
    topics.write(topic, [b"{"], key=b"LGA", headers={"trace": b"7f", "empty": None})
    topics.write(topic, [b'{"id": "x", "delay": 1}', None, b""], key=b"JFK")
    delays, letters = decoded(topics.address(topic), 6, "json")
    assert list(delays) == ["e0", "e1"]
    address = topics.address(topic).public
    begins = [
        f"{address}[0]@4 with key b'JFK': a tombstone, which is not an event",
        f"{address}[0]@5 with key b'JFK': an empty value, which is not an event",
        f"{address}[0]@2 with key b'LGA' and headers trace=b'7f', empty=None: ",
        f"{address}[0]@3 with key b'JFK': at: ",
    ]
    assert [letter.detail.startswith(begin) for letter, begin in zip(letters, begins, strict=True)] == [True] * 4


def test_record_of_ten_megabytes_is_an_event_like_any_other(topics: Topics, topic: str) -> None:
    large = json.dumps({"id": "large", "at": START_US, "delay": 1.0, "note": "x" * 10_000_000}).encode()
    topics.write(topic, [event(0), large, large[:-1], event(1)])
    delays, letters = decoded(topics.address(topic), 4, "json")
    assert delays == {"e0": 0.0, "large": 1.0, "e1": 1.0}
    assert [letter.payload for letter in letters] == [large[:-1]]
