"""Loading in a process: once per digest, verified, failing once, freed when nobody scores with it."""

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from models import scorers
from models.bundles.manifest import Manifest
from models.scorers import Scorer
from models.serving.cache import LoadFailed, ModelCache, ModelHandle, shared_cache, worker_name
from models.store.store import ModelStore
from tests.models.bundle_folders import document


class GatedScorer(Scorer):
    """A scorer whose load waits for the test to open the gate, and which counts what happens to it."""

    kind = "gated"
    gate: ClassVar[threading.Event]
    started: ClassVar[threading.Event]
    loads: ClassVar[list[str]]
    closed: ClassVar[list[str]]

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder, version

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "GatedScorer":
        cls.loads.append(manifest.version)
        cls.started.set()
        assert cls.gate.wait(30)
        if manifest.version == "bad":
            raise OSError("no such model\nand a second line")
        return cls(folder, manifest.version)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        return np.zeros(batch.num_rows)

    def close(self) -> None:
        self.closed.append(self.version)


@pytest.fixture(autouse=True)
def gated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    GatedScorer.gate, GatedScorer.started = threading.Event(), threading.Event()
    GatedScorer.loads, GatedScorer.closed = [], []
    monkeypatch.setattr(scorers, "scorer_class", lambda kind: GatedScorer)
    yield
    GatedScorer.gate.set()


@pytest.fixture
def handle(store: ModelStore, payload: Path) -> ModelHandle:
    return publish(store, payload, "v1")


def publish(store: ModelStore, payload: Path, version: str) -> ModelHandle:
    manifest = store.publish(payload, document("gated", version=version))
    return ModelHandle(store.url, "late", version, manifest.digest)


def test_many_threads_load_once(handle: ModelHandle) -> None:
    cache = ModelCache()
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(handle.load, cache) for _ in range(8)]
        assert GatedScorer.started.wait(30)
        GatedScorer.gate.set()
        loaded = [one.result() for one in waiting]
    assert GatedScorer.loads == ["v1"]
    assert all(one is loaded[0] for one in loaded)
    assert loaded[0].bytes == 15
    assert loaded[0].seconds > 0


def test_prefetch_does_not_wait(store: ModelStore, handle: ModelHandle) -> None:
    cache = ModelCache()
    ready = cache.prefetch(handle)
    assert GatedScorer.started.wait(30)
    assert cache.peek(handle.digest) is None
    assert cache.prefetch(handle) is ready
    GatedScorer.gate.set()
    assert ready.wait(30)
    assert cache.peek(handle.digest) is handle.load(cache)
    assert GatedScorer.loads == ["v1"]


def test_failed_load_is_remembered_with_its_reason(store: ModelStore, payload: Path) -> None:
    GatedScorer.gate.set()
    cache, handle = ModelCache(), publish(store, payload, "bad")
    for _ in range(3):
        with pytest.raises(LoadFailed, match="will_not_load: gated: no such model") as caught:
            handle.load(cache)
        assert "\n" not in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert GatedScorer.loads == ["bad"]
    assert cache.retain([]) == []


def test_bundle_with_another_digest_is_not_loaded(store: ModelStore, handle: ModelHandle) -> None:
    with pytest.raises(LoadFailed) as caught:
        ModelCache().load(ModelHandle(store.url, "late", "v1", "0" * 64))
    assert (caught.value.reason, caught.value.version) == ("wrong_digest", "v1")
    assert GatedScorer.loads == []


def test_store_that_failed_is_asked_again_after_a_while(payload: Path, tmp_path: Path) -> None:
    GatedScorer.gate.set()
    now = [0.0]
    cache = ModelCache(retry_after_s=30, clock=lambda: now[0])
    handle = publish(ModelStore(str(tmp_path / "store"), "late"), payload, "v1")
    version = tmp_path / "store" / "late" / "versions" / "v1"
    version.rename(tmp_path / "away")
    version.write_text("a file where a folder should be")
    with pytest.raises(LoadFailed, match=r"unavailable: .*: Not a directory$"):
        handle.load(cache)
    version.unlink()
    (tmp_path / "away").rename(version)
    now[0] = 29.0
    with pytest.raises(LoadFailed, match="unavailable"):
        handle.load(cache)
    now[0] = 30.0
    assert handle.load(cache).manifest.version == "v1"


def test_retain_frees_the_others(store: ModelStore, payload: Path, handle: ModelHandle) -> None:
    GatedScorer.gate.set()
    cache, other = ModelCache(), publish(store, payload, "v2")
    folders = [one.load(cache).scorer.folder for one in (handle, other)]  # type: ignore[attr-defined]  # ours
    assert [manifest.version for manifest in cache.retain([other.digest])] == ["v1"]
    assert GatedScorer.closed == ["v1"]
    assert [folder.exists() for folder in folders] == [False, True]
    assert [manifest.version for manifest in cache.retain([])] == ["v2"]


def test_model_in_use_is_closed_only_when_released(handle: ModelHandle) -> None:
    GatedScorer.gate.set()
    cache = ModelCache()
    held = handle.load(cache)
    cache.retain([])
    assert GatedScorer.closed == []
    assert held.score(pa.RecordBatch.from_pydict({"delay": [1.0]})).tolist() == [0.0]
    del held
    assert GatedScorer.closed == ["v1"]


def test_failure_that_is_dropped_is_tried_again(store: ModelStore, payload: Path) -> None:
    GatedScorer.gate.set()
    cache, handle = ModelCache(), publish(store, payload, "bad")
    for _ in range(2):
        with pytest.raises(LoadFailed):
            handle.load(cache)
        assert cache.retain([]) == []
    assert GatedScorer.loads == ["bad", "bad"]


def test_process_has_one_shared_cache(handle: ModelHandle) -> None:
    GatedScorer.gate.set()
    assert handle.load() is shared_cache().load(handle)
    shared_cache().retain([])


def test_bundle_that_was_not_there_is_asked_again(store: ModelStore, payload: Path, tmp_path: Path) -> None:
    GatedScorer.gate.set()
    now = [0.0]
    cache = ModelCache(retry_after_s=30, clock=lambda: now[0])
    digest = publish(ModelStore(str(tmp_path / "elsewhere"), "late"), payload, "v1").digest
    handle = ModelHandle(store.url, "late", "v1", digest)
    with pytest.raises(LoadFailed, match="incomplete"):
        handle.load(cache)
    assert publish(store, payload, "v1").digest == digest
    now[0] = 30.0
    assert handle.load(cache).manifest.digest == digest


def test_load_is_logged_in_the_store_by_the_worker_that_loaded(store: ModelStore, handle: ModelHandle) -> None:
    GatedScorer.gate.set()
    cache = ModelCache(log_loads=True)
    handle.load(cache)
    for thread in [thread for thread in threading.enumerate() if thread.name == "load-v1"]:
        thread.join(30)
    (entry,) = store.accesses().entries
    assert (entry.action, entry.actor, entry.detail["version"]) == ("loaded", worker_name(), "v1")
    assert (entry.detail["digest"], entry.detail["bytes"], cache.unlogged_loads) == (handle.digest, 15, 0)


def test_log_that_cannot_be_written_changes_nothing_else(payload: Path, tmp_path: Path) -> None:
    GatedScorer.gate.set()
    cache, handle = ModelCache(log_loads=True), publish(ModelStore(str(tmp_path / "store"), "late"), payload, "v1")
    (tmp_path / "store" / "late" / "access").write_text("a file where a folder should be")
    assert handle.load(cache).manifest.version == "v1"
    for thread in [thread for thread in threading.enumerate() if thread.name == "load-v1"]:
        thread.join(30)
    assert cache.unlogged_loads == 1


def test_outcome_neither_waits_nor_loads(store: ModelStore, payload: Path, handle: ModelHandle) -> None:
    cache, bad = ModelCache(), publish(store, payload, "bad")
    assert cache.outcome(handle) is None
    assert GatedScorer.loads == []
    ready = [cache.prefetch(one) for one in (handle, bad)]
    assert cache.outcome(handle) is None
    GatedScorer.gate.set()
    assert all(one.wait(30) for one in ready)
    found = cache.outcome(bad)
    assert isinstance(found, LoadFailed)
    assert (found.reason, found.final, cache.outcome(handle)) == ("will_not_load", True, handle.load(cache))


def test_drop_releases_what_is_named_and_nothing_else(store: ModelStore, payload: Path, handle: ModelHandle) -> None:
    GatedScorer.gate.set()
    cache, other = ModelCache(), publish(store, payload, "v2")
    for one in (handle, other):
        one.load(cache)
    assert [manifest.version for manifest in cache.drop([handle.digest, "unknown"])] == ["v1"]
    assert GatedScorer.closed == ["v1"]
    assert [manifest.version for manifest in cache.retain([])] == ["v2"]
