"""A bundle as a local folder: which files it has, and whether they are those that its manifest names."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from models.bundles.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    InvalidManifest,
    Manifest,
    PathOutside,
    parse_manifest,
)
from models.errors import BundleRefused, StoreError, one_line
from schemas.validation import Absent


class NotTheBundle(BundleRefused):
    """What the store has is not the bundle that was published or released."""


class BundleIncomplete(NotTheBundle):
    """No manifest, or a payload file that the manifest lists is absent."""

    reason: ClassVar[str] = "incomplete"


class WrongDigest(NotTheBundle):
    """The bytes found are not the ones that were published or released."""

    reason: ClassVar[str] = "wrong_digest"


class BundleTooLarge(NotTheBundle):
    """The bundle has more bytes than the job allows; found out before any is downloaded."""

    reason: ClassVar[str] = "too_large"


def payload_paths(folder: Path) -> list[str]:
    """Relative paths of all files under `folder` but its `manifest.json` and `model.sig`, sorted.

    Raises:
        StoreError: it is not a folder.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder; expected: the folder of a bundle's files")
    parents = ((Path(parent), names) for parent, _, names in os.walk(folder))
    found = ((parent / name).relative_to(folder).as_posix() for parent, names in parents for name in names)
    return sorted(path for path in found if path not in (MANIFEST, SIGNATURE))


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_links(folder: Path, path: str) -> None:
    """Refuse a file of a bundle that a symbolic link leads out of the bundle's folder.

    Raises:
        PathOutside: it does.
    """
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise PathOutside("files", path, "files inside the bundle's folder; this link leads out of it")


def read_folder_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle on disk.

    Raises:
        BundleIncomplete, BundleTooLarge, InvalidManifest, PathOutside: there is none that is valid.
    """
    refuse_links(folder, MANIFEST)
    path = folder / MANIFEST
    if not folder.exists():
        raise BundleIncomplete(f"{folder} does not exist; expected: the folder of a bundle")
    if not path.is_file():
        raise BundleIncomplete(f"{folder} has no {MANIFEST}; expected: the folder of a bundle")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleTooLarge(f"{path} has {path.stat().st_size} bytes; allowed: at most {MAX_MANIFEST_BYTES}")
    return parse_manifest(path.read_bytes())


def measure_folder(folder: Path, manifest: Manifest) -> dict[str, int]:
    """Bytes of every file of the manifest; all are there, and inside the folder.

    Raises:
        BundleIncomplete, PathOutside: they are not.
    """
    for path in manifest.files:
        refuse_links(folder, path)
        if not (folder / path).is_file():
            raise BundleIncomplete(f"{folder}: {path} is absent; expected: every file that `files` lists")
    return {path: (folder / path).stat().st_size for path in manifest.files}


def verify_digests(folder: Path, manifest: Manifest) -> None:
    """Check that every file of the manifest has its sha256.

    Raises:
        WrongDigest: one has another.
    """
    for path, expected in manifest.files.items():
        found = file_sha256(folder / path)
        if found != expected:
            raise WrongDigest(f"{folder}: {path} has sha256 {found}; expected: {expected}")


def expanded_bytes(folder: Path, manifest: Manifest) -> int:
    """Bytes of the payload once its zip archives (skops, NumPy, some ONNX and MLflow files) are unpacked.

    A zip's directory states them, and what unpacks to more than it states fails to load.
    """
    total = 0
    for path in manifest.files:
        total += (folder / path).stat().st_size
        try:
            with zipfile.ZipFile(folder / path) as archive:
                total += sum(member.file_size for member in archive.infolist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            continue  # no zip: its size is the file's; a broken one will not load
    return total


def manifest_bytes(folder: Path, document: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest that names every payload file of `folder` with its sha256.

    Raises:
        InvalidManifest: the document holds something that JSON has not.
    """
    files = {path: file_sha256(folder / path) for path in payload_paths(folder)}
    try:
        return json.dumps({**document, "files": files}, indent=2, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidManifest("", Absent(one_line(error)), "values that JSON has") from None


def sha256_of(chunks: Iterable[bytes]) -> str:
    """The sha256 in hex of bytes that come in chunks."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()
