"""The Avro schemas have the fields that the design lists, typed records match them, and old records stay readable."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_many

from schemas.batches import TIME_TYPE
from schemas.records import MODEL_EVENT_KINDS, RECORDS, DeadLetter, ModelEvent, arrow_schema, avsc, record_batch

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
LATER_IN_RECEIPTS = ["job", "run", "definitions", "release_digest", "lookups", "base_value", "key_id"]
LATER_IN_DRIFT = ["run", "reference", "n_effective", "p_value", "effect", "importance"]
LATER_OF_QUALITY = ["label_coverage", "at_training", "against", "variance", "n_effective", "run", "why"]
LATER_OF_QUALITY += ["began", "before", "n_since"]
FIELDS = {
    "Score": SCORE,
    "Receipt": [*SCORE, "digest", "features", "latency_us", "worker", *LATER_IN_RECEIPTS],
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
        *LATER_IN_DRIFT,
    ],
    "Quality": [
        "window_start",
        "window_end",
        "pane",
        "model",
        "version",
        "role",
        "segment",
        "metric",
        "value",
        "low",
        "high",
        "n",
        "events",
        *LATER_OF_QUALITY,
    ],
    "DeadLetter": ["stage", "error", "detail", "payload", "event_id", "event_time", "at", "schema", "key_id"],
}
NULLABLE = {"subject", "decision", "version", "digest", "release", "segment", "event_id", "event_time"}
NULLABLE |= {*LATER_IN_RECEIPTS, *LATER_IN_DRIFT, *LATER_OF_QUALITY, "schema"}
TIMES = {"event_time", "scored_at", "at", "window_start", "window_end", "began"}
HISTORY = Path(__file__).resolve().parents[2] / "schemas" / "history"


@pytest.mark.parametrize("record", sorted(FIELDS))
def test_schema_has_the_fields_of_the_design_in_their_order(record: str) -> None:
    assert [field["name"] for field in json.loads(avsc(record))["fields"]] == FIELDS[record]
    assert arrow_schema(record).names == FIELDS[record]


@pytest.mark.parametrize("record", sorted(FIELDS))
def test_times_are_microseconds_in_utc_and_only_optional_fields_are_nullable(record: str) -> None:
    schema = arrow_schema(record)
    assert {field.name for field in schema if field.type == TIME_TYPE} == TIMES & set(FIELDS[record])
    of_record = {
        "ModelEvent": set(),
        "DeadLetter": set(),
        "DriftStatistic": {"version"},
        "Quality": {"version", "segment"},
    }
    required = of_record.get(record, {"event_id", "event_time", "version", "digest", "release"})
    optional = NULLABLE | ({"value", "low", "high"} if record == "Quality" else set())
    assert {field.name for field in schema if field.nullable} == (optional - required) & set(FIELDS[record])


@pytest.mark.parametrize(("record", "typed"), [("DeadLetter", DeadLetter), ("ModelEvent", ModelEvent)])
def test_typed_record_has_the_fields_of_its_schema(record: str, typed: Any) -> None:
    assert [name.removesuffix("_us") for name in typed._fields] == FIELDS[record]


def test_typed_records_become_a_batch_of_their_schema() -> None:
    letters = [DeadLetter("decode", "X", "why", b"\xff", None, None, 5), DeadLetter("score", "Y", "", b"", "a", 1, 6)]
    batch = record_batch("DeadLetter", letters)
    assert batch.schema == arrow_schema("DeadLetter")
    assert batch.column("payload").to_pylist() == [b"\xff", b""]
    assert record_batch("DeadLetter", []).num_rows == 0


def test_features_are_null_long_double_text_or_bytes_and_a_reason_has_a_code() -> None:
    fields = {field["name"]: field["type"] for field in json.loads(avsc("Receipt"))["fields"]}
    assert fields["features"] == {"type": "map", "values": ["null", "long", "double", "string", "bytes"]}
    assert fields["lookups"] == ["null", {"type": "map", "values": "string"}]
    for record in ("Score", "Receipt"):
        reasons = arrow_schema(record).field("reasons").type.value_type
        assert [(field.name, field.nullable) for field in reasons][2] == ("code", True)


def test_every_kind_of_model_event_is_in_the_words_of_its_schema() -> None:
    words = next(field["doc"] for field in json.loads(avsc("ModelEvent"))["fields"] if field["name"] == "kind")
    assert set(words.removesuffix(".").replace(" or ", ", ").split(", ")) == set(MODEL_EVENT_KINDS)
    assert {"run_started", "erased", "expired", "held", "gate", "retraining_advised"} <= set(MODEL_EVENT_KINDS)


def histories() -> list[tuple[str, str]]:
    return sorted((path.parent.name, path.name) for path in HISTORY.rglob("*.avsc"))


def without_bytes(row: Any) -> Any:
    """The row without features that are bytes: fastavro takes them for text where a union has both."""
    kept = {name: value for name, value in row.get("features", {}).items() if not isinstance(value, bytes)}
    return row | ({"features": kept} if "features" in row else {})


@pytest.mark.parametrize(("record", "version"), histories())
def test_old_version_is_readable_as_the_current_one(record: str, version: str) -> None:
    old = fastavro.parse_schema(json.loads((HISTORY / record / version).read_text("utf-8")))
    stream = io.BytesIO()
    fastavro.writer(stream, old, [without_bytes(row) for row in generate_many(old, 20)])
    stream.seek(0)
    rows: list[Any] = list(fastavro.reader(stream, json.loads(avsc(record))))
    assert len(rows) == 20
    assert list(rows[0]) == [field["name"] for field in json.loads(avsc(record))["fields"]]


def test_features_keep_their_type_when_read_by_the_current_schema() -> None:
    """A reader takes the first branch of a union that fits, and a long fits a double."""
    old, new = ({"name": "n", "type": "record", "fields": [field]} for field in (_features(1), _features(2)))
    read = []
    for schema, rows in ((old, {"x": 1.0, "t": "a", "z": None}), (new, {"n": 2**53 + 1, "x": 2.0})):
        stream = io.BytesIO()
        fastavro.writer(stream, fastavro.parse_schema(schema), [{"features": rows}])
        stream.seek(0)
        found: list[Any] = list(fastavro.reader(stream, new))
        read += [list(row["features"].values()) for row in found]
    assert [[repr(value) for value in row] for row in read] == [["1.0", "'a'", "None"], [str(2**53 + 1), "2.0"]]


def _features(version: int) -> Any:
    schema = json.loads((HISTORY / "Receipt" / f"{version}.avsc").read_text("utf-8"))
    return next(field for field in schema["fields"] if field["name"] == "features")


def test_current_version_is_the_last_of_its_history() -> None:
    """A changed schema must be added to the history, so that its records stay readable from then on."""
    for record in RECORDS:
        last = max((HISTORY / record).iterdir(), key=lambda path: int(path.stem))
        assert json.loads(last.read_text("utf-8")) == json.loads(avsc(record)), record
