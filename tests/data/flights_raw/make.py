"""Cuts the raw rows in this folder out of the source archive: `python tests/data/flights_raw/make.py`.

They are the difficult cases of clock times: the nights on which New York's clocks change, departures at and after
midnight, the greatest delay, the last night of the year, and flights without an arrival delay.
"""

import csv
import io
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from examples.flights import source  # noqa: E402 - the script also runs from a checkout that is not installed
from examples.flights.prepare import CACHE  # noqa: E402

CHANGES = {("3", "9"), ("3", "10"), ("11", "2"), ("11", "3")}
FAR_ZONES = {"HNL", "SJU", "BQN", "PHX"}
UNLABELLED_ROWS = 12


def is_wanted(row: dict[str, str]) -> bool:
    """Whether the row is one of the difficult ones."""
    scheduled, day = int(row["sched_dep_time"]), (row["month"], row["day"])
    delay = 0 if row["dep_delay"] == "NA" else int(row["dep_delay"])
    if day in CHANGES:
        by_night = scheduled >= 2230 or scheduled <= 600
        return by_night or delay > 200 or row["dest"] in FAR_ZONES or row["flight"] in ("35", "413")
    if row["dep_time"] == "2400":
        return row["month"] in ("1", "2")
    return delay in (1301, -43) or (day == ("12", "31") and scheduled >= 2100)


def main() -> None:
    """Writes flights.csv and airports.csv."""
    sdist = source.fetch_sdist(CACHE)
    with tarfile.open(sdist) as archive:
        packed, zones = archive.extractfile(source.FLIGHTS), archive.extractfile(source.AIRPORTS)
        assert packed is not None
        assert zones is not None
        with zipfile.ZipFile(io.BytesIO(packed.read())) as zipped:
            rows = list(csv.DictReader(io.StringIO(zipped.read(zipped.namelist()[0]).decode())))
        airports = list(csv.DictReader(io.StringIO(zones.read().decode())))
    unlabelled = [row for row in rows if row["arr_delay"] == "NA" and row["dep_time"] != "NA"]
    chosen = [row for row in rows if is_wanted(row) or row in unlabelled[:UNLABELLED_ROWS]]
    destinations = {row["dest"] for row in chosen}
    _write(HERE / "flights.csv", list(rows[0]), chosen)
    _write(HERE / "airports.csv", ["faa", "tzone"], [row for row in airports if row["faa"] in destinations])


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
