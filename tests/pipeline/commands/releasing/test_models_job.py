"""What is published, released and signed on the command line is what a job then serves, or refuses."""

import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from pipeline.command_line.options import parse_run_options
from pipeline.spec.documents import apply_settings
from tests.models.broken import Keys, new_key
from tests.models.bundle_folders import document, write_bundle
from tests.pipeline.commands.commands import Models, Ran, halflife

JOB = """
job: flights
events: {{uri: {root}/tests/data/flights/departures-2013-01.avro, format: avro, event_id: id, event_time: departed_at}}
features: [dep_delay, carrier]
model: {{name: late, store: {store}}}
sinks: {{audit: {out}/audit}}
"""
LINEAR = {"intercept": -1.0, "coefficients": {"dep_delay": 0.05}, "categories": {"carrier": {"AA": 0.2}}}
DELAY = {"name": "dep_delay", "type": "number", "nullable": True, "default": 0}
INPUTS = [DELAY, {"name": "carrier", "type": "string"}]


@pytest.fixture
def job(tmp_path: Path, root: Path) -> Path:
    (tmp_path / "job.yaml").write_text(JOB.format(root=root, store=tmp_path / "store", out=tmp_path))
    return tmp_path / "job.yaml"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_key(tmp_path / "keys")


def publish(tmp_path: Path, job: Path, version: str, *words: object) -> Ran:
    folder = tmp_path / version
    write_bundle(folder, document(version=version, inputs=INPUTS, linear=LINEAR))
    return halflife("models", "publish", folder, "--job", job, "--json", *words)


def audited(tmp_path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in (tmp_path / "audit" / "models").glob("*.avro"):
        with path.open("rb") as file:
            found += [record for record in fastavro.reader(file) if isinstance(record, dict)]
    return found


def test_job_that_trusts_a_key_serves_what_it_signed_and_refuses_the_rest(
    tmp_path: Path, job: Path, keys: Keys
) -> None:
    assert publish(tmp_path, job, "v1", "--sign_key", keys.private).json["published"]
    assert publish(tmp_path, job, "v2").json["published"]
    for version, start in (("v1", "2013-01-01T00:00:00Z"), ("v2", "2013-01-03T00:00:00Z")):
        assert halflife("models", "release", "--champion", version, "--from", start, "--job", job).code == 0
    ran = halflife("run", "--job", job, "--trusted_key", keys.public, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["versions"] == {"v1": {"champion": ran.json["scored"]}}
    refused = [each for each in audited(tmp_path) if each["kind"] == "refused"]
    assert [(each["version"], each["release"], each["reason"]) for each in refused] == [("v2", 2, "bad_signature")]
    assert "has no model.sig" in json.loads(refused[0]["evidence"])["detail"]


def test_unusable_key_stops_the_job_before_it_starts(tmp_path: Path, job: Path) -> None:
    ran = halflife("run", "--job", job, "--trusted_key", "absent.pem")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("halflife: model.trusted_key: 'absent.pem' is not readable (No such file")


def test_options_of_a_run_say_the_same_as_the_job_spec() -> None:
    words = ["--job", "x.yaml", "--allow_pickle", "--trusted_key", "keys: #1/a.pem", "--runner=DirectRunner"]
    options = parse_run_options(words, "halflife run")
    document: dict[str, Any] = {"model": {"name": "late"}}
    apply_settings(document, options.settings)
    assert document["model"] == {"name": "late", "allow_pickle": True, "trusted_key": "keys: #1/a.pem"}
    assert options.beam == ("--runner=DirectRunner",)


def test_publish_checks_the_model_against_the_columns_of_the_job(tmp_path: Path, job: Path) -> None:
    ran = publish(tmp_path, job, "v1", "--set", "features=[dep_delay]")
    assert (ran.code, ran.json["reason"]) == (1, "wrong_inputs")
    assert "'carrier' is not a column of the job" in ran.json["detail"]
    assert Models(str(tmp_path / "store")).store.versions() == []


def test_credentials_in_the_url_of_a_jobs_store_are_not_shown(job: Path) -> None:
    for verb in ("run", "features"):
        words = ["--out", "x"] if verb == "features" else []
        ran = halflife(verb, "--job", job, "--set", "model.store=s3://id:hush@bucket/models?token=hush", *words)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert "hush" not in ran.err + ran.out
