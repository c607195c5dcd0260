"""What the doctor advises fits what it found, and its verdict is that of a run of the same job."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.preflight.serving import ServingChecks
from schemas.job import ModelSpec
from tests.pipeline.commands.commands import halflife
from tests.pipeline.commands.jobs import Patient
from tests.pipeline.jobs.flows import container

EMPTY: dict[str, tuple[str, bytes]] = {
    "no byte": ("json", b""),
    "blank lines": ("json", b"\n \n\n"),
    "a container without blocks": ("avro", container([])),
}


def uninferred(patient: Patient, format_name: str = "json") -> list[str]:
    """Settings that leave the types of columns to the input."""
    uri = patient.folder / "events.json"
    return ["--set", f"events={{uri: {uri}, format: {format_name}, event_id: id, event_time: t}}"]


@pytest.mark.parametrize(("format_name", "content"), EMPTY.values(), ids=EMPTY)
def test_input_without_records_is_a_warning_with_what_is_not_known(
    patient: Patient, format_name: str, content: bytes
) -> None:
    (patient.folder / "events.json").write_bytes(content)
    examined = patient.examined(*uninferred(patient, format_name))
    assert (examined.ran.code, examined.ran.json["failed"]) == (0, 0)
    assert (examined.verdict("events.uri"), examined.verdict("events")) == ("warn", "not checked")
    assert "no record in it; a run would do nothing (exit 0 with a note)" in examined.said("events.uri")
    assert (examined.verdict("features"), examined.verdict("sinks.scores")) == ("not checked", "ok")


@pytest.mark.parametrize("name", ["nope", "Late", "late2"])
def test_name_of_no_model_fails_with_those_that_exist(patient: Patient, name: str) -> None:
    examined = patient.examined("--set", f"model.name={name}")
    assert (examined.ran.code, examined.verdict("model.name")) == (1, "fail")
    hint = "; did you mean late?" if "late" in name.lower() else ""
    there = f"a model of {patient.folder}/store: late{hint}"
    assert examined.said("model.name") == f"'{name}' is not allowed; expected: {there}"
    assert "model.store" not in examined.checks


def test_store_without_a_model_fails_with_what_to_publish(patient: Patient) -> None:
    examined = patient.examined("--set", f"model.store={patient.folder}/none")
    assert examined.verdict("model.store") == "fail"
    assert "expected: a store with a model in it; next: halflife models publish" in examined.said("model.store")


def test_stream_is_warned_of_a_model_that_does_not_exist(patient: Patient) -> None:
    spec = ModelSpec("nope", str(patient.folder / "store"), 1_000_000, False, 1 << 30)
    (finding,) = ServingChecks(spec, None, None, True, 0, "late").check()
    assert (finding.check, finding.verdict) == ("model.name", "warn")
    assert "events will wait until it has a release" in finding.found
    assert finding.change.endswith("store: late")


def no_folders(patient: Patient) -> dict[str, Path]:
    (patient.folder / "file").write_text("")
    (patient.folder / "loop").symlink_to(patient.folder / "loop")
    return {name: patient.folder / name for name in ("file", "file/below", "loop")} | {"null": Path("/dev/null")}


@pytest.mark.parametrize(
    ("path", "what"), [("null", "not a folder"), ("file", "a file"), ("file/below", "a file"), ("loop", "not a folder")]
)
def test_sink_that_is_no_folder_is_reported_with_what_it_is(patient: Patient, path: str, what: str) -> None:
    uri = no_folders(patient)[path]
    said = patient.examined("--set", f"sinks.scores={uri}").said("sinks.scores")
    assert f"is {what}; expected: a folder" in said
    assert ".halflife" not in said
    assert "credentials" not in said
    assert "sinks.scores" not in said


def test_input_that_does_not_exist_is_reported_with_what_may_be_named(patient: Patient) -> None:
    change = patient.examined("--set", f"events.uri={patient.folder}/x").checks["events.uri"]["change"]
    assert change == "expected: a file, a folder or a pattern such as data/*.json"


def test_files_that_cannot_be_reached_are_no_stream(patient: Patient) -> None:
    examined = patient.examined("--set", "events.uri=hdfs://nowhere/events.json")
    assert (examined.verdict("events.uri"), "runner" in examined.checks) == ("fail", False)


def test_input_in_another_format_is_reported_with_that_format(patient: Patient) -> None:
    (patient.folder / "events.json").write_bytes(container([]) + b"x")
    assert patient.examined().checks["events"]["change"].endswith("next: --set events.format=avro")


@pytest.mark.parametrize("words", [[], ["--job", "x.yaml"], ["--json"]])
def test_doctor_without_a_runner_lists_those_it_knows(words: list[str]) -> None:
    ran = halflife("doctor", *words)
    assert ran.code == 2
    assert "--runner: missing; allowed: direct, flink, dataflow" in ran.err


def settings(sinks: dict[str, Any]) -> list[str]:
    return [word for name, uri in sinks.items() for word in ("--set", f"sinks.{name}={uri}")]


def test_run_names_all_sinks_that_cannot_be_written(patient: Patient) -> None:
    bad = no_folders(patient)
    words = settings({"scores": bad["null"], "drift": bad["file"], "dead_letters": bad["loop"]})
    ran = halflife("run", *patient.words("direct", *words)[3:])
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    for name in ("scores", "drift", "dead_letters"):
        assert f"sinks.{name}: " in ran.err
