"""Whom a record is about of which another value did not fit: as the same record says it once it is mended."""

import base64
import io
import json
from dataclasses import replace
from typing import Any

import fastavro
import pytest

from schemas.formats.csv_rows import CsvTable, schema_of
from schemas.job import EventsSpec
from transforms.decoding.letter_subjects import subject_within

SPEC = EventsSpec("", "json", "id", "at", "who", 0, (), (0, 0), "us")
TABLE = CsvTable(("id", "who", "delay"), ";", nulls=("-",))
WITHOUT_QUOTES = TABLE._replace(quote="", encoding="latin-1")


@pytest.mark.parametrize(
    ("payload", "table", "whom"),
    [
        (b"a;N14228;slow", TABLE, "N14228"),
        (b'a;"Ann; of ""York""\nand Kent";slow', TABLE, 'Ann; of "York"\nand Kent'),
        (b'a;"Ann";slow', WITHOUT_QUOTES, '"Ann"'),
        ("a;Jos\xe9;slow".encode("latin-1"), WITHOUT_QUOTES, "Jos\xe9"),
        (b"a;007;slow", TABLE, "007"),
        (b"a;-;slow", TABLE, None),
        (b"a;;slow", TABLE, None),
        (b"a;N14228", TABLE, None),
        (b"a;N14228;slow;x", TABLE, None),
        (b'a;"N14228;slow', TABLE, None),
        (b"a;\xff;slow", TABLE, None),
    ],
)
def test_of_a_csv_record(payload: bytes, table: CsvTable, whom: str | None) -> None:
    assert subject_within(payload, replace(SPEC, format="csv"), schema_of(table)) == whom


def test_of_other_formats() -> None:
    assert subject_within(json.dumps({"who": 7, "delay": "slow"}).encode(), SPEC) == "7"
    assert subject_within(b"a;N14228;slow", replace(SPEC, format="csv"), "{") is None
    assert subject_within(_example(), replace(SPEC, format="tfexample")) == "N14228"
    assert subject_within(b"\x07\x07", replace(SPEC, format="tfexample")) is None
    assert subject_within(b"x", replace(SPEC, format="avro")) is None


def _example() -> bytes:
    """One whose `delay` has several values."""
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    example.features.feature["who"].bytes_list.value.append(b"N14228")
    example.features.feature["delay"].float_list.value.extend([1.0, 2.0])
    return bytes(example.SerializeToString())


ROW = {"who": "N14228", "delay": "slow"}
DEBEZIUM = {"before": {"who": "OTHER"}, "after": ROW, "op": "c", "source": {"who": "OTHER"}}
CLOUD = {"specversion": "1.0", "id": "1", "who": "OTHER", "data": ROW}


@pytest.mark.parametrize(
    ("envelope", "record", "whom"),
    [
        ("debezium", DEBEZIUM, "N14228"),
        ("debezium", {"schema": {"who": "OTHER"}, "payload": DEBEZIUM}, "N14228"),
        ("debezium", {**DEBEZIUM, "op": "x"}, "N14228"),
        ("debezium", {**DEBEZIUM, "after": None}, None),
        ("cloudevents", CLOUD, "N14228"),
        ("cloudevents", {**CLOUD, "data": base64.b64encode(json.dumps(ROW).encode()).decode()}, "OTHER"),
        ("cloudevents", {"id": "1", "data_base64": base64.b64encode(json.dumps(ROW).encode()).decode()}, "N14228"),
        ("cloudevents", {**CLOUD, "data": None, "data_base64": "!"}, None),
        ("cloudevents", ROW, "N14228"),
        ("cloudevents", [CLOUD], None),
    ],
)
def test_of_a_json_record_in_an_envelope(envelope: str, record: Any, whom: str | None) -> None:
    assert subject_within(json.dumps(record).encode(), replace(SPEC, envelope=envelope)) == whom
    nested = replace(SPEC, envelope=envelope, subject="person.who")
    assert subject_within(json.dumps({"op": "c", "after": {"person": ROW}}).encode(), nested) == (
        "N14228" if envelope == "debezium" else None
    )


def test_of_an_avro_record_in_an_envelope_that_is_wrong() -> None:
    row = {"type": "record", "name": "Row", "fields": [{"name": "who", "type": ["null", "string"]}]}
    fields = [{"name": "op", "type": "string"}, {"name": "after", "type": ["null", row]}]
    schema: dict[str, Any] = {"type": "record", "name": "Change", "fields": fields}
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), {"op": "x", "after": {"who": "N14228"}})
    spec = replace(SPEC, format="avro", envelope="debezium")
    assert subject_within(stream.getvalue(), spec, json.dumps(schema)) == "N14228"
    assert subject_within(stream.getvalue()[:-3], spec, json.dumps(schema)) is None
