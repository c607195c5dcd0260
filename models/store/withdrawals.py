"""Versions that were withdrawn: `<model>/withdrawn/<version>.json` makes the name unusable, then its objects are
removed."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from models.bundles.manifest import MANIFEST, MAX_MANIFEST_BYTES
from models.errors import StoreError
from models.releases.release import Release
from models.store.backends import Backend, ObjectTooLarge
from models.strict_json import parse_object
from schemas import times
from schemas.validation import SpecError

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,127})\.json")
_MAX_BYTES = 64 * 1024


class StillReleased(StoreError):
    """A version that should be withdrawn is named by a release."""


class NothingToWithdraw(StoreError):
    """There is no version of this name, nor an upload that was begun."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Who withdrew a version, when (microseconds since 1970) and why; `digest` is that of its manifest, if it had one.

    Fields that cannot be read are empty: the existence of the file makes the name unusable, whatever its content.
    """

    version: str
    digest: str | None = None
    by: str = ""
    at_us: int | None = None
    reason: str = ""

    def document(self) -> dict[str, Any]:
        """The withdrawal as it is stored."""
        at = None if self.at_us is None else times.format_time_us(self.at_us)
        return {"version": self.version, "digest": self.digest, "by": self.by, "at": at, "reason": self.reason}

    def __str__(self) -> str:
        at = "" if self.at_us is None else f" at {times.format_time_us(self.at_us)}"
        return f"was withdrawn{at} by {self.by or 'somebody'}{f': {self.reason}' if self.reason else ''}"


class Withdrawals:
    """The withdrawn names of a model.

    A version exists while it has a manifest, whatever is in `withdrawn/`: a release that was written at the same moment
    must keep serving. No new manifest and no new release may use a withdrawn name.
    """

    def __init__(self, backend: Backend, model: str) -> None:
        self._backend = backend
        self._model = model

    def find(self, version: str) -> Withdrawal | None:
        """The withdrawal of a version; None if it was not withdrawn."""
        try:
            raw = self._backend.read(self._marker(version), _MAX_BYTES)
        except ObjectTooLarge:
            return Withdrawal(version)
        return None if raw is None else _parsed(version, raw)

    def all(self) -> dict[str, Withdrawal]:
        """Every withdrawal by its version."""
        prefix = f"{self._model}/withdrawn/"
        keys = [key.removeprefix(prefix) for key, _ in self._backend.list(prefix.rstrip("/"))]
        names = [found[1] for key in keys if (found := _NAME.fullmatch(key))]
        return {name: self.find(name) or Withdrawal(name) for name in names}

    def take_back(
        self, said: Withdrawal, releases: Callable[[], Sequence[Release]], log: Callable[[Withdrawal], object]
    ) -> Withdrawal:
        """Withdraw a version that no release names; repeating the call completes an interrupted one.

        First the name is made unusable, so that nobody publishes or releases it from then on; then the releases are
        read again, since one may have been written meanwhile; then the manifest is removed, so that the version no
        longer exists; then the withdrawal is logged; then the files that nothing needs any more are removed.

        Args:
            said: the version, and who withdraws it and why.
            releases: reads all releases.
            log: writes the entry of the access log.

        Returns:
            The withdrawal as it is stored; the earlier one, where the version had been withdrawn before.

        Raises:
            StillReleased: a release names it; nothing has changed.
            NothingToWithdraw: there is nothing of this name.
        """
        version = said.version
        self._refuse_links(version)
        found = self.find(version)
        if found is None and not self._keys(version):
            raise NothingToWithdraw(f"{self._where(version)} does not exist; expected: a version that was published")
        self._refuse_named(version, releases())
        if found is None:
            document = {**said.document(), "digest": self._digest(version)}
            self._backend.create(self._marker(version), json.dumps(document, ensure_ascii=False).encode())
            found = self.find(version) or said
            self._refuse_named(version, releases())
        self._backend.delete(self._manifest(version))
        log(found)
        self.clear(version)
        return found

    def clear(self, version: str) -> None:
        """Remove the objects of a withdrawn name, the manifest first."""
        for key in [self._manifest(version), *self._keys(version)]:
            self._backend.delete(key)
        self._backend.delete_empty(f"{self._model}/versions/{version}")

    def _refuse_named(self, version: str, releases: Sequence[Release]) -> None:
        named = [str(release.sequence) for release in releases if version in release.versions]
        if not named:
            return
        if self._backend.size(self._manifest(version)) is not None:
            self._backend.delete(self._marker(version))  # a release names it: undo what was begun
        what = f"{'release' if len(named) == 1 else 'releases'} {', '.join(named)}"
        raise StillReleased(f"{self._where(version)} is named by {what}; expected: a version that no release names")

    def _refuse_links(self, version: str) -> None:
        """In a local store links may lead to files of others."""
        if self._backend.root is None:
            return
        folder = self._backend.root / self._model / "versions" / version
        link = next((each for each in (folder, *folder.rglob("*")) if each.is_symlink()), None)
        if link is not None:
            raise StoreError(f"{link} is a link; expected: a version's own files. Remove the link first")

    def _digest(self, version: str) -> str | None:
        with suppress(ObjectTooLarge):
            raw = self._backend.read(self._manifest(version), MAX_MANIFEST_BYTES)
            return None if raw is None else hashlib.sha256(raw).hexdigest()
        return None

    def _keys(self, version: str) -> list[str]:
        """The objects under the name: files, and the claim of an upload."""
        claim = f"{self._model}/claims/{version}.json"
        claimed = [claim] if self._backend.size(claim) is not None else []
        return [key for key, _ in self._backend.list(f"{self._model}/versions/{version}")] + claimed

    def _manifest(self, version: str) -> str:
        return f"{self._model}/versions/{version}/{MANIFEST}"

    def _marker(self, version: str) -> str:
        return f"{self._model}/withdrawn/{version}.json"

    def _where(self, version: str) -> str:
        return f"{self._backend.url}: version {version!r} of {self._model!r}"


def _parsed(version: str, raw: bytes) -> Withdrawal:
    try:
        document = parse_object(raw)
        at = document.get("at")
        at_us = times.parse_instant_us(at) if isinstance(at, str) else None
    except (SpecError, ValueError):
        return Withdrawal(version)
    digest, by, reason = (document.get(key) for key in ("digest", "by", "reason"))
    return Withdrawal(version, str(digest) if digest else None, str(by or ""), at_us, str(reason or ""))
