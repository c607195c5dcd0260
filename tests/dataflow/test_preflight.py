"""`halflife doctor --runner dataflow`: options, buckets, image and sizes, looked at without the cloud."""

from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from runners.dataflow import preflight, sizes
from runners.dataflow.machines import machine
from runners.dataflow.preflight import check
from runners.dataflow.settings import with_profile
from runners.findings import Facts, Finding, ServingCost
from tests.dataflow.doubles.emulators import GcsServer
from tests.pipeline.commands.jobs import Patient

GIB = 1024**3
IMAGE = "europe-docker.pkg.dev/p-1/halflife/halflife:1"
GOOD = ("--project=my-project", "--region=europe-west1", "--temp_location=gs://there/tmp",
        f"--sdk_container_image={IMAGE}")  # fmt: skip
URIS = {"events.uri": "kafka://broker:9092/flights", "model.store": "gs://there/models"}
STREAM = Facts("late", True, URIS, (ServingCost("v1", "linear", 10, GIB, 0),), process_bytes=GIB)


@pytest.fixture
def bucket(gcs: GcsServer) -> Any:
    """The bucket `there` of a GCS server."""
    from google.cloud.storage import Client

    found = Client().bucket("there")
    if not found.exists():
        found.create()
    return found


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody is logged in to Google."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


def found(*words: str, facts: Facts = STREAM) -> dict[str, Finding]:
    return {each.check: each for each in check(facts, with_profile((*GOOD, *words), "late", facts.streaming), None)}


def test_bucket_is_written_read_and_left_as_it_was(bucket: Any) -> None:
    findings = found("--staging_location=gs://absent/st")
    assert (findings["--temp_location"].verdict, findings["--staging_location"].verdict) == ("ok", "fail")
    assert "create gs://absent" in findings["--staging_location"].change
    assert list(bucket.list_blobs()) == []


def test_without_credentials_buckets_are_not_checked_and_never_ok(no_credentials: None) -> None:
    finding = found()["--temp_location"]
    assert (finding.verdict, "credentials" in finding.found) == ("not checked", True), finding


@pytest.mark.parametrize(
    ("words", "name", "verdict", "says"),
    [
        (["--project="], "--project", "fail", "--project=the id of a project"),
        (["--project=My_Project"], "--project", "fail", "expected: the id of a project"),
        (["--region=europe"], "--region", "fail", "europe-west1"),
        (["--temp_location=/tmp"], "--temp_location", "fail", "gs://bucket/folder"),
        (["--temp_location="], "--temp_location", "fail", "is not given"),
        (["--sdk_container_image="], "--sdk_container_image", "fail", "is not given"),
        (["--sdk_container_image=", "--requirements_file=r"], "--sdk_container_image", "warn", "installs"),
        (["--sdk_container_image=a b"], "--sdk_container_image", "fail", "is not a name of an image"),
        (["--sdk_container_image=eu.gcr.io/p/h:latest"], "--sdk_container_image", "warn", "no fixed build"),
        (["--requirements_file=absent.txt"], "worker packages", "fail", "unknown there"),
        (["--dataflow_service_options=a b"], "--dataflow_service_options", "fail", "'a b'"),
        (["--dataflow_service_options=streaming_mode_at_least_once"], "streaming mode", "warn", "at least once"),
        (["--machine_type=n1-standard-1"], "worker memory", "ok", "2,048 MiB with 1 live version(s); 3,840 MiB"),
        (["--machine_type=n1-highcpu-4"], "worker memory", "fail", "4 processes of 2,048 MiB"),
        (["--machine_type=n1-highcpu-4", "--experiments=no_use_multiple_sdk_containers"], "worker memory", "ok", ""),
        (["--machine_type=quantum-1"], "worker memory", "not checked", "quantum-1 is not in the table"),
    ],
    ids=lambda each: " ".join(each)[:50] if isinstance(each, list) else "",
)  # fmt: skip
def test_wrong_option_is_named_with_what_to_change(
    words: list[str], name: str, verdict: str, says: str, no_credentials: None
) -> None:
    finding = found(*words)[name]
    assert (finding.verdict, says in f"{finding.found} {finding.change}") == (verdict, True), finding


def test_paths_and_addresses_of_this_machine_are_refused(no_credentials: None) -> None:
    uris = {"events.uri": "kafka://b:9092,localhost:9092/t", "model.store": "/data/models", "sinks.scores": "file:///out"}
    findings = found(facts=STREAM._replace(uris={**uris, "sinks.drift": "gs://there/drift"}))
    assert {name: findings[name].verdict for name in uris} == dict.fromkeys(uris, "fail")
    assert "sinks.drift" not in findings


def test_image_and_this_machine_have_the_same_beam(
    no_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found()["worker packages"].verdict == "ok"
    monkeypatch.setattr(preflight, "DOCKERFILE", tmp_path / "Dockerfile")
    assert found()["worker packages"].verdict == "not checked"
    (tmp_path / "Dockerfile").write_text("ARG BEAM_VERSION=2.1.0\nFROM apache/beam_python3.9_sdk:${BEAM_VERSION}\n")
    assert "Python 3.11 here, 3.9 there; Beam's image" in found()["worker packages"].found


def test_packages_of_pickled_objects_must_match_the_images_lock(
    no_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "pyarrow" in found()["worker packages"].found
    monkeypatch.setattr(preflight, "IMAGE_LOCK", tmp_path / "lock")
    (tmp_path / "lock").write_text("numpy==1.0\napache-beam==2.77.0\nrequests==0\n")
    finding = found()["worker packages"]
    assert (finding.verdict, "numpy" in finding.found, "requests" in finding.found) == ("fail", True, False)


@pytest.mark.parametrize(
    ("name", "cpus", "gigabytes"),
    [("n2-highmem-4", 4, 32), ("n1-standard-1", 1, 3.75), ("e2-medium", 2, 4), ("c3-highcpu-22", 22, 44),
     ("custom-8-16384", 8, 16), ("n2-custom-4-10240-ext", 4, 10), ("c4-standard-8-lssd", 8, 32)],
)  # fmt: skip
def test_machine_types_are_read_off_their_names(name: str, cpus: int, gigabytes: float) -> None:
    assert machine(name) == (cpus, int(gigabytes * GIB))


@pytest.mark.parametrize("name", ["", "n2-highmem", "n2-highmem-0", "custom-0-1024", "c2-highmem-4", "n2-standard-4 "])
def test_machine_types_that_are_unknown_are_not_guessed(name: str) -> None:
    assert machine(name) is None


def test_graph_is_held_to_the_limit_and_to_the_released_one(
    translated: beam_runner_api_pb2.Pipeline, no_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = translated.SerializeToString()
    findings = found(facts=STREAM._replace(graph=graph))
    assert (findings["graph size"].verdict, findings["update in place"].verdict) == ("ok", "ok")
    monkeypatch.setattr(sizes, "MOST_GRAPH_BYTES", len(graph) - 1)
    assert found(facts=STREAM._replace(graph=graph))["graph size"].verdict == "fail"


def test_update_that_would_break_the_job_fails_only_where_it_is_asked_for(
    translated: beam_runner_api_pb2.Pipeline, no_credentials: None
) -> None:
    renamed = beam_runner_api_pb2.Pipeline()
    renamed.CopyFrom(translated)
    for step in renamed.components.transforms.values():
        step.unique_name = step.unique_name.replace("WatchReleases", "Watching")
    facts = STREAM._replace(graph=renamed.SerializeToString())
    finding = found(facts=facts)["update in place"]
    assert (finding.verdict, "--transform_name_mapping=" in finding.change) == ("warn", True), finding
    assert found("--update", facts=facts)["update in place"].verdict == "fail"
    mapping = finding.change.partition(" beside")[0]
    assert found("--update", mapping, facts=facts)["update in place"].verdict == "ok"


def test_whole_command_builds_the_graph_and_refuses_local_paths(tmp_path: Path, no_credentials: None) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    patient.publish()
    examined = patient.examined(*GOOD, runner="dataflow")
    failed = {name for name, verdict in examined.bad().items() if verdict == "fail"}
    assert failed == {"events.uri", "model.store", *(f"sinks.{name}" for name in patient.spec()["sinks"])}
    assert (examined.ran.code, examined.verdict("graph size")) == (1, "ok")
    assert examined.verdict("--temp_location") == "not checked"


def test_whole_command_does_not_wait_for_buckets_without_credentials(tmp_path: Path, no_credentials: None) -> None:
    patient = Patient(tmp_path)
    buckets = ["--set", "events.uri=gs://there/*.json", "--set", "model.store=gs://there/models"]
    examined = patient.examined(*buckets, *GOOD, runner="dataflow")
    unasked = ("events.uri", "sinks", "model.store", "worker memory", "graph")
    assert {name: examined.verdict(name) for name in unasked} == dict.fromkeys(unasked, "not checked")
    assert "credentials" in examined.said("events.uri")
