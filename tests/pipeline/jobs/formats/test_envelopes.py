"""Records in the envelopes of Debezium and CloudEvents, in JSON and Avro; doubles of what a connector writes."""

import base64
import io
import json
from dataclasses import replace
from typing import Any

import fastavro
import pytest

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.blocks import blocks_of
from pipeline.endpoints.kafka.readers import Record
from schemas.job import EventsSpec
from tests.pipeline.jobs.flows import SCHEMA, Flow, Outcome, container, json_lines, read_avro, trip, trips
from transforms.decoding.decode_raw import decode_raw

ROWS = trips(6)
SOURCE = {"version": "2.7.0.Final", "connector": "postgresql", "name": "lake", "ts_ms": 1, "db": "x", "table": "trips"}
TRIP = {**SCHEMA, "name": "Value"}
NULLABLE: dict[str, Any] = {
    "type": "record",
    "name": "Envelope",
    "fields": [
        {"name": "before", "type": ["null", TRIP], "default": None},
        {"name": "after", "type": ["null", "Value"], "default": None},
        {
            "name": "source",
            "type": {"type": "record", "name": "Source", "fields": [{"name": "table", "type": "string"}]},
        },
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"], "default": None},
    ],
}
EVENT: dict[str, Any] = {
    "type": "record",
    "name": "CloudEvent",
    "fields": [
        *({"name": name, "type": "string"} for name in ("specversion", "id", "source", "type")),
        {"name": "data", "type": ["null", TRIP]},
    ],
}


def change(op: str, row: Any) -> dict[str, Any]:
    """A change as Debezium writes it; of deleted rows only the state before is there."""
    before, after = (row, None) if op == "d" else (None, row)
    return {"before": before, "after": after, "source": SOURCE, "op": op, "ts_ms": 1_700_000_000_000}


def changes() -> list[Any]:
    """Each trip once, by every operation that is an event, and records that are none."""
    events = [change("cru"[number % 3], row) for number, row in enumerate(ROWS)]
    others = [change("d", trip(90)), change("d", trip(91)), {**change("t", None)}, {"op": "m", "source": SOURCE}]
    return [*events[:3], *others, None, *events[3:]]


def wrapped(value: Any) -> Any:
    return None if value is None else {"schema": {"type": "struct", "fields": []}, "payload": value}


def cloud(number: int, row: Any, **changes: Any) -> dict[str, Any]:
    """A CloudEvent in structured mode."""
    own = {"specversion": "1.0", "id": f"ce-{number}", "source": "/trips", "type": "trip", "data": row}
    return {**own, "datacontenttype": "application/json", **changes}


def clouds() -> list[Any]:
    """Each trip in a CloudEvent, every other one in base64."""
    whole = [cloud(number, row) for number, row in enumerate(ROWS)]
    for event in whole[::2]:
        event["data_base64"] = base64.b64encode(json.dumps(event.pop("data")).encode()).decode()
    return whole


def avro_changes() -> bytes:
    rows = [each for each in changes() if each is not None]
    defaults = {"before": None, "after": None, "ts_ms": None}
    return container([{**defaults, **each} for each in rows], NULLABLE)


CONTENTS: dict[str, tuple[str, str, bytes, dict[str, int]]] = {
    "debezium": (
        "json", "debezium", json_lines(changes()), {"deletes": 2, "truncates": 1, "messages": 1, "tombstones": 1},
    ),
    "debezium with its schema": (
        "json", "debezium", json_lines(map(wrapped, changes())),
        {"deletes": 2, "truncates": 1, "messages": 1, "tombstones": 1},
    ),
    "debezium over lines": (
        "json", "debezium", json.dumps([each for each in changes() if each], indent=1).encode(),
        {"deletes": 2, "truncates": 1, "messages": 1},
    ),
    "debezium in Avro": ("avro", "debezium", avro_changes(), {"deletes": 2, "truncates": 1, "messages": 1}),
    "cloudevents": ("json", "cloudevents", json_lines(clouds()), {}),
    "cloudevents in Avro": ("avro", "cloudevents", container([cloud(n, row) for n, row in enumerate(ROWS)], EVENT), {}),
}  # fmt: skip


def run(flow: Flow, content: bytes, format_name: str, envelope: str | None, *arguments: str, **events: Any) -> Outcome:
    flow.feed(content)
    stated = {"envelope": envelope} if envelope else {}
    return flow.run(flow.spec(format_name, **stated, **events), "--sinks", "replace", *arguments)


@pytest.fixture
def expected(flow: Flow) -> set[Any]:
    """The ids and scores of the trips without an envelope."""
    assert run(flow, json_lines(ROWS), "json", None).code == 0
    return {(each["score_id"], each["score"]) for each in read_avro(flow.root / "scores")}


def test_records_in_envelopes_give_the_scores_of_bare_ones(flow: Flow, expected: set[Any]) -> None:
    assert len(expected) == len(ROWS)
    for name, (format_name, envelope, content, skipped) in CONTENTS.items():
        outcome = run(flow, content, format_name, envelope)
        assert outcome.code == 0, (name, outcome.err)
        scores = {(each["score_id"], each["score"]) for each in read_avro(flow.root / "scores")}
        assert (scores, outcome.summary["skipped"], flow.letters()) == (expected, skipped, []), name
        assert outcome.summary["records_read"] == len(ROWS) + sum(skipped.values())
    assert "skipped, deletes" in run(flow, CONTENTS["debezium"][2], "json", "debezium").out


def test_attributes_of_the_envelope_are_columns_where_the_record_has_none(flow: Flow) -> None:
    bare = [{name: value for name, value in row.items() if name not in ("id", "at")} for row in ROWS]
    events = [cloud(n, row, time="2013-01-01T00:00:00Z", nested={"x": n}) for n, row in enumerate(bare)]
    outcome = run(flow, json_lines(events), "json", "cloudevents", event_time="time", subject="source")
    assert {each["event_id"] for each in read_avro(flow.root / "scores")} == {f"ce-{n}" for n in range(len(ROWS))}
    assert outcome.summary["scored"] == len(ROWS)
    outcome = run(
        flow, json_lines(changes()), "json", "debezium", event_time="ts_ms", subject="source.table", time_unit="ms"
    )
    assert outcome.summary["scored"] == len(ROWS), outcome.err
    assert {each["subject"] for each in read_avro(flow.root / "scores")} == {"trips"}


BAD: dict[str, tuple[str, Any, str]] = {
    "no op": ("debezium", ROWS[0], "op: null is not allowed; allowed: c, r, u, d, t, m"),
    "another op": (
        "debezium",
        {**change("c", ROWS[0]), "op": "x"},
        'op: "x" is not allowed; allowed: c, r, u, d, t, m',
    ),
    "no row": ("debezium", change("u", None), "after: null is not allowed; expected: a JSON object"),
    "no event": ("cloudevents", ROWS[0], "specversion: null is not allowed; expected: a CloudEvent"),
    "a text": ("cloudevents", cloud(0, "x,y"), 'data: "x,y" is not allowed; expected: a JSON object'),
    "no base64": ("cloudevents", cloud(0, None, data_base64="?"), 'data_base64: "?" is not allowed; expected: a JSON'),
    "base64 of another thing": ("cloudevents", cloud(0, None, data_base64="/w=="), "expected: a JSON object in base64"),
}


@pytest.mark.parametrize(("envelope", "bad", "says"), BAD.values(), ids=BAD)
def test_record_in_no_such_envelope_is_a_letter_with_its_bytes(flow: Flow, envelope: str, bad: Any, says: str) -> None:
    good = change("c", ROWS[1]) if envelope == "debezium" else cloud(1, ROWS[1])
    columns = {"delay": "number", "distance": "number", "carrier": "string"}
    outcome = run(flow, json_lines([bad, good, 5]) + b"{broken\n", "json", envelope, columns=columns)
    assert outcome.summary["scored"] == 1
    letters = {each["payload"]: each for each in flow.letters()}
    letter = letters[json.dumps(bad).encode()]
    assert letter["error"] == "MalformedEnvelope"
    assert says in letter["detail"]
    assert {each["error"] for each in letters.values()} == {"MalformedEnvelope", "WrongType", "MalformedJson"}


def test_input_of_deletes_alone_is_no_failure(flow: Flow) -> None:
    columns = {"delay": "number", "distance": "number", "carrier": "string"}
    deletes = json_lines([change("d", row) for row in ROWS])
    outcome = run(flow, deletes, "json", "debezium", columns=columns)
    assert outcome.code == 0
    assert "note: no record is an event: 6 deletes" in outcome.err
    assert run(flow, deletes, "json", "debezium", "--require_input", columns=columns).code == 1


@pytest.mark.parametrize("format_name", ["csv", "tfexample"])
def test_envelope_of_another_format_is_refused(flow: Flow, format_name: str) -> None:
    outcome = run(flow, b"id,at\n" if format_name == "csv" else b"", format_name, "debezium")
    assert outcome.code == 2
    assert "events.envelope: 'debezium' is not allowed; expected: none: of events.format" in outcome.err


def spec(format_name: str, envelope: str, event_id: str = "id", event_time: str = "at") -> EventsSpec:
    columns = (("delay", "number"),)
    whole = EventsSpec("", "json", event_id, event_time, None, 0, columns, (0, 2**52), "us", envelope=envelope)
    return replace(whole, format=format_name)  # type: ignore[arg-type]  # one of them


def datum(row: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, TRIP, row)
    return stream.getvalue()


HEADERS = (("ce_specversion", b"1.0"), ("ce_key", b"e7"), ("ce_time", b"2013-01-01T00:00:00Z"), ("other", None))


@pytest.mark.parametrize("format_name", ["json", "avro"])
def test_cloudevent_in_headers_is_read(format_name: str) -> None:
    values = [datum(row) if format_name == "avro" else json.dumps(row).encode() for row in ROWS[1:3]]
    address = KafkaAddress("broker:9092", "t", schema=json.dumps(TRIP) if format_name == "avro" else "")
    bad = (("ce_specversion", b"1.0"), ("ce_key", b"\xff"))
    records = [Record(0, 3, None, values[0], HEADERS), Record(0, 4, None, values[1], bad)]
    said = spec(format_name, "cloudevents", event_id="key", event_time="time")
    decoded = [decode_raw(block, said, 0) for block in blocks_of(records, address, said, 2**52).blocks]
    events = [row for each in decoded if each.events is not None for row in each.events.to_pylist()]
    assert [(each["__event_id"], each["delay"]) for each in events] == [("e7", 0.5)]
    (letter,) = (letter for each in decoded for letter in each.letters)
    assert (letter.error, letter.payload) == ("MalformedEnvelope", values[1])
    assert (
        "t[0]@4 and headers ce_specversion=b'1.0', ce_key=b'\\xff': header ce_key: b'\\xff' is not allowed"
        in letter.detail
    )


def test_tombstone_of_a_topic_is_counted_and_skipped() -> None:
    said = spec("json", "debezium")
    records = [Record(0, 1, b"k", None), Record(0, 2, b"k", json.dumps(change("d", ROWS[0])).encode()),
               Record(0, 3, b"k", json.dumps(change("c", ROWS[0])).encode()), Record(0, 4, b"k", b"")]  # fmt: skip
    polled = blocks_of(records, KafkaAddress("broker:9092", "t"), said, 2**52)
    decoded = [decode_raw(block, said, 0) for block in polled.blocks]
    assert sorted(each for block in decoded for each in block.skipped) == [("deletes", 1), ("tombstones", 1)]
    assert [letter.error for block in decoded for letter in block.letters] == ["UnreadableInput"]
    assert sum(block.events.num_rows for block in decoded if block.events is not None) == 1
