"""`halflife doctor --runner flink`: the cluster is queried but not trusted, and whatever does not fit is reported."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from runners.findings import Facts, Finding, ServingCost
from runners.flink import rest, workers
from runners.flink.preflight import check
from tests.pipeline.commands.answering import FLINK, answering
from tests.pipeline.commands.jobs import Patient

GIB = 1024**3
STREAM = Facts("late", True, {}, (ServingCost("v1", "linear", 10, 100, 0),), process_bytes=GIB)
GOOD = ("--flink_version=1.19", "--environment_type=LOOPBACK", "--parallelism=3")


@pytest.fixture
def jar(tmp_path: Path) -> str:
    with zipfile.ZipFile(tmp_path / "server.jar", "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "")
    return f"--flink_job_server_jar={tmp_path}/server.jar"


def found(answers: Mapping[str, Any], *words: str, facts: Facts = STREAM) -> dict[str, Finding]:
    with answering(answers) as master:
        return {each.check: each for each in check(facts, [f"--flink_master={master}", *words], 8 * GIB)}


def changed(path: str, **entries: Any) -> dict[str, Any]:
    return {**FLINK, path: {**FLINK[path], **entries}}


def configured(**entries: str) -> dict[str, Any]:
    known = {each["key"]: each["value"] for each in FLINK["/jobmanager/config"]} | entries
    return {**FLINK, "/jobmanager/config": [{"key": key, "value": value} for key, value in known.items()]}


def test_cluster_that_fits_has_no_failure(jar: str) -> None:
    findings = found(FLINK, *GOOD, jar)
    bad = {name: each.verdict for name, each in findings.items() if each.verdict != "ok"}
    assert bad == {"--environment_type": "warn"}, findings
    assert "3 slot(s) needed, 3 of 4 free" in findings["--parallelism"].found


@pytest.mark.parametrize(
    ("answers", "words", "name", "verdict", "says"),
    [
        (FLINK, ["--flink_version=2.0"], "--flink_version", "fail", "--flink_version=1.19"),
        (changed("/overview", **{"flink-version": "9.1"}), [], "--flink_version", "fail", "a cluster of one of"),
        (FLINK, ["--parallelism=4"], "--parallelism", "fail", "4 slot(s) needed, 3 of 4 free"),
        (changed("/overview", **{"slots-available": 1}), ["--parallelism=-1"], "--parallelism", "fail", "2 slot(s)"),
        (configured(**{"state.checkpoints.dir": ""}), [], "checkpoint folder", "fail", "is set"),
        (configured(**{"state.checkpoints.dir": "s3://b/c"}), [], "checkpoint folder", "not checked", "of its own"),
        (configured(**{"state.checkpoints.dir": "file:///proc/x"}), [], "checkpoint folder", "fail", "be written"),
        (configured(**{"restart-strategy.type": "fixed-delay"}), [], "restarts", "warn", "fixed-delay"),
    ],
    ids=["version", "unknown", "slots", "default", "no-folder", "s3", "unwritable", "restarts"],
)  # fmt: skip
def test_what_does_not_fit_the_cluster_is_reported(
    answers: Mapping[str, Any], words: list[str], name: str, verdict: str, says: str, jar: str
) -> None:
    finding = found(answers, *GOOD, jar, *words)[name]
    assert (finding.verdict, says in f"{finding.found} {finding.change}") == (verdict, True), finding


@pytest.mark.parametrize(
    ("answers", "name", "says"),
    [
        ({}, "--flink_master", "404"),
        ({"/overview": b"<html>welcome</html>"}, "--flink_master", "the answer is not JSON"),
        ({"/overview": b"[" * 100_000}, "--flink_master", "the answer is not JSON"),
        ({"/overview": [1]}, "--flink_master", "flink-version is 'None'"),
        ({"/overview": b" " * (4 * 1024 * 1024 + 1)}, "--flink_master", "at most 4194304 bytes"),
        ({"/overview": None}, "--flink_master", "timed out"),
        (changed("/overview", **{"slots-available": "many"}), "Flink's REST interface", "slots-available is 'many'"),
        ({**FLINK, "/jobmanager/config": {"a": 1}}, "Flink's REST interface", "the answer is not a list"),
        ({**FLINK, "/jobmanager/config": ["x"]}, "Flink's REST interface", "key is 'None'"),
    ],
    ids=["404", "html", "deep", "list", "endless", "silent", "slots", "config", "entries"],
)
def test_junk_for_an_answer_is_one_clear_line(
    answers: Mapping[str, Any], name: str, says: str, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_SECONDS", 0.5)
    finding = found(answers, *GOOD, jar)[name]
    assert (finding.verdict, says in finding.found, "\n" in finding.found) == ("fail", True, False), finding


@pytest.mark.parametrize("master", ["nowhere", "http://a:b", "ftp://h:1", "http://user:hush@h:1", "h:1/?q=1"])
def test_master_that_is_no_address_fails_without_being_asked(master: str, jar: str) -> None:
    findings = {each.check: each for each in check(STREAM, [f"--flink_master={master}", jar], 8 * GIB)}
    assert findings["--flink_master"].verdict == "fail"
    assert "is not an address; expected: host:port" in findings["--flink_master"].found


def environment(url: str | None, *words: str) -> Finding:
    options = PipelineOptions(list(words)).view_as(PortableOptions)
    return next(iter(workers.check_workers(options, url, STREAM, 8 * GIB)))


def test_loopback_worker_is_refused_off_loopback() -> None:
    assert environment("http://10.0.0.7:8081", "--environment_type=LOOPBACK").verdict == "fail"
    assert environment("http://[::1]:8081", "--environment_type=LOOPBACK").verdict == "warn"
    assert environment(None).verdict == "warn"


@pytest.fixture
def pool() -> Iterator[str]:
    """A real worker pool of Beam's."""
    address, server = BeamFnExternalWorkerPoolServicer.start(use_process=False)
    yield str(address).replace("localhost", "127.0.0.1")
    server.stop(0)


def test_worker_pool_is_asked_whether_it_is_one(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_CONNECT_SECONDS", 2.0)
    words, cluster = "--environment_type=EXTERNAL", "http://127.0.0.1:8081"
    assert environment(cluster, words, f"--environment_config={pool}").verdict == "ok"
    assert environment(cluster, words, f"--environment_option=external_service_address={pool}").verdict == "ok"
    with answering({}) as web:  # takes connections, but speaks no gRPC
        assert environment(cluster, words, f"--environment_config={web}").verdict == "fail"
    assert environment(cluster, words).verdict == "fail"
    assert environment("http://10.0.0.7:8081", words, "--environment_config=localhost:50000").verdict == "not checked"


def test_other_environments_say_what_they_need() -> None:
    cluster = "http://127.0.0.1:8081"
    assert "image with this package" in environment(cluster).change
    assert environment(cluster, "--environment_type=PROCESS", "--environment_config=[1]").verdict == "fail"
    process = environment(cluster, "--environment_type=PROCESS", '--environment_config={"command": "a"}')
    assert process.verdict == "not checked"
    assert environment(cluster, "--environment_type=MAGIC").verdict == "fail"


def test_workers_memory_is_what_the_task_manager_leaves(jar: str, pool: str) -> None:
    words = ("--flink_version=1.19", "--environment_type=EXTERNAL", f"--environment_config={pool}", jar)
    fits = found(FLINK, *words)["worker memory"]
    assert (fits.verdict, "of 5,120 MiB" in fits.found or "5,120 MiB beside" in fits.found) == ("ok", True), fits
    large = STREAM._replace(models=(ServingCost("v1", "linear", 10, 5 * GIB, 0),))
    assert found(FLINK, *words, facts=large)["worker memory"].verdict == "fail"
    silent = {**FLINK, "/taskmanagers": {"taskmanagers": [{"hardware": None}]}}
    assert found(silent, *words)["worker memory"].verdict == "not checked"


def test_job_server_that_is_no_jar_fails(tmp_path: Path) -> None:
    (tmp_path / "server.jar").write_text("no jar")
    no_jar = f"--flink_job_server_jar={tmp_path}/server.jar"
    assert found(FLINK, *GOOD, no_jar)["--flink_job_server_jar"].verdict == "fail"
    with answering({}) as endpoint:
        assert found(FLINK, *GOOD, f"--job_endpoint={endpoint}")["--job_endpoint"].verdict == "ok"
    assert found(FLINK, *GOOD, f"--job_endpoint={endpoint}")["--job_endpoint"].verdict == "fail"


def test_whole_command_names_the_cluster_that_does_not_answer(tmp_path: Path, jar: str) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    patient.publish()
    with answering({}) as gone:
        pass
    examined = patient.examined(f"--flink_master={gone}", jar, runner="flink")
    assert (examined.ran.code, examined.verdict("--flink_master")) == (1, "fail")
    assert "Connection refused" in examined.said("--flink_master")
