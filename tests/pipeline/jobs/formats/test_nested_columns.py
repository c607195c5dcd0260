"""Columns within others (`user.address.zip`): one rule and equal scores in JSON, Avro, Parquet and Arrow."""

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.endpoints.files.source import form_of, read_file
from schemas.job import EventsSpec
from tests.pipeline.jobs.flows import START_US, Flow, container, json_lines, read_avro, trips
from transforms.decoding.decode_raw import decode_raw

MINUTE_US = 60_000_000
ADDRESS = {
    "type": "record",
    "name": "Address",
    "fields": [{"name": "zip", "type": ["null", "string"], "default": None}],
}
USER = {
    "type": "record",
    "name": "User",
    "fields": [
        {"name": "age", "type": ["null", "long", "double"], "default": None},
        {"name": "address", "type": ["null", ADDRESS], "default": None},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    ],
}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "meta", "type": {"type": "record", "name": "Meta", "fields": [
            {"name": "id", "type": "string"}, {"name": "at", "type": "long"}]}},
        {"name": "user", "type": ["null", USER], "default": None},
    ],
}  # fmt: skip
# `fixed` is what the native decoder cannot read: then each record is read value by value.
SLOW = {**SCHEMA, "fields": [{"name": "raw", "type": {"type": "fixed", "name": "Raw", "size": 2}}, *SCHEMA["fields"]]}
USERS: list[Any] = [
    {"age": 7, "address": {"zip": "1000"}},
    {"age": None, "address": {"zip": None}},
    {"age": 9, "address": None},
    None,
]
RECORDS = [
    {"meta": {"id": f"t{number}", "at": START_US + number * MINUTE_US}, "user": user}
    for number, user in enumerate(USERS)
]
EXPECTED = {"t0": (7.0, "1000"), "t1": (None, None), "t2": (9.0, None), "t3": (None, None)}
COLUMNS = (("user.age", "number"), ("user.address.zip", "string"))


def parquet(records: list[Any]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), stream)
    return stream.getvalue()


def arrow(records: list[Any]) -> bytes:
    stream, table = io.BytesIO(), pa.Table.from_pylist(records)
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def avro(records: list[Any], schema: Any = SCHEMA, codec: str = "deflate") -> bytes:
    more = {"raw": b"ab"} if schema is SLOW else {}
    users = [None if each["user"] is None else {"tags": [], **each["user"]} for each in records]
    whole = [{**more, **each, "user": user} for each, user in zip(records, users, strict=True)]
    return container(whole, schema, codec)


WRITERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "json": ("json", lambda: json_lines(RECORDS)),
    "pretty json": ("json", lambda: json.dumps(RECORDS, indent=2).encode()),
    "avro": ("avro", lambda: avro(RECORDS)),
    "avro by value": ("avro", lambda: avro(RECORDS, SLOW)),
    "parquet": ("parquet", lambda: parquet(RECORDS)),
    "arrow": ("arrow", lambda: arrow(RECORDS)),
}


def decoded(flow: Flow, content: bytes, format_name: str, columns: Any = COLUMNS) -> tuple[dict[str, Any], list[Any]]:
    """The columns of the events of a file by their id, and the letters; decoded in this process."""
    flow.feed(content)
    spec = EventsSpec("", format_name, "meta.id", "meta.at", None, 0, columns, (0, 2**52), "us")  # type: ignore[arg-type]  # one of them
    events, letters = dict[str, Any](), list[Any]()
    for block in read_file(str(flow.root / "in.0"), format_name, form_of(spec)):
        found = decode_raw(block, spec, 0)
        letters += found.letters
        for row in [] if found.events is None else found.events.to_pylist():
            events[row["__event_id"]] = tuple(row[name] for name, _ in columns)
    return events, letters


@pytest.mark.parametrize(("format_name", "write"), WRITERS.values(), ids=WRITERS)
def test_path_leads_to_a_value_within_others(flow: Flow, format_name: str, write: Callable[[], bytes]) -> None:
    assert decoded(flow, write(), format_name) == (EXPECTED, [])


def test_nested_columns_give_the_scores_of_plain_ones_in_every_format(flow: Flow) -> None:
    rows = trips(6)
    nested = [{"trip": {"key": {"id": each["id"]}, **each}} for each in rows]
    fields = [{"name": "id", "type": "string"}, {"name": "at", "type": "long"}, {"name": "delay", "type": "double"},
              {"name": "distance", "type": "long"}, {"name": "carrier", "type": "string"}]  # fmt: skip
    key = {"type": "record", "name": "Key", "fields": fields[:1]}
    trip = {"type": "record", "name": "Trip", "fields": [{"name": "key", "type": key}, *fields]}
    schema = {"type": "record", "name": "Nested", "fields": [{"name": "trip", "type": trip}]}
    flow.feed(json_lines(rows))
    assert flow.run(flow.spec()).code == 0
    expected = {(each["event_id"], each["score"]) for each in read_avro(flow.root / "scores")}
    path = {name: f"trip.{name}" for name in ("at", "delay", "distance", "carrier")}
    spec = flow.spec(event_id="trip.key.id", event_time=path["at"])
    del spec["events"]["format"]
    spec["features"] = [{"name": "n", "key": path["carrier"], "aggregate": "count", "size": "1h", "every": "5m"},
                        {"name": "delay", "key": "trip.key.id", "column": path["delay"], "aggregate": "last",
                         "size": "1h", "every": "5m"}, path["distance"]]  # fmt: skip
    found = {}
    for content in (json_lines(nested), container(nested, schema), parquet(nested), arrow(nested)):
        flow.feed(content)
        outcome = flow.run(spec, "--sinks", "replace")
        assert (outcome.code, outcome.summary["scored"]) == (0, len(rows)), outcome.err
        found[outcome.summary["job"]["events"]["format"]] = {
            each["score_id"] for each in read_avro(flow.root / "scores")
        }
    assert len(expected) == len(rows)
    assert set(found) == {"json", "avro", "parquet", "arrow"}
    assert len(set(map(frozenset, found.values()))) == 1


def test_key_with_that_name_comes_before_a_path(flow: Flow) -> None:
    meta = {"meta.id": "a", "meta": {"at": START_US, "id": "b"}}
    rows = [{**meta, "a.b": 1.0, "a": {"b": 2.0}}, {**meta, "meta.id": "c", "a.b": None, "a": {"b": 2.0}}]
    expected = {"a": (1.0,), "c": (None,)}
    columns = (("a.b", "number"),)
    assert decoded(flow, json_lines(rows), "json", columns) == (expected, [])
    assert decoded(flow, parquet(rows), "parquet", columns) == (expected, [])


ODD: dict[str, Any] = {
    "a text": "x",
    "a number": 1e300,
    "a list": [{"age": 1}],
    "null": None,
    "empty": {},
    "true": True,
}


@pytest.mark.parametrize("user", ODD.values(), ids=ODD)
def test_path_through_what_is_no_object_is_null(flow: Flow, user: Any) -> None:
    assert decoded(flow, json_lines([{**RECORDS[0], "user": user}]), "json") == ({"t0": (None, None)}, [])


def test_nested_value_of_another_type_is_a_letter_with_path_value_and_bytes(flow: Flow) -> None:
    lines = json_lines([{**RECORDS[0], "user": {"age": "old"}}, RECORDS[1], {"meta": 5}])
    events, letters = decoded(
        flow, lines + b'{"meta": {"id": "x"\n' + b'{"user": ' + b"[" * 600 + b"]" * 600 + b"}\n", "json"
    )
    assert list(events) == ["t1"]
    details = [letter.detail for letter in letters]
    assert 'user.age: "old" is not allowed; expected: a number or null' in details[0]
    assert letters[0].payload == lines.split(b"\n")[0]
    assert [letter.error for letter in letters] == ["WrongType", "MalformedJson", "MalformedJson", "MissingValue"]


def test_nested_text_that_is_no_utf8_costs_its_record(flow: Flow) -> None:
    whole = avro(RECORDS, SLOW, "null")
    events, letters = decoded(flow, whole.replace(b"1000", b"\xff\xfe\xff\xfe"), "avro")
    assert events == {name: values for name, values in EXPECTED.items() if name != "t0"}
    assert [letter.error for letter in letters] == ["MalformedAvro"]


@pytest.mark.parametrize("mode", ["sparse", "dense"])
def test_union_within_structs_that_are_null_is_read(flow: Flow, mode: str) -> None:
    codes, children = pa.array([0, 1, 0], pa.int8()), [pa.array([1, None, 3]), pa.array([None, 2.5, None])]
    offsets = pa.array([0, 1, 2], pa.int32())
    union = (pa.UnionArray.from_sparse(codes, children) if mode == "sparse"
             else pa.UnionArray.from_dense(codes, offsets, children))  # fmt: skip
    user = pa.StructArray.from_arrays([union], ["age"], mask=pa.array([False, False, True]))
    ids = pa.array([{"id": f"t{number}", "at": START_US} for number in range(3)])
    stream, batch = io.BytesIO(), pa.record_batch({"meta": ids, "user": user})
    with pa.ipc.new_file(stream, batch.schema) as writer:
        writer.write_batch(batch)
    events, letters = decoded(flow, stream.getvalue(), "arrow", COLUMNS[:1])
    if mode == "sparse":
        assert (events, letters) == ({"t0": (1.0,), "t1": (2.5,), "t2": (None,)}, [])
    else:
        assert {letter.error for letter in letters} == {"WrongType"}
