"""The models a process holds: each version loaded once, verified by digest, freed when nothing selects it."""

import os
import shutil
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.admission.proving import prove, read_profile, refused_as
from models.bundles.folders import BundleIncomplete
from models.bundles.manifest import MANIFEST, Manifest, parse_manifest
from models.errors import BundleRefused, NotScored, StoreError, one_line, writable
from models.outages import full_disk, local_disk
from models.profiles import Profile
from models.scorers import Scorer, WillNotLoad
from models.scratch import new_scratch_folder
from models.store.store import ModelStore

UNAVAILABLE = "unavailable"
HELD_FOR_S = 600.0
"""Seconds that a holder keeps a version after its last request: a job that has ended makes no more requests."""


class LoadFailed(NotScored):
    """A version could not be loaded:

    `reason` is an admission reason, or `unavailable` when the store or the local disk failed.
    """

    def __init__(self, version: str, digest: str, reason: str, detail: str) -> None:
        super().__init__(version, digest, reason, detail)
        self.version = version
        self.digest = digest
        self.reason = reason
        self.detail = detail

    @property
    def final(self) -> bool:
        """False where the store failed, or did not have all of the bundle: loading it again may succeed."""
        return self.reason not in (UNAVAILABLE, BundleIncomplete.reason)

    @property
    def store_silent(self) -> bool:
        """Whether the store did not answer, which is no verdict on the bundle."""
        return self.reason == UNAVAILABLE

    def __str__(self) -> str:
        digest = f" ({self.digest[:12]})" if self.digest else ""
        return f"version {self.version!r}{digest} was not loaded: {self.reason}: {self.detail}"


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class LoadedModel:
    """A warm model. Hold it while scoring: the scorer is closed when the last holder lets go.

    `seconds` from the start of the download to the end of the first scores; `bytes` of the payload files; `profile` is
    the bundle's reference profile, None where it has none; `folder`: where its files are, as long as it is held.
    """

    manifest: Manifest
    scorer: Scorer
    seconds: float
    bytes: int
    profile: Profile | None = None
    folder: Path | None = None

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """As `Scorer.score`."""
        return self.scorer.score(batch)


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """A reference to a version that can be sent between processes; each loads the version into its own cache when
    needed."""

    store_url: str
    model: str
    version: str
    digest: str
    allow_pickle: bool = False

    def load(self, cache: "ModelCache | None" = None) -> LoadedModel:
        """The loaded model, from this process's shared cache unless another is given.

        Raises as `ModelCache.load`.
        """
        found = shared_cache() if cache is None else cache
        return found.load(self)


class _Slot:
    """One load: in progress until `done` is set, then with a model, a failure, or a bug to be raised again."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.model: LoadedModel | None = None
        self.bug: Exception | None = None
        self.reason = UNAVAILABLE
        self.detail = "the load was interrupted"
        self.retry_at: float | None = None


class ModelCache:
    """Loads versions, each once per process, and keeps them until `retain` or `drop` releases them. Thread-safe.

    Every load runs in a background thread of its own. A failed load is remembered by digest and fails again at
    once. Only where the store or the local disk failed, or the bundle was incomplete, it is tried again after
    `retry_after_s` seconds.

    Several jobs of a process share it: what one of them drops stays while another holds it.

    Args:
        retry_after_s: seconds after which a load that the store failed may be tried again.
        clock: monotonic seconds, for that wait.
        log_loads: whether each load is written to the store's access log, after the model serves. A log that
            cannot be written is counted in `unlogged_loads` and changes nothing else.
    """

    def __init__(
        self, retry_after_s: float = 30.0, clock: Callable[[], float] = time.monotonic, log_loads: bool = False
    ) -> None:
        self._retry_after_s = retry_after_s
        self._clock = clock
        self._log_loads = log_loads
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, bool], _Slot] = {}
        self._holders: dict[str, dict[str, float]] = {}
        self.unlogged_loads = 0

    def load(self, handle: ModelHandle) -> LoadedModel:
        """The model with the handle's digest; loads it, waits for a load in progress, or finds it loaded.

        Raises:
            LoadFailed: the bundle does not have this digest, fails a check, or the store failed.
        """
        slot = self._started(handle)
        slot.done.wait()
        if slot.bug is not None:
            raise slot.bug
        if slot.model is None:
            raise LoadFailed(handle.version, handle.digest, slot.reason, slot.detail)
        return slot.model

    def prefetch(self, handle: ModelHandle, holder: str = "") -> threading.Event:
        """Start loading in a background thread unless that has begun. Never raises for a bad bundle.

        Args:
            handle: what to load.
            holder: who needs it until it drops it or makes no request for ten minutes; if empty, no particular holder.

        Returns:
            An event that is set once `load` answers at once, with a model or with LoadFailed.
        """
        if holder:
            with self._lock:
                self._holders.setdefault(handle.digest, {})[holder] = self._clock()
        return self._started(handle).done

    def outcome(self, handle: ModelHandle) -> LoadedModel | LoadFailed | None:
        """The result of a load, without waiting and without loading; None while it is in progress, or if it was not
        begun."""
        with self._lock:
            slot = self._slots.get((handle.digest, handle.allow_pickle))
        if slot is None or not slot.done.is_set():
            return None
        if slot.bug is not None:
            raise slot.bug
        return slot.model or LoadFailed(handle.version, handle.digest, slot.reason, slot.detail)

    def peek(self, digest: str) -> LoadedModel | None:
        """The model if it is loaded, without waiting and without loading."""
        with self._lock:
            slots = [slot for key, slot in self._slots.items() if key[0] == digest]
        return next((slot.model for slot in slots if slot.model is not None), None)

    def retain(self, digests: Iterable[str]) -> list[Manifest]:
        """Release every digest not among `digests`, failures and loads in progress included.

        A scorer is closed and its files are deleted when the last thread that still scores with it has finished.

        Returns:
            The manifests of the loaded models that were released.
        """
        kept = set(digests)
        return self._let_go(lambda digest: digest not in kept)

    def drop(self, digests: Iterable[str], holder: str = "") -> list[Manifest]:
        """Release these digests as `retain` does, except those that another holder than `holder` holds."""
        gone = set(digests)
        with self._lock:
            since = self._clock() - HELD_FOR_S
            for digest in gone:
                self._holders.get(digest, {}).pop(holder, None)
            held = {digest for digest in gone if any(at > since for at in self._holders.get(digest, {}).values())}
        return self._let_go(lambda digest: digest in gone - held)

    def _let_go(self, chosen: Callable[[str], bool]) -> list[Manifest]:
        with self._lock:
            gone = [self._slots.pop(key) for key in list(self._slots) if chosen(key[0])]
            for digest in [digest for digest in self._holders if chosen(digest)]:
                del self._holders[digest]
        return [slot.model.manifest for slot in gone if slot.model is not None]

    def _started(self, handle: ModelHandle) -> _Slot:
        """The slot of a version whose load has begun, now or before."""
        slot, mine = self._claim((handle.digest, handle.allow_pickle))
        if mine:
            # A daemon thread: a load that hangs must not keep the worker from ending.
            thread = threading.Thread(
                target=self._fill, args=(slot, handle), name=f"load-{handle.version}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # the system has no thread left; a later attempt may find one
                self._fail(slot, UNAVAILABLE, one_line(error), passing=True)
                slot.done.set()
        return slot

    def _claim(self, key: tuple[str, bool]) -> tuple[_Slot, bool]:
        """The slot of a key, and whether the caller must fill it."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is not None and (slot.retry_at is None or self._clock() < slot.retry_at):
                return slot, False
            slot = self._slots[key] = _Slot()
            return slot, True

    def _fill(self, slot: _Slot, handle: ModelHandle) -> None:
        try:
            slot.model = _load(handle)
        except BundleRefused as refusal:
            full = full_disk(refusal)
            if full is not None:
                self._fail(slot, UNAVAILABLE, one_line(full), passing=True)
            else:
                # It was there when it was admitted: if it is absent, more likely the store is not reachable than the
                # bundle gone.
                self._fail(slot, refusal.reason, str(refusal), refusal.passing or isinstance(refusal, BundleIncomplete))
        except (StoreError, OSError) as error:
            self._fail(slot, UNAVAILABLE, one_line(error), passing=True)
        except Exception as bug:  # a bug of this project: it must stop the job, in the thread that asks for the model
            slot.bug = bug
        finally:
            slot.done.set()
        if self._log_loads and slot.model is not None:
            self._log(handle, slot.model.seconds, slot.model.bytes)

    def _fail(self, slot: _Slot, reason: str, detail: str, passing: bool) -> None:
        slot.reason, slot.detail = reason, writable(detail)
        slot.retry_at = self._clock() + self._retry_after_s if passing else None

    def _log(self, handle: ModelHandle, seconds: float, size: int) -> None:
        """Called only when the model serves: the log is for people, and nothing waits for it."""
        store, load_s = ModelStore(handle.store_url, handle.model), round(seconds, 6)
        try:
            store.record_access(
                "loaded", worker_name(), version=handle.version, digest=handle.digest, seconds=load_s, bytes=size
            )
        except StoreError:
            with self._lock:
                self.unlogged_loads += 1


def shared_cache() -> ModelCache:
    """The one cache of this process; it logs its loads."""
    return _SHARED


def worker_name() -> str:
    """Host and process, as receipts and the audit name a worker."""
    return f"{socket.gethostname()}-{os.getpid()}"


_SHARED = ModelCache(log_loads=True)


def _load(handle: ModelHandle) -> LoadedModel:
    started = time.perf_counter()
    store = ModelStore(handle.store_url, handle.model)
    with _scratch_folder() as folder:
        with refused_as(WillNotLoad), local_disk(f"download version {handle.version!r}"):
            store.fetch(handle.version, folder, handle.digest)
        return _proven(folder, handle.allow_pickle, started)


def load_folder(copied: Callable[[Path], None], allow_pickle: bool = False) -> LoadedModel:
    """The model of a bundle that `copied` puts into an empty folder of this process and checks there.

    Raises:
        BundleRefused: it fails a check; also what `copied` raises.
        StoreError: the local disk failed.
    """
    started = time.perf_counter()
    with _scratch_folder() as folder:
        copied(folder)
        return _proven(folder, allow_pickle, started)


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder that stays where the block ends well: some libraries read their files lazily."""
    with local_disk("make a temporary folder"):
        folder = new_scratch_folder("model")
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _proven(folder: Path, allow_pickle: bool, started: float) -> LoadedModel:
    """The model of a folder that belongs to it alone; `started` as of `time.perf_counter`."""
    with refused_as(WillNotLoad):
        with local_disk("read a bundle"):
            raw = (folder / MANIFEST).read_bytes()
        manifest = parse_manifest(raw)
        profile = read_profile(folder, manifest)
        scorer = prove(folder, manifest, allow_pickle=allow_pickle, trusting=True)  # it is admitted
    size = sum((folder / path).stat().st_size for path in manifest.files)
    model = LoadedModel(manifest, scorer, time.perf_counter() - started, size, profile, folder)
    # Files stay as long as the model.
    weakref.finalize(model, _release, scorer, folder)
    return model


def _release(scorer: Scorer, folder: Path) -> None:
    scorer.close()
    shutil.rmtree(folder, ignore_errors=True)
