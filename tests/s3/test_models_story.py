"""A model from publish to rollback, in a local folder and on a real S3 server: the same commands, the same answers."""

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from models.admission.admission import Admission
from models.errors import StoreError
from models.releases.release import AdmittedRelease
from models.releases.timeline import Timeline, roles_of
from runners.flink.local.objects import S3Server
from tests.models import bundle_folders as bundles
from tests.models.bundle_folders import COLUMNS, document, flights, write_bundle
from tests.pipeline.commands.commands import Models, halflife
from transforms.lookups.stored_versions import Version, load_version

DAYS = [f"2013-0{month}-01T00:00:00Z" for month in range(1, 10)]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted pipeline as users of scikit-learn save it, with a sample beside it."""
    folder = tmp_path_factory.mktemp("trained")
    bundles.sklearn_frame(folder)
    parquet.write_table(pa.Table.from_batches([flights(300)]), folder / "sample.parquet")
    return folder / "model.skops"


def roles_at(models: Models, at: str) -> dict[str, str]:
    found = models.json("timeline", "--at", at)
    return roles_of(next(each for each in models.store.releases() if each.sequence == found["in_force"]))


def test_publish_shadow_canary_promote_rollback(models: Models, model_file: Path) -> None:
    sample = ("--sample", model_file.parent / "sample.parquet", "--trained_at", DAYS[0], "--threshold", "0.5")
    for version in ("v1", "v2"):
        assert models.json("publish", model_file, "--version", version, *sample)["checked"]
    models.json("release", "--champion", "v1", "--from", "2099-01-01T00:00:00Z", "--reason", "first")
    steps: list[tuple[str, ...]] = [
        ("release", "--champion", "v1", "--shadow", "v2", "--reason", "dark launch"),
        ("release", "--champion", "v1", "--challenger", "v2=0.1", "--reason", "canary"),
        ("release", "--champion", "v2", "--reason", "promoted"),
        ("rollback", "--reason", "worse on Mondays"),
    ]
    for month, words in enumerate(steps, start=2):
        assert models.json(*words, "--from", f"2099-0{month}-01T00:00:00Z")["sequence"] == month
    expected: list[dict[str, str]] = [
        {"v1": "champion"},
        {"v1": "champion", "v2": "shadow"},
        {"v1": "champion", "v2": "challenger 0.1"},
        {"v2": "champion"},
        {"v1": "champion", "v2": "challenger 0.1"},
    ]
    assert [roles_at(models, f"2099-0{month}-15T00:00:00Z") for month in range(1, 6)] == expected
    actions = [each["action"] for each in models.json("access")["entries"]]
    assert actions == ["publish"] * 2 + ["release"] * 4 + ["rollback"]
    admission = Admission(models.store, COLUMNS)
    admitted = [admission.admit_release(each) for each in models.store.releases()]
    assert len(Timeline([each for each in admitted if isinstance(each, AdmittedRelease)])) == 5


def test_published_version_can_be_checked_shown_and_listed(models: Models, model_file: Path) -> None:
    sample = ("--sample", model_file.parent / "sample.parquet", "--trained_at", DAYS[0])
    digest = models.json("publish", model_file, "--version", "v1", *sample)["digest"]
    assert models.json("check", "v1")["admitted"]
    shown = models.json("show", "v1")
    assert (shown["digest"], len(shown["profile"])) == (digest, 5)
    assert [each["digest"] for each in models.json("list")["versions"]] == [digest]
    assert models("publish", model_file, "--version", "v1", *sample).code == 1
    assert models("release", "--champion", "v9").code == 1


def at_once(models: Models, commands: Sequence[Sequence[object]]) -> list[tuple[int, Any]]:
    """Exit code and JSON of commands that run in processes of their own, all started before any is waited for."""
    where = ["--store", models.url, "--model", models.model, "--json"]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "models", *(str(word) for word in words), *where],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]
    answers = [(process.communicate()[0], process.returncode) for process in running]
    return [(code, json.loads(out) if out else None) for out, code in answers]


def test_racing_releases_all_get_sequences_of_their_own(models: Models, tmp_path: Path) -> None:
    models.put(tmp_path / "empty", "v1")
    racers = [("release", "--champion", "v1", "--by", f"racer{number}") for number in range(4)]
    done = at_once(models, racers)
    assert sorted(answer["sequence"] for code, answer in done if code == 0) == [1, 2, 3, 4]
    assert {each.by for each in models.store.releases()} == {f"racer{number}" for number in range(4)}


def test_racing_threads_all_get_sequences_of_their_own(models: Models, tmp_path: Path) -> None:
    models.put(tmp_path / "empty", "v1")

    def release(number: int) -> int:
        return models.store.append_release(champion="v1", effective_from_us=number, by=f"racer{number}").sequence

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(release, range(48))) == list(range(1, 49))
    assert len({each.by for each in models.store.releases()}) == 48


def test_of_racing_publishes_of_one_version_exactly_one_wins(models: Models, tmp_path: Path) -> None:
    folders = [tmp_path / f"racer{number}" for number in range(3)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for name in ("a.bin", "b.bin", f"only{number}.bin"):
            (folder / name).write_bytes(bytes([number]) * 100_000)
        write_bundle(folder, document(created_by=f"racer{number}"))
    done = at_once(models, [("publish", folder) for folder in folders])
    assert [code for code, _ in done].count(0) == 1
    winner = next(answer for code, answer in done if code == 0)
    assert models.json("check", "v1")["admitted"]
    assert [each["digest"] for each in models.json("list")["versions"]] == [winner["digest"]]


def test_broken_version_in_the_store_is_refused(models: Models, tmp_path: Path) -> None:
    models.put(tmp_path / "empty", "v1")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_bytes(b"notes")
    models.store.publish(tmp_path / "full", document(version="v2"))
    assert models("check", "v2", "--max_bytes", "4", "--json").json["reason"] == "too_large"
    models.store._backend.create("late/versions/v3/manifest.json", b"{}")
    assert models("check", "v3", "--json").json["reason"] == "invalid_manifest"
    assert [each["version"] for each in models.json("list")["versions"]] == ["v1", "v2", "v3"]


def test_a_table_is_published_released_and_joined(models: Models, tmp_path: Path) -> None:
    (tmp_path / "planes.csv").write_text("code,year\n7,1990\nA,1991\n")
    named, where = ("--name", "planes"), ("--store", models.url, "--json")
    words = ("tables", "publish", tmp_path / "planes.csv", *named, "--key", "code", "--version", "v1", *where)
    made = halflife(*words).json
    assert ("is already published" in halflife(*words).err, made["rows"]) == (True, 2)
    for day in DAYS[:2]:
        assert halflife("tables", "release", *named, "--version", "v1", "--from", day, *where).code == 0
    told = halflife("tables", "timeline", *named, "--at", DAYS[1], *where).json
    assert (told["in_force"], [one["effective_from"] for one in told["releases"]]) == (2, DAYS[:2])
    wanted = Version(models.url, "planes", "v1", made["digest"], (("year", "number"),), 1, 2)
    table = load_version(wanted)
    assert table.take(table.rows_at(pa.array([7, 8]), np.zeros(2, np.int64)))[0].to_pylist() == [1990, None]
    assert models.store.models() == []


def test_credentials_appear_in_no_output(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    identity, secret = (s3.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    absent, closed = Models("s3://no-such-bucket/store"), Models(s3.create_bucket("closed") + "/store")
    said = [absent(verb) for verb in ("list", "timeline", "access")]
    said.append(absent("show", "v1"))
    said.append(Models(f"s3://{identity}:{secret}@closed/store")("list"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret-value")
    said.append(closed("list"))
    assert [ran.code for ran in said] == [1, 1, 1, 1, 2, 1]  # a URL with a password is bad usage
    assert [ran.err.count("\n") for ran in said] == [1] * 6
    shown = "".join(ran.out + ran.err for ran in said)
    assert [text for text in (f"{identity}:{secret}", secret, "another-secret-value") if text in shown] == []
    assert "403 Forbidden" in said[5].err


def test_store_that_recovers_is_read_again(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(s3.create_bucket("recovering") + "/store")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match="cannot list"):
        models.store.scan_releases()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.environment["AWS_ENDPOINT_URL"])
    assert models.store.scan_releases().last == 0
