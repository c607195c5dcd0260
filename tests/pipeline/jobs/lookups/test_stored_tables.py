"""A table in the store: each event is answered by the version in force at its time, then by the row of its key."""

import json
import random
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.store.store import ModelStore
from models.tables.table_store import TableStore
from pipeline.command_line.options import parse_run_options
from pipeline.commands.doctor import doctor
from pipeline.replaying.replay import replay
from pipeline.run import prepare
from pipeline.training_set import write_features
from pipeline.verbs import main
from schemas.score_ids import score_id
from schemas.times import format_time_us
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

EVENTS = trips(40)
CARRIERS = ("A", "B")


def halflife(flow: Flow, *words: object) -> tuple[int, Any, str]:
    """A verb of `halflife tables` on the flow's store: exit code, document and what it said."""
    flow.capsys.readouterr()
    try:
        code = main(["tables", *map(str, words), "--store", str(flow.root / "store"), "--json"])
    except SystemExit as usage:
        code = int(usage.code or 0)
    said = flow.capsys.readouterr()
    return code, json.loads(said.out) if said.out.startswith("{") else said.out, said.err


def put(flow: Flow, version: str, rows: list[dict[str, Any]], *words: str, name: str = "planes") -> None:
    path = flow.root / f"{version}.json"
    path.write_bytes(json_lines(rows))
    code, _, err = halflife(flow, "publish", path, "--name", name, "--version", version, "--key", "code", *words)
    assert code == 0, err


def release(flow: Flow, version: str, at: int, name: str = "planes") -> int:
    code, said, err = halflife(flow, "release", "--name", name, "--version", version, "--from", format_time_us(at))
    assert code == 0, err
    return int(said["release"])


def spec(flow: Flow, **lookup: Any) -> dict[str, Any]:
    flow.feed(json_lines(EVENTS))
    one = {"name": "plane", "table": {"store": "planes"}, "on": "carrier", "columns": ["year"], **lookup}
    window = {"key": "carrier", "column": "plane.year", "aggregate": "min", "size": "1h", "every": "1m"}
    recent = {"name": "oldest", **window}
    return flow.spec() | {"features": ["plane.year", recent], "lookups": [one]}


def serve(flow: Flow) -> None:
    linear = {**MANIFEST["linear"], "coefficients": {"plane.year": 0.001}}
    entry = {"name": "plane.year", "type": "number", "nullable": True, "default": 0.0}
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": "v2", "inputs": [entry], "linear": linear})
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")


def receipts(flow: Flow, job: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], Outcome]:
    outcome = flow.run(job)
    assert outcome.code == 0, outcome.err
    found = read_avro(flow.root / "audit" / "receipts")
    return {one["event_id"]: one for one in found if one["run"] == outcome.summary["run"]}, outcome


Rows = dict[str, list[dict[str, Any]]]


def by_hand(tables: Rows, timeline: list[tuple[int, int, str]], event: dict[str, Any]) -> tuple[str | None, Any]:
    """The version in force at an event, and the year of its row then."""
    begun = [one for one in timeline if one[0] <= event["at"]]
    if not begun:
        return None, None
    version = max(begun)[2]
    held = [row for row in tables[version] if row["code"] == event["carrier"] and row["since"] <= event["at"]]
    return version, max(held, key=lambda row: row["since"])["year"] if held else None


@pytest.mark.parametrize("seed", range(2))
def test_random_tables_and_timelines_are_joined_as_by_hand_in_run_training_and_replay(flow: Flow, seed: int) -> None:
    dice = random.Random(seed)
    end = EVENTS[-1]["at"]
    serve(flow)
    tables: Rows = {}
    for number in range(4):
        pairs = {(dice.choice(CARRIERS), dice.randrange(START_US - SECOND_US, end)) for _ in range(6)}
        tables[f"w{number}"] = [{"code": code, "since": at, "year": dice.randrange(1950, 2013)} for code, at in pairs]
        put(flow, f"w{number}", tables[f"w{number}"], "--valid_from", "since")
    timeline = []
    for _ in range(6):  # in any order of time; of two from one time on the later one holds
        version, at = dice.choice(sorted(tables)), dice.choice([e["at"] + dice.choice([0, 1, -1]) for e in EVENTS])
        timeline.append((at, release(flow, version, at), version))
    job = spec(flow)
    flow.feed(json_lines(dice.sample(EVENTS, len(EVENTS))))
    found, _ = receipts(flow, job)
    for event in EVENTS:
        answered, year = by_hand(tables, timeline, event)
        told = found[event["id"]]
        assert (dict(told["lookups"] or {}).get("plane"), told["features"]["plane.year"] or None) == (answered, year)
        assert told["score_id"] == score_id(event["id"], told["digest"], "champion", told["definitions"])
    assert len({one["definitions"] for one in found.values()}) > 2
    outcome = flow.run(job, "--out", str(flow.root / "set"), verb=write_features)
    assert outcome.code == 0, outcome.err
    rows = {row["event_id"]: row for row in pq.read_table(flow.root / "set").to_pylist()}
    years = {name: by_hand(tables, timeline, event)[1] for name, event in ((e["id"], e) for e in EVENTS)}
    assert {name: row["plane.year"] for name, row in rows.items()} == years
    for index, event in enumerate(EVENTS):
        before = [years[one["id"]] for one in EVENTS[:index] if one["carrier"] == event["carrier"]]
        assert rows[event["id"]]["oldest"] == min((year for year in before if year is not None), default=None)
    replayed = flow.run(job, "--version", "v2", "--out", str(flow.root / "again"), verb=replay)
    assert replayed.code == 0, replayed.err
    again = {one["event_id"]: one["score_id"] for one in read_avro(flow.root / "again" / "scores")}
    assert again == {name: one["score_id"] for name, one in found.items()}


def test_a_stream_with_late_events_gives_the_scores_of_a_bounded_run(flow: Flow) -> None:
    serve(flow)
    for number, at in enumerate((START_US, EVENTS[15]["at"], EVENTS[30]["at"])):
        put(flow, f"w{number}", [{"code": code, "year": 1990 + number} for code in CARRIERS])
        release(flow, f"w{number}", at)
    job = spec(flow)
    job["events"]["format"] = "avro"
    flow.feed(container(EVENTS))
    bounded, _ = receipts(flow, job)
    last = EVENTS[-1]["at"]
    arriving = [EVENTS[20:], EVENTS[:20]]
    story = streams.story_of(flow.root, SCHEMA, arriving, [START_US, last])

    def check(found: Iterable[pa.RecordBatch]) -> None:
        told = {row["event_id"]: row for batch in found for row in batch.to_pylist()}
        assert sum(row["late"] for row in told.values()) == 20
        assert {name: (row["score_id"], row["score"], dict(row["lookups"])) for name, row in told.items()} == {
            name: (row["score_id"], row["score"], row["lookups"]) for name, row in bounded.items()
        }

    prepared = prepare(parse_run_options(["--job", str(flow.write_spec(job))], "a stream"))
    streams.play(prepared.job, story, lambda found: None, streams.none, check)


ROW = {"code": "A", "year": 1990}


def test_a_version_that_fails_its_checks_is_refused_with_its_reason_and_the_former_one_goes_on(flow: Flow) -> None:
    serve(flow)
    put(flow, "good", [ROW, {"code": "B", "year": 1991}])
    put(flow, "other", [{**ROW, "seats": 9}], "--columns", "seats")
    put(flow, "altered", [{**ROW, "year": 1992}])
    (data,) = (flow.root / "store" / "tables" / "planes" / "versions" / "altered").glob("*.parquet")
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    release(flow, "good", START_US)
    release(flow, "other", EVENTS[10]["at"])
    release(flow, "altered", EVENTS[20]["at"])
    (flow.root / "store/tables/planes/releases/00000004.json").write_text("{}")
    found, outcome = receipts(flow, spec(flow))
    assert {dict(one["lookups"])["plane"] for one in found.values()} == {"good"}
    events = [one for one in read_avro(flow.root / "audit" / "models") if one["model"] == "tables/planes"]
    told = {(one["release"], one["version"], one["reason"]) for one in events if one["kind"] == "refused"}
    assert told == {(2, "other", "wrong_inputs"), (3, "altered", "wrong_digest"), (4, None, "invalid_release")}
    assert "lookup plane: release 2 of the table changes nothing: wrong_inputs" in outcome.err
    assert {("admitted", "good"), ("released", "good")} < {(one["kind"], one["version"]) for one in events}


def test_before_the_first_release_no_row_holds_and_more_rows_than_allowed_are_refused(flow: Flow) -> None:
    serve(flow)
    put(flow, "one", [ROW])
    put(flow, "two", [ROW, {"code": "B", "year": 1991}])
    release(flow, "one", EVENTS[10]["at"])
    release(flow, "two", EVENTS[20]["at"])
    outcome = flow.run(spec(flow, missing="refuse", max_rows=1))
    assert (outcome.code, outcome.summary["scored"]) == (0, 15), outcome.err  # of A alone, from t10 on
    assert "release 2 of the table changes nothing: too_large" in outcome.err
    details = {one["event_id"]: one["detail"] for one in flow.letters()}
    assert "no version of the table is in force at 2013-01-01T00:00:00Z" in details["t0"]
    assert "the table one has no row for carrier 'B'" in details["t21"]


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "no table": ({"table": {"store": "plains"}}, 1, "no table 'plains' in"),
    "no release": ({"table": {"store": "idle"}}, 1, "next: halflife tables release"),
    "both": ({"table": {"store": "planes", "key": "code"}}, 2, "lookups[0].table.key: 'code' is not allowed"),
    "neither": ({"table": {}}, 2, "lookups[0].table.uri: missing"),
    "a column": ({"columns": ["yeer"]}, 2, "lookups[0].columns[0]: 'yeer' is not allowed"),
    "a type": ({"columns": {"year": "string"}}, 2, "lookups[0].columns.year: 'string' is not allowed"),
    "two columns": ({"on": ["carrier", "id"]}, 1, "expected: 2, as many as `on` names"),
    "a name": ({"table": {"store": "../x"}}, 2, "lookups[0].table.store: '../x' is not allowed"),
}


def test_what_a_spec_may_not_say_of_a_table_in_the_store_is_told(flow: Flow) -> None:
    put(flow, "v", [ROW])
    put(flow, "v", [ROW], name="idle")
    release(flow, "v", START_US)
    for changes, code, said in WRONG.values():
        job = spec(flow, **changes)
        job["features"] = [f"plane.{name}" for name in job["lookups"][0]["columns"]]
        outcome = flow.run(job)
        assert (outcome.code, said in outcome.err) == (code, True), outcome.err
    examined = flow.run(spec(flow), "--runner", "direct", "--json", verb=doctor)
    [found] = [one for one in json.loads(examined.out)["checks"] if one["check"] == "lookups plane"]
    assert "1 releases in the store, the last of version v: 1 rows" in found["found"]


def test_verbs_publish_release_list_and_say_what_is_wrong(flow: Flow) -> None:
    (flow.root / "planes.csv").write_text("tail;since;year\n007;01.02.2013;1990\n;01.02.2013;1991\n")
    words = ("publish", flow.root / "planes.csv", "--name", "planes", "--key", "tail", "--valid_from", "since")
    code, made, err = halflife(flow, *words, "--time_format", "%d.%m.%Y", "--columns", "year=integer")
    assert (code, made["rows"], made["key"], made["columns"]) == (0, 1, ["tail"], {"year": "integer"}), err
    assert ("rows without a key are left out of the table: 1" in err, len(made["version"])) == (True, 16)
    assert halflife(flow, *words, "--time_format", "date")[0] == 1
    assert "is already published" in halflife(flow, *words, "--time_format", "%d.%m.%Y")[2]
    assert "FILE: " in halflife(flow, "publish", flow.root / "none.csv", "--name", "x", "--key", "a")[2]
    assert "halflife: --time_zone: 'Mars' is not allowed" in halflife(flow, *words, "--time_zone", "Mars")[2]
    assert "--columns: 'yeer' is not allowed" in halflife(flow, *words, "--columns", "yeer")[2]
    assert "does not exist; expected: one of" in halflife(flow, "release", "--name", "planes", "--version", "w")[2]
    first = release(flow, made["version"], START_US)
    assert halflife(flow, "list")[1]["tables"] == ["planes"]
    code, listed, _ = halflife(flow, "list", "--name", "planes")
    assert (listed["in_force"], [one["version"] for one in listed["versions"]]) == (first, [made["version"]])
    code, told, _ = halflife(flow, "timeline", "--name", "planes", "--at", "2012-12-31")
    assert (code, told["in_force"], [one["release"] for one in told["releases"]]) == (0, None, [1])
    assert main(["tables", "timeline", "--name", "planes", "--store", str(flow.root / "store")]) == 0
    assert "in force" in flow.capsys.readouterr().out
    unknown = halflife(flow, "timeline", "--name", "plans")[2]
    assert "there is no table 'plans'; expected: one of planes; did you mean planes?" in unknown


def test_no_model_is_named_tables_and_tables_are_no_model(flow: Flow) -> None:
    put(flow, "v", [ROW], name="releases")
    assert flow.store.models() == ["trips"]
    with pytest.raises(Exception, match="model 'tables' is not allowed; expected: another name"):
        ModelStore(str(flow.root / "store"), "tables")
    assert TableStore(str(flow.root / "store"), "releases").versions() == ["v"]
