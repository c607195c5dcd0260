"""`--sinks replace` deletes the sink's own kind of record, of the job's own runs, and never the audit, whatever the
spec says of where the audit is: what a file holds decides."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips


@pytest.fixture
def ran(flow: Flow) -> Flow:
    """A flow after its first run, which left files in each sink but drift's."""
    flow.feed(json_lines(trips(5)) + b"{\n")
    first = flow.run(flow.spec())
    assert (first.code, first.err) == (0, "")
    return flow


def audit(flow: Flow) -> dict[str, bytes]:
    """The files of the first run's audit, by their names in it."""
    folder = flow.root / "audit"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.avro"))}


def names(folder: Path, suffix: str = ".avro") -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix == suffix and not path.name.startswith(".")}


def linked(flow: Flow, sink: str, folder: str) -> str:
    """The sink's folder as a link to another one; returns its path."""
    shutil.rmtree(flow.root / sink, ignore_errors=True)
    (flow.root / sink).symlink_to(flow.root / folder)
    return str(flow.root / sink)


LINKS = [("scores", "receipts"), ("dead_letters", "models"), ("drift", "receipts")]


@pytest.mark.parametrize(("sink", "folder"), LINKS)
def test_a_link_to_the_audit_does_not_let_it_be_deleted(ran: Flow, sink: str, folder: str) -> None:
    before = audit(ran)
    linked(ran, sink, f"audit/{folder}")
    outcome = ran.run(ran.spec(), "--sinks", "replace")
    assert before.items() <= audit(ran).items()
    assert outcome.code == 2
    assert f"sinks.{sink}: " in outcome.err
    assert "sinks.audit" in outcome.err


SPECS: dict[str, Callable[[str], dict[str, str]]] = {
    "letters and scores": lambda audit: {"dead_letters": f"{audit}/receipts", "scores": f"{audit}/models"},
    "scores alone": lambda audit: {"scores": f"{audit}/receipts"},
    "drift and letters": lambda audit: {"drift": f"{audit}/models", "dead_letters": f"{audit}/receipts/"},
    "audit elsewhere": lambda audit: {"scores": f"{audit}/receipts", "audit": f"{audit}/../other"},
}


@pytest.mark.parametrize("sinks", SPECS.values(), ids=SPECS)
def test_a_spec_that_does_not_name_the_audit_does_not_delete_it(ran: Flow, sinks: Callable[[str], Any]) -> None:
    before = audit(ran)
    outcome = ran.run(ran.spec() | {"sinks": sinks(str(ran.root / "audit"))}, "--sinks", "replace")
    assert before.items() <= audit(ran).items()
    assert outcome.code == 0, outcome.err
    assert "of the audit" in outcome.err


def test_an_audit_that_was_moved_or_renamed_stays(ran: Flow) -> None:
    scores = ran.root / "scores"
    kept = {}
    for path in list((ran.root / "audit").rglob("*.avro")):
        moved = scores / path.name.replace("receipts-", "scores-").replace("models-", "scores-")
        shutil.move(path, moved)
        kept[moved.name] = moved.read_bytes()
    assert len(kept) == 2
    assert ran.run(ran.spec(), "--sinks", "replace").code == 0
    assert {name: (scores / name).read_bytes() for name in kept} == kept


@pytest.mark.parametrize("letters", ["dead_letters", "audit/receipts"])
def test_a_training_set_written_to_the_audit_deletes_nothing_of_it(ran: Flow, letters: str) -> None:
    before = audit(ran)
    spec = ran.spec() | {"sinks": {"dead_letters": str(ran.root / letters)}}
    out = str(ran.root / ("audit/receipts" if letters == "dead_letters" else "training"))
    outcome = ran.run(spec, "--out", out, "--sinks", "replace", verb=write_features)
    assert before.items() <= audit(ran).items()
    assert outcome.code == (2 if letters == "dead_letters" else 0)


@pytest.mark.parametrize(("out", "sink"), [("audit/receipts", "audit"), ("scores", "scores"), ("link", "audit")])
def test_a_training_set_is_not_written_into_a_sink_of_the_job(ran: Flow, out: str, sink: str) -> None:
    before = audit(ran)
    linked(ran, "link", "audit/models")
    outcome = ran.run(ran.spec(), "--out", str(ran.root / out), "--sinks", "replace", verb=write_features)
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert "--out: '" in outcome.err
    assert f"{out}' is not allowed; expected: another folder than that of sinks.{sink} (" in outcome.err
    assert audit(ran) == before


@pytest.mark.parametrize(("sink", "of"), [("scores", "dead_letters"), ("drift", "scores"), ("dead_letters", "scores")])
def test_a_sink_replaces_its_own_kind_of_record_only(ran: Flow, sink: str, of: str) -> None:
    kept = names(ran.root / of)
    outcome = ran.run(ran.spec() | {"sinks": {sink: str(ran.root / of)}}, "--sinks", "replace")
    assert outcome.code == 0
    assert kept <= names(ran.root / of)
    assert f"1 file of other records stays, such as {ran.root / of}/" in outcome.err


def test_parquet_files_are_recognised_by_their_record_too(ran: Flow) -> None:
    spec = ran.spec() | {"sinks": {"scores": str(ran.root / "wide"), "format": "parquet"}}
    ran.run(spec)
    [scores] = names(ran.root / "wide", ".parquet")
    assert pq.read_metadata(ran.root / "wide" / scores).metadata[b"halflife.record"] == b"Score"
    outcome = ran.run(ran.spec(), "--out", str(ran.root / "wide"), "--sinks", "replace", verb=write_features)
    assert outcome.code == 0
    rows = names(ran.root / "wide", ".parquet") - {scores}
    assert [name.partition("-")[0] for name in rows] == ["features"]
    assert ran.run(spec, "--sinks", "replace").code == 0
    assert rows < names(ran.root / "wide", ".parquet")
    assert scores not in names(ran.root / "wide", ".parquet")


def test_a_file_that_contradicts_itself_stays(ran: Flow) -> None:
    scores = ran.root / "scores"
    [own] = names(scores)
    data = (scores / own).read_bytes()
    other = data.replace(b"halflife.record\x0aScore", b"halflife.record\x0aOther")
    assert other != data
    (scores / own).write_bytes(other)
    assert ran.run(ran.spec(), "--sinks", "replace").code == 0
    assert own in names(scores)
