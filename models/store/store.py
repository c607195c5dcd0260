"""The object store of one model: immutable bundles, append-only releases, the access log (docs/design.md §5)."""

import hashlib
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.bundles.folders import (
    BundleIncomplete,
    BundleTooLarge,
    WrongDigest,
    file_sha256,
    manifest_bytes,
    payload_paths,
    read_folder_manifest,
    refuse_links,
    sha256_of,
)
from models.bundles.manifest import MANIFEST, MAX_MANIFEST_BYTES, SIGNATURE, InvalidManifest, Manifest, parse_manifest
from models.bundles.signing import MAX_SIGNATURE_BYTES
from models.errors import StoreError
from models.releases.release import Challenger, Release
from models.store import backends
from models.store.access_log import AccessLog, AccessScan, Detail, entry_of
from models.store.backends import Backend, ObjectTooLarge
from models.store.local_files import Odd
from models.store.release_log import ReleaseLog, ReleaseScan, checked_document
from models.store.version_names import TABLES, checked_model, checked_name, versions_in
from models.store.withdrawals import Withdrawal, Withdrawals
from schemas import times

__all__ = ["BundleWithdrawn", "ModelStore", "ReleaseScan", "UnknownVersion", "VersionExists"]
# A bucket has no empty folders: of a model whose only version was withdrawn, "withdrawn" may be all that is left.
_OF_A_MODEL = {"versions", "releases", "withdrawn", "claims"}


class VersionExists(StoreError):
    """The version was published before, or its payload already exists with other content."""


class UnknownVersion(StoreError):
    """A release names a version that the store lacks."""


class BundleWithdrawn(BundleIncomplete):
    """The version was withdrawn: there is no manifest, and there will be none."""


class ModelStore:
    """The bundles and releases of `model` under a store URL. Picklable; thread-safe.

    Args:
        url: a path, or a `file://`, `memory://`, `s3://`, `gs://` or `az://` URL; it need not exist yet.
        model: the model's name.

    Raises:
        StoreError: the URL or the name is not allowed.
    """

    def __init__(self, url: str, model: str) -> None:
        self.model = checked_model(model)
        self._backend = Backend(url)
        self._releases = ReleaseLog(self._backend, model)
        self._accesses = AccessLog(self._backend, model)
        self._withdrawals = Withdrawals(self._backend, model)
        self.url = self._backend.url

    def publish(self, folder: Path, manifest: Mapping[str, Any]) -> Manifest:
        """Upload every file of `folder`, then, conditionally, the manifest, whose `files` is filled in here.

        `manifest` is the document without `files`; `model` may be left out. A `manifest.json` or `model.sig` in
        the folder is not uploaded. An interrupted publish can be repeated.

        Raises:
            InvalidManifest: before anything is uploaded.
            VersionExists: the version is published already, was begun with other content, or was withdrawn.
        """
        raw = manifest_bytes(folder, {"model": self.model, **manifest})
        parsed = parse_manifest(raw)
        return self._upload_all(folder, self._own(parsed, parsed.version), payload_paths(folder))

    def publish_bundle(self, folder: Path) -> Manifest:
        """Upload a complete bundle: a folder with its `manifest.json`, whose bytes are kept, and maybe `model.sig`.

        Raises:
            BundleRefused: the folder holds no valid manifest of this model, or not all of its files.
            VersionExists: the version is published already, or was begun with other content.
        """
        parsed = read_folder_manifest(folder)
        for path in parsed.files:
            refuse_links(folder, path)
            if not (folder / path).is_file():
                raise BundleIncomplete(f"{folder}: {path} is absent; expected: every file that `files` lists")
        signed = [SIGNATURE] if (folder / SIGNATURE).is_file() else []
        return self._upload_all(folder, self._own(parsed, parsed.version), [*parsed.files, *signed])

    def versions(self) -> list[str]:
        """Names of all complete versions, sorted; one listing, no reads."""
        return self.scan_versions()[0]

    def scan_versions(self) -> tuple[list[str], Mapping[str, Odd]]:
        """As `versions`, and the objects among them that are not files of a bundle, by key."""
        prefix = f"{self.model}/versions"
        return versions_in(self._backend.scan(prefix), prefix)

    def has_version(self, version: str) -> bool:
        """Whether a version is published; one look, no reads."""
        return self._backend.size(self._key(checked_name(version, "version"), MANIFEST)) is not None

    def read_manifest(self, version: str) -> Manifest:
        """The manifest of a version.

        Raises:
            BundleIncomplete: there is none, so the version does not exist; BundleWithdrawn where it did.
            BundleTooLarge, InvalidManifest, PathOutside: it is not a valid manifest of this version.
            StoreUnavailable: the store did not answer.
        """
        key = self._key(checked_name(version, "version"), MANIFEST)
        try:
            raw = self._backend.read(key, MAX_MANIFEST_BYTES)
        except ObjectTooLarge as error:
            raise BundleTooLarge(str(error)) from None
        if raw is None:
            withdrawal = self.withdrawal(version)
            if withdrawal is not None:
                raise BundleWithdrawn(f"{self._where(version)} {withdrawal}; expected: another version")
            lacks = f"{self._where(version)} has no {MANIFEST}"
            raise BundleIncomplete(f"{lacks}; next: halflife models publish, or name another version")
        return self._own(parse_manifest(raw), version)

    def read_file(self, manifest: Manifest, path: str, max_bytes: int) -> bytes:
        """One payload file of a version, its sha256 verified.

        Raises:
            BundleIncomplete, BundleTooLarge, WrongDigest, StoreUnavailable: as `fetch`.
        """
        key = self._key(manifest.version, path)
        try:
            raw = self._backend.read(key, max_bytes)
        except ObjectTooLarge as error:
            raise BundleTooLarge(str(error)) from None
        if raw is None:
            raise BundleIncomplete(f"{self.url}: {key} is absent; expected: every file that `files` lists")
        self._check_digest(key, hashlib.sha256(raw).hexdigest(), manifest.files[path])
        return raw

    def fetch(self, version: str, into: Path, digest: str | None = None, max_bytes: int | None = None) -> Path:
        """Download a bundle into the folder `into` (created if need be) and verify each file's sha256.

        Raises:
            WrongDigest: the manifest does not have the sha256 `digest`, or a file does not have the one in the
                manifest.
            BundleIncomplete: the manifest or a file is absent.
            BundleTooLarge: the files together have more than `max_bytes`; nothing is downloaded then.
            PathOutside: a path or link leads out of the bundle.
            InvalidManifest, StoreUnavailable: as `read_manifest`.
        """
        manifest = self.read_manifest(version)
        if digest is not None and manifest.digest != digest:
            raise WrongDigest(f"{self._where(version)}: manifest has sha256 {manifest.digest}; expected: {digest}")
        sizes = self.measure(manifest)
        if max_bytes is not None and sum(sizes.values()) > max_bytes:
            found = f"{self._where(version)} has {sum(sizes.values())} bytes"
            raise BundleTooLarge(f"{found}; allowed: at most {max_bytes}")
        for path, found in self.download(manifest, sizes, into).items():
            self._check_digest(self._key(version, path), found, manifest.files[path])
        return into

    def measure(self, manifest: Manifest) -> dict[str, int]:
        """Bytes of every file of a bundle by one listing.

        Raises:
            BundleIncomplete: a file is absent.
        """
        prefix = self._key(manifest.version, "")
        found = {key.removeprefix(prefix): size for key, size in self._backend.list(prefix.rstrip("/"))}
        for path in manifest.files:
            if path not in found:
                raise BundleIncomplete(f"{self._where(manifest.version)}: {path} is absent; expected: all of `files`")
        return {path: found[path] for path in manifest.files}

    def download(self, manifest: Manifest, sizes: Mapping[str, int], into: Path) -> dict[str, str]:
        """Download a bundle, its manifest as given, and its signature where there is one; nothing is verified yet.

        Args:
            manifest: the bundle's manifest.
            sizes: as `measure` found them; a file that has grown since is refused.
            into: a folder, created if need be.

        Returns:
            The sha256 of each payload file as it was written.

        Raises:
            BundleIncomplete, PathOutside, WrongDigest, BundleTooLarge, StoreUnavailable: as `fetch`.
        """
        into.mkdir(parents=True, exist_ok=True)
        found = {path: self._download(manifest, path, into / path, sizes[path]) for path in manifest.files}
        (into / MANIFEST).write_bytes(manifest.raw)
        try:
            signature = self._backend.read(self._key(manifest.version, SIGNATURE), MAX_SIGNATURE_BYTES)
        except ObjectTooLarge as error:
            raise BundleTooLarge(str(error)) from None
        if signature is not None:
            (into / SIGNATURE).write_bytes(signature)
        return found

    def withdraw(self, version: str, by: str, reason: str = "", now_us: int | None = None) -> Withdrawal:
        """Take back a version that no release names; as `Withdrawals.take_back`, with an entry of the access log.

        Raises:
            StillReleased: a release names it; nothing has changed.
            NothingToWithdraw: there is nothing of this name.
        """
        at_us = times.now_us() if now_us is None else now_us
        said = Withdrawal(checked_name(version, "version"), None, by, at_us, reason)

        def log(found: Withdrawal) -> str:
            return self.record_access("withdraw", by, now_us=at_us, version=version, digest=found.digest, reason=reason)

        return self._withdrawals.take_back(said, self.releases, log)

    def withdrawal(self, version: str) -> Withdrawal | None:
        """Who withdrew a version, when and why; None if nobody did."""
        return self._withdrawals.find(version)

    def binding_withdrawal(self, version: str, history: Callable[[], Sequence[Release]]) -> Withdrawal | None:
        """The withdrawal that forbids to release a version, as `Withdrawals.binding`."""
        return self._withdrawals.binding(version, history)

    def scan_withdrawals(self) -> tuple[dict[str, Withdrawal], dict[str, Odd]]:
        """Every withdrawal by its version, and what is wrong with each other thing among them, by key."""
        return self._withdrawals.scan()

    def draft_release(
        self,
        *,
        champion: str,
        effective_from_us: int,
        by: str,
        challengers: Sequence[Challenger] = (),
        shadows: Sequence[str] = (),
        split_on: str = "event_id",
        salt: str | None = None,
        reason: str = "",
        evidence: str = "",
        now_us: int | None = None,
    ) -> Release:
        """A release that may be appended; its sequence is not given yet.

        `salt` is random unless given: keep a canary's salt over its releases and its share only ever grows.

        Raises:
            InvalidRelease: shares over 1, a version in two roles, a name or time that is not allowed.
            UnknownVersion: a version that is not in the store, or was withdrawn.
        """
        draft = Release(
            sequence=1,
            model=self.model,
            effective_from_us=effective_from_us,
            champion=champion,
            challengers=tuple(challengers),
            shadows=tuple(shadows),
            split_on=split_on,
            salt=secrets.token_hex(8) if salt is None else salt,
            by=by,
            at_us=times.now_us() if now_us is None else now_us,
            reason=reason,
            evidence=evidence,
        )
        checked_document(draft)
        for version in draft.versions:
            withdrawal = self.binding_withdrawal(checked_name(version, "version"), self.releases)
            if withdrawal is not None:
                raise UnknownVersion(f"{self._where(version)} {withdrawal}; expected: a published version")
            if not self.has_version(version):
                raise UnknownVersion(f"{self._where(version)} does not exist; expected: a published version")
        return draft

    def append(self, draft: Release, after: int | None = None) -> Release:
        """Append a draft as the next release by conditional create, as `ReleaseLog.append`.

        Raises:
            InvalidRelease, ReleasedMeanwhile: nothing is written.
        """
        return self._releases.append(draft, after)

    def append_release(self, **said: Any) -> Release:
        """`draft_release` and `append` in one."""
        return self.append(self.draft_release(**said))

    def models(self) -> list[str]:
        """The names of the models in this store, this one among them if it is there."""
        return [n for n in self._backend.folders() if n != TABLES and _OF_A_MODEL & set(self._backend.folders(n))]

    def releases(self, after: int = 0) -> list[Release]:
        """The valid releases with a sequence greater than `after`, in order; costs what is new."""
        return list(self.scan_releases(after).releases)

    def check_releases(self) -> None:
        """Raises `StoreError` where the path of the releases is something other than a folder."""
        self._releases.check_folder()

    def scan_releases(self, after: int = 0, passed_over: Collection[int] = ()) -> ReleaseScan:
        """As `releases`, and what is wrong with each unreadable one, so that it can be audited and skipped.

        `after` is 0 or the sequence of a valid release; unreadable ones that are known already are `passed_over`.

        Raises:
            StoreUnavailable: the store did not answer; ask again with the same `after`.
        """
        return self._releases.scan(after, passed_over)

    def stored_at_us(self, sequence: int) -> int | None:
        """When a release was written, by the store's own clock, microseconds since 1970; None if there is none."""
        return self._releases.stored_at_us(sequence)

    def record_access(self, action: str, actor: str, *, now_us: int | None = None, **detail: Detail) -> str:
        """Write one entry of the access log: who (`actor`) did what (`action`), when. Returns its key."""
        return self._accesses.record(entry_of(action, actor, times.now_us() if now_us is None else now_us, detail))

    def accesses(self, first_day: str | None = None, last_day: str | None = None) -> AccessScan:
        """The access log from one day to another, as `AccessLog.scan`."""
        return self._accesses.scan(first_day, last_day)

    def _own(self, manifest: Manifest, version: str) -> Manifest:
        if manifest.model != self.model:
            raise InvalidManifest("model", manifest.model, self.model)
        if manifest.version != version:
            raise InvalidManifest("version", manifest.version, version)
        return manifest

    def _upload_all(self, folder: Path, manifest: Manifest, paths: Iterable[str]) -> Manifest:
        self._refuse_withdrawn(manifest.version)
        if self.has_version(manifest.version):
            raise VersionExists(f"{self._where(manifest.version)} is already published; expected: another version name")
        named = list(paths)
        if any((folder / path).stat().st_size > backends.MULTIPART_BYTES for path in named):
            self._claim(manifest)
        for path in named:
            self._upload(manifest, folder, path)
        if not self._backend.create(self._key(manifest.version, MANIFEST), manifest.raw):
            where = self._where(manifest.version)
            raise VersionExists(f"{where} was published meanwhile; expected: another version name")
        if self.withdrawal(manifest.version) is not None:  # withdrawn during the upload: the version must not come back
            self._withdrawals.clear(manifest.version)
        self._refuse_withdrawn(manifest.version)
        return manifest

    def _refuse_withdrawn(self, version: str) -> None:
        burnt = self._withdrawals.burnt(version)
        if burnt is not None:
            raise VersionExists(f"{burnt}; expected: a version name that was never used")

    def _claim(self, manifest: Manifest) -> None:
        """Reserve a version's name for this manifest: large files cannot be created conditionally."""
        key = f"{self.model}/claims/{manifest.version}.json"
        claim = json.dumps({"digest": manifest.digest}).encode()
        if not self._backend.create(key, claim) and self._backend.read(key, len(claim) + 1) != claim:
            raise VersionExists(
                f"{self._where(manifest.version)} was begun with another manifest; expected: another version name"
            )

    def _upload(self, manifest: Manifest, folder: Path, path: str) -> None:
        key = self._key(manifest.version, path)
        if self._backend.create(key, folder / path):
            return
        # From an interrupted publish, or being written by another one: equal bytes do no harm.
        expected = manifest.files.get(path) or file_sha256(folder / path)
        if sha256_of(self._backend.stream(key)) != expected:
            raise VersionExists(f"{self.url}: {key} is there with other content; expected: another version name")

    def _download(self, manifest: Manifest, path: str, target: Path, size: int) -> str:
        key = self._key(manifest.version, path)
        if self._backend.root is not None:
            refuse_links(self._backend.root / self._key(manifest.version, ""), path)
        target.parent.mkdir(parents=True, exist_ok=True)
        sha256, written = hashlib.sha256(), 0
        try:
            with target.open("wb") as file:
                for chunk in self._backend.stream(key):
                    sha256.update(chunk)
                    written += len(chunk)
                    if written > size:
                        raise WrongDigest(f"{self.url}: {key} grew while it was read; expected: {size} bytes")
                    file.write(chunk)
        except FileNotFoundError:
            raise BundleIncomplete(f"{self.url}: {key} is absent; expected: every file that `files` lists") from None
        return sha256.hexdigest()

    def _check_digest(self, key: str, found: str, expected: str) -> None:
        if found != expected:
            raise WrongDigest(f"{self.url}: {key} has sha256 {found}; expected: {expected}")

    def _key(self, version: str, path: str) -> str:
        return f"{self.model}/versions/{version}/{path}"

    def _where(self, version: str) -> str:
        return f"{self.url}: version {version!r} of {self.model!r}"
