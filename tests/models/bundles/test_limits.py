"""Sizes are bounded before anything is downloaded or opened, and nothing secret is shown."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from models.admission.admission import Admission
from models.memory import memory_limit_bytes
from models.redaction import hide_secrets, public_uri, secrets_in
from models.store.access_log import entry_of
from models.store.backends import Backend, InvalidStoreUrl
from models.store.store import ModelStore
from tests.models.broken import good, huge_manifest, zip_bomb
from tests.models.bundle_folders import document


def test_bundle_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    good(tmp_path / "bundle")
    verdict = Admission(None, memory=lambda: 10).check_folder(tmp_path / "bundle")
    assert verdict.reason == "too_large"
    assert verdict.detail.endswith("allowed: at most 10, the memory of this worker")


def test_too_large_version_is_not_downloaded(
    store: ModelStore, payload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(payload, document())
    monkeypatch.setattr(Backend, "stream", lambda self, key: pytest.fail(f"{key} was downloaded"))
    assert Admission(store, max_bytes=14).check_version("v1").reason == "too_large"
    assert Admission(store, memory=lambda: 14).check_version("v1").reason == "too_large"


def test_archive_that_unpacks_to_too_much_is_not_opened(tmp_path: Path) -> None:
    zip_bomb(tmp_path / "bundle")
    verdict = Admission(None).check_folder(tmp_path / "bundle")
    assert (verdict.reason, "unpacked has 4000000" in verdict.detail) == ("too_large", True)


def test_huge_manifest_is_not_read(tmp_path: Path) -> None:
    huge_manifest(tmp_path / "bundle")
    assert Admission(None).check_folder(tmp_path / "bundle").reason == "too_large"


def test_manifest_that_is_a_link_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    good(tmp_path / "bundle")
    (tmp_path / "bundle" / "manifest.json").rename(tmp_path / "elsewhere.json")
    (tmp_path / "bundle" / "manifest.json").symlink_to(tmp_path / "elsewhere.json")
    assert Admission(None).check_folder(tmp_path / "bundle").reason == "path_outside"


OUTSIDE = ["/etc/passwd", "../x", "a/../../x", "C:/x", "a\\..\\x", "./x", "a//b", "a/ b", "x\n", ""]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("key", ["files", "profile", "golden", "records"])
def test_no_path_of_a_manifest_leaves_the_bundle(tmp_path: Path, path: str, key: str) -> None:
    by_key: dict[str, dict[str, Any]] = {
        "files": {"files": {path: "a" * 64}},
        "profile": {"files": {}, "profile": path},
        "golden": {"files": {}, "golden": {"file": path}},
        "records": {"files": {}, "training": {"trained_at": "2013-03-01T00:00:00Z", "records": path}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps({**document(), **by_key[key]}))
    assert Admission(None).check_folder(tmp_path).reason in ("path_outside", "invalid_manifest")
    assert path == "" or Admission(None).check_folder(tmp_path).reason == "path_outside"


def write(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


def test_memory_is_the_least_limit_of_machine_and_groups(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path) is None
    write(tmp_path, "proc/meminfo", "MemTotal:       16 kB\nMemFree: 1 kB\n")
    assert memory_limit_bytes(tmp_path) == 16384
    write(tmp_path, "proc/self/cgroup", "5:devices:/\n4:cpu,memory:/job/a\n0::/pod/b\n")
    write(tmp_path, "sys/fs/cgroup/memory/job/a/memory.limit_in_bytes", str(2**63 - 4096))
    write(tmp_path, "sys/fs/cgroup/pod/b/memory.max", "max\n")
    assert memory_limit_bytes(tmp_path) == 16384
    write(tmp_path, "sys/fs/cgroup/pod/memory.max", "8192\n")
    assert memory_limit_bytes(tmp_path) == 8192
    write(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n")
    assert memory_limit_bytes(tmp_path) == 4096


def test_memory_of_this_machine_is_known() -> None:
    found = memory_limit_bytes()
    assert found is None or found <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


URLS = {
    "s3://key:secret77@bucket/models": "s3://bucket/models",
    "s3://bucket/models?X-Amz-Signature=secret77": "s3://bucket/models",
    "az://container/models?sig=secret77": "az://container/models",
    "abfss://container:secret77@account.dfs.core.windows.net/m": "abfss://account.dfs.core.windows.net/m",
    "gs://bucket/models#secret77": "gs://bucket/models",
}


@pytest.mark.parametrize(("url", "shown"), URLS.items())
def test_store_url_with_credentials_is_refused_without_showing_them(url: str, shown: str) -> None:
    with pytest.raises(InvalidStoreUrl, match="credentials in the environment") as caught:
        ModelStore(url, "late")
    assert "secret77" not in str(caught.value)
    assert shown in str(caught.value)
    assert public_uri(url) == shown


def test_azure_container_before_the_host_is_no_secret() -> None:
    url = "abfss://container@account.dfs.core.windows.net/models"
    assert ModelStore(url, "late").url == public_uri(url) == url


def test_values_of_secret_variables_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")
    text = "<Error>hush-hush-hush</Error> at https://ann:hush@host/x?token=1) again"
    assert hide_secrets(text) == "<Error>…</Error> at https://…@host/x?…) again"
    assert secrets_in(text) == ["AWS_SECRET_ACCESS_KEY"]
    assert "hush" not in str(entry_of("show", "ann", 0, {"reason": text}).document())
