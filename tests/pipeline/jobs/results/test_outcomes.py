"""No run succeeds when nothing was scored: exit codes, releases and dead letters with their reasons."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.admission.watcher import Progress, heartbeat
from models.store.backends import Backend
from models.store.store import ModelStore
from tests.pipeline.jobs.flows import MANIFEST, Flow, container, json_lines, read_avro, trip, trips


def other_inputs(flow: Flow, version: str, column: str) -> None:
    """A version whose input the job does not have, released for all times."""
    inputs = [{"name": column, "type": "number"}]
    linear = {**MANIFEST["linear"], "coefficients": {column: 0.1}}
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": version, "inputs": inputs, "linear": linear})
    flow.store.append_release(champion=version, effective_from_us=0, by="tests")


def refused_alone(flow: Flow, column: str = "height") -> dict[str, Any]:
    """A job whose model has one release, which the job refuses."""
    spec = flow.spec()
    spec["model"]["name"] = "refused"
    flow_of = Flow(flow.root, flow.capsys)
    store = ModelStore(spec["model"]["store"], "refused")
    inputs = [{"name": column, "type": "number"}]
    linear = {**MANIFEST["linear"], "coefficients": {column: 0.1}}
    store.publish(flow_of.root / "payload", {**MANIFEST, "version": "r1", "inputs": inputs, "linear": linear})
    store.append_release(champion="r1", effective_from_us=0, by="tests")
    return spec


@pytest.mark.parametrize("column", ["height", "no such column", "x" * 60])
def test_a_run_whose_releases_are_all_refused_fails_with_the_reason(flow: Flow, column: str) -> None:
    flow.feed(json_lines(trips(5)))
    outcome = flow.run(refused_alone(flow, column))
    assert outcome.code == 1
    assert "5 records were read and none was scored: 5 NoRelease (stage unserved)" in outcome.err
    assert "every release is refused, such as release 1: wrong_inputs" in outcome.err
    assert "release 1 refused: wrong_inputs: version 'r1': " in outcome.out
    assert column in outcome.out
    said = outcome.summary["release_outcomes"]["1"]
    assert (said["outcome"], said["reason"]) == ("refused", "wrong_inputs")
    assert column in said["detail"]


@pytest.mark.parametrize("bad", ["yesterday", "not a time", "12:00"])
def test_a_run_that_can_read_no_time_fails_with_an_example(flow: Flow, bad: str) -> None:
    flow.feed(json_lines(trip(number, at=bad) for number in range(4)))
    outcome = flow.run(flow.spec(columns={"delay": "number", "distance": "integer", "carrier": "string"}))
    assert outcome.code == 1
    ((error, number),) = outcome.summary["dead_letter_errors"]["decode"].items()
    assert number == 4
    assert f"4 records were read and none was scored: 4 {error} (stage decode); for example: " in outcome.err
    assert f"dead letters, decode: 4 {error}; for example: " in outcome.out
    assert bad in outcome.out
    assert bad in outcome.err


def test_each_release_has_its_outcome(flow: Flow) -> None:
    other_inputs(flow, "v2", "height")
    Backend(str(flow.root / "store")).create("trips/releases/00000003.json", b"{")
    flow.feed(json_lines(trips(5)))
    outcome = flow.run(flow.spec())
    assert outcome.code == 0
    found = {key: (one["outcome"], one["reason"]) for key, one in outcome.summary["release_outcomes"].items()}
    assert found == {"1": ("admitted", ""), "2": ("refused", "wrong_inputs"), "3": ("unreadable", "invalid_release")}
    assert "release 1 admitted\n" in outcome.out
    assert "release 3 unreadable: invalid_release: " in outcome.out


def test_letters_are_counted_by_error_as_the_sink_has_them(flow: Flow) -> None:
    flow.feed(json_lines([*trips(5), trip(6, delay="late"), trip(7, at=None)]) + b"{\n")
    outcome = flow.run(flow.spec(columns={"delay": "number", "distance": "integer", "carrier": "string"}))
    written: dict[str, int] = {}
    for letter in read_avro(flow.root / "dead_letters"):
        written[letter["error"]] = written.get(letter["error"], 0) + 1
    assert len(written) == 3
    assert outcome.summary["dead_letter_errors"] == {"decode": written}


@pytest.mark.parametrize(
    ("allowed", "code"), [("2", 1), ("3", 0), ("37%", 1), ("37.5%", 0), ("0", 1), ("0%", 1), ("100%", 0)]
)
def test_more_dead_letters_than_allowed_fail(flow: Flow, allowed: str, code: int) -> None:
    flow.feed(json_lines([*trips(5), *(trip(number, at=None) for number in (6, 7, 8))]))
    columns = {"delay": "number", "distance": "integer", "carrier": "string"}
    outcome = flow.run(flow.spec(columns=columns), "--max_dead_letters", allowed)
    assert outcome.code == code
    assert ("3 of 8 records are dead letters; expected: at most" in outcome.err) == (code == 1)
    assert outcome.summary["scored"] == 5


@pytest.mark.parametrize("text", ["-1", "1.5", "101%", "many", "%", "nan%", ""])
def test_an_invalid_limit_is_bad_usage(flow: Flow, text: str) -> None:
    outcome = flow.run(flow.spec(), f"--max_dead_letters={text}")
    assert outcome.code == 2
    assert "--max_dead_letters" in outcome.err
    assert "a number of records such as 100" in outcome.err


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\n\n"])
@pytest.mark.parametrize(("options", "code"), [((), 0), (("--require_input",), 1)])
def test_a_run_without_records_says_so(flow: Flow, content: bytes, options: tuple[str, ...], code: int) -> None:
    flow.feed(content)
    columns = {"delay": "number", "distance": "integer", "carrier": "string"}
    outcome = flow.run(flow.spec(columns=columns), *options)
    assert outcome.code == code
    assert len(outcome.err.strip().splitlines()) == 1
    assert "no records were read from" in outcome.err


def inferred(flow: Flow, format_name: str) -> dict[str, Any]:
    """A spec that leaves the types of columns to the input, with a feature that only numbers have."""
    spec = flow.spec(format=format_name)
    spec["events"].pop("columns", None)
    mean = {"name": "m", "key": "carrier", "column": "delay", "aggregate": "mean", "size": "1h", "every": "5m"}
    return {**spec, "features": ["delay", mean]}


@pytest.mark.parametrize(
    ("format_name", "content"),
    [("json", b""), ("json", b"\n\n"), ("json", b" \n \n"), ("avro", container([]))],
)
@pytest.mark.parametrize(("options", "code"), [((), 0), (("--require_input",), 1)])
def test_a_run_without_records_needs_no_types(
    flow: Flow, format_name: str, content: bytes, options: tuple[str, ...], code: int
) -> None:
    flow.feed(content)
    outcome = flow.run(inferred(flow, format_name), *options)
    assert (outcome.code, len(outcome.err.strip().splitlines())) == (code, 1)
    assert "no records were read from" in outcome.err
    assert (outcome.summary["records_read"], outcome.summary["scored"]) == (0, 0)


def test_unreadable_records_do_not_count_as_no_records(flow: Flow) -> None:
    flow.feed(b"not json\n")
    outcome = flow.run(inferred(flow, "json"))
    assert outcome.code == 1
    assert "no readable record in" in outcome.err


@pytest.mark.parametrize(
    ("name", "hint"), [("trip", "; did you mean trips?"), ("Trips", "; did you mean trips?"), ("other", "")]
)
def test_a_model_name_that_is_not_in_the_store_is_bad_usage(flow: Flow, name: str, hint: str) -> None:
    flow.feed(json_lines(trips(3)))
    spec = flow.spec()
    spec["model"]["name"] = name
    outcome = flow.run(spec)
    assert outcome.code == 2
    assert f"model.name: '{name}' is not allowed; expected: a model of" in outcome.err
    assert outcome.err.rstrip().endswith(f": trips{hint}")
    assert not (flow.root / "scores").exists() or not list((flow.root / "scores").iterdir())


@pytest.mark.parametrize("made", [True, False])
def test_a_store_without_models_is_bad_usage(flow: Flow, made: bool) -> None:
    flow.feed(json_lines(trips(3)))
    if made:
        (flow.root / "nowhere").mkdir()
    spec = flow.spec()
    spec["model"]["store"] = str(flow.root / "nowhere")
    outcome = flow.run(spec)
    assert outcome.code == 2
    assert "model.store" in outcome.err
    assert "halflife models publish" in outcome.err


def test_a_heartbeat_says_that_there_is_no_release_yet() -> None:
    assert heartbeat("m", 0, Progress(), []).reason == "no_release"
    assert heartbeat("m", 0, Progress(3), []).reason == ""
    assert heartbeat("m", 0, Progress(), ["no answer"]).reason == "store_unavailable"


def test_machines_get_the_same_outcomes(flow: Flow, tmp_path: Path) -> None:
    flow.feed(json_lines(trips(5)))
    outcome = flow.run(refused_alone(flow), "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["release_outcomes"] == outcome.summary["release_outcomes"]
