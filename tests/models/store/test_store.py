"""The store on a local folder and in memory: atomic publishing, append-only releases, untrusted content."""

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import obstore
import pytest

from models.bundles.folders import BundleIncomplete, BundleTooLarge, WrongDigest
from models.bundles.manifest import InvalidManifest, PathOutside
from models.errors import StoreError
from models.releases.release import Challenger, InvalidRelease
from models.store import backends
from models.store.backends import Backend, InvalidStoreUrl, StoreUnavailable
from models.store.store import ModelStore, UnknownVersion, VersionExists
from tests.models.bundle_folders import document


def publish(store: ModelStore, folder: Path, *versions: str) -> None:
    for version in versions:
        store.publish(folder, document(version=version))


def write(store: ModelStore, key: str, content: bytes) -> None:
    assert Backend(store.url).create(key, content)


def test_store_that_does_not_exist_yet_is_empty(store: ModelStore, tmp_path: Path) -> None:
    assert store.versions() == []
    assert store.releases() == []
    with pytest.raises(BundleIncomplete, match=r"'v1' of 'late' has no manifest\.json"):
        store.read_manifest("v1")
    assert not (tmp_path / "store").exists()


def test_published_bundle_comes_back_byte_for_byte(store: ModelStore, payload: Path, tmp_path: Path) -> None:
    manifest = store.publish(payload, document())
    assert sorted(manifest.files) == ["deep/weights.bin", "notes.txt"]
    assert store.versions() == ["v1"]
    assert store.read_manifest("v1") == manifest
    folder = store.fetch("v1", tmp_path / "fetched", manifest.digest)
    assert (folder / "deep" / "weights.bin").read_bytes() == b"0123456789"
    assert (folder / "manifest.json").read_bytes() == manifest.raw


def test_version_is_published_once(store: ModelStore, payload: Path) -> None:
    publish(store, payload, "v1")
    with pytest.raises(VersionExists, match="already published"):
        publish(store, payload, "v1")


def test_half_a_bundle_does_not_exist_and_can_be_finished(store: ModelStore, payload: Path) -> None:
    write(store, "late/versions/v1/notes.txt", b"notes")
    assert store.versions() == []
    with pytest.raises(UnknownVersion):
        store.append_release(champion="v1", effective_from_us=0, by="tests")
    publish(store, payload, "v1")
    assert store.versions() == ["v1"]


def test_payload_of_another_publish_is_never_overwritten(store: ModelStore, payload: Path) -> None:
    write(store, "late/versions/v1/notes.txt", b"others")
    with pytest.raises(VersionExists, match=r"notes\.txt is there with other content"):
        publish(store, payload, "v1")
    assert store.versions() == []


def test_racing_publishers_leave_one_whole_bundle(store: ModelStore, payload: Path, tmp_path: Path) -> None:
    def attempt(number: int) -> bool:
        folder = tmp_path / f"racer{number}"
        shutil.copytree(payload, folder)
        (folder / "deep" / "weights.bin").write_bytes(bytes([number]) * 10)
        try:
            store.publish(folder, document())
        except VersionExists:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1
    store.fetch("v1", tmp_path / "fetched")


def test_of_racing_publishers_of_large_files_only_one_uploads(
    store: ModelStore, payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_here, looked, uploaded = Barrier(8, timeout=60), ModelStore.has_version, Backend.create
    uploads: list[str] = []

    def look_together(self: ModelStore, version: str) -> bool:
        found = looked(self, version)
        all_here.wait()
        return found

    def count(self: Backend, key: str, content: bytes | Path) -> bool:
        uploads.append(key.rpartition("/")[2])
        return uploaded(self, key, content)

    def attempt(number: int) -> bool:
        try:
            store.publish(payload, document(created_by=f"racer{number}"))
        except VersionExists:
            return False
        return True

    monkeypatch.setattr(backends, "MULTIPART_BYTES", 4)
    monkeypatch.setattr(ModelStore, "has_version", look_together)
    monkeypatch.setattr(Backend, "create", count)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(attempt, range(8))).count(True) == 1
    assert uploads.count("weights.bin") == 1


def test_claimed_version_can_be_published_again_by_its_claimant(
    store: ModelStore, payload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "MULTIPART_BYTES", 4)
    monkeypatch.setattr(store, "_upload", lambda *_: (_ for _ in ()).throw(StoreError("interrupted")))
    with pytest.raises(StoreError, match="interrupted"):
        publish(store, payload, "v1")
    monkeypatch.undo()
    monkeypatch.setattr(backends, "MULTIPART_BYTES", 4)
    with pytest.raises(VersionExists, match="begun with another manifest"):
        store.publish(payload, document(created_by="another"))
    publish(store, payload, "v1")
    assert store.versions() == ["v1"]


def test_invalid_manifest_is_refused_before_anything_is_uploaded(store: ModelStore, payload: Path) -> None:
    with pytest.raises(InvalidManifest, match=r"output\.kind"):
        store.publish(payload, document(output={"kind": "rank"}))
    with pytest.raises(InvalidManifest, match="model: 'early' is not allowed; expected: late"):
        store.publish(payload, document(model="early"))
    with pytest.raises(InvalidManifest, match="version: missing"):
        store.publish(payload, document(version=None))
    with pytest.raises(InvalidManifest, match="expected: values that JSON has"):
        store.publish(payload, document(quality={"auc": float("nan")}))
    assert Backend(store.url).list("late") == []


def test_manifest_too_large_to_read_is_refused(store: ModelStore) -> None:
    write(store, "late/versions/v1/manifest.json", b" " * (9 * 1024 * 1024))
    with pytest.raises(BundleTooLarge, match="allowed: at most 8388608"):
        store.read_manifest("v1")


def test_changed_bytes_are_noticed(store: ModelStore, payload: Path, tmp_path: Path) -> None:
    manifest = store.publish(payload, document())
    with pytest.raises(WrongDigest, match="expected: 0000"):
        store.fetch("v1", tmp_path / "a", "0" * 64)
    backend = Backend(store.url)._open(write=True)
    assert backend is not None
    obstore.put(backend, "late/versions/v1/deep/weights.bin", b"987654321X")
    with pytest.raises(WrongDigest, match=r"deep/weights\.bin has sha256"):
        store.fetch("v1", tmp_path / "b", manifest.digest)
    obstore.delete(backend, "late/versions/v1/deep/weights.bin")
    with pytest.raises(BundleIncomplete, match=r"deep/weights\.bin is absent"):
        store.fetch("v1", tmp_path / "c", manifest.digest)


def test_too_large_bundle_is_not_downloaded(store: ModelStore, payload: Path, tmp_path: Path) -> None:
    publish(store, payload, "v1")
    with pytest.raises(BundleTooLarge, match="has 15 bytes; allowed: at most 14"):
        store.fetch("v1", tmp_path / "fetched", max_bytes=14)
    assert not (tmp_path / "fetched").exists()


def test_manifest_of_another_version_is_refused(store: ModelStore, payload: Path) -> None:
    raw = store.publish(payload, document()).raw
    write(store, "late/versions/v2/manifest.json", raw)
    with pytest.raises(InvalidManifest, match="version: 'v1' is not allowed; expected: v2"):
        store.read_manifest("v2")


def test_link_out_of_the_bundle_is_refused(payload: Path, tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path / "store"), "late")
    publish(store, payload, "v1")
    secret = tmp_path / "secret"
    secret.write_bytes(b"notes")
    notes = tmp_path / "store" / "late" / "versions" / "v1" / "notes.txt"
    notes.unlink()
    notes.symlink_to(secret)
    with pytest.raises(PathOutside, match=r"notes\.txt"):
        store.fetch("v1", tmp_path / "fetched")


def test_releases_are_numbered_and_only_new_ones_are_read(store: ModelStore, payload: Path) -> None:
    publish(store, payload, "v1", "v2", "v3")
    challengers = [Challenger("v2", 0.1)]
    first = store.append_release(champion="v1", effective_from_us=5, by="ann", now_us=7)
    second = store.append_release(
        champion="v1",
        effective_from_us=6,
        by="ann",
        challengers=challengers,
        shadows=["v3"],
        salt="s",
        reason="try",
    )
    assert (first.sequence, second.sequence) == (1, 2)
    assert (first.at_us, first.split_on, len(first.salt)) == (7, "event_id", 16)
    assert store.releases() == [first, second]
    assert store.releases(after=1) == [second]
    assert store.releases(after=2) == []


def test_racing_writers_get_one_sequence_each(store: ModelStore, payload: Path) -> None:
    publish(store, payload, "v1")

    def append(number: int) -> int:
        return store.append_release(champion="v1", effective_from_us=number, by=f"w{number}").sequence

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(append, range(32)))
    assert sorted(taken) == list(range(1, 33))
    assert [release.sequence for release in store.releases()] == list(range(1, 33))
    assert len({release.by for release in store.releases()}) == 32


def test_release_that_cannot_be_obeyed_is_not_written(store: ModelStore, payload: Path) -> None:
    publish(store, payload, "v1", "v2")
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"champion": "v9"}, UnknownVersion, "version 'v9' of 'late' does not exist"),
        ({"shadows": ["v9"]}, UnknownVersion, "'v9'"),
        ({"challengers": [Challenger("v9", 0.1)]}, UnknownVersion, "'v9'"),
        ({"challengers": [Challenger("v2", 1.5)]}, InvalidRelease, "share: 1.5"),
        ({"challengers": [Challenger("v1", 0.5)]}, InvalidRelease, "two roles"),
        ({"champion": "../v1"}, InvalidRelease, "champion"),
        ({"by": ""}, InvalidRelease, "by: ''"),
        ({"effective_from_us": 10**18}, InvalidRelease, "effective_from"),
    ]
    for changes, error, message in wrong:
        with pytest.raises(error, match=message):
            store.append_release(**{"champion": "v1", "effective_from_us": 0, "by": "ann", **changes})
    assert store.releases() == []


BROKEN = [b"{", b"\xff", b"[]", b'{"sequence": 2}', b"[" * 100_000, b" " * (2 * 1024 * 1024)]


@pytest.mark.parametrize("content", BROKEN, ids=["cut", "latin", "list", "missing", "deep", "large"])
def test_unreadable_release_is_reported_and_skipped(store: ModelStore, payload: Path, content: bytes) -> None:
    publish(store, payload, "v1")
    store.append_release(champion="v1", effective_from_us=0, by="ann")
    write(store, "late/releases/00000002.json", content)
    write(store, "late/releases/readme.txt", b"no release")
    third = store.append_release(champion="v1", effective_from_us=1, by="ann")
    scan = store.scan_releases(after=1)
    assert scan.releases == (third,)
    assert list(scan.broken) == [2]
    assert scan.last == 3


def test_release_under_another_number_is_broken(store: ModelStore, payload: Path) -> None:
    publish(store, payload, "v1")
    store.append_release(champion="v1", effective_from_us=0, by="ann")
    copy = Backend(store.url).read("late/releases/00000001.json", 10_000)
    assert copy is not None
    write(store, "late/releases/00000005.json", copy)
    assert "sequence: 1 is not allowed; expected: 5" in str(store.scan_releases().broken[5])


def test_access_is_recorded_by_day(store: ModelStore) -> None:
    key = store.record_access("read", "ann", now_us=1_362_096_000_000_000, version="v1")
    store.record_access("read", "bob", now_us=1_362_096_000_000_000)
    assert key.startswith("late/access/2013-03-01/")
    raw = Backend(store.url).read(key, 1000)
    assert raw is not None
    assert json.loads(raw) == {
        "action": "read",
        "actor": "ann",
        "at": "2013-03-01T00:00:00Z",
        "version": "v1",
    }
    assert len(Backend(store.url).list("late/access")) == 2


def test_store_can_be_pickled(store: ModelStore, payload: Path) -> None:
    publish(store, payload, "v1")
    assert pickle.loads(pickle.dumps(store)).versions() == ["v1"]


def test_file_url_is_the_same_store(payload: Path, tmp_path: Path) -> None:
    publish(ModelStore(f"file://{tmp_path}/with%20space", "late"), payload, "v1")
    assert ModelStore(str(tmp_path / "with space"), "late").versions() == ["v1"]


@pytest.mark.parametrize("url", ["", "http://x", "ftp://x", "file://relative/x", "x\x00y", "memry://x"])
def test_url_that_no_store_has_is_refused(url: str) -> None:
    with pytest.raises(InvalidStoreUrl, match=r"expected: .*s3://"):
        ModelStore(url, "late")


@pytest.mark.parametrize("model", ["", "../x", "a/b", ".hidden", "x" * 129, "a\n"])
def test_model_name_is_one_plain_segment(model: str) -> None:
    with pytest.raises(StoreError, match="is not allowed"):
        ModelStore("memory://x", model)


def test_unreachable_store_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "sesame",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        StoreUnavailable, match=r"^s3://bucket/models: cannot list late/versions/: .*error sending"
    ) as caught:
        ModelStore("s3://bucket/models", "late").versions()
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)
