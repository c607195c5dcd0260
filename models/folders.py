"""A bundle as a local folder: which files it has, and whether they are the ones its manifest names."""

import hashlib
import os
from pathlib import Path
from typing import ClassVar

from models.errors import BundleRefused, StoreError
from models.manifest import MANIFEST, Manifest, PathOutside


class BundleIncomplete(StoreError, BundleRefused):
    """No manifest, or a payload file that the manifest lists is absent."""

    reason: ClassVar[str] = "incomplete"


class WrongDigest(StoreError, BundleRefused):
    """The bytes found are not the ones that were published or released."""

    reason: ClassVar[str] = "wrong_digest"


class BundleTooLarge(StoreError, BundleRefused):
    """The bundle has more bytes than the job allows; found out before any is downloaded."""

    reason: ClassVar[str] = "too_large"


def payload_paths(folder: Path) -> list[str]:
    """Relative paths of all files under `folder` but its `manifest.json`, sorted.

    Raises:
        StoreError: it is no folder.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder; allowed: the folder of a bundle's files")
    parents = ((Path(parent), names) for parent, _, names in os.walk(folder))
    found = ((parent / name).relative_to(folder).as_posix() for parent, names in parents for name in names)
    return sorted(path for path in found if path != MANIFEST)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_links(folder: Path, path: str) -> None:
    """Refuse a file of a bundle that a symbolic link takes out of the bundle's folder.

    Raises:
        PathOutside: it does.
    """
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise PathOutside("files", path, "files inside the bundle's folder; this link leads out of it")


def verify_folder(folder: Path, manifest: Manifest, max_bytes: int) -> None:
    """Check that a folder holds every file of the manifest, inside it, not too large, with its sha256.

    Raises:
        BundleIncomplete, PathOutside, BundleTooLarge, WrongDigest: it does not.
    """
    for path in manifest.files:
        refuse_links(folder, path)
        if not (folder / path).is_file():
            raise BundleIncomplete(f"{folder}: {path} is absent; allowed: every file that `files` lists")
    size = sum((folder / path).stat().st_size for path in manifest.files)
    if size > max_bytes:
        raise BundleTooLarge(f"{folder} has {size} bytes; allowed: {max_bytes}")
    for path, expected in manifest.files.items():
        found = file_sha256(folder / path)
        if found != expected:
            raise WrongDigest(f"{folder}: {path} has sha256 {found}; allowed: {expected}")
