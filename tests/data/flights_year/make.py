"""Writes what drift counts of a year of flights: `python tests/data/flights_year/make.py DATA`, with the DATA that
`make demo` prepared (`data`); under a minute.

`year.msgpack.xz` has the reference profiles of the demo's versions, and for each version and day the counts of all rows
of each role, as the job's own step adds them up. `late.csv` has how many flights of each day had a label, and how many
of these were late, by the arrivals, which drift never sees.
"""

import csv
import lzma
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any
from unittest.mock import patch

import fastavro
import msgspec
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from examples.flights.demo import Paths  # noqa: E402 - the script also runs from a checkout that is not installed
from models.profiles import Profile, serialise_profile  # noqa: E402
from pipeline.run import run  # noqa: E402
from schemas.job import DriftSpec  # noqa: E402
from transforms.drift.drift_records import Pane, drift_records  # noqa: E402
from transforms.drift.drift_sums import dense, dense_blocks  # noqa: E402

LATE_MINUTES = 15


def seen_by_drift(data: Path) -> list[tuple[Profile, list[Pane]]]:
    """The profile of each version, and its windows, as the job measures them."""
    seen: dict[str, tuple[Profile, list[Pane]]] = {}
    def remembering(profile: Profile, panes: Sequence[Pane], spec: DriftSpec) -> Any:
        seen.setdefault(panes[0].origin.version, (profile, []))[1].extend(panes)
        return drift_records(profile, panes, spec)

    with tempfile.TemporaryDirectory() as out, patch("transforms.drift.measure_drift.drift_records", remembering):
        settings = Paths(data, data / "models", Path(out)).settings()
        if run([*settings, "--set", "drift.segments=[]"]):
            raise SystemExit("the job failed")
    return [seen[version] for version in sorted(seen)]


def packed(profile: Profile, panes: list[Pane]) -> dict[str, Any]:
    """A version as plain data: a row of counts for each window and role, and one by block and class."""
    ordered = sorted(panes, key=lambda pane: pane.origin.window_start_us)
    groups = [(pane, at) for pane in ordered for at in range(len(pane.counts.groups))]
    counts, rows = [pane.counts for pane in ordered], np.arange(len(groups))
    cells, blocks = dense(counts), dense_blocks(counts, rows, len(groups), profile.classes.size)
    return {
        "version": ordered[0].origin.version,
        "profile": serialise_profile(profile),
        "starts": [pane.origin.window_start_us for pane, _ in groups],
        "roles": [pane.counts.groups[at][0] for pane, at in groups],
        "cells": cells.astype("<u2").tobytes(),
        "blocks": blocks.astype("<u2").tobytes(),
    }


def records(data: Path, kind: str) -> list[dict[str, Any]]:
    """All departures, or arrivals."""
    found: list[Any] = []
    for path in sorted(data.glob(f"{kind}-*.avro")):
        with path.open("rb") as stream:
            found.extend(fastavro.reader(stream))
    return found


def late_by_day(data: Path) -> list[tuple[str, int, int]]:
    """Each day (UTC, of the departure), its flights with a label, and how many of them were late."""
    days = {each["id"]: f"{each['departed_at'].astimezone(UTC):%Y-%m-%d}" for each in records(data, "departures")}
    labelled = [(days[each["id"]], each["arr_delay"]) for each in records(data, "arrivals")]
    flights = Counter(day for day, delay in labelled if delay is not None)
    late = Counter(day for day, delay in labelled if delay is not None and delay > LATE_MINUTES)
    return [(day, flights[day], late[day]) for day in sorted(flights)]


def main(data: Path) -> None:
    """Writes both files."""
    with (HERE / "late.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("day", "flights", "late"))
        writer.writerows(late_by_day(data))
    write([packed(*each) for each in seen_by_drift(data)])


def write(versions: list[dict[str, Any]]) -> None:
    """Writes year.msgpack.xz."""
    (HERE / "year.msgpack.xz").write_bytes(lzma.compress(msgspec.msgpack.encode(versions)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
