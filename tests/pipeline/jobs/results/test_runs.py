"""What names a score and a run: ids by definitions, receipts by job and run, an event for each start."""

import getpass
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that

from pipeline.command_line.options import parse_run_options
from pipeline.dag import build
from pipeline.run import prepare
from runners.direct import bounded_runner
from schemas.score_ids import score_id
from tests.pipeline.jobs.flows import MANIFEST, Flow, json_lines, read_avro, trips
from tests.reference.reference import definitions

SECRET = "hunter2-of-the-store"
COUNT: dict[str, Any] = {"name": "n", "key": "carrier", "aggregate": "count", "size": "1h", "every": "5m"}


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """A job whose model reads the delay, and the count of trips."""
    made = Flow(tmp_path, capsys)
    made.feed(json_lines(trips(20)))
    (tmp_path / "payload").mkdir()
    linear = {**MANIFEST["linear"], "coefficients": {"n": 0.01, "delay": 0.1}}
    inputs = [{"name": "n", "type": "integer"}, *MANIFEST["inputs"]]
    made.store.publish(tmp_path / "payload", {**MANIFEST, "linear": linear, "inputs": inputs})
    made.store.append_release(champion="v1", effective_from_us=0, by="tests")
    return made


def run(flow: Flow, name: str, *features: Any, **sections: Any) -> list[dict[str, Any]]:
    """The receipts of a run with these features, its sinks in a folder of that name."""
    sinks = {sink: str(flow.root / name / sink) for sink in ("audit", "dead_letters")}
    outcome = flow.run(flow.spec() | {"features": ["delay", *features], "sinks": sinks} | sections)
    assert (outcome.code, outcome.summary["scored"]) == (0, 20), outcome.err
    return read_avro(flow.root / name / "audit" / "receipts")


def ids(receipts: list[dict[str, Any]]) -> dict[str, str]:
    return {receipt["event_id"]: receipt["score_id"] for receipt in receipts}


@pytest.mark.parametrize(
    ("changes", "windows"),
    [({"size": "2h"}, {}), ({"every": "10m"}, {}), ({"column": "delay"}, {}), ({}, {"max_values_per_tile": 99})],
)
def test_another_definition_of_a_feature_gives_other_ids(
    flow: Flow, changes: dict[str, Any], windows: dict[str, Any]
) -> None:
    first, second = run(flow, "a", COUNT), run(flow, "b", COUNT | changes, windows=windows)
    assert len(set(ids(first).values()) | set(ids(second).values())) == 40


@pytest.mark.parametrize(
    ("features", "sections"),
    [
        ([{**COUNT, "size": "60m", "every": "300s"}], {}),
        ([{**COUNT, "name": "other", "size": "3h"}, COUNT, "distance"], {}),
        ([COUNT], {"windows": {"allowed_lateness": "5h", "shards": 3}, "job": "renamed"}),
    ],
    ids=["spelling", "a feature that is not read", "what decides no value"],
)
def test_equivalent_definitions_give_the_same_ids(flow: Flow, features: list[Any], sections: dict[str, Any]) -> None:
    first, second = run(flow, "a", COUNT), run(flow, "b", *features, **sections)
    assert ids(first) == ids(second)


def test_ids_are_those_that_anybody_computes_from_the_receipt(flow: Flow) -> None:
    (tile, receipts) = 16384, run(flow, "a", COUNT, windows={"max_values_per_tile": 16384})
    defined = definitions(["delay", COUNT], ["n", "delay"], tile)
    assert {receipt["definitions"] for receipt in receipts} == {defined}
    assert [receipt["score_id"] for receipt in receipts] == [
        score_id(receipt["event_id"], receipt["digest"], "champion", defined) for receipt in receipts
    ]


def test_receipts_of_the_first_schema_keep_their_formula() -> None:
    # printf '%s' 'e|d|champion' | sha256sum
    assert score_id("e", "d", "champion", None) == "33160854f1532633d30f8025aa6b3b93"


def test_every_receipt_names_the_job_and_the_run_of_the_summary(flow: Flow) -> None:
    for _ in range(2):
        outcome = flow.run(flow.spec())
    receipts = read_avro(flow.root / "audit" / "receipts")
    assert {receipt["job"] for receipt in receipts} == {"trips"}
    by_run = [receipt["run"] for receipt in receipts]
    assert sorted(map(by_run.count, set(by_run))) == [20, 20]
    assert outcome.summary["run"] in by_run


def started(folder: Path) -> list[dict[str, Any]]:
    return [event for event in read_avro(folder) if event["kind"] == "run_started"]


def test_each_start_leaves_one_event_with_all_that_it_was_told(flow: Flow) -> None:
    outcome = flow.run(flow.spec())
    (event,) = started(flow.root / "audit" / "models")
    evidence = json.loads(event["evidence"])
    assert (event["model"], event["version"], evidence["run"]) == ("", None, outcome.summary["run"])
    assert event["actor"].startswith(f"{getpass.getuser()}@")
    assert (evidence["spec"], evidence["job"]) == (outcome.summary["job"], "trips")
    assert json.loads(evidence["definitions"])["features"] == [COUNT | {"size": 3_600_000_000, "every": 300_000_000}]
    told = evidence["versions"]
    assert (told["python"], told["apache-beam"]) == (platform.python_version(), version("apache-beam"))
    assert {"halflife-beam", "pyarrow", "numpy", "scikit-learn", "onnxruntime"} <= set(told)


def test_no_secret_is_in_the_event(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    flow.run(flow.spec() | {"labels": {"uri": f"s3://ann:{SECRET}@host/x?sig=abc{SECRET}", "format": "json",
                                       "event_id": "id", "event_time": "at", "column": SECRET}})  # fmt: skip
    (event,) = started(flow.root / "audit" / "models")
    assert "host/x" in event["evidence"]
    assert not any(part in event["evidence"] for part in (SECRET, "ann:", "sig=abc"))


def test_graph_built_once_and_started_twice_has_two_runs(flow: Flow) -> None:
    """As a template is: the graph knows no run, and each start makes one that all its records share."""
    spec = flow.write_spec(flow.spec())
    prepared = prepare(parse_run_options(["--job", str(spec)], "tests"))
    pipeline = beam.Pipeline(runner=bounded_runner())
    raw = pipeline | "ReadEvents" >> prepared.source.read(prepared.job.events)
    outputs = build(raw, prepared.job)
    kept = flow.root / "kept"
    kept.mkdir()
    for label, records in (("receipts", outputs.receipts), ("events", outputs.model_events)):
        assert_that(records, _keeper(kept, label), label=label)
    for _ in range(2):
        pipeline.run().wait_until_finish()
    runs = [set(json.loads(file.read_text())) for file in sorted(kept.glob("receipts*"))]
    assert [len(run) for run in runs] == [1, 1]
    assert runs[0] != runs[1]
    told = [set(json.loads(file.read_text())) for file in sorted(kept.glob("events*"))]
    assert sorted(map(sorted, told)) == sorted(map(sorted, runs))


def _keeper(folder: Path, label: str) -> Any:
    """Writes the runs that records name to a file of its own for each start of the pipeline."""

    def keep(batches: list[Any]) -> None:
        rows = [row for batch in batches for row in batch.to_pylist()]
        if label == "receipts":
            runs = [row["run"] for row in rows]
        else:
            runs = [json.loads(row["evidence"])["run"] for row in rows if row["kind"] == "run_started"]
            assert len(runs) == 1
        (folder / f"{label}-{len(list(folder.glob(label + '*')))}").write_text(json.dumps(runs))

    return keep
