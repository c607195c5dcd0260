"""`halflife replay`: history by candidate versions, apart from the job's records, equal to the run where they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.replaying.replay import replay
from tests.pipeline.jobs.flows import (
    MANIFEST,
    Flow,
    Outcome,
    json_lines,
    read_avro,
    said_nothing_of_python,
    trip,
    trips,
)

NAMES = ("score_id", "event_id", "event_time", "score", "decision", "version", "model")
DECIDING = {**MANIFEST, "output": {"kind": "probability", "threshold": 0.9, "positive": "late"}}


def put(flow: Flow, version: str, slope: float, **changes: Any) -> None:
    """A version in the store that no release names."""
    linear = {**MANIFEST["linear"], "coefficients": {"delay": slope}}
    (flow.root / "payload").mkdir(exist_ok=True)
    flow.store.publish(flow.root / "payload", {**DECIDING, "version": version, "linear": linear, **changes})


def replayed(flow: Flow, *words: str, spec: Any = None, out: str = "again") -> Outcome:
    return flow.run(spec or flow.spec(), "--out", str(flow.root / out), *words, verb=replay)


def rows_of(folder: Path, *names: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(record[name] for name in names or NAMES) for record in read_avro(folder))


@pytest.fixture
def history(flow: Flow) -> Flow:
    """300 trips over five hours; two versions that no release names; v1 serves all of it."""
    put(flow, "v2", 0.1)
    put(flow, "v3", 0.2, output={**DECIDING["output"], "threshold": 0.8})
    flow.feed(json_lines([*trips(300), trip(7), trip(301, delay="slow")]))
    return flow


def test_replay_of_the_version_that_served_repeats_the_run_to_the_bit(history: Flow) -> None:
    assert history.run(history.spec()).code == 0
    before = sorted(path for path in history.root.rglob("*") if path.is_file() and "again" not in path.parts)
    outcome = replayed(history, "--version", "v1", "--json")
    assert outcome.code == 0, outcome.err
    again = history.root / "again"
    assert rows_of(again / "scores") == rows_of(history.root / "scores")
    receipts = ("score_id", "digest", "definitions")
    assert rows_of(again / "audit" / "receipts", *receipts) == rows_of(history.root / "audit" / "receipts", *receipts)
    assert {record["role"] for record in read_avro(again / "scores")} == {"replay"}
    assert {record["role"] for record in read_avro(again / "audit" / "receipts")} == {"replay"}
    after = sorted(path for path in history.root.rglob("*") if path.is_file() and "again" not in path.parts)
    # The job's own records are as they were; the store's access log and the spec of the test may differ.
    assert [path for path in after if "store" not in path.parts] == [p for p in before if "store" not in p.parts
                                                                     and p.name != "summary.json"]  # fmt: skip


def test_replay_needs_no_release_and_compares_two_versions(history: Flow) -> None:
    outcome = replayed(history, "--version", "v2", "--version", "v3", "--json", "--set", "drift.window=1h")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    overall = report["comparison"]["overall"]
    counts = (report["records_read"], report["events"], overall["both"], report["comparison"]["neither"])
    assert counts == (302, 301, 300, 1)
    assert [len(report["versions"][v]["windows"]) for v in ("v2", "v3")] == [5, 5]
    assert sum(each["both"] for each in report["comparison"]["windows"]) == 300
    assert sum(each["flips"] for each in report["comparison"]["windows"]) == overall["flips"] > 0
    scores: dict[str, dict[str, Any]] = {"v2": {}, "v3": {}}
    for record in read_avro(history.root / "again" / "scores"):
        scores[record["version"]][record["event_id"]] = (record["score"], record["decision"])
    pairs = [(scores["v2"][event], scores["v3"][event]) for event in scores["v2"]]
    assert overall["flips"] == sum(one[1] != other[1] for one, other in pairs)
    assert overall["difference"]["mean"] == pytest.approx(sum(b[0] - a[0] for a, b in pairs) / 300)
    assert overall["difference"]["max"] == max(abs(b[0] - a[0]) for a, b in pairs)
    assert overall["psi"]["drifted"]
    assert history.store.releases()[0].champion == "v1"  # nothing was released


@pytest.mark.parametrize("name", ["arrivals-*.csv", "arrivals.csv", "none/*.avro"])
def test_a_replay_does_not_need_labels_that_are_not_there(history: Flow, name: str) -> None:
    labels = f"labels={{uri: {history.root}/{name}, event_id: id, event_time: at, column: late}}"
    outcome = replayed(history, "--version", "v1", "--json", "--set", labels)
    assert outcome.code == 0, outcome.err
    assert name in outcome.err
    assert "no quality is measured" in outcome.err
    report = json.loads(outcome.out)
    assert ("labels" in report, "quality" in report["versions"]["v1"], report["events"]) == (False, False, 301)


def test_a_version_compared_with_its_own_copy_differs_in_nothing(history: Flow) -> None:
    put(history, "copy", 0.1)
    report = json.loads(replayed(history, "--version", "v2", "--version", "copy", "--json").out)
    overall = report["comparison"]["overall"]
    found = (overall["equal"], overall["flips"], overall["difference"]["max"], overall["psi"]["drifted"])
    assert found == (300, 0, 0, False)


def test_replay_prints_tables_for_people(history: Flow) -> None:
    outcome = replayed(history, "--version", "v2", "--version", "v3")
    assert outcome.code == 0, outcome.err
    assert [word for word in ("v3 minus v2", "flips", "records read") if word not in outcome.out] == []


WRONG = [
    (("--version", "v22"), 2, "--version: 'v22' is not allowed; expected: a version of trips in"),
    (("--version", "v1", "--version", "v1"), 2, "expected: one or two versions"),
    (("--version", "odd"), 1, "not replayed: version 'odd': wrong_inputs: "),
]


@pytest.mark.parametrize(("words", "code", "message"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_version_that_cannot_be_replayed_is_told_before_anything_is_scored(
    history: Flow, words: tuple[str, ...], code: int, message: str
) -> None:
    speed = {"name": "speed", "type": "number", "nullable": True, "default": 0.0}
    put(history, "odd", 0.1, inputs=[speed], linear={"intercept": 0.0, "coefficients": {"speed": 1.0}})
    outcome = replayed(history, *words)
    assert (outcome.code, message in outcome.err, outcome.out) == (code, True, ""), outcome.err
    assert not (history.root / "again").exists()


@pytest.mark.parametrize("out", ["scores", "audit", "audit/receipts", "drift/below", "."])
def test_replay_never_writes_where_the_job_does(history: Flow, out: str) -> None:
    outcome = replayed(history, "--version", "v2", out=out)
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True), outcome.err
    assert "--out: " in outcome.err


def test_second_replay_reads_only_its_own_records(history: Flow) -> None:
    reports = [json.loads(replayed(history, "--version", "v2", "--json").out) for _ in range(2)]
    assert [report["versions"]["v2"]["overall"]["scored"] for report in reports] == [300, 300]
