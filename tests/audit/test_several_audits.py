"""Receipts and model events go to several sinks at once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.audit.world import FlightsAudit, records
from tests.pipeline.commands.commands import Ran, halflife


def run(flown: FlightsAudit, audit: Any, *words: object) -> Ran:
    return halflife("run", "--job", flown.job, "--set", f"sinks={json.dumps({'audit': audit})}", *words)


def rows(folder: Path) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in records(folder))


@pytest.fixture(scope="module")
def twice(flown: FlightsAudit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path, Path]:
    """A run with two audits in files."""
    folder = tmp_path_factory.mktemp("twice")
    one, other = folder / "one", folder / "other"
    return run(flown, [str(one), f"file://{other}"], "--json"), one, other


def test_each_sink_has_all_records_and_the_summary_names_both(
    flown: FlightsAudit, twice: tuple[Ran, Path, Path]
) -> None:
    ran, one, other = twice
    assert ran.code == 0, ran.err
    for kind in ("receipts", "models"):
        assert rows(one / kind) == rows(other / kind) != []
    assert ran.json["receipts"] == len(list(records(one / "receipts"))) == len(flown.receipts)
    assert ran.json["job"]["sinks"]["audit"] == [f"file://{one}", f"file://{other}"]


def test_questions_are_answered_by_the_first_in_files(
    flown: FlightsAudit, twice: tuple[Ran, Path, Path], tmp_path: Path
) -> None:
    one = twice[1]
    spec = yaml.safe_load(flown.job.read_text("utf-8"))
    spec["sinks"]["audit"] = ["kafka://localhost:1/audit", str(one), str(tmp_path / "none")]
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    receipt = flown.receipts[5]
    for words in (("--job", tmp_path / "job.yaml"), ("--audit", twice[2], "--store", flown.folder / "store")):
        said = halflife("audit", "score", receipt["score_id"], "--json", "--no_verify", *words).json
        assert said["score"] == receipt["score"]
    sealed = shutil.copytree(one, tmp_path / "sealed")
    spec["sinks"]["audit"] = ["kafka://localhost:1/audit", str(sealed)]
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    assert halflife("audit", "seal", "--job", tmp_path / "job.yaml").code == 0
    assert halflife("audit", "verify", "--job", tmp_path / "job.yaml", "--json").json["receipts"] == len(flown.receipts)


def test_where_no_sink_is_in_files_that_is_said(flown: FlightsAudit) -> None:
    topics = "sinks.audit=[kafka://localhost:1/audit, 'pubsub://project/audit']"
    ran = halflife("audit", "at", "now", "--job", flown.job, "--set", topics)
    assert (ran.code, "since audit reads files" in ran.err) == (2, True), ran.err


def test_a_job_that_seals_itself_seals_each(flown: FlightsAudit, tmp_path: Path) -> None:
    ran = run(flown, [str(tmp_path / "a"), str(tmp_path / "b")], "--set", "audit.seal.in_job=true")
    assert ran.code == 0, ran.err
    for name in ("a", "b"):
        assert (tmp_path / name / "checkpoints" / "00000002").exists()
        assert list((tmp_path / name / "receipts").glob("*.avro")) == []


def test_records_on_standard_output_are_all_that_is_there(flown: FlightsAudit, tmp_path: Path) -> None:
    ran = run(flown, [str(tmp_path / "a"), "stdout:"])
    said = [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.code, sum("score_id" in each for each in said)) == (0, len(flown.receipts)), ran.err
    assert len(list(records(tmp_path / "a" / "receipts"))) == len(flown.receipts)


WRONG: dict[str, tuple[Any, str]] = {
    "none": ([], "sinks.audit: "),
    "one of another kind": (["a", 7], "sinks.audit[1]: 7"),
    "of no scheme": (["a", "ftp://host/audit"], "sinks.audit[1]: 'ftp://host/audit'"),
    "the same folder": (["a", "./a/"], "sinks.audit[1]: './a/'"),
    "the same words": (["a", "a"], "sinks.audit: "),
    "of spaces": (["a", "b "], "sinks.audit[1]: 'b '"),
    "a variable": (["a", "${NO_SUCH}/b"], "sinks.audit[1]: '${NO_SUCH}/b'"),
    "of a topic": (["a", "kafka://"], "sinks.audit[1]: 'kafka://'"),
    "a mapping": ({"a": "b"}, "sinks.audit: "),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_list_that_is_wrong_is_refused_at_its_item(
    flown: FlightsAudit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    audit, said = WRONG[kind]
    ran = run(flown, audit)
    assert (ran.code, f"halflife: {said}" in ran.err, list(tmp_path.iterdir())) == (2, True, []), ran.err


def test_an_item_within_the_store_is_refused(flown: FlightsAudit, tmp_path: Path) -> None:
    ran = run(flown, [str(tmp_path / "a"), str(flown.folder / "store" / "delays")])
    assert (ran.code, ran.err.startswith("halflife: sinks.audit[1]: ")) == (2, True), ran.err


def test_one_that_cannot_be_written_ends_the_run_before_it_begins_as_the_only_one_does(
    flown: FlightsAudit, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    wrong = str(tmp_path / "file")
    for audit, named in ((wrong, "sinks.audit: "), ([str(tmp_path / "a"), wrong], "sinks.audit[1]: ")):
        ran = run(flown, audit)
        assert (ran.code, named in ran.err, wrong in ran.err) == (1, True, True), ran.err
    assert list((tmp_path / "a").rglob("*.avro")) == []


def test_doctor_looks_at_each(flown: FlightsAudit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    sinks = json.dumps({"audit": [str(tmp_path / "a"), str(tmp_path / "file")]})
    ran = halflife("doctor", "--runner", "DirectRunner", "--job", flown.job, "--set", f"sinks={sinks}", "--json")
    found = {each["check"]: each["verdict"] for each in ran.json["checks"]}
    assert (found["sinks.audit[0]"], found["sinks.audit[1]"]) == ("ok", "fail"), ran.out
