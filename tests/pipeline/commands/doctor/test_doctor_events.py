"""`halflife doctor` decodes a sample as the job will, says what became of it, and is in the access log itself."""

import json
from typing import Any

import pytest

from tests.pipeline.commands.commands import halflife
from tests.pipeline.commands.jobs import EVENT, Patient
from tests.pipeline.jobs.flows import container

UNREADABLE: dict[str, dict[str, Any]] = {
    "times that are none": {"t": "yesterday"},
    "no id": {"id": None},
    "a column of another type": {"delay": "a lot"},
    "times of another age": {"t": "0013-01-01T00:00:00Z"},
}


def feed(patient: Patient, count: int, name: str = "events.json", **changes: Any) -> None:
    lines = [json.dumps({**EVENT, "id": f"e{number}", **changes}) + "\n" for number in range(count)]
    with (patient.folder / name).open("a") as stream:
        stream.writelines(lines)


def test_a_sample_that_decodes_is_counted(patient: Patient) -> None:
    examined = patient.examined()
    assert examined.verdict("events") == "ok"
    assert "100 records of a sample decode" in examined.said("events")


@pytest.mark.parametrize("changes", UNREADABLE.values(), ids=UNREADABLE)
def test_an_input_of_which_no_record_decodes_fails_with_the_first_error(
    patient: Patient, changes: dict[str, Any]
) -> None:
    (patient.folder / "events.json").unlink()
    feed(patient, 20, **changes)
    examined = patient.examined()
    assert (examined.ran.code, examined.bad().get("events")) == (1, "fail")
    assert "0 of 20 records of a sample decode; 20 " in examined.said("events")
    assert f"{patient.folder}/events.json" in examined.said("events")


def test_records_of_which_some_decode_are_a_warning(patient: Patient) -> None:
    feed(patient, 3, t="yesterday")
    feed(patient, 5, id=None)
    examined = patient.examined()
    assert (examined.ran.code, examined.bad().get("events")) == (0, "warn")
    said = examined.said("events")
    assert said.startswith("100 of 108 records of a sample decode; 5 ")
    assert "; 3 " in said


@pytest.mark.parametrize("files", [2, 7, 40])
def test_the_last_file_is_looked_at_too(patient: Patient, files: int) -> None:
    (patient.folder / "events.json").unlink()
    for number in range(files - 1):
        feed(patient, 2000, f"events{number:02}.json")
    feed(patient, 1, "events99.json", t="yesterday")
    examined = patient.examined("--set", f"events.uri={patient.folder}/events*.json")
    assert examined.bad().get("events") == "warn"
    assert "events99.json" in examined.said("events")


def test_damage_is_one_letter_of_the_sample(patient: Patient) -> None:
    damaged = container([EVENT], schema_of(EVENT)) + b"no block"
    (patient.folder / "events.avro").write_bytes(damaged)
    words = ("--set", f"events.uri={patient.folder}/events.avro", "--set", "events.format=avro")
    examined = patient.examined(*words)
    assert (examined.ran.code, examined.bad().get("events")) == (0, "warn")
    assert "1 of 2 records of a sample decode; 1 UnreadableInput" in examined.said("events")


def schema_of(event: dict[str, Any]) -> dict[str, Any]:
    kinds = {str: "string", float: "double", int: "long", bool: "boolean"}
    fields = [{"name": name, "type": kinds[type(value)]} for name, value in event.items()]
    return {"type": "record", "name": "Event", "fields": fields}


def test_input_without_records_is_not_called_good(patient: Patient) -> None:
    (patient.folder / "events.json").write_text("")
    assert patient.examined().bad().get("events") == "not checked"


@pytest.mark.parametrize("job", ["late", "another"])
def test_reads_of_the_doctor_are_in_the_access_log(patient: Patient, job: str) -> None:
    before = len(patient.store.accesses().entries)
    assert patient.examined("--set", f"job={job}").ran.code == 0
    entries = patient.store.accesses().entries[before:]
    assert [(one.action, one.detail) for one in entries] == [("doctor", {"version": "v1", "job": job})]
    listed = halflife("models", "access", "--store", str(patient.folder / "store"), "--model", "late")
    assert "doctor" in listed.out


def test_a_read_of_a_refused_version_is_logged_too(patient: Patient) -> None:
    (patient.version / "golden.jsonl").write_text("changed")
    assert patient.examined().ran.code == 1
    assert [one.action for one in patient.store.accesses().entries].count("doctor") == 1


def test_a_store_that_takes_no_entry_is_a_warning(patient: Patient) -> None:
    (patient.folder / "store" / "late" / "access").write_text("no folder")
    examined = patient.examined()
    assert (examined.ran.code, examined.bad().get("access log"), examined.verdict("version v1")) == (0, "warn", "ok")
