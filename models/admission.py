"""Admission: every proof a bundle gives before a release of it may enter the timeline. Fails closed."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import BundleRefused
from models.folders import BundleIncomplete, BundleTooLarge, verify_folder
from models.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from models.proving import prove
from models.releases import AdmittedRelease, Release
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

    @property
    def final(self) -> bool:
        """False where the manifest was absent: it may still arrive.

        Every other verdict stands for these bytes.
        """
        return self.reason != "incomplete" or self.digest is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A release that may not enter the timeline, with the verdict on its first version that may not serve."""

    release: Release
    verdict: Verdict


class Admission:
    """Decides over versions of one model; each manifest digest is decided once and remembered.

    Args:
        store: the model's store; None if only folders are checked.
        columns: the job's columns (name → number, integer, boolean or string); None skips that check.
        allow_pickle: whether pickles may be opened.
        max_bytes: greatest size of a bundle's files together.
    """

    def __init__(
        self,
        store: ModelStore | None,
        columns: Mapping[str, str] | None = None,
        allow_pickle: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._store = store
        self._columns = columns
        self._allow_pickle = allow_pickle
        self._max_bytes = max_bytes
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

            def fetch(folder: Path) -> Path:
                return store.fetch(version, folder, manifest.digest, self._max_bytes)

            with tempfile.TemporaryDirectory(prefix="halflife-admission-") as folder:
                self._verdicts[manifest.digest] = self._decide(manifest, lambda: fetch(Path(folder)))
        return self._verdicts[manifest.digest]

    def check_folder(self, folder: Path) -> Verdict:
        """The verdict on a local folder that holds a bundle with its `manifest.json`."""
        try:
            manifest = _read_manifest(folder)
        except BundleRefused as refusal:
            return _refused(refusal, folder.name, None)

        def verified() -> Path:
            verify_folder(folder, manifest, self._max_bytes)
            return folder

        return self._decide(manifest, verified)

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
        """Decide over a valid manifest; `bundle` gives the folder with the verified files."""
        try:
            folder = bundle()
            prove(folder, manifest, self._columns, self._allow_pickle).close()
        except BundleRefused as refusal:
            return _refused(refusal, manifest.version, manifest)
        return Verdict(True, None, "", manifest.version, manifest.digest, manifest)


def _refused(refusal: BundleRefused, version: str, manifest: Manifest | None) -> Verdict:
    digest = None if manifest is None else manifest.digest
    return Verdict(False, refusal.reason, str(refusal), version, digest, manifest)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleIncomplete(f"{folder} has no {MANIFEST}; allowed: the folder of a bundle")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleTooLarge(f"{path} has {path.stat().st_size} bytes; allowed: {MAX_MANIFEST_BYTES}")
    return parse_manifest(path.read_bytes())
