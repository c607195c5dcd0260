"""The versions of a table and its timeline in a store: `tables/<name>/…`, written and read by the code of models."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.bundles.folders import BundleIncomplete, BundleTooLarge, WrongDigest, file_sha256, sha256_of
from models.bundles.manifest import MANIFEST, MAX_MANIFEST_BYTES, InvalidManifest
from models.releases.release import InvalidRelease, Release
from models.store.access_log import AccessLog, Detail, entry_of
from models.store.backends import Backend, ObjectTooLarge
from models.store.release_log import ReleaseLog, ReleaseScan
from models.store.store import UnknownVersion, VersionExists
from models.store.version_names import TABLES, checked_name, versions_in
from models.tables.table_manifest import TableManifest, parse_table_manifest, table_manifest_bytes
from schemas import times
from schemas.expectations import did_you_mean
from schemas.validation import Absent

DATA = "data.parquet"
MAX_DATA_BYTES = 4 * 1024**3
_NO_SPLIT = "table"  # a release of a table splits nothing, and its form asks for a salt


class TableStore:
    """The versions and releases of the table `table` under a store URL. Picklable; thread-safe.

    A release of a table is one of a model with one version, its `champion`.

    Raises:
        StoreError: the URL or the name is not allowed.
    """

    def __init__(self, url: str, table: str) -> None:
        self.table = checked_name(table, "table")
        self._backend = Backend(url)
        self._folder = f"{TABLES}/{table}"
        self._releases = ReleaseLog(self._backend, table, self._folder)
        self._accesses = AccessLog(self._backend, self._folder)
        self.url = self._backend.url

    def publish(self, data: Path, document: Mapping[str, Any]) -> TableManifest:
        """Upload `data`, a Parquet file, then, conditionally, the manifest; what was interrupted can be repeated.

        `document`: the manifest without `table` and `sha256`.

        Raises:
            InvalidManifest: before anything is uploaded.
            VersionExists: the version is there already, or was begun with other content.
        """
        raw = table_manifest_bytes({**document, "table": self.table, "sha256": file_sha256(data)})
        manifest = parse_table_manifest(raw)
        where = f"{self.url}: version {manifest.version!r} of table {self.table!r}"
        if self.has_version(manifest.version):
            raise VersionExists(f"{where} is already published; expected: another version name")
        key = self._key(manifest.version, DATA)
        if not self._backend.create(key, data) and sha256_of(self._backend.stream(key)) != manifest.sha256:
            raise VersionExists(f"{where} was begun with other content; expected: another version name")
        if not self._backend.create(self._key(manifest.version, MANIFEST), raw):
            raise VersionExists(f"{where} was published meanwhile; expected: another version name")
        return manifest

    def versions(self) -> list[str]:
        """The names of all versions, sorted."""
        prefix = f"{self._folder}/versions"
        return versions_in(self._backend.scan(prefix), prefix)[0]

    def has_version(self, version: str) -> bool:
        """Whether a version is published; one look, no reads."""
        return self._backend.size(self._key(checked_name(version, "version"), MANIFEST)) is not None

    def read_manifest(self, version: str) -> TableManifest:
        """The manifest of a version.

        Raises:
            BundleIncomplete: there is none, so the version does not exist.
            BundleTooLarge, InvalidManifest: it is not a valid manifest of this version.
            StoreUnavailable: the store did not answer.
        """
        try:
            raw = self._backend.read(self._key(checked_name(version, "version"), MANIFEST), MAX_MANIFEST_BYTES)
        except ObjectTooLarge as error:
            raise BundleTooLarge(str(error)) from None
        if raw is None:
            lacks = f"{self.url}: version {version!r} of table {self.table!r} has no {MANIFEST}"
            raise BundleIncomplete(f"{lacks}; next: halflife tables publish, or name another version")
        manifest = parse_table_manifest(raw)
        for path, found, expected in (("table", manifest.table, self.table), ("version", manifest.version, version)):
            if found != expected:
                raise InvalidManifest(path, found, expected)
        return manifest

    def read_data(self, manifest: TableManifest) -> bytes:
        """The Parquet file of a version, its sha256 verified.

        Raises:
            BundleIncomplete, BundleTooLarge, WrongDigest, StoreUnavailable: it is not there, or not as published.
        """
        key = self._key(manifest.version, DATA)
        try:
            raw = self._backend.read(key, MAX_DATA_BYTES)
        except ObjectTooLarge as error:
            raise BundleTooLarge(str(error)) from None
        if raw is None:
            raise BundleIncomplete(f"{self.url}: {key} is absent; expected: the rows of the version")
        if (found := hashlib.sha256(raw).hexdigest()) != manifest.sha256:
            raise WrongDigest(f"{self.url}: {key} has sha256 {found}; expected: {manifest.sha256}")
        return raw

    def append_release(
        self, *, version: str, effective_from_us: int, by: str, reason: str = "", now_us: int | None = None
    ) -> Release:
        """Append a release by conditional create; if another writer takes the sequence, under the next one.

        Raises:
            UnknownVersion: the version is not in the store.
            InvalidRelease: a value is not allowed.
        """
        if not self.has_version(version):
            known = self.versions()
            there = ", ".join(known[:20]) or "none yet; next: halflife tables publish"
            found = f"{self.url}: version {version!r} of table {self.table!r} does not exist"
            raise UnknownVersion(f"{found}; expected: one of {there}{did_you_mean(version, known)}")
        at_us = times.now_us() if now_us is None else now_us
        draft = Release(1, self.table, effective_from_us, version, salt=_NO_SPLIT, by=by, at_us=at_us, reason=reason)
        return self._releases.append(draft)

    def scan_releases(self, after: int = 0, passed_over: frozenset[int] = frozenset()) -> ReleaseScan:
        """The releases with a sequence greater than `after`, and what is wrong with each unreadable one.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        scan = self._releases.scan(after, passed_over)
        split = {each.sequence: _split_error(each) for each in scan.releases if each.challengers or each.shadows}
        sound = tuple(each for each in scan.releases if each.sequence not in split)
        return ReleaseScan(sound, {**scan.broken, **split}, scan.last, scan.odd)

    def record_access(self, action: str, actor: str, **detail: Detail) -> str:
        """Write one entry of the access log; returns its key."""
        return self._accesses.record(entry_of(action, actor, times.now_us(), detail))

    def _key(self, version: str, path: str) -> str:
        return f"{self._folder}/versions/{version}/{path}"


def tables_in_store(url: str) -> list[str]:
    """The names of the tables that a store has."""
    return list(Backend(url).folders(TABLES))


def _split_error(release: Release) -> InvalidRelease:
    found = Absent(f"{len(release.challengers)} challengers and {len(release.shadows)} shadows")
    return InvalidRelease("challengers", found, "a champion alone: a table has one version at a time")
