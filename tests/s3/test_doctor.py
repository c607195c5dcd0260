"""The doctor on a store in a bucket of a real S3 server."""

import shutil
from pathlib import Path

from models.store.store import ModelStore
from runners.flink.local.objects import S3Server
from tests.models import broken
from tests.pipeline.commands.jobs import Patient


def in_bucket(patient: Patient, url: str) -> ModelStore:
    """The patient's model published to a bucket and released."""
    patient.feed()
    broken.good(patient.folder / "bundle")
    store = ModelStore(url, "late")
    store.publish_bundle(patient.folder / "bundle")
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    return store


def test_version_in_a_bucket_is_tried_as_the_job_would(s3: S3Server, tmp_path: Path) -> None:
    url = f"{s3.create_bucket('examined')}/models"
    in_bucket(Patient(tmp_path), url)
    examined = Patient(tmp_path).examined("--set", f"model.store={url}")
    assert (examined.ran.code, examined.verdict("model.store"), examined.verdict("version v1")) == (0, "ok", "ok")
    golden = next((s3.folder / "buckets" / "examined").rglob("golden.jsonl"))
    golden.write_text("changed in the bucket")
    assert "; wrong_digest: " in Patient(tmp_path).examined("--set", f"model.store={url}").said("version v1")


def test_bucket_that_is_not_there_fails_in_one_line_without_keys(s3: S3Server, tmp_path: Path) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    examined = patient.examined("--set", "model.store=s3://absent/models")
    assert (examined.ran.code, examined.verdict("model.store")) == (1, "fail")
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in examined.ran.out
    assert "timeline" not in examined.checks


def test_bucket_that_went_away_fails(s3: S3Server, tmp_path: Path) -> None:
    url = f"{s3.create_bucket('left')}/models"
    in_bucket(Patient(tmp_path), url)
    shutil.rmtree(s3.folder / "buckets" / "left")
    assert Patient(tmp_path).examined("--set", f"model.store={url}").verdict("model.store") == "fail"
