"""Admission: every check that a bundle must pass before a release of it may enter the timeline. Fails closed."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.admission.admitted import admitted_before
from models.admission.libraries import OtherLibrary, check_libraries
from models.admission.proving import prove, refused_as
from models.bundles.folders import (
    BundleTooLarge,
    WrongDigest,
    expanded_bytes,
    measure_folder,
    read_folder_manifest,
    verify_digests,
)
from models.bundles.inputs import WrongInputs
from models.bundles.manifest import InvalidManifest, Manifest
from models.bundles.signing import BadSignature, verify_signature
from models.daemons import OutOfTime, within
from models.errors import BundleRefused, writable
from models.memory import memory_limit_bytes
from models.outages import disk_failed, full_disk, local_disk, temporary_folder
from models.releases.release import AdmittedRelease, Release
from models.scorers import Scorer, WillNotLoad
from models.store.store import ModelStore
from schemas.columns import VALUES
from schemas.expectations import wants
from schemas.job import DEFAULT_ADMISSION_TIMEOUT_US, DEFAULT_MAX_BUNDLE_BYTES
from schemas.validation import Absent

REASONS = (
    "incomplete",
    "invalid_manifest",
    "path_outside",
    "bad_signature",
    "wrong_digest",
    "unknown_scorer",
    "will_not_load",
    "wrong_inputs",
    "golden_mismatch",
    "bad_output",
    "too_large",
    "timed_out",
)
DEFAULT_TIMEOUT_S = DEFAULT_ADMISSION_TIMEOUT_US / 1e6
SPLIT_COLUMNS = ("event_id", "subject")
_MOST_DETAIL = 2000
_MOST_TYPES = 10
_LOCK = threading.Lock()  # a module-level function, so that an unused admission can be pickled


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may serve; `reason` is one of `REASONS` and `detail` one line, null and "" if it may.

    `digest` and `manifest` are null where no valid manifest was found. `warnings`: about a version that may serve, a
    line each. `labels`: of its classes in the model's order, where they are known.
    """

    admitted: bool
    reason: str | None
    detail: str
    version: str
    digest: str | None
    manifest: Manifest | None
    passing: bool = False
    warnings: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        """False where the manifest was absent, which may still arrive, or a model's server did not answer.

        Every other verdict is final for these bytes.
        """
        return not self.passing and (self.reason != "incomplete" or self.digest is not None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A release that may not enter the timeline, with the verdict on its first version that may not serve."""

    release: Release
    verdict: Verdict


class Admission:
    """Decides on versions of one model; each manifest digest is decided once and remembered. Thread-safe.

    The checks run in the order of `REASONS`, with one exception: a bundle is measured before it is downloaded or
    opened, so that `too_large` is found before anything is spent on it.

    Whatever a check raises, of any class, is a verdict on the bundle; only a failure of the store or the local disk is
    no verdict. A check that does not end is abandoned in its thread.

    Args:
        store: the model's store; None if only folders are checked.
        columns: the job's columns (name → kind); None skips that check.
        allow_pickle: whether pickles may be opened.
        max_bytes: greatest size of a bundle's files together, and of what its archives unpack to.
        trusted_key: the public key (PEM) that every bundle must be signed with; None asks for no signature.
        memory: returns the bytes of memory this process may have, into which a bundle must fit too; None if unknown.
        timeout_s: seconds that the checks of one bundle may take, once it is downloaded.
        trust: full names of types that a bundle may ask to be made; a bundle signed with `trusted_key` may ask for any.
        job: the job that asks, which may keep serving what it admitted before; None stands for any job of this store.
    """

    def __init__(
        self,
        store: ModelStore | None,
        columns: Mapping[str, str] | None = None,
        allow_pickle: bool = False,
        max_bytes: int = DEFAULT_MAX_BUNDLE_BYTES,
        trusted_key: str | None = None,
        memory: Callable[[], int | None] = memory_limit_bytes,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        job: str | None = None,
        trust: Collection[str] = (),
    ) -> None:
        self._store = store
        self._columns = columns
        self._allow_pickle = allow_pickle
        self._max_bytes = max_bytes
        self._trusted_key = trusted_key
        self._memory = memory
        self._timeout_s = timeout_s
        self._job = job
        self._trust = frozenset(trust)
        self._verdicts: dict[str, Verdict] = {}
        self._turns: dict[str, threading.Lock] = {}

    def check_version(self, version: str) -> Verdict:
        """The verdict on a version in the store.

        Raises:
            StoreError: the store or the local disk failed; that is no verdict, ask again.
        """
        store = self._store
        if store is None:
            raise ValueError(f"version {version!r} cannot be checked without a store; expected: check_folder")
        manifest = self._manifest(version, lambda: store.read_manifest(version))
        if isinstance(manifest, Verdict):
            return manifest
        with self._turn(manifest.digest):
            if manifest.digest not in self._verdicts:
                with temporary_folder("admission") as folder:
                    verdict = self._decide(manifest, partial(self._downloaded, store, manifest, folder))
                if not verdict.final:
                    return verdict
                self._verdicts[manifest.digest] = verdict
            return self._verdicts[manifest.digest]

    def check_folder(self, folder: Path) -> Verdict:
        """The verdict on a local folder that holds a bundle with its `manifest.json`.

        Raises:
            StoreError: the local disk failed; that is no verdict, ask again.
        """
        manifest = self._manifest(folder.name, lambda: read_folder_manifest(folder))
        if isinstance(manifest, Verdict):
            return manifest

        def measured() -> Path:
            self._check_size(sum(measure_folder(folder, manifest).values()), str(folder))
            return folder

        return self._decide(manifest, measured)

    def admit_release(self, release: Release) -> AdmittedRelease | Refusal:
        """Check every version a release names; one that may not serve refuses the whole release.

        Raises:
            StoreError: the store or the local disk failed; that is not a refusal, ask again.
        """
        refusal = self._check_split(release)
        if refusal is not None:
            return refusal
        digests: dict[str, str] = {}
        for version in release.versions:
            verdict = self.check_version(version)
            if not verdict.admitted or verdict.digest is None:
                return Refusal(release, verdict)
            digests[version] = verdict.digest
        return AdmittedRelease(release, digests)

    def warnings(self, digest: str) -> tuple[str, ...]:
        """The warnings about an admitted version, a line each; none about one that was not decided here."""
        verdict = self._verdicts.get(digest)
        return () if verdict is None else verdict.warnings

    def remembered(self, release: Release) -> AdmittedRelease | None:
        """The release, if each of its versions was admitted before and has the same bundle still; reads manifests.

        Raises:
            StoreError: the store failed; ask again.
        """
        if self._store is None or not self._verdicts or self._check_split(release) is not None:
            return None
        digests: dict[str, str] = {}
        for version in release.versions:
            manifest = self._manifest(version, partial(self._store.read_manifest, version))
            if isinstance(manifest, Verdict) or not self._was_admitted(manifest.digest):
                return None
            digests[version] = manifest.digest
        return AdmittedRelease(release, digests)

    def _turn(self, digest: str) -> threading.Lock:
        """Held while a bundle is checked, so that releases that name the same version check it once."""
        with _LOCK:
            return self._turns.setdefault(digest, threading.Lock())

    def _was_admitted(self, digest: str) -> bool:
        verdict = self._verdicts.get(digest)
        return verdict is not None and verdict.admitted

    def _check_split(self, release: Release) -> Refusal | None:
        """A release whose events cannot be split would fail for every event."""
        if self._columns is None:
            return None
        known = (*SPLIT_COLUMNS, *sorted(name for name, kind in self._columns.items() if kind in VALUES))
        if release.split_on in known:
            return None
        what = "is a vector or a time" if release.split_on in self._columns else "is not a column of the job"
        refusal = WrongInputs(f"split_on {release.split_on!r} {what}; {wants(', '.join(known))}")
        return Refusal(release, _refused(refusal, release.champion, None))

    def _manifest(self, version: str, read: Callable[[], Manifest]) -> Manifest | Verdict:
        """The manifest of a version, or the verdict that it has no valid one."""
        try:
            with refused_as(_no_manifest):
                return read()
        except BundleRefused as refusal:
            return _refused(refusal, version, None)

    def _downloaded(self, store: ModelStore, manifest: Manifest, folder: Path) -> Path:
        sizes = store.measure(manifest)
        self._check_size(sum(sizes.values()), f"version {manifest.version!r}")
        with local_disk(f"download version {manifest.version!r}"):
            store.download(manifest, sizes, folder)
        return folder

    def _decide(self, manifest: Manifest, bundle: Callable[[], Path]) -> Verdict:
        """Decide on a valid manifest; `bundle` provides the folder, its files measured.

        Only the checks are timed: how long a store takes says nothing about the bundle.
        """
        trial = _Trial()
        try:
            with refused_as(_no_manifest):
                folder = bundle()
            try:
                self._timed(folder, manifest, trial)
            except OtherLibrary:
                # The store is asked only now, outside of the timed checks.
                if not admitted_before(self._store, manifest, self._job):
                    raise
                trial = _Trial(admitted_before=True)
                self._timed(folder, manifest, trial)
        except BundleRefused as refusal:
            full = full_disk(refusal)
            if full is not None:
                raise disk_failed(f"try version {manifest.version!r}", full) from refusal
            return _refused(refusal, manifest.version, manifest, trial.warnings)
        except OutOfTime:
            detail = f"its proofs took longer than {self._timeout_s:g} s; expected: within model.admission_timeout"
            return Verdict(False, "timed_out", detail, manifest.version, manifest.digest, manifest)
        known = trial.warnings, trial.labels
        return Verdict(True, None, "", manifest.version, manifest.digest, manifest, False, *known)

    def _timed(self, folder: Path, manifest: Manifest, trial: "_Trial") -> None:
        proofs = partial(self._prove, folder, manifest, trial)
        within(self._timeout_s, proofs, f"prove-{manifest.version}", trial.give_up)

    def _prove(self, folder: Path, manifest: Manifest, trial: "_Trial") -> None:
        with refused_as(BadSignature):
            if self._trusted_key is not None:
                verify_signature(folder, manifest, self._trusted_key)
        with refused_as(WrongDigest):
            verify_digests(folder, manifest)
        with refused_as(WillNotLoad):
            self._check_size(expanded_bytes(folder, manifest), f"version {manifest.version!r} unpacked")
            trial.warnings = check_libraries(folder, manifest, trial.admitted_before)
            self._check_trust(manifest)
            scorer = prove(folder, manifest, self._columns, self._allow_pickle, trial.loaded, trusting=True)
            try:
                trial.labels = tuple(scorer.labels().values())
            finally:
                scorer.close()

    def _check_trust(self, manifest: Manifest) -> None:
        """Raises `WillNotLoad` for a bundle that asks for types which nobody here trusts; a signature that was checked
        is trust in all of them."""
        asked = sorted(set(manifest.trust) - self._trust)
        if asked and self._trusted_key is None:
            listed = ", ".join(asked[:_MOST_TYPES])
            raise WillNotLoad(
                f"{manifest.scorer}: the bundle asks to make objects of types that are not trusted here: {listed}; "
                f"expected: model.trust of the job with them (--trust TYPE), or a bundle signed with model.trusted_key"
            )

    def _check_size(self, size: int, what: str) -> None:
        if size > self._max_bytes:
            raise BundleTooLarge(f"{what} has {size} bytes; allowed: at most {self._max_bytes}")
        memory = self._memory()
        if memory is not None and size > memory:
            raise BundleTooLarge(f"{what} has {size} bytes; allowed: at most {memory}, the memory of this worker")


class _Trial:
    """The checks of one bundle, in a thread that the caller may abandon."""

    def __init__(self, admitted_before: bool = False) -> None:
        self.admitted_before, self.warnings = admitted_before, tuple[str, ...]()
        self.labels = tuple[str, ...]()
        self._lock = threading.Lock()
        self._scorer: Scorer | None = None
        self._given_up = False

    def loaded(self, scorer: Scorer) -> None:
        with self._lock:
            self._scorer = scorer
            if self._given_up:
                scorer.interrupt()

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._scorer is not None:
                self._scorer.interrupt()


def _no_manifest(detail: str) -> InvalidManifest:
    return InvalidManifest("", Absent(detail), "a bundle that can be read")


def _refused(
    refusal: BundleRefused, version: str, manifest: Manifest | None, warnings: tuple[str, ...] = ()
) -> Verdict:
    digest = None if manifest is None else manifest.digest
    detail = writable(" ".join("; ".join((str(refusal), *warnings)).split()))[:_MOST_DETAIL]
    return Verdict(False, refusal.reason, detail, version, digest, manifest, refusal.passing)
