"""What a poll becomes: blocks with their records apart, event times for the watermark, letters for empty values."""

import json

import fastavro
import pytest

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.blocks import blocks_of
from pipeline.endpoints.kafka.readers import Record
from schemas.job import EventsSpec
from schemas.times import parse_time_us
from transforms.decoding.decode_raw import decode_raw

AT = parse_time_us("2013-01-01T12:00:00Z")
ADDRESS = KafkaAddress("broker:9092", "flights")


def spec(format_name: str = "json") -> EventsSpec:
    columns = (("delay", "number"),)
    return EventsSpec("", format_name, "id", "at", None, 0, columns, (0, 2 * AT), "us")  # type: ignore[arg-type]  # a test's format


def record(offset: int, value: object, partition: int = 0) -> Record:
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record(partition, offset, b"key", raw)


def event(minute: int) -> dict[str, object]:
    return {"id": f"e{minute}", "at": f"2013-01-01T11:{minute:02}:00Z", "delay": 1.5}


def test_each_partition_has_a_block_and_its_greatest_event_time() -> None:
    polled = blocks_of([record(4, event(7)), record(9, event(3), 1), record(5, event(5))], ADDRESS, spec(), AT)
    assert [block.source for block in polled.blocks] == [
        "kafka://broker:9092/flights[0]@4",
        "kafka://broker:9092/flights[1]@9",
    ]
    assert polled.earliest_us == parse_time_us("2013-01-01T11:03:00Z")
    assert polled.greatest_us == {0: parse_time_us("2013-01-01T11:07:00Z"), 1: parse_time_us("2013-01-01T11:03:00Z")}
    for block in polled.blocks:  # decoded already, to the same rows as from its bytes
        assert block.decoded == decode_raw(block._replace(decoded=None), spec(), AT)


def test_object_over_several_lines_is_one_event() -> None:
    pretty = json.dumps(event(1), indent=2).encode()
    polled = blocks_of([record(0, pretty), record(1, b"  "), record(2, event(2))], ADDRESS, spec(), AT)
    events, letters, *_ = decode_raw(polled.blocks[0], spec(), AT)
    assert events is not None
    assert events.column("__event_id").to_pylist() == ["e1", "e2"]
    assert [(letter.error, letter.payload) for letter in letters] == [("MalformedJson", b"  ")]


@pytest.mark.parametrize(("value", "said"), [(None, "a tombstone"), (b"", "an empty value")])
def test_record_without_a_value_becomes_a_dead_letter_that_names_its_key(value: bytes | None, said: str) -> None:
    polled = blocks_of([record(3, value), record(4, event(1))], ADDRESS, spec(), AT)
    letters = [letter for block in polled.blocks for letter in decode_raw(block, spec(), AT)[1]]
    assert [(letter.error, letter.payload) for letter in letters] == [("UnreadableInput", b"")]
    assert f"[0]@3 with key b'key': {said}" in letters[0].detail


def test_time_far_ahead_of_the_clock_is_counted_and_does_not_advance_the_watermark() -> None:
    ahead = {"id": "x", "at": "2013-01-01T12:01:01Z"}
    polled = blocks_of([record(0, ahead), record(1, event(30))], ADDRESS, spec(), AT)
    assert polled.in_future == 1
    assert polled.greatest_us == {0: parse_time_us("2013-01-01T11:30:00Z")}


def test_event_with_a_wrong_column_advances_the_watermark_and_one_out_of_range_does_not() -> None:
    wrong, absurd = {**event(9), "delay": "much"}, {**event(3), "at": "1066-10-14T00:00:00Z"}
    polled = blocks_of([record(0, wrong), record(1, absurd), record(2, wrong, 1)], ADDRESS, spec(), AT)
    reached = parse_time_us("2013-01-01T11:09:00Z")
    assert (polled.greatest_us, polled.earliest_us) == ({0: reached, 1: reached}, reached)
    letters = [letter.error for block in polled.blocks for letter in decode_raw(block, spec(), AT)[1]]
    assert letters == ["WrongType", "TimeOutOfRange", "WrongType"]


def test_damaged_avro_datum_costs_only_itself() -> None:
    fields = [{"name": "id", "type": "string"}, {"name": "at", "type": "long"}, {"name": "delay", "type": "double"}]
    schema: dict[str, object] = {"type": "record", "name": "E", "fields": fields}
    address = KafkaAddress("broker:9092", "flights", schema=json.dumps(schema))
    records = [record(n, datum(schema, n)) for n in range(3)]
    records[1] = record(1, b"\x0a")
    polled = blocks_of(records, address, spec("avro"), AT)
    events, letters, *_ = decode_raw(polled.blocks[0], spec("avro"), AT)
    assert events is not None
    assert events.column("__event_id").to_pylist() == ["e0", "e2"]
    assert [(letter.error, letter.payload) for letter in letters] == [("MalformedAvro", b"\x0a")]


def datum(schema: dict[str, object], number: int) -> bytes:
    import io

    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, {"id": f"e{number}", "at": AT + number, "delay": 1.0})
    return stream.getvalue()
