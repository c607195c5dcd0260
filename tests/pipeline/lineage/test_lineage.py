"""Events of OpenLineage that a run tells: what they say, where they go, and that no run waits for them."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openlineage.client import event_v2
from openlineage.client.facet_v2 import (
    dataset_type_dataset,
    dataset_version_dataset,
    job_type_job,
    processing_engine_run,
)
from openlineage.client.serde import Serde
from ulid import ULID

from models.store.store import ModelStore
from pipeline.lineage.events import facet_class
from pipeline.lineage.sending import append_line
from pipeline.lineage.telling import WAIT_S, LineageOfRun
from schemas.validation import schema_of
from tests.packaging.sources import ROOT, imports_of, module_name, python_files
from tests.pipeline.jobs.flows import MANIFEST, read_avro
from tests.pipeline.lineage.catalogues import Job, catalogue, model_facets, names

SECRET = "hunter2-of-the-catalogue"


@pytest.fixture(scope="module")
def told(job: Job) -> list[dict[str, Any]]:
    """The events of a run, as its file has them."""
    answer = job.run(str(job.root / "told" / "events.jsonl"))
    assert (answer.code, "lineage" in answer.err) == (0, False), answer.err
    return [json.loads(line) for line in (job.root / "told" / "events.jsonl").read_text().splitlines()]


def test_a_run_tells_its_start_and_its_end(job: Job, told: list[dict[str, Any]]) -> None:
    assert [event["eventType"] for event in told] == ["START", "COMPLETE"]
    run_of = {receipt["run"] for receipt in read_avro(job.root / "audit" / "receipts")}
    assert {event["run"]["runId"] for event in told} <= {str(ULID.from_str(each.upper()).to_uuid()) for each in run_of}
    assert {event["job"]["facets"]["jobType"]["processingType"] for event in told} == {"STREAMING"}
    assert {(event["job"]["namespace"], event["job"]["name"]) for event in told} == {("tests", "trips")}


def test_inputs_and_outputs_are_named_as_the_catalogue_names_locations(job: Job, told: list[dict[str, Any]]) -> None:
    for event in told:
        versions = {f"file {job.root}/store/trips/versions/{name}": "model" for name in model_facets(event)}
        assert names(event["inputs"]) == {f"file {job.root}/in*": "events"} | versions
        sinks = {"scores": "scores", "audit/receipts": "receipts", "audit/models": "model events"}
        assert names(event["outputs"]) == {f"file {job.root}/{name}": use for name, use in sinks.items()}


def test_versions_have_digest_release_role_and_quality(job: Job, told: list[dict[str, Any]]) -> None:
    start, end = (model_facets(event) for event in told)
    assert sorted(start) == ["v1", "v2"]  # of input that ends, all of the timeline may serve
    assert {name: facet["scores"] for name, facet in end.items()} == {"v2": 20}
    manifest = job.store.read_manifest("v2")
    said = {key: end["v2"][key] for key in ("digest", "release", "role", "quality", "scorer")}
    assert said == {"digest": manifest.digest, "release": 2, "role": "champion", "quality": {"auc": 0.75},
                    "scorer": "linear"}  # fmt: skip


_URI = {"type": "string", "format": "uri", "pattern": "^[a-z]+:."}
SET_OF_FACETS = {
    "additionalProperties": {
        "required": ["_producer", "_schemaURL"],
        "properties": {"_producer": _URI, "_schemaURL": _URI},
    }
}
DATA_SETS = {"type": "array", "items": {"required": ["namespace", "name"], "properties": {
    "namespace": {"type": "string", "minLength": 1}, "name": {"type": "string", "minLength": 1},
    "facets": SET_OF_FACETS}}}  # fmt: skip
EVENT = {
    "required": ["eventType", "eventTime", "run", "job", "producer", "schemaURL", "inputs", "outputs"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time", "pattern": "T.*Z$"},
        "run": {"required": ["runId"], "properties": {"runId": {"format": "uuid"}, "facets": SET_OF_FACETS}},
        "job": {"required": ["namespace", "name"], "properties": {"facets": SET_OF_FACETS}},
        "inputs": DATA_SETS,
        "outputs": DATA_SETS,
    },
}
"""What the specification of OpenLineage demands of an event of a run."""


def rebuilt(kind: Any) -> Any:
    """From a facet's JSON to the library's object, and back."""

    def both_ways(facet: dict[str, Any]) -> dict[str, Any]:
        fields = {key: value for key, value in facet.items() if not key.startswith("_")}
        return Serde.to_dict(kind(**fields, producer=facet["_producer"]))

    return both_ways


FACETS = {
    "jobType": rebuilt(job_type_job.JobTypeJobFacet),
    "processing_engine": rebuilt(processing_engine_run.ProcessingEngineRunFacet),
    "datasetType": rebuilt(dataset_type_dataset.DatasetTypeDatasetFacet),
    "version": rebuilt(dataset_version_dataset.DatasetVersionDatasetFacet),
    "halflife_model": rebuilt(facet_class()),
}


def test_events_are_those_of_the_library_and_our_facet_is_that_of_its_schema(told: list[dict[str, Any]]) -> None:
    schema = schema_of("lineage_model")
    for event in told:
        again = event_v2.RunEvent(eventTime=event["eventTime"], run=event_v2.Run(**event["run"]), job=event_v2.Job(
            **event["job"]), eventType=event_v2.RunState[event["eventType"]])  # fmt: skip
        assert (event["schemaURL"], event["producer"]) == (again.schemaURL, again.producer)
        jsonschema.Draft202012Validator(EVENT, format_checker=jsonschema.FormatChecker()).validate(event)
        for facet in model_facets(event).values():
            base, _, pointer = facet["_schemaURL"].partition("#")
            assert base == schema["$id"]
            jsonschema.Draft202012Validator({"$ref": f"#{pointer}", "$defs": schema["$defs"]}).validate(facet)
        parts = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
        for name, facet in [each for part in parts for each in part["facets"].items()]:
            assert FACETS[name](facet) == facet


def test_a_server_takes_the_events_with_the_key(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
    with catalogue() as (url, taken):
        assert job.run(url).code == 0
        start, end = taken.get(timeout=5), taken.get(timeout=5)
    assert [(path, key, event["eventType"]) for path, key, event in (start, end)] == [
        ("/api/v1/lineage", f"Bearer {SECRET}", what) for what in ("START", "COMPLETE")
    ]
    assert SECRET not in json.dumps([start[2], end[2]])


def test_a_failure_is_told_with_its_error(job: Job, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    answer = job.run(str(events), events={"uri": str(job.root / "in*"), "format": "json", "event_id": "id",
                     "event_time": "carrier"})  # fmt: skip
    assert answer.code == 1
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [event["eventType"] for event in told] == ["START", "FAIL"]
    assert told[1]["run"]["facets"]["errorMessage"]["message"] in answer.err


@pytest.mark.parametrize("kind", ["hangs", "refuses", "answers 500", "is a folder"])
def test_no_run_waits_for_a_catalogue_that_does_not_take_events(job: Job, tmp_path: Path, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # takes connections, never answers
        uris = {"hangs": f"http://127.0.0.1:{listening.getsockname()[1]}/take", "is a folder": str(tmp_path)}
        if kind == "answers 500":
            uris[kind] = stack.enter_context(catalogue(500))[0]
        if kind == "refuses":
            uris[kind] = uris["hangs"]
            listening.close()
        answer = job.run(uris[kind])
    assert answer.code == 0
    [line] = [line for line in answer.err.splitlines() if "lineage" in line]
    assert "2 of 2 events of lineage were not sent to " in line
    assert "the run is not affected; expected: " in line


STREAMED = {
    "job": "trips",
    "events": {"uri": "kafka://user:hush@broker:9092/trips?password=hush"},
    "sinks": {"scores": "bigquery://a.b.c", "audit": ["s3://bucket/audit", "kafka://broker:9092/audit"]},
}


def test_a_stream_tells_when_other_versions_serve_and_what_it_was_stopped_by(job: Job, tmp_path: Path) -> None:
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    store = ModelStore(str(tmp_path / "store"), "trips")
    (tmp_path / "payload").mkdir()
    for version in ("v1", "v2"):
        store.publish(tmp_path / "payload", {**MANIFEST, "version": version})
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    document = STREAMED | {"model": {"name": "trips", "store": store.url}, "openlineage": {"uri": "unused"}}
    lineage = LineageOfRun(document, False, every_s=0.01, send=lambda text: told.put(json.loads(text)))
    lineage.begin(str(ULID()).lower())
    start = told.get(timeout=10)
    store.append_release(champion="v2", effective_from_us=1, by="tests")
    running = told.get(timeout=10)
    lineage.end(RuntimeError("Pipeline a failed in state CANCELLED: none"))
    assert [event["eventType"] for event in (start, running, told.get(timeout=10))] == ["START", "RUNNING", "ABORT"]
    assert [list(model_facets(event)) for event in (start, running)] == [["v1"], ["v2"]]
    assert next(iter(names(start["inputs"]))) == "kafka://broker:9092 trips"
    assert set(names(start["outputs"])) == {"bigquery a.b.c", "s3://bucket audit/receipts", "s3://bucket audit/models",
        "kafka://broker:9092 audit/receipts", "kafka://broker:9092 audit/models"}  # fmt: skip
    assert "hush" not in json.dumps(start)


@pytest.mark.parametrize(("ends_here", "last"), [(True, "ABORT"), (False, "START")])
def test_an_interruption_ends_only_what_runs_here(job: Job, ends_here: bool, last: str) -> None:
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    lineage = LineageOfRun(job.spec("unused"), False, ends_here, send=lambda text: told.put(json.loads(text)))
    lineage.begin(str(ULID()).lower())
    lineage.end(KeyboardInterrupt())
    assert [event["eventType"] for event in told.queue][-1] == last


def test_events_that_nobody_takes_do_not_pile_up(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    blocked, began = threading.Event(), time.monotonic()
    lineage = LineageOfRun(job.spec("nowhere"), True, send=lambda text: blocked.wait())  # type: ignore[arg-type]
    lineage.begin(str(ULID()).lower())
    for _ in range(300):
        lineage._tell("RUNNING")
    lineage.end(None)
    assert time.monotonic() - began < WAIT_S + 5
    blocked.set()
    assert "302 of 302 events of lineage were not sent to nowhere: 100 events wait already" in capsys.readouterr().err


PROGRAM = """
import os, signal, sys, time, threading
from pipeline.lineage.telling import LineageOfRun
from pipeline.process.interruption import program
def work():
    lineage = LineageOfRun({"job": "trips", "events": {"uri": "in"}, "sinks": {}, "openlineage": {"uri": sys.argv[1]},
                            "model": {"name": "trips", "store": sys.argv[2]}}, True)
    lineage.begin("01arz3ndektsv4rrffq69g5fav")
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(60)
program(work, at_once=True)
"""


def test_a_signal_that_ends_the_process_is_told(job: Job, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    words = [sys.executable, "-c", PROGRAM, str(events), str(job.root / "store")]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, timeout=120)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert [json.loads(line)["eventType"] for line in events.read_text().splitlines()] == ["START", "ABORT"]


def test_lines_of_several_runs_do_not_mix(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "events.jsonl")
    texts = [json.dumps({"n": n, "long": "x" * 20_000}) for n in range(100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: append_line(path, text), texts))
    assert sorted(Path(path).read_text().splitlines()) == sorted(texts)
    assert os.stat(path).st_size == sum(len(text) + 1 for text in texts)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"https://me:{SECRET}@catalogue/", "has a user, a query or a fragment; expected: a URL without them"),
        (f"https://catalogue/?key={SECRET}", "the server's key is read from OPENLINEAGE_API_KEY"),
        ("s3://bucket/events", "a path or a URI with one of the schemes file, http, https"),
    ],
)
def test_a_section_that_cannot_be_obeyed_is_refused_before_the_run(job: Job, uri: str, said: str) -> None:
    answer = job.run(uri)
    assert (answer.code, said in answer.err, SECRET in answer.err) == (2, True, False), answer.err


def test_without_the_library_the_section_is_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.lineage.telling.find_spec", lambda name: None)
    answer = job.run("events.jsonl")
    assert (answer.code, "next: pip install 'halflife-beam[openlineage]'" in answer.err) == (2, True)


def test_only_the_thread_that_sends_imports_the_library() -> None:
    users = {module_name(path) for path in python_files("pipeline") for one in imports_of(path)
             if one.module.startswith("openlineage")}  # fmt: skip
    early = [one for path in python_files("pipeline") for one in imports_of(path)
             if one.module.startswith("pipeline.lineage.events") and not one.deferred]  # fmt: skip
    assert (users, [str(one) for one in early]) == ({"pipeline.lineage.events"}, [])
