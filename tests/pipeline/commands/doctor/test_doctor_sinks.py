"""What earlier runs left in the sinks: the doctor says before a run what the run would say or refuse, and touches
nothing."""

from pathlib import Path

import pytest

from tests.pipeline.commands.commands import halflife
from tests.pipeline.commands.jobs import Patient


@pytest.fixture
def patient(patient: Patient) -> Patient:
    """A job that has run once."""
    assert patient.run() == 0
    return patient


def files(patient: Patient) -> dict[str, bytes]:
    out = patient.folder / "out"
    return {str(path): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("first", "second"), [("avro", "parquet"), ("parquet", "avro")])
def test_mixed_formats_are_reported_before_the_run_refuses_them(tmp_path: Path, first: str, second: str) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    patient.publish()
    assert patient.run("--set", f"sinks.format={first}") == 0
    before = files(patient)
    words = ("--set", f"sinks.format={second}")
    examined = patient.examined(*words)
    assert examined.ran.code == 1
    assert examined.verdict("sinks.format") == "fail"
    assert f"'{second}'" in examined.said("sinks.format")
    assert "--sinks replace" in examined.said("sinks.format")
    assert patient.run(*words) == 2
    replacing = patient.examined(*words, "--sinks", "replace")
    assert (replacing.ran.code, replacing.verdict("earlier runs")) == (0, "ok")
    assert files(patient) == before


def test_letters_beside_files_of_another_format_are_reported(patient: Patient) -> None:
    (patient.folder / "out" / "dead_letters" / "mine.parquet").write_bytes(b"PAR1")
    examined = patient.examined("--sinks=replace")
    assert (examined.ran.code, examined.verdict("sinks.dead_letters")) == (1, "fail")
    assert "mine.parquet" in examined.said("sinks.dead_letters")
    assert patient.run("--sinks=replace") == 2


@pytest.mark.parametrize(
    ("policy", "code", "said"),
    [("append", 0, "1 earlier run"), ("new", 1, "is not new"), ("replace", 0, "would be deleted")],
)
def test_each_policy_is_looked_at_and_nothing_is_deleted(patient: Patient, policy: str, code: int, said: str) -> None:
    before = files(patient)
    examined = patient.examined("--sinks", policy)
    assert examined.ran.code == code
    found = [name for name in examined.checks if said in examined.said(name)]
    assert found == ["earlier runs"]
    assert examined.verdict("earlier runs") == ("fail" if code else "ok")
    assert files(patient) == before


def test_sinks_without_records_are_reported_as_empty(tmp_path: Path) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    patient.publish()
    examined = patient.examined("--sinks", "new")
    assert (examined.verdict("earlier runs"), examined.ran.code) == ("ok", 0)


def test_another_policy_is_bad_usage(patient: Patient) -> None:
    ran = halflife(*patient.words("direct", "--sinks", "keep"))
    assert ran.code == 2
    assert "allowed: append, new, replace" in ran.err
