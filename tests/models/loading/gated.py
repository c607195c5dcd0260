"""A scorer whose loading and answers a test decides, and what a test publishes with it."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from models import scorers
from models.bundles.manifest import Manifest
from models.releases.release import AdmittedRelease, Release
from models.scorers import Scorer
from models.serving.cache import shared_cache
from models.store.store import ModelStore
from schemas.batches import event_schema
from schemas.job import ModelSpec
from tests.models.bundle_folders import document

MODEL = "late"
SECOND = 1_000_000
START = 1_356_998_400 * SECOND  # 2013-01-01T00:00:00Z
DELAY: list[dict[str, Any]] = [{"name": "delay", "type": "number"}]


class GatedScorer(Scorer):
    """Version `vN` answers N; one with a gate loads when it opens, one in `broken` never does."""

    kind = "gated"
    gates: ClassVar[dict[str, threading.Event]]
    loading: ClassVar[threading.Event]
    broken: ClassVar[set[str]]
    loads: ClassVar[Counter[str]]
    seen: ClassVar[list[tuple[str, list[float]]]]

    def __init__(self, version: str) -> None:
        self.version = version

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "GatedScorer":
        cls.loads[manifest.version] += 1
        gate = cls.gates.get(manifest.version)
        cls.loading.set()
        assert gate is None or gate.wait(60)
        if manifest.version in cls.broken:
            raise OSError("no such model")
        return cls(manifest.version)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        delays = batch.column("delay").to_numpy()
        if len(delays):
            self.seen.append((self.version, delays.tolist()))
        return np.where(delays < 0, np.nan, float(self.version.removeprefix("v")))


class Readings:
    """A clock whose readings, in seconds, a test states; the last one is repeated."""

    ahead: ClassVar[list[int]] = []

    @classmethod
    def next_us(cls) -> int:
        return (cls.ahead.pop(0) if len(cls.ahead) > 1 else cls.ahead[0]) * SECOND


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[GatedScorer]]:
    """The scorer, with everything open and forgotten.

    Equal bundles have equal digests in all tests: what another test loaded must not be found in the process's cache.
    """
    shared_cache().retain(())
    GatedScorer.gates, GatedScorer.broken, GatedScorer.loading = {}, set(), threading.Event()
    GatedScorer.loads, GatedScorer.seen = Counter(), []
    monkeypatch.setitem(scorers.BUILT_IN, "gated", f"{GatedScorer.__module__}:{GatedScorer.__name__}")
    yield GatedScorer
    for gate in GatedScorer.gates.values():
        gate.set()


def new_store() -> ModelStore:
    """An empty store of this process."""
    return ModelStore(f"memory://{uuid.uuid4()}", MODEL)


def publish(store: ModelStore, folder: Path, version: str, **changes: Any) -> str:
    """Publish a version of the gated scorer; returns its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    regression = {"kind": "regression"}
    return store.publish(folder, document("gated", version=version, inputs=DELAY, output=regression, **changes)).digest


def released(digests: dict[str, str], sequence: int, second: float, champion: str, **roles: Any) -> AdmittedRelease:
    """An admitted release that takes effect `second` seconds after the start and was written at that moment."""
    at_us = START + int(second * SECOND)
    release = Release(sequence, MODEL, at_us, champion, salt="salt", at_us=at_us, **roles)
    return AdmittedRelease(release, {version: digests[version] for version in release.versions})


def times(*seconds: float) -> npt.NDArray[np.int64]:
    """Event times, in seconds after the start."""
    return np.array([START + int(second * SECOND) for second in seconds], np.int64)


def events(*seconds: float, delay: float = 1.0) -> pa.RecordBatch:
    """Events at these seconds, named by them."""
    schema, rows = event_schema([("delay", "number")]), len(seconds)
    names = [f"e{second:g}" for second in seconds]
    payloads = [name.encode() for name in names]
    columns = [names, times(*seconds), [None] * rows, payloads, [False] * rows, [delay] * rows]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def spec_of(store: ModelStore, poll_us: int = 10 * SECOND) -> ModelSpec:
    """The model of a job on the store."""
    return ModelSpec(MODEL, store.url, poll_us, allow_pickle=False, max_bundle_bytes=2**30)
