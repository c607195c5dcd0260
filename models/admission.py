"""Admission: every proof a bundle gives before a release of it may enter the timeline. Fails closed."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import BundleRefused
from models.folders import BundleTooLarge, expanded_bytes, measure_folder, read_folder_manifest, verify_digests
from models.manifest import Manifest
from models.memory import memory_limit_bytes
from models.proving import prove
from models.releases import AdmittedRelease, Release
from models.signing import verify_signature
from models.store import ModelStore

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
)
DEFAULT_MAX_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may serve; `reason` is one of `REASONS` and `detail` one line, null and "" if it may.

    `digest` and `manifest` are null where no valid manifest was found.
    """

    admitted: bool
    reason: str | None
    detail: str
    version: str
    digest: str | None
    manifest: Manifest | None
    passing: bool = False

    @property
    def final(self) -> bool:
        """False where the manifest was absent, which may still arrive, or a model's server did not answer.

        Every other verdict stands for these bytes.
        """
        return not self.passing and (self.reason != "incomplete" or self.digest is not None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A release that may not enter the timeline, with the verdict on its first version that may not serve."""

    release: Release
    verdict: Verdict


class Admission:
    """Decides over versions of one model; each manifest digest is decided once and remembered.

    The proofs are given in the order of `REASONS`, with one exception: a bundle is measured before it is
    downloaded or opened, so `too_large` is found out before anything is paid for it.

    Args:
        store: the model's store; None if only folders are checked.
        columns: the job's columns (name → number, integer, boolean or string); None skips that check.
        allow_pickle: whether pickles may be opened.
        max_bytes: greatest size of a bundle's files together, and of what its archives unpack to.
        trusted_key: the public key (PEM) that every bundle must be signed with; None asks for no signature.
        memory: gives the bytes of memory this process may have, which a bundle must fit too; None if unknown.
    """

    def __init__(
        self,
        store: ModelStore | None,
        columns: Mapping[str, str] | None = None,
        allow_pickle: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        trusted_key: str | None = None,
        memory: Callable[[], int | None] = memory_limit_bytes,
    ) -> None:
        self._store = store
        self._columns = columns
        self._allow_pickle = allow_pickle
        self._max_bytes = max_bytes
        self._trusted_key = trusted_key
        self._memory = memory
        self._verdicts: dict[str, Verdict] = {}

    def check_version(self, version: str) -> Verdict:
        """The verdict on a version in the store.

        Raises:
            StoreError: the store did not answer; that is no verdict, ask again.
        """
        store = self._store
        if store is None:
            raise ValueError(f"version {version!r} cannot be checked without a store; allowed: check_folder")
        try:
            manifest = store.read_manifest(version)
        except BundleRefused as refusal:
            return _refused(refusal, version, None)
        if manifest.digest not in self._verdicts:
            with tempfile.TemporaryDirectory(prefix="halflife-admission-") as folder:

                def download() -> Path:
                    sizes = store.measure(manifest)
                    self._check_size(sum(sizes.values()), f"version {version!r}")
                    store.download(manifest, sizes, Path(folder))
                    return Path(folder)

                verdict = self._decide(manifest, download)
            if not verdict.final:
                return verdict
            self._verdicts[manifest.digest] = verdict
        return self._verdicts[manifest.digest]

    def check_folder(self, folder: Path) -> Verdict:
        """The verdict on a local folder that holds a bundle with its `manifest.json`."""
        try:
            manifest = read_folder_manifest(folder)
        except BundleRefused as refusal:
            return _refused(refusal, folder.name, None)

        def measured() -> Path:
            self._check_size(sum(measure_folder(folder, manifest).values()), str(folder))
            return folder

        return self._decide(manifest, measured)

    def admit_release(self, release: Release) -> AdmittedRelease | Refusal:
        """Check every version a release names; one that may not serve refuses the whole release.

        Raises:
            StoreError: the store did not answer; that is no refusal, ask again.
        """
        digests: dict[str, str] = {}
        for version in release.versions:
            verdict = self.check_version(version)
            if not verdict.admitted or verdict.digest is None:
                return Refusal(release, verdict)
            digests[version] = verdict.digest
        return AdmittedRelease(release, digests)

    def _decide(self, manifest: Manifest, bundle: Callable[[], Path]) -> Verdict:
        """Decide over a valid manifest; `bundle` gives the folder, its files measured."""
        try:
            folder = bundle()
            if self._trusted_key is not None:
                verify_signature(folder, manifest, self._trusted_key)
            verify_digests(folder, manifest)
            self._check_size(expanded_bytes(folder, manifest), f"version {manifest.version!r} unpacked")
            prove(folder, manifest, self._columns, self._allow_pickle).close()
        except BundleRefused as refusal:
            return _refused(refusal, manifest.version, manifest)
        return Verdict(True, None, "", manifest.version, manifest.digest, manifest)

    def _check_size(self, size: int, what: str) -> None:
        if size > self._max_bytes:
            raise BundleTooLarge(f"{what} has {size} bytes; allowed: {self._max_bytes}")
        memory = self._memory()
        if memory is not None and size > memory:
            raise BundleTooLarge(f"{what} has {size} bytes; allowed: {memory}, the memory of this worker")


def _refused(refusal: BundleRefused, version: str, manifest: Manifest | None) -> Verdict:
    digest = None if manifest is None else manifest.digest
    return Verdict(False, refusal.reason, str(refusal), version, digest, manifest, refusal.passing)
