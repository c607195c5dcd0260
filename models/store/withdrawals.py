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
from models.errors import StoreError, one_line
from models.releases.release import Release
from models.store.backends import Backend, ObjectTooLarge
from models.store.local_files import A_FOLDER, Odd
from models.strict_json import parse_object
from schemas import times
from schemas.expectations import wants
from schemas.validation import MISSING, SpecError

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,127})\.json")
_MAX_BYTES = 64 * 1024
_NO_MARKER = Odd("a name that no version has", "a version's name and .json")


class StillReleased(StoreError):
    """A version that should be withdrawn is named by a release."""


class NothingToWithdraw(StoreError):
    """There is no version of this name, nor an upload that was begun."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Who withdrew a version, when (microseconds since 1970) and why; `digest`: that of its manifest, if it had one."""

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
    must keep serving. No new manifest and no new release may use a withdrawn name. A marker that cannot be read was not
    written by a withdrawal: it is reported, and prevents a new manifest alone.
    """

    def __init__(self, backend: Backend, model: str) -> None:
        self._backend = backend
        self._model = model

    def find(self, version: str) -> Withdrawal | None:
        """The withdrawal of a version; None if it was not withdrawn, or its marker cannot be read."""
        found = self._read(version)
        return found if isinstance(found, Withdrawal) else None

    def binding(self, version: str, history: Callable[[], Sequence[Release]]) -> Withdrawal | None:
        """The withdrawal that forbids to release a version; none binds a version that is there and that a release of
        `history` names, as no withdrawal takes such a version back."""
        found = self.find(version)
        if found is None or self._backend.size(self._manifest(version)) is None:
            return found
        return None if any(version in release.versions for release in history()) else found

    def burnt(self, version: str) -> str | None:
        """Why nothing may be published under a name; None where it may. An unreadable marker may be a withdrawal's."""
        found = self._read(version)
        if isinstance(found, Odd):
            marker = f"{self._backend.url}: {self._marker(version)}"
            return f"{marker} cannot be read: {found}; the name may have been withdrawn"
        return None if found is None else f"{self._where(version)} {found}"

    def scan(self) -> tuple[dict[str, Withdrawal], dict[str, Odd]]:
        """Every withdrawal by its version, and what is wrong with other things in their folder, by key."""
        folder = f"{self._model}/withdrawn"
        listing = self._backend.scan(folder)
        withdrawals, odd = {}, dict(listing.odd)
        for key in (*(key for key, _ in listing.files), *listing.folders):
            name = _NAME.fullmatch(key.removeprefix(f"{folder}/"))
            found = A_FOLDER if key in listing.folders else self._read(name[1]) if name else _NO_MARKER
            if name and isinstance(found, Withdrawal):
                withdrawals[name[1]] = found
            elif isinstance(found, Odd):
                odd[key] = found
        return withdrawals, odd

    def _read(self, version: str) -> Withdrawal | Odd | None:
        """The withdrawal of a version, or what is wrong with its marker."""
        try:
            raw = self._backend.read(self._marker(version), _MAX_BYTES)
            return None if raw is None else _parsed(version, raw)
        except ObjectTooLarge as error:
            return Odd(one_line(error), "the marker of a withdrawal")
        except SpecError as error:
            return Odd(str(error).removesuffix(f"; {wants(error.allowed)}"), error.allowed)

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
            if isinstance(self._read(version), Odd):
                self._backend.delete(self._marker(version))
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
            raise StoreError(f"{link} is a link; expected: a version's own files; next: remove the link")

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
    """The withdrawal in a marker. Raises `SpecError` for a marker that no withdrawal of this version wrote."""
    document = parse_object(raw)
    by, at = document.get("by", MISSING), document.get("at")
    if document.get("version", version) != version:
        raise SpecError("version", document["version"], version)
    if by is MISSING or not isinstance(by, str):
        raise SpecError("by", by, "a string: who withdrew the version")
    try:
        at_us = None if at is None else times.parse_instant_us(at)
    except (TypeError, ValueError):
        raise SpecError("at", at, times.INSTANT) from None
    digest, reason = document.get("digest"), document.get("reason")
    return Withdrawal(version, str(digest) if digest else None, by, at_us, str(reason or ""))
