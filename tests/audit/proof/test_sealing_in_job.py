"""A job seals its audit itself: bounded input at the end of its run, a stream while it runs."""

import shutil
import threading
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream as Story  # pytest would collect a class named Test…

from pipeline.command_line.options import parse_run_options
from pipeline.dag import build
from pipeline.endpoints.lookups.table_files import FileTables
from pipeline.endpoints.outputs import write_outputs
from pipeline.endpoints.sealing.in_stream import SealAudit
from pipeline.run import prepare
from schemas.formats.raw import RawBlock
from schemas.job import Job
from schemas.records import ModelEvent, record_batch
from tests.audit.proof.test_audit_proof import finding_lists
from tests.audit.sealing.sealed import events_of, written
from tests.audit.world import FlightsAudit, records
from tests.pipeline.commands.commands import Ran, halflife

IN_JOB = ("--set", "audit.seal.in_job=true")


class Own(NamedTuple):
    """A job that seals its own audit with a key."""

    flown: FlightsAudit
    audit: Path
    key: Path

    @property
    def words(self) -> tuple[str, ...]:
        settings = {"sinks": f"{{audit: {self.audit}}}", "audit.key": self.key}
        return tuple(word for path, value in settings.items() for word in ("--set", f"{path}={value}"))

    def run(self, *words: object) -> Ran:
        return halflife("run", "--job", self.flown.job, *self.words, *words)

    def job(self, *words: str) -> Job:
        given = ["--job", str(self.flown.job), *self.words, *IN_JOB, *words]
        return prepare(parse_run_options(given, "tests")).job


@pytest.fixture
def own(flown: FlightsAudit, tmp_path: Path) -> Own:
    assert halflife("audit", "key", "--out", tmp_path / "audit.key").code == 0
    return Own(flown, tmp_path / "audit", tmp_path / "audit.key")


def files(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.rglob("*.avro") if path.parent.name in ("receipts", "models"))


def test_what_a_run_wrote_is_sealed_and_signed_before_it_returns(own: Own) -> None:
    ran = own.run(*IN_JOB, "--json")
    assert (ran.code, files(own.audit)) == (0, []), ran.err
    found = halflife("audit", "verify", "--job", own.flown.job, *own.words, "--json", "--key", f"{own.key}.pub").json
    assert (finding_lists(found), found["unsealed"], found["segments"]) == ({}, 0, 2)
    assert found["receipts"] == ran.json["receipts"] == len(own.flown.receipts)
    assert ran.json["job"]["audit"] == {"key": str(own.key), "seal": {"in_job": True}}


@pytest.mark.parametrize("subject", ["tailnum", "id"])
def test_a_run_prepares_its_receipts_which_are_sealed_as_they_stand(
    own: Own, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, subject: str
) -> None:
    monkeypatch.setattr("audit.sealing.prepared.LEAST", 100)
    monkeypatch.delattr("audit.sealing.sealing.Sealer._built")
    monkeypatch.setattr("audit.sealing.sealing.KINDS", {"receipts": "Receipt"})
    private = ("--set", f"privacy.keys={tmp_path / 'keys'}", "--set", f"events.subject={subject}")
    assert own.run(*IN_JOB, *private).code == 0
    verify = ("verify", "--job", own.flown.job, *own.words, *private, "--json", "--key", f"{own.key}.pub")
    found = halflife("audit", *verify).json
    assert (finding_lists(found), found["receipts"]) == ({}, len(own.flown.receipts))
    assert list((own.audit / "prepared").rglob("*")) == []


def test_a_second_run_seals_what_it_adds_and_one_without_it_seals_nothing(own: Own) -> None:
    assert own.run(*IN_JOB, "--set", "audit.seal.size=100").code == 0
    before = len(list((own.audit / "checkpoints").iterdir()))
    assert (own.run().code, files(own.audit)) == (0, ["models", "receipts"])
    assert own.run(*IN_JOB).code == 0
    # One of the receipts of both runs, and one of the model events of each, whose files say of which run they are.
    assert (files(own.audit), len(list((own.audit / "checkpoints").iterdir()))) == ([], before + 3)
    assert set(events_of(own.audit).values()) == {3 * times for times in (1, 2)}


def test_an_audit_that_is_sealed_is_not_new(own: Own) -> None:
    assert (own.run(*IN_JOB, "--sinks", "new").code, files(own.audit)) == (0, [])
    ran = own.run(*IN_JOB, "--sinks", "new")
    assert ran.code == 1
    assert f"{own.audit} is not new: it holds sealed segments" in ran.err
    assert own.run("--sinks", "append").code == 0


def test_a_run_that_fails_by_its_outcome_seals_its_receipts_too(own: Own) -> None:
    later = "events.time_range=[2013-01-02T00:00:00Z, 2014-01-01T00:00:00Z]"
    ran = own.run(*IN_JOB, "--max_dead_letters", "0", "--set", later)
    assert (ran.code, files(own.audit)) == (1, []), ran.err
    assert (own.audit / "checkpoints" / "00000001").exists()


def test_sealing_that_fails_is_said_and_loses_no_score(own: Own) -> None:
    checkpoints = own.audit / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "00000001").write_text("no checkpoint")
    ran = own.run(*IN_JOB, "--json")
    assert (ran.code, ran.json["receipts"]) == (0, len(own.flown.receipts)), ran.err
    assert len(list(records(own.audit / "receipts"))) == len(own.flown.receipts)
    assert f"{own.audit.name} is not sealed: checkpoints/00000001: " in ran.err
    assert "next: halflife audit seal" in ran.err


@pytest.mark.parametrize("key", ["no-such-file", "${NO_SUCH_VARIABLE}", "job.yaml"])
def test_a_key_that_cannot_be_read_ends_the_run_before_it_begins(own: Own, key: str) -> None:
    named = str(own.flown.job) if key == "job.yaml" else key
    ran = own.run(*IN_JOB, "--set", f"audit.key={named}")
    assert (ran.code, own.audit.exists(), ran.err.startswith("halflife: audit.key: ")) == (2, False, True), ran.err


@pytest.mark.parametrize("audit", ["stdout:", "kafka://localhost:1/audit", "hdfs://name/audit", None])
def test_sealing_needs_an_audit_in_files(own: Own, audit: str | None) -> None:
    sinks = "{scores: out/scores}" if audit is None else f"{{audit: '{audit}'}}"
    ran = own.run(*IN_JOB, "--set", f"sinks={sinks}")
    assert (ran.code, "audit.seal.in_job: True" in ran.err, "sinks.audit in a folder" in ran.err) == (2, True, True)


def ticks(number: int) -> list[pa.RecordBatch]:
    beats = [ModelEvent(n, "heartbeat", "delays", None, None, None, "job", "", "{}") for n in range(number)]
    return [record_batch("ModelEvent", [beat]) for beat in beats]


def sealing_ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "seal-audit":
            thread.join()


class SlowClock:
    """Each look comes an hour after the one before, once its sealing has ended."""

    def __init__(self) -> None:
        self._now_us = 10**15

    def __call__(self) -> int:
        sealing_ended()
        self._now_us += 3_600_000_000
        return self._now_us


def sealed_by(job: Job, beats: int = 2) -> dict[str, int]:
    """Runs the stage over so many heartbeats, and returns what it counted: at each what was sealed at the one before.
    """
    with beam.Pipeline(options=PipelineOptions(["--direct_running_mode=in_memory"])) as pipeline:
        _ = pipeline | beam.Create(ticks(beats)) | "SealAudit" >> SealAudit(job, SlowClock())
    sealing_ended()
    counters = pipeline.result.metrics().query()["counters"]
    return {each.key.metric.name: each.committed for each in counters}


def test_the_stage_of_a_stream_seals_what_is_there_and_again(own: Own) -> None:
    job = own.job("--set", "audit.seal.age=0s")
    for number in range(3):
        written(own.audit, files=4, first=4 * number)
        counted = sealed_by(job)
        assert (counted["segments_sealed"], counted["receipts_sealed"], counted["sealings_failed"]) == (2, 20, 0)
        assert files(own.audit) == []
    assert events_of(own.audit) == {f"e{n}": 1 for n in range(60)}


def test_the_stage_of_a_stream_waits_for_age_or_size(own: Own) -> None:
    written(own.audit, files=4)
    sealed_by(own.job("--set", "audit.seal.age=36500d"))
    assert (len(files(own.audit)), (own.audit / "checkpoints").exists()) == (5, False)
    sealed_by(own.job("--set", "audit.seal.age=36500d", "--set", "audit.seal.size=1"))
    assert files(own.audit) == []


@pytest.mark.parametrize("why", ["key", "chain", "file"])
def test_what_the_stage_cannot_seal_is_counted_said_and_stops_nothing(
    own: Own, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = own.job("--set", "audit.seal.age=0s")
    [first, *_] = written(own.audit, files=2)
    if why == "key":
        own.key.unlink()
    elif why == "chain":
        (own.audit / "checkpoints").mkdir()
        (own.audit / "checkpoints" / "00000002").write_bytes(b"")
    else:
        first.write_bytes(first.read_bytes()[:-9])
    with caplog.at_level("WARNING"):
        counted = sealed_by(job)
    assert counted["sealings_failed"] == 1
    assert "scoring continues" in caplog.text
    assert first.exists()
    assert len(files(own.audit)) == (1 if why == "file" else 3)


def test_a_stream_has_the_stage_and_its_graph_has_no_key(own: Own) -> None:
    secret = own.key.read_text("utf-8").strip()
    for words, labels in (((), {"SealAudit"}), (("--set", "audit.seal.in_job=false"), set())):
        job = own.job(*words)
        pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))
        story = pipeline | Story().advance_watermark_to_infinity()
        raw = story | beam.Map(lambda block: block).with_output_types(RawBlock)
        write_outputs(build(raw, job, tables=FileTables()), job, "run")
        proto = pipeline.to_runner_api()
        names = {each.unique_name.partition("/")[0] for each in proto.components.transforms.values()}
        assert names & {"SealAudit"} == labels
        assert secret.encode() not in proto.SerializeToString()


def test_the_key_is_nowhere_in_what_a_run_wrote_and_said(own: Own, tmp_path: Path) -> None:
    ran = own.run(*IN_JOB, "--json", "--summary", tmp_path / "summary.json")
    told = shutil.copytree(own.audit, tmp_path / "told")
    secret = own.key.read_text("utf-8").strip().encode()
    assert (ran.code, secret.decode() in ran.out + ran.err) == (0, False)
    read = [path for path in (*told.rglob("*"), tmp_path / "summary.json") if path.is_file()]
    assert [path.name for path in read if secret in path.read_bytes()] == []
