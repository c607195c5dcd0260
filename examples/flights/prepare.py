"""Writes a year of flights as Avro files: departures are events, arrivals are labels.

`python -m examples.flights.prepare --out data` writes one file of each per month, and `flights.json` with the counts
and sha256 of each file. A second run that finds them unchanged writes nothing.
"""

import argparse
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pandas as pd
import pyarrow as pa
from backports import zstd

from examples.flights import source
from examples.flights.clock import NEW_YORK
from examples.flights.records import (
    YEAR,
    UnexpectedData,
    arrival_table,
    count,
    departure_table,
    disagreeing_arrivals,
    with_instants,
)
from examples.packages import SourceUnavailable, sha256_of
from schemas.avro.datums import encode_rows, joined_bytes, zigzag_varint

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / "data" / ".cache"
SUMMARY = "flights.json"
BLOCK_RECORDS = 16_384
SOURCE = {
    "package": source.PACKAGE,
    "version": source.VERSION,
    "file": source.FLIGHTS,
    "license": source.LICENSE,
    "sha256": source.SDIST_SHA256,
}
MONTHS = tuple(range(1, 13))
# What `--small` keeps: flights that left (or, where cancelled, should have left) on these New York days.
SMALL_DAYS = ("2013-01-01", "2013-01-05")
_DAY_AFTER = pd.Timestamp("2014-01-01", tz=NEW_YORK)
_ZSTD: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 9,
    zstd.CompressionParameter.checksum_flag: 1,
}


class Output(NamedTuple):
    """One file to write: its name, its Avro schema's text and its rows."""

    name: str
    schema: str
    rows: pa.Table


def container(output: Output) -> bytes:
    """The rows as an Avro container file (zstandard); equal rows give equal bytes."""
    schema = json.dumps(json.loads(output.schema))
    # A random sync marker would give every run another sha256, and training data is named by its sha256.
    sync = hashlib.sha256(f"{output.name}|{schema}".encode()).digest()[:16]
    stream = io.BytesIO()
    fastavro.writer(stream, json.loads(schema), [], codec="zstandard", sync_marker=sync)
    for batch in output.rows.combine_chunks().to_batches(max_chunksize=BLOCK_RECORDS):
        block = zstd.compress(joined_bytes(encode_rows(batch, schema)), options=_ZSTD)
        stream.write(zigzag_varint(batch.num_rows) + zigzag_varint(len(block)) + block + sync)
    return stream.getvalue()


def month_of(instants: pd.Series) -> pd.Series:
    """New York month of each instant; instants after the last midnight of the year count as December."""
    local = instants.dt.tz_convert(NEW_YORK)
    month: pd.Series = local.dt.month.mask(local >= _DAY_AFTER, 12)
    return month


def first_days(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights of `SMALL_DAYS`, by the New York day on which they left or should have left."""
    first, last = (pd.Timestamp(day).date() for day in SMALL_DAYS)
    delay = pd.to_timedelta(flights["dep_delay"].fillna(0) + flights["minute"], unit="min")
    day = (flights["time_hour"] + delay).dt.tz_convert(NEW_YORK).dt.date
    chosen: pd.DataFrame = flights.loc[(day >= first) & (day <= last)]
    return chosen


def outputs(departed: pd.DataFrame, months: Iterable[int]) -> Iterator[Output]:
    """The files of each month: departures by the month they left in, arrivals by the month they landed in."""
    departure, arrival = ((HERE / f"{name}.avsc").read_text("utf-8") for name in ("departure", "arrival"))
    left, landed = month_of(departed["departed_at"]), month_of(departed["landed_at"])
    for month in months:
        yield Output(f"departures-2013-{month:02d}.avro", departure, departure_table(departed[left == month]))
        yield Output(f"arrivals-2013-{month:02d}.avro", arrival, arrival_table(departed[landed == month]))


def fingerprint(small: bool) -> str:
    """A key that changes with the source, this code, a schema or the selection; then the files are written again."""
    digest = hashlib.sha256(f"{source.SDIST_SHA256}|{small}".encode())
    for name in ("arrival.avsc", "clock.py", "departure.avsc", "prepare.py", "records.py", "source.py"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def read_summary(out: Path) -> dict[str, Any]:
    """What an earlier run left in `out`; empty where there is none that can be read."""
    try:
        found = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def intact_files(out: Path, summary: dict[str, Any], expected: str) -> dict[str, Any]:
    """The entries of files that this very code wrote and that have not changed since."""
    if summary.get("prepared_by") != expected:
        return {}
    files: dict[str, Any] = summary["files"]
    return {
        name: entry
        for name, entry in files.items()
        if (out / name).is_file() and sha256_of(out / name) == entry["sha256"]
    }


def write_file(path: Path, content: bytes) -> None:
    """Writes the file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def read_year(cache: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """All flights of the source archive and airport code → time zone; raises as `prepare` does."""
    say("reading the source archive")
    sdist = source.fetch_sdist(cache)
    flights = source.read_flights(sdist)
    if count(flights) != YEAR:
        raise UnexpectedData(f"{sdist} holds {count(flights)}, expected {YEAR}")
    return flights, source.read_zones(sdist)


def prepare(out: Path, months: tuple[int, ...] = MONTHS, small: bool = False, cache: Path = CACHE) -> dict[str, Any]:
    """Makes sure that `out` holds the files of `months` (only January's where `small`); returns the summary.

    Raises `SourceUnavailable` without the source archive, `UnexpectedData` where it holds something else than
    the year that the counts are known of, OSError where `out` cannot be written.
    """
    months, made_by = ((1,) if small else months), fingerprint(small)
    summary = read_summary(out)
    files = intact_files(out, summary, made_by)
    names = {f"{kind}-2013-{month:02d}.avro" for kind in ("departures", "arrivals") for month in months}
    if names <= files.keys():
        return summary
    out.mkdir(parents=True, exist_ok=True)
    flights, zones = read_year(cache)
    flights = first_days(flights) if small else flights
    say("turning clock readings into instants")
    departed = with_instants(flights, zones)
    for output in outputs(departed, months):
        say(f"writing {output.name}")
        content = container(output)
        write_file(out / output.name, content)
        files[output.name] = {"records": output.rows.num_rows, "sha256": hashlib.sha256(content).hexdigest()}
    summary = {
        "source": SOURCE,
        "days": list(SMALL_DAYS) if small else ["2013-01-01", "2013-12-31"],
        "counts": asdict(count(flights)),
        "arrivals_off_the_clock": disagreeing_arrivals(departed, zones),
        "files": dict(sorted(files.items())),
        "prepared_by": made_by,
    }
    write_file(out / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    return summary


def say(what: str, end: str = "") -> None:
    """Progress, for people only: nothing is printed where stderr is not a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end=end, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 done, 1 failed, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m examples.flights.prepare", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder to write to (default: data)")
    parser.add_argument("--month", type=int, choices=MONTHS, help="only this month (default: the year)")
    parser.add_argument("--small", action="store_true", help=f"only {' to '.join(SMALL_DAYS)}, for tests")
    chosen = parser.parse_args(arguments)
    if chosen.small and chosen.month not in (None, 1):
        parser.error(f"--small is part of month 1, not of month {chosen.month}")
    try:
        summary = prepare(chosen.out, (chosen.month,) if chosen.month else MONTHS, chosen.small)
    except (SourceUnavailable, UnexpectedData, OSError) as problem:
        say("")
        print(f"error: {problem}", file=sys.stderr)
        return 1
    say("")
    counts = summary["counts"]
    print(
        f"{chosen.out}: {counts['scheduled']:,} flights scheduled, {counts['cancelled']:,} cancelled, "
        f"{counts['departed']:,} departed; {counts['labelled']:,} have an arrival delay, "
        f"{counts['unlabelled']:,} were diverted or have no arrival recorded"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
