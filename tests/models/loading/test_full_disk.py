"""A full local disk is an outage: admission and loads continue when there is space again."""

import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import scratch
from models.admission.admission import Admission
from models.admission.watcher import Progress
from models.bundles.manifest import Manifest
from models.errors import StoreError
from models.serving.cache import LoadedModel, LoadFailed, ModelCache, ModelHandle
from models.store.store import ModelStore
from tests.disks import SmallDisk, small_disk
from tests.models.loading.gated import MODEL, START, GatedScorer, new_store, publish
from tests.models.loading.test_watcher import COLUMNS, admitted, refused, release, watch

pytestmark = pytest.mark.usefixtures("gated")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    """A disk of 1 MiB for the temporary folders of this process."""
    with small_disk(tmp_path / "small", 1) as mounted:
        monkeypatch.setattr(tempfile, "tempdir", str(mounted.folder))
        monkeypatch.setattr(scratch, "_ROOT", scratch._Root())
        yield mounted


def published(tmp_path: Path, payload_bytes: int = 200_000) -> tuple[ModelStore, ModelHandle]:
    """A store with a version of so many bytes, and the version's handle."""
    store, payload = new_store(), tmp_path / "payload"
    payload.mkdir()
    (payload / "weights").write_bytes(b"x" * payload_bytes)
    digest = publish(store, payload, "v1")
    release(store, "v1")
    return store, ModelHandle(store.url, MODEL, "v1", digest)


@pytest.mark.parametrize("left", [0, 4096, 40_960], ids=["no room", "room for a page", "room for a part"])
def test_watcher_continues_when_there_is_space(tmp_path: Path, disk: SmallDisk, left: int) -> None:
    store, _ = published(tmp_path)
    looking = watch(store)
    disk.fill(but=left)
    failing = looking.poll(Progress(), START)
    assert (admitted(failing), refused(failing)) == ([], [])
    assert "No space left on device; next: make room in the temporary folder" in failing.unanswered[0]
    disk.make_room()
    assert admitted(looking.poll(failing.progress, START)) == [1]


@pytest.mark.parametrize("left", [0, 4096, 40_960], ids=["no room", "room for a page", "room for a part"])
def test_load_succeeds_when_there_is_space(tmp_path: Path, disk: SmallDisk, left: int) -> None:
    _, handle = published(tmp_path)
    now_s = [0.0]
    cache = ModelCache(retry_after_s=30.0, clock=lambda: now_s[0])
    disk.fill(but=left)
    with pytest.raises(LoadFailed, match=r"unavailable: .*No space left on device"):
        handle.load(cache)
    disk.make_room()
    now_s[0] = 31.0
    assert handle.load(cache).manifest.version == "v1"


class GreedyScorer(GatedScorer):
    """Writes a file as it loads, as some libraries unpack theirs; without room it raises what a test says."""

    kind = "greedy"
    full = True
    error: BaseException

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "GatedScorer":
        if cls.full:
            raise cls.error
        return cls(manifest.version)


FULL: list[BaseException] = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    RuntimeError("RESOURCE_EXHAUSTED: /tmp/x; No space left on device"),
]


@pytest.mark.parametrize("error", FULL, ids=["number", "quota", "words"])
def test_full_disk_in_a_library_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("models.scorers.scorer_class", lambda kind: GreedyScorer)
    store, handle = published(tmp_path, 10)
    monkeypatch.setattr(GreedyScorer, "error", error, raising=False)
    admission, cache = Admission(store, COLUMNS), ModelCache(retry_after_s=0.0)
    with pytest.raises(StoreError, match=r"cannot try version 'v1': .*make room"):
        admission.check_version("v1")
    with pytest.raises(LoadFailed) as caught:
        handle.load(cache)
    assert (caught.value.reason, caught.value.final) == ("unavailable", False)
    monkeypatch.setattr(GreedyScorer, "full", False)
    assert admission.check_version("v1").admitted
    assert isinstance(handle.load(cache), LoadedModel)
