"""Objects of other programs in a bucket, under keys that no store can have, are reported and block nothing."""

import json
from pathlib import Path

import pytest

from models.admission.watcher import Progress, Watcher
from models.store.store import ModelStore
from runners.flink.local.objects import S3Server
from schemas.job import ModelSpec
from tests.pipeline.commands.commands import Models

OLD, NEW = "2013-03-01T00:00:00Z", "2013-04-01T00:00:00Z"
VERBS = {"releases": "timeline", "versions": "list", "access": "access", "versions/v1": "list"}
NAMES = {"a\nb": "a\\nb", "zz\r.json": "zz\\r.json", "0\n0": "0\\n0", "in\nside/x": "in\\nside/x"}


@pytest.fixture
def bucket(s3: S3Server, request: pytest.FixtureRequest) -> Path:
    """The folder in which the server keeps a bucket of this test's own."""
    name = f"odd-{abs(hash(request.node.name)) % 10**9}"
    s3.create_bucket(name)
    return s3.folder / "buckets" / name


@pytest.fixture
def models(bucket: Path, tmp_path: Path) -> Models:
    """`halflife models` on a store in the bucket that holds v1, v2 and v3."""
    made = Models(f"s3://{bucket.name}/our/models")
    made.put(tmp_path / "payload", "v1", "v2", "v3")
    return made


def leave(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("{}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folder", VERBS)
def test_key_that_no_store_can_have_is_reported_and_stops_no_verb(
    models: Models, bucket: Path, folder: str, name: str
) -> None:
    assert models("release", "--champion", "v1", "--from", OLD).code == 0
    leave(bucket / "our/models/late" / folder, name)
    ran = [models("release", "--champion", "v2", "--from", NEW, "--json"), models("rollback", "--json")]
    assert [each.code for each in ran] == [0, 0], ran
    told = [each.get("key") for each in models(VERBS[folder], "--json").json["broken"]]
    assert f"late/{folder}/{NAMES[name]}" in told
    assert [each["version"] for each in models.json("list")["versions"]] == ["v1", "v2", "v3"]
    assert [each["sequence"] for each in models.json("timeline")["releases"]] == [1, 2, 3]
    assert [each["action"] for each in models.json("access")["entries"]].count("release") == 2


@pytest.mark.parametrize("folder", ["our/models", "our/models/late"])
def test_odd_key_beside_models_hides_none(models: Models, bucket: Path, folder: str) -> None:
    leave(bucket / folder, "a\nb")
    leave(bucket / folder, "c\nd/x")
    assert models.store.models() == ["late"]
    assert [each["version"] for each in models.json("list")["versions"]] == ["v1", "v2", "v3"]


def test_a_job_continues_to_admit_beside_an_odd_key(models: Models, bucket: Path) -> None:
    assert models("release", "--champion", "v1", "--from", OLD).code == 0
    leave(bucket / "our/models/late/releases", "a\nb")
    columns = {each["name"]: each["type"] for each in json.loads(manifest_of(models.store))["inputs"]}
    spec = ModelSpec(models.model, models.url, 10_000_000, False, 2**30)
    watcher, progress = Watcher(spec, columns, None), Progress()
    polled = watcher.poll(progress, 0)
    assert [each.release.sequence for each in polled.admitted] == [1]
    assert models("release", "--champion", "v2", "--from", NEW).code == 0
    assert [each.release.sequence for each in watcher.poll(polled.progress, 1).admitted] == [2]


def manifest_of(store: ModelStore) -> bytes:
    found = store._backend.read("late/versions/v1/manifest.json", 2**20)
    assert found is not None
    return found
