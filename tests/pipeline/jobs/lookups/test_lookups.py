"""Lookups in a whole job: what events get, what receipts say of it, and that training, run and replay agree."""

import json
import random
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.command_line.options import parse_run_options
from pipeline.commands.doctor import doctor
from pipeline.replaying.replay import replay
from pipeline.run import prepare
from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import (
    MANIFEST,
    SCHEMA,
    SECOND_US,
    START_US,
    Flow,
    Outcome,
    container,
    json_lines,
    read_avro,
    trips,
)
from tests.transforms.beam import streams

EVENTS = trips(12)
ROWS: list[dict[str, Any]] = [
    {"code": "A", "since": START_US, "year": 1990, "maker": "Airbus"},
    {"code": "A", "since": START_US + 240 * SECOND_US, "year": 2001, "maker": "Boeing"},
    {"code": "A", "since": START_US + 3_600 * SECOND_US, "year": 2020, "maker": None},
    {"code": "B", "since": START_US + 180 * SECOND_US, "year": None, "maker": "Cessna"},
    {"code": None, "since": START_US, "year": 1, "maker": "nobody's"},
]
COUNT = {"key": "plane.maker", "aggregate": "count", "size": "1h", "every": "1m"}
FEATURES: list[Any] = [
    "delay",
    "plane.year",
    "plane.maker",
    {"name": "age", "expression": "2013 - plane.year"},
    {"name": "n", **COUNT},
    {"name": "n_old", **COUNT, "where": "plane.year < 2000"},
]


def fed(flow: Flow, rows: list[dict[str, Any]] = ROWS, **lookup: Any) -> dict[str, Any]:
    """A spec whose events are joined to these rows."""
    (flow.root / "planes.json").write_bytes(json_lines(rows))
    flow.feed(json_lines(EVENTS))
    table = {"uri": str(flow.root / "planes.json"), "key": "code", "valid_from": "since"}
    one = {"name": "plane", "table": table, "on": "carrier", "columns": ["year", "maker"], **lookup}
    return flow.spec() | {"features": FEATURES, "lookups": [one]}


def serve(flow: Flow, *inputs: str) -> None:
    """Version v2, which reads these numbers, answers from now on."""
    linear = {**MANIFEST["linear"], "coefficients": dict.fromkeys(inputs, 0.01)}
    entries = [{"name": name, "type": "number", "nullable": True, "default": 0.0} for name in inputs]
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": "v2", "inputs": entries, "linear": linear})
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")


def row_at(code: str, at: int) -> dict[str, Any]:
    held = [row for row in ROWS if row["code"] == code and row["since"] <= at]
    return max(held, key=lambda row: row["since"]) if held else {"year": None, "maker": None}


def training(flow: Flow, spec: Any) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    outcome = flow.run(spec, "--out", str(flow.root / "set"), "--json", "--sinks", "replace", verb=write_features)
    assert outcome.code == 0, outcome.err
    return {row["event_id"]: row for row in pq.read_table(flow.root / "set").to_pylist()}, json.loads(outcome.out)


def receipts(flow: Flow, spec: Any) -> tuple[dict[str, dict[str, Any]], Outcome]:
    outcome = flow.run(spec)
    assert outcome.code == 0, outcome.err
    of_all_runs = read_avro(flow.root / "audit" / "receipts")
    return {one["event_id"]: one for one in of_all_runs if one["run"] == outcome.summary["run"]}, outcome


def test_features_are_those_of_the_row_that_held_at_the_event(flow: Flow) -> None:
    rows, counts = training(flow, fed(flow))
    makers = [row_at(event["carrier"], event["at"])["maker"] for event in EVENTS]
    for number, event in enumerate(EVENTS):
        row, held = rows[event["id"]], row_at(event["carrier"], event["at"])
        assert (row["plane.year"], row["plane.maker"]) == (held["year"], held["maker"])
        assert row["age"] == (None if held["year"] is None else 2013 - held["year"])
        own = [makers[index] == makers[number] is not None for index in range(number)]
        assert (row["n"], row["n_old"]) == (sum(own), sum(own) * (makers[number] == "Airbus"))
    assert {row["plane.maker"] for row in rows.values()} == {"Airbus", "Boeing", "Cessna", None}
    assert (counts["rows"], counts["without_row"]) == (12, {"plane": 1})


def test_receipts_name_the_table_and_a_replay_and_another_order_of_its_rows_give_the_same_scores(flow: Flow) -> None:
    spec = fed(flow)
    rows, _ = training(flow, spec)
    serve(flow, "plane.year", "n_old")
    found, outcome = receipts(flow, spec)
    for event_id, receipt in found.items():
        read = {name: rows[event_id][name] for name in ("plane.year", "n_old")}
        assert {name: value or 0 for name, value in receipt["features"].items()} == {n: v or 0 for n, v in read.items()}
    [version] = {receipt["lookups"]["plane"] for receipt in found.values()}
    assert (len(found), len(version), outcome.summary["without_row"]) == (12, 16, {"plane": 1})
    assert "without a row of lookup plane" in outcome.out
    assert "lookup plane: rows without a key are left out of the table: 1" in outcome.err
    replayed = flow.run(spec, "--version", "v2", "--out", str(flow.root / "replayed"), verb=replay)
    assert replayed.code == 0, replayed.err
    again = {one["event_id"]: one for one in read_avro(flow.root / "replayed" / "scores")}
    ids = {name: (one["score_id"], one["score"]) for name, one in found.items()}
    assert {name: (one["score_id"], one["score"]) for name, one in again.items()} == ids
    shuffled = random.Random(7).sample(ROWS, len(ROWS))
    other, _ = receipts(flow, fed(flow, shuffled))  # another file, so another version, with the same rows
    assert {name: one["features"] for name, one in other.items()} == {
        name: one["features"] for name, one in found.items()
    }
    assert {one["lookups"]["plane"] for one in other.values()} != {version}
    assert not {one["score_id"] for one in other.values()} & {one["score_id"] for one in found.values()}


def test_receipts_of_a_version_that_reads_no_table_name_none_and_keep_their_ids(flow: Flow) -> None:
    found, _ = receipts(flow, fed(flow))
    other, _ = receipts(flow, fed(flow, ROWS[:2]))
    assert {one["lookups"] for one in found.values()} == {None}
    assert {one["score_id"] for one in other.values()} == {one["score_id"] for one in found.values()}


def test_events_without_a_row_that_must_have_one_are_dead_letters_of_features(flow: Flow) -> None:
    spec = fed(flow, missing="refuse")
    found, outcome = receipts(flow, spec)
    letters = flow.letters()
    assert (outcome.summary["scored"], outcome.summary["dead_letters"]["features"]) == (11, 1)
    assert [(one["event_id"], one["stage"], one["error"]) for one in letters] == [("t1", "features", "NoRow")]
    assert "has no row for carrier 'B' at 2013-01-01T00:01:00Z" in letters[0]["detail"]
    assert json.loads(letters[0]["payload"])["id"] == "t1"
    rows, counts = training(flow, spec)
    assert (sorted(rows), counts["rows"]) == (sorted(found), 11)


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_stated_types_are_read_and_recorded_with_the_start(flow: Flow, kind: str) -> None:
    spec = fed(flow, columns={"year": kind, "maker": "string"})
    outcome = flow.run(spec)
    [stated] = outcome.summary["job"]["lookups"]
    assert (stated["columns"], stated["table"]["format"]) == ({"year": kind, "maker": "string"}, "json")
    assert flow.run(outcome.summary["job"]).code == 0


def test_a_stream_with_late_events_gives_the_scores_of_a_bounded_run(flow: Flow) -> None:
    spec = fed(flow)
    spec["events"]["format"] = "avro"
    flow.feed(container(EVENTS))
    serve(flow, "plane.year")
    bounded, _ = receipts(flow, spec)
    job = prepare(parse_run_options(["--job", str(flow.write_spec(spec))], "a stream")).job
    last = EVENTS[-1]["at"]
    arriving = [EVENTS[6:], EVENTS[3:6], EVENTS[:3]]
    story = streams.story_of(flow.root, SCHEMA, arriving, [START_US, last, last + SECOND_US])

    def check(found: Iterable[pa.RecordBatch]) -> None:
        rows = [row for batch in found for row in batch.to_pylist()]
        assert {row["event_id"] for row in rows if row["late"]} == {event["id"] for event in EVENTS[:6]}
        told = {row["event_id"]: (row["score_id"], row["score"], dict(row["lookups"])) for row in rows}
        assert told == {name: (one["score_id"], one["score"], one["lookups"]) for name, one in bounded.items()}

    streams.play(job, story, lambda found: None, streams.none, check)


@pytest.mark.parametrize(("code", "verdict"), [("A", "ok"), ("a", "warn")])
def test_the_doctor_says_how_many_events_of_its_sample_have_a_row(flow: Flow, code: str, verdict: str) -> None:
    spec = fed(flow, [{**ROWS[0], "code": code}])
    examined = flow.run(spec, "--runner", "direct", "--json", verb=doctor)
    [found] = [one for one in json.loads(examined.out)["checks"] if one["check"] == "lookups plane"]
    assert found["verdict"] == verdict
    having = 6 if code == "A" else 0
    assert f"1 rows of 1 keys, 0.0 MiB in each process; {having} of 12 events of a sample" in found["found"]


def test_the_doctor_fails_for_a_table_that_a_run_would_refuse(flow: Flow) -> None:
    spec = fed(flow, [ROWS[0], ROWS[0]])
    examined = flow.run(spec, "--runner", "direct", "--json", verb=doctor)
    [found] = [one for one in json.loads(examined.out)["checks"] if one["check"] == "lookups"]
    assert (examined.code, found["verdict"], "the key 'A' has several rows" in found["found"]) == (1, "fail", True)
    ran = flow.run(spec)
    assert (ran.code, ran.err.count("the key 'A' has several rows from 2013-01-01T00:00:00Z on")) == (1, 1)


def test_an_empty_input_needs_no_kind_of_its_key(flow: Flow) -> None:
    spec = fed(flow)
    (flow.root / "planes.csv").write_text("code,year,maker\nA,1990,Airbus\n")
    spec["lookups"][0]["table"] = {"uri": str(flow.root / "planes.csv"), "key": "code"}
    flow.feed(b"")
    outcome = flow.run(spec)
    assert (outcome.code, outcome.summary["records_read"]) == (0, 0), outcome.err
