"""Which days of a year of flights the demo's table names, by what drift counted of them, without a run of a year."""

import csv
import lzma
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from examples.flights import findings
from models.profiles import parse_profile
from models.profiles.dependence import BLOCKS
from schemas.job import DriftSpec
from transforms.drift.drift_groups import BlockCounts, GroupCounts
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records
from transforms.drift.drift_sums import added_counts

YEAR = Path(__file__).resolve().parents[1] / "data" / "flights_year"
DAY_US = 86_400_000_000
SPEC = DriftSpec(DAY_US, 7_200_000_000, (), psi_threshold=0.2, ks_threshold=0.1)
"""That of the demo's job, whose segments are in no line of its table."""


def panes_of(packed: dict[str, Any]) -> list[Pane]:
    """The days of a version, as `tests/data/flights_year/make.py` wrote them."""
    rows = len(packed["starts"])
    cells, blocks = (
        np.frombuffer(packed[name], "<u2").astype(np.int64).reshape(rows, -1) for name in ("cells", "blocks")
    )
    parts: dict[int, list[GroupCounts]] = {}
    for at, (start, role) in enumerate(zip(packed["starts"], packed["roles"], strict=True)):
        inside, own = np.flatnonzero(cells[at]), np.flatnonzero(blocks[at])
        by_block = BlockCounts(blocks.shape[1] // BLOCKS, own, blocks[at, own])
        counts = GroupCounts(cells.shape[1], ((role, None),), inside, cells[at, inside], by_block)
        parts.setdefault(start, []).append(counts)
    origins = {start: DriftOrigin(start, start + DAY_US, 0, "flight-delay", packed["version"]) for start in parts}
    return [Pane(added_counts(own), origins[start]) for start, own in parts.items()]


@pytest.fixture(scope="module")
def days() -> findings.Days:
    versions = msgspec.msgpack.decode(lzma.decompress((YEAR / "year.msgpack.xz").read_bytes()))
    records = [drift_records(parse_profile(each["profile"]), panes_of(each), SPEC) for each in versions]
    return findings.days_of(pa.Table.from_batches(records))


def latest_days() -> dict[str, float]:
    """The share of late arrivals of each day, which drift never sees."""
    with (YEAR / "late.csv").open(encoding="utf-8") as stream:
        rows = [(row["day"], int(row["late"]) / int(row["flights"])) for row in csv.DictReader(stream)]
    assert len(rows) == 366  # of 2013 in UTC: the last evening of New York is in 2014
    return dict(sorted(rows, key=lambda row: -row[1]))


def test_the_table_names_thirty_days_and_most_of_those_with_the_most_late_arrivals(days: findings.Days) -> None:
    named = [row[0] for row in days.rows]
    assert len(named) == len(set(named)) <= 30
    worst = list(latest_days())[:10]
    assert len(set(named) & set(worst)) >= 7, sorted(set(worst) - set(named))


def test_the_docs_say_how_many_days_drifted_and_how_many_are_named(root: Path, days: findings.Days) -> None:
    said = " ".join((root / "docs" / "drift.md").read_text().split())
    assert f"On {days.drifted} days of flights a column drifted; {days.moved} drifted or moved" in said
