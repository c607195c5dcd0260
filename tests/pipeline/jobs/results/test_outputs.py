"""What a run writes: sinks, summary, notes, and errors of one line when its surroundings fail."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.training_set import write_features
from runners import direct
from tests.pipeline.jobs.flows import (
    COLUMNS,
    MANIFEST,
    START_US,
    Flow,
    container,
    json_lines,
    read_avro,
    said_nothing_of_python,
    trip,
    trips,
)

SUMMARY = {
    "decoded",
    "scored",
    "receipts",
    "dead_letters",
    "late",
    "versions",
    "releases",
    "seconds",
    "events_per_second",
}
LABELS = {"uri": "labels", "format": "json", "event_id": "id", "event_time": "at", "column": "delay"}


def test_scores_are_the_same_whether_batches_stay_in_memory_or_are_encoded(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.feed(json_lines(trips(300)))
    found = []
    for kept in (True, False):
        if not kept:
            monkeypatch.setattr(direct, "is_one_process", lambda runner, options: False)
        out = str(flow.root / f"receipts-{kept}")
        spec = flow.spec()
        outcome = flow.run(spec | {"sinks": {"audit": out}})
        assert outcome.code == 0, outcome.err
        rows = read_avro(Path(out, "receipts"))
        found.append(sorted((row["score_id"], row["score"], str(row["features"])) for row in rows))
    assert len(found[0]) == 300
    assert found[0] == found[1]


@pytest.mark.parametrize(("windows", "shards"), [({}, 1), ({"windows": {"shards": 3}}, 3)])
def test_one_worker_has_one_shard_unless_the_spec_names_a_number(
    flow: Flow, windows: dict[str, object], shards: int
) -> None:
    flow.feed(json_lines(trips(20)))
    outcome = flow.run(flow.spec() | windows)
    assert outcome.code == 0, outcome.err
    assert (outcome.summary["job"]["windows"]["shards"], outcome.summary["scored"]) == (shards, 20)


def test_summary_has_what_is_promised_and_says_that_labels_are_missing(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.feed(json_lines(trips(4)))
    monkeypatch.chdir(flow.root)
    spec = flow.spec(uri="in*")
    spec |= {"labels": {**LABELS, "positive": "> 15", "horizon": "24h"}, "explain": {"top": 3, "when": "all"}}
    spec["sinks"] = {"scores": "scores", "quality": "quality", "format": "parquet"}
    outcome = flow.run(spec, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == outcome.summary
    assert set(outcome.summary) >= SUMMARY
    assert outcome.summary["versions"] == {"v1": {"champion": 4}}
    assert outcome.summary["releases"] == {"1": 4}
    job = outcome.summary["job"]
    uris = [job["events"]["uri"], job["sinks"]["scores"], job["labels"]["uri"]]
    assert uris == [f"file://{flow.root}/{name}" for name in ("in*", "scores", "labels")]
    [noted] = outcome.err.splitlines()
    assert noted.split()[1:3] == ["note:", "labels.uri:"]
    assert pq.read_table(flow.root / "scores").num_rows == 4
    assert [path.name for path in (flow.root / "scores").iterdir() if path.name.startswith(".")] == []


def test_stdout_is_json_lines_and_nothing_else(flow: Flow, root: Path) -> None:
    flow.feed(json_lines(trips(2)) + b'\xff{"\n')
    spec = flow.spec()
    spec["sinks"] = dict.fromkeys(("scores", "audit", "dead_letters"), "stdout:")
    command = [sys.executable, "-m", "pipeline", "--job", str(flow.write_spec(spec))]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    receipts = [row for row in rows if "features" in row]
    assert sorted(row["event_time"] for row in receipts) == ["2013-01-01T00:00:00Z", "2013-01-01T00:01:00Z"]
    assert {tuple(row["features"]) for row in receipts} == {("delay",)}
    assert [base64.b64decode(row["payload"]) for row in rows if "payload" in row] == [b'\xff{"']
    assert "events scored" in done.stderr


def test_unwritable_sink_is_one_line_before_the_run(flow: Flow) -> None:
    flow.feed(json_lines(trips(2)))
    (flow.root / "taken").write_text("a file")
    spec = flow.spec()
    spec["sinks"]["audit"] = str(flow.root / "taken" / "audit")
    outcome = flow.run(spec)
    assert outcome.code == 1
    assert said_nothing_of_python(outcome), outcome.err
    assert "sinks.audit: file://" in outcome.err
    assert read_avro(flow.root / "scores") == []


def test_summary_goes_into_an_open_pipe(flow: Flow) -> None:
    flow.feed(json_lines(trips(2)))
    reads, writes = os.pipe()
    outcome = flow.run(flow.spec(), "--summary", f"/dev/fd/{writes}")
    os.close(writes)
    with open(reads) as stream:
        assert (outcome.code, json.loads(stream.read() or "{}").get("scored")) == (0, 2), outcome.err


def test_summary_in_an_open_file_leaves_what_others_write_there(flow: Flow) -> None:
    flow.feed(json_lines(trips(2)))
    log = flow.root / "log"
    with log.open("a") as stream:
        print("before", file=stream, flush=True)
        flow.run(flow.spec(), "--summary", f"/dev/fd/{stream.fileno()}")
        print("after", file=stream)
    lines = log.read_text().splitlines()
    assert (lines[0], json.loads("".join(lines[1:-1]) or "{}").get("scored"), lines[-1]) == ("before", 2, "after")


def test_unwritable_summary_is_one_line_before_the_run(flow: Flow) -> None:
    flow.feed(json_lines(trips(2)))
    outcome = flow.run(flow.spec(), "--summary", str(flow.root / "none" / "summary.json"))
    assert outcome.code == 1
    assert "summary.json cannot be written: No such file or directory" in outcome.err
    assert said_nothing_of_python(outcome)
    assert read_avro(flow.root / "scores") == []


@pytest.mark.parametrize(
    ("format_name", "content", "says"),
    [
        ("json", None, "no file matches"),
        ("json", b"null\n", "no readable record"),
        ("json", b"null\n[]\n", "no readable record"),
        ("avro", b"Obj\x01 no", "not an Avro container file"),
        ("avro", json_lines(trips(2)), "not an Avro container file"),
        ("avro", container(trips(3))[:390], "block is truncated"),
    ],
)
def test_input_without_a_readable_record_is_one_line(
    flow: Flow, format_name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        flow.feed(content)
    outcome = flow.run(flow.spec(format_name))
    assert outcome.code == 1
    assert said_nothing_of_python(outcome), outcome.err
    assert says in outcome.err


def test_directory_instead_of_a_file_is_no_input(flow: Flow) -> None:
    (flow.root / "in.d").mkdir()
    outcome = flow.run(flow.spec())
    assert (outcome.code, said_nothing_of_python(outcome)) == (1, True)
    assert "no file matches" in outcome.err


@pytest.mark.parametrize("damage", ["manifest.json", "notes.txt", "digest"])
def test_half_a_bundle_is_refused_and_the_release_before_continues_to_serve(flow: Flow, damage: str) -> None:
    flow.feed(json_lines(trips(4)))
    (flow.root / "payload" / "notes.txt").write_text("notes")
    flow.publish("v2", from_us=START_US)
    bundle = flow.root / "store" / "trips" / "versions" / "v2"
    if damage == "digest":
        (bundle / "notes.txt").write_text("nOtes")
    else:
        (bundle / damage).unlink()
    outcome = flow.run(flow.spec())
    assert outcome.code == 0
    assert outcome.summary["versions"] == {"v1": {"champion": 4}}
    events = read_avro(flow.root / "audit" / "models")
    refused = [event["reason"] for event in events if event["kind"] == "refused"]
    assert refused == ["wrong_digest" if damage == "digest" else "incomplete"]


def scores(flow: Flow, name: str) -> dict[str, tuple[str, float]]:
    rows = read_avro(flow.root / name)
    assert len({row["event_id"] for row in rows}) == len(rows)
    return {row["event_id"]: (row["version"], row["score"]) for row in rows}


def test_new_release_changes_exactly_the_events_from_its_time_on(flow: Flow, root: Path) -> None:
    spec = flow.spec("avro", uri=str(root / "tests/data/flights/departures-*.avro"), event_time="departed_at")
    spec["features"][:2] = ["dep_delay", "distance"]
    flow.root.joinpath("store").rename(flow.root / "unused")
    from_us = START_US + 3 * 86_400_000_000
    publish_for_flights(flow, "v1", -1.0, 0)
    assert flow.run(spec).code == 0
    before = scores(flow, "scores")
    publish_for_flights(flow, "v2", 1.0, from_us)
    spec["sinks"]["scores"] = str(flow.root / "again")
    assert flow.run(spec).code == 0
    after = scores(flow, "again")
    times = {row["event_id"]: row["event_time"].timestamp() * 1e6 for row in read_avro(flow.root / "again")}
    assert before.keys() == after.keys()
    assert {event for event in before if before[event] != after[event]} == {
        e for e, at in times.items() if at >= from_us
    }
    assert {version for version, _ in after.values()} == {"v1", "v2"}


def publish_for_flights(flow: Flow, version: str, intercept: float, from_us: int) -> None:
    """A version that reads the flights' own delay, released from then on."""
    (flow.root / "payload").mkdir(exist_ok=True)
    inputs = [{"name": "dep_delay", "type": "number", "nullable": True, "default": 0.0}]
    linear = {**MANIFEST["linear"], "intercept": intercept, "coefficients": {"dep_delay": 0.1}}
    manifest = {**MANIFEST, "version": version, "inputs": inputs, "linear": linear}
    flow.store.publish(flow.root / "payload", manifest)
    flow.store.append_release(champion=version, effective_from_us=from_us, by="tests")


def test_training_set_has_the_features_that_the_receipts_name(flow: Flow) -> None:
    flow.feed(json_lines([*trips(40), trip(40, delay=None)]) + b"bad\n")
    spec = flow.spec(columns=COLUMNS)
    assert flow.run(spec).code == 0
    outcome = flow.run(spec, "--out", str(flow.root / "set"), "--json", verb=write_features)
    assert (outcome.code, json.loads(outcome.out)["rows"]) == (0, 41)
    rows = {row["event_id"]: row for row in pq.read_table(flow.root / "set").to_pylist()}
    read = {row["event_id"]: row["features"]["delay"] for row in read_avro(flow.root / "audit" / "receipts")}
    assert {event: rows[event]["delay"] or 0.0 for event in rows} == read
    assert (rows["t30"]["n"], rows["t2"]["n"]) == (15, 0)
    assert {row["event_time"].timestamp() * 1e6 for row in rows.values()} == {trip(n)["at"] for n in range(41)}


def test_training_set_needs_a_folder_that_can_be_written(flow: Flow) -> None:
    flow.feed(json_lines(trips(2)))
    outcome = flow.run(flow.spec(), "--out", str(flow.root / "in.0" / "set"), verb=write_features)
    assert (outcome.code, said_nothing_of_python(outcome)) == (1, True)
    assert "--out: file://" in outcome.err
    assert flow.run(flow.spec(), verb=write_features).code == 2
