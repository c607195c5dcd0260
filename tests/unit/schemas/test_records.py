"""The Avro schemas are the truth: fields by DESIGN's lists, typed records by the schemas, old versions readable."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_many

from schemas.batches import TIME_TYPE
from schemas.records import RECORDS, DeadLetter, ModelEvent, arrow_schema, avsc, record_batch

SCORE = [
    "score_id",
    "event_id",
    "event_time",
    "subject",
    "model",
    "version",
    "release",
    "role",
    "score",
    "decision",
    "late",
    "reasons",
    "scored_at",
]
FIELDS = {
    "Score": SCORE,
    "Receipt": [*SCORE, "digest", "features", "latency_us", "worker"],
    "ModelEvent": ["at", "kind", "model", "version", "digest", "release", "actor", "reason", "evidence"],
    "DriftStatistic": [
        "window_start",
        "window_end",
        "pane",
        "model",
        "version",
        "role",
        "segment",
        "column",
        "statistic",
        "value",
        "threshold",
        "noise_floor",
        "n",
        "reference_n",
        "drifted",
    ],
    "DeadLetter": ["stage", "error", "detail", "payload", "event_id", "event_time", "at"],
}
NULLABLE = {"subject", "decision", "version", "digest", "release", "segment", "event_id", "event_time"}
TIMES = {"event_time", "scored_at", "at", "window_start", "window_end"}
HISTORY = Path(__file__).resolve().parents[3] / "schemas" / "history"


@pytest.mark.parametrize("record", sorted(FIELDS))
def test_schema_has_the_fields_of_the_design_in_their_order(record: str) -> None:
    assert [field["name"] for field in json.loads(avsc(record))["fields"]] == FIELDS[record]
    assert arrow_schema(record).names == FIELDS[record]


@pytest.mark.parametrize("record", sorted(FIELDS))
def test_times_are_microseconds_in_utc_and_only_optional_fields_are_nullable(record: str) -> None:
    schema = arrow_schema(record)
    assert {field.name for field in schema if field.type == TIME_TYPE} == TIMES & set(FIELDS[record])
    required = {"ModelEvent": set(), "DeadLetter": set(), "DriftStatistic": {"version"}}.get(
        record, {"event_id", "event_time", "version", "digest", "release"}
    )
    assert {field.name for field in schema if field.nullable} == (NULLABLE - required) & set(FIELDS[record])


@pytest.mark.parametrize(("record", "typed"), [("DeadLetter", DeadLetter), ("ModelEvent", ModelEvent)])
def test_typed_record_has_the_fields_of_its_schema(record: str, typed: Any) -> None:
    assert [name.removesuffix("_us") for name in typed._fields] == FIELDS[record]


def test_typed_records_become_a_batch_of_their_schema() -> None:
    letters = [DeadLetter("decode", "X", "why", b"\xff", None, None, 5), DeadLetter("score", "Y", "", b"", "a", 1, 6)]
    batch = record_batch("DeadLetter", letters)
    assert batch.schema == arrow_schema("DeadLetter")
    assert batch.column("payload").to_pylist() == [b"\xff", b""]
    assert record_batch("DeadLetter", []).num_rows == 0


def histories() -> list[tuple[str, str]]:
    return sorted((path.parent.name, path.name) for path in HISTORY.rglob("*.avsc"))


@pytest.mark.parametrize(("record", "version"), histories())
def test_old_version_is_readable_as_the_current_one(record: str, version: str) -> None:
    old = fastavro.parse_schema(json.loads((HISTORY / record / version).read_text("utf-8")))
    stream = io.BytesIO()
    fastavro.writer(stream, old, list(generate_many(old, 20)))
    stream.seek(0)
    rows: list[Any] = list(fastavro.reader(stream, json.loads(avsc(record))))
    assert len(rows) == 20
    assert list(rows[0]) == [field["name"] for field in json.loads(avsc(record))["fields"]]


def test_current_version_is_the_last_of_its_history() -> None:
    """Whoever changes a schema adds the new one to the history, where it stays readable from then on."""
    for record in RECORDS:
        last = max((HISTORY / record).iterdir(), key=lambda path: int(path.stem))
        assert json.loads(last.read_text("utf-8")) == json.loads(avsc(record)), record
