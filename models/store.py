"""The object store of one model: immutable bundles, append-only releases, the access log (DESIGN §5)."""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ulid import ULID

from models import clock
from models.backends import Backend, ObjectTooLarge
from models.errors import StoreError, one_line
from models.folders import (
    BundleIncomplete,
    BundleTooLarge,
    WrongDigest,
    file_sha256,
    payload_paths,
    refuse_links,
)
from models.manifest import MANIFEST, MAX_MANIFEST_BYTES, InvalidManifest, Manifest, parse_manifest
from models.releases import Challenger, InvalidRelease, Release, parse_release, release_document
from models.strict_json import parse_object
from schemas.validation import Absent, SpecError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RELEASE_NAME = re.compile(r"(\d{8})\.json")
_MAX_RELEASE_BYTES = 1024 * 1024
_MAX_RELEASE_ATTEMPTS = 1000


class VersionExists(StoreError):
    """The version was published before, or its payload is already there with other content."""


class UnknownVersion(StoreError):
    """A release names a version that the store does not have."""


@dataclass(frozen=True, slots=True)
class ReleaseScan:
    """What one listing found: valid releases, errors of unreadable ones by sequence, the last sequence."""

    releases: tuple[Release, ...]
    broken: Mapping[int, InvalidRelease]
    last: int


class ModelStore:
    """The bundles and releases of `model` under a store URL. Picklable; thread-safe.

    Args:
        url: a path, or a `file://`, `memory://`, `s3://`, `gs://` or `az://` URL; it need not exist yet.
        model: the model's name.

    Raises:
        StoreError: the URL or the name is not allowed.
    """

    def __init__(self, url: str, model: str) -> None:
        self.model = _name(model, "model")
        self._backend = Backend(url)
        self.url = self._backend.url

    def publish(self, folder: Path, manifest: Mapping[str, Any]) -> Manifest:
        """Upload every file of `folder`, then, conditionally, the manifest, whose `files` is filled in here.

        `manifest` is the document without `files`; `model` may be left out. A `manifest.json` in the folder
        is not uploaded. An interrupted publish can be repeated.

        Raises:
            InvalidManifest: before anything is uploaded.
            VersionExists: the version is published already, or was begun with other content.
        """
        paths = payload_paths(folder)
        files = {path: file_sha256(folder / path) for path in paths}
        document = {"model": self.model, **manifest, "files": files}
        try:
            raw = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise InvalidManifest("", Absent(one_line(error)), "values that JSON has") from None
        parsed = self._own(parse_manifest(raw), str(document["version"]))
        if self._backend.size(self._key(parsed.version, MANIFEST)) is not None:
            raise VersionExists(f"{self._place(parsed.version)} is already published; choose another version name")
        for path in paths:
            self._upload(parsed, folder, path)
        if not self._backend.create(self._key(parsed.version, MANIFEST), raw):
            raise VersionExists(f"{self._place(parsed.version)} was published meanwhile; choose another version name")
        return parsed

    def versions(self) -> list[str]:
        """Names of all complete versions, sorted; one listing, no reads."""
        prefix = f"{self.model}/versions"
        keys = (key.removeprefix(f"{prefix}/").split("/") for key, _ in self._backend.list(prefix))
        return sorted(parts[0] for parts in keys if parts[1:] == [MANIFEST] and _NAME.fullmatch(parts[0]))

    def read_manifest(self, version: str) -> Manifest:
        """The manifest of a version.

        Raises:
            BundleIncomplete: there is none, so the version does not exist.
            BundleTooLarge, InvalidManifest, PathOutside: it is no valid manifest of this version.
            StoreUnavailable: the store did not answer.
        """
        key = self._key(_name(version, "version"), MANIFEST)
        try:
            raw = self._backend.read(key, MAX_MANIFEST_BYTES)
        except ObjectTooLarge as error:
            raise BundleTooLarge(str(error)) from None
        if raw is None:
            raise BundleIncomplete(f"{self._place(version)} has no {MANIFEST}; publish it, or name another version")
        return self._own(parse_manifest(raw), version)

    def fetch(self, version: str, into: Path, digest: str | None = None, max_bytes: int | None = None) -> Path:
        """Download a bundle into the folder `into` (created if need be) and verify each file's sha256.

        Raises:
            WrongDigest: the manifest has not the sha256 `digest`, or a file not the one the manifest gives.
            BundleIncomplete: the manifest or a file is absent.
            BundleTooLarge: the files together have more than `max_bytes`; nothing is downloaded then.
            PathOutside: a path or link leads out of the bundle.
            InvalidManifest, StoreUnavailable: as `read_manifest`.
        """
        manifest = self.read_manifest(version)
        if digest is not None and manifest.digest != digest:
            raise WrongDigest(f"{self._place(version)}: manifest has sha256 {manifest.digest}; allowed: {digest}")
        sizes = self._sizes(manifest)
        if max_bytes is not None and sum(sizes.values()) > max_bytes:
            raise BundleTooLarge(f"{self._place(version)} has {sum(sizes.values())} bytes; allowed: {max_bytes}")
        into.mkdir(parents=True, exist_ok=True)
        for path in manifest.files:
            self._download(manifest, path, into / path, sizes[path])
        (into / MANIFEST).write_bytes(manifest.raw)
        return into

    def append_release(
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
        """Append the next release by conditional create; if another writer takes the sequence, try the next.

        `salt` is random unless given: keep a canary's salt over its releases and its share only ever grows.

        Raises:
            InvalidRelease: shares over 1, a version in two roles, a name or time that is not allowed.
            UnknownVersion: a version that is not in the store.
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
            at_us=clock.now_us() if now_us is None else now_us,
            reason=reason,
            evidence=evidence,
        )
        return self._append(draft)

    def releases(self, after: int = 0) -> list[Release]:
        """The valid releases with a sequence greater than `after`, in order; costs what is new."""
        return list(self.scan_releases(after).releases)

    def scan_releases(self, after: int = 0) -> ReleaseScan:
        """As `releases`, and what is wrong with each unreadable one, so that it can be audited and skipped.

        Raises:
            StoreUnavailable: the store did not answer; ask again with the same `after`.
        """
        found: list[Release] = []
        broken: dict[int, InvalidRelease] = {}
        last = after
        for sequence in self._sequences(after):
            try:
                found.append(self._read_release(sequence))
            except InvalidRelease as error:
                broken[sequence] = error
            last = sequence
        return ReleaseScan(tuple(found), broken, last)

    def record_access(
        self, action: str, actor: str, *, now_us: int | None = None, **detail: str | int | float | bool | None
    ) -> str:
        """Write one entry of the access log: who (`actor`) did what (`action`), when. Returns its key."""
        time_us = clock.now_us() if now_us is None else now_us
        at = clock.format_time(time_us)
        key = f"{self.model}/access/{at[:10]}/{ULID.from_timestamp(time_us / 1e6)}.json"
        entry = {**detail, "at": at, "action": action, "actor": actor}
        self._backend.create(key, json.dumps(entry, ensure_ascii=False).encode())
        return key

    def _append(self, draft: Release) -> Release:
        document = _checked_document(draft)
        for version in draft.versions:
            if self._backend.size(self._key(version, MANIFEST)) is None:
                raise UnknownVersion(f"{self._place(version)} does not exist; allowed: a published version")
        last = 0
        for _ in range(_MAX_RELEASE_ATTEMPTS):
            last = self._last_sequence(after=last)
            document["sequence"] = last + 1
            raw = json.dumps(document, indent=2, ensure_ascii=False).encode()
            if self._backend.create(self._release_key(last + 1), raw):
                return parse_release(document)
        raise StoreError(f"{self.url}: no release of {self.model!r} written: others won {_MAX_RELEASE_ATTEMPTS} times")

    def _own(self, manifest: Manifest, version: str) -> Manifest:
        if manifest.model != self.model:
            raise InvalidManifest("model", manifest.model, self.model)
        if manifest.version != version:
            raise InvalidManifest("version", manifest.version, version)
        return manifest

    def _upload(self, manifest: Manifest, folder: Path, path: str) -> None:
        key = self._key(manifest.version, path)
        if self._backend.create(key, folder / path):
            return
        # Left by an interrupted publish, or being written by another one: the same bytes do no harm.
        if _digest(self._backend.stream(key)) != manifest.files[path]:
            raise VersionExists(f"{self.url}: {key} is there with other content; choose another version name")

    def _sizes(self, manifest: Manifest) -> dict[str, int]:
        prefix = self._key(manifest.version, "")
        found = {key.removeprefix(prefix): size for key, size in self._backend.list(prefix.rstrip("/"))}
        for path in manifest.files:
            if path not in found:
                raise BundleIncomplete(f"{self._place(manifest.version)}: {path} is absent; allowed: all of `files`")
        return {path: found[path] for path in manifest.files}

    def _download(self, manifest: Manifest, path: str, target: Path, size: int) -> None:
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
                        raise WrongDigest(f"{self.url}: {key} grew while it was read; allowed: {size} bytes")
                    file.write(chunk)
        except FileNotFoundError:
            raise BundleIncomplete(f"{self.url}: {key} is absent") from None
        if sha256.hexdigest() != manifest.files[path]:
            raise WrongDigest(f"{self.url}: {key} has sha256 {sha256.hexdigest()}; allowed: {manifest.files[path]}")

    def _sequences(self, after: int) -> list[int]:
        keys = self._backend.list(f"{self.model}/releases", after=self._release_key(after))
        names = (_RELEASE_NAME.fullmatch(key.rpartition("/")[2]) for key, _ in keys)
        return [int(name[1]) for name in names if name]

    def _last_sequence(self, after: int) -> int:
        return max(self._sequences(after), default=after)

    def _read_release(self, sequence: int) -> Release:
        try:
            document = parse_object(self._backend.read(self._release_key(sequence), _MAX_RELEASE_BYTES) or b"")
        except ObjectTooLarge as error:
            raise InvalidRelease("", Absent(one_line(error)), f"at most {_MAX_RELEASE_BYTES} bytes") from None
        except SpecError as error:
            raise InvalidRelease(error.path, error.value, error.allowed) from None
        release = parse_release(document)
        if (release.sequence, release.model) != (sequence, self.model):
            raise InvalidRelease("sequence", release.sequence, f"{sequence}, of model {self.model}")
        return release

    def _key(self, version: str, path: str) -> str:
        return f"{self.model}/versions/{version}/{path}"

    def _release_key(self, sequence: int) -> str:
        return f"{self.model}/releases/{sequence:08d}.json"

    def _place(self, version: str) -> str:
        return f"{self.url}: version {version!r} of {self.model!r}"


def _name(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError(f"{what} {name!r} is not allowed; allowed: 1 to 128 of A-Z a-z 0-9 . _ -, no sign first")
    return name


def _digest(chunks: Iterable[bytes]) -> str:
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()


def _checked_document(draft: Release) -> dict[str, Any]:
    try:
        document = release_document(draft)
    except OverflowError:
        raise InvalidRelease("effective_from", draft.effective_from_us, "years 1 to 9999 in microseconds") from None
    parse_release(document)
    return document
