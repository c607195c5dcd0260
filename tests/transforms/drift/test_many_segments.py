"""Of very many segments of a window so many are measured apart, the same ones in any order and grouping of counts."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.profiles import Profile, build_profile
from schemas.job import DriftSpec
from transforms.drift.drift_groups import GroupCounts, count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records
from transforms.drift.drift_sums import Tally, decode_counts, dense, encode_counts

HOUR = 3_600_000_000
LIMIT = 10_000
EACH = 2
ROLES = ("champion", "shadow")
TRAINING = pa.record_batch({"x": np.arange(60) % 3})
PROFILE = build_profile(TRAINING, ["x"])


def counts_of(rows: pa.RecordBatch, profile: Profile = PROFILE) -> GroupCounts:
    [piece] = count_windows(profile, rows, ("who", "origin"), HOUR)
    return piece.counts


def events(number: int) -> pa.RecordBatch:
    """Two events of each of so many segments in each role; a second column has three."""
    at = np.arange(number * EACH * len(ROLES))
    who = [None if each == 0 else f"s{each}" for each in (at // EACH % number).tolist()]
    columns: dict[str, Any] = {"x": at % 3, "who": pa.array(who), "origin": [f"o{each % 3}" for each in at.tolist()]}
    columns["__role"] = [ROLES[each] for each in (at // EACH // number).tolist()]
    return pa.record_batch(columns | {"__event_time": pa.array(at, pa.timestamp("us", "UTC"))})


def sums(parts: list[GroupCounts]) -> GroupCounts:
    tally = Tally()
    for part in parts:
        tally.add(part)
    return tally.sums()


@pytest.mark.parametrize("number", [LIMIT + 1, LIMIT + 700])
def test_segments_beyond_the_limit_are_one_that_says_so(number: int) -> None:
    found = sums([counts_of(events(number))])
    rows = dict(zip(found.groups, dense([found]).sum(axis=1).tolist(), strict=True))
    for role in ROLES:
        own = {text: count for (of, text), count in rows.items() if of == role and text}
        assert len([text for text in own if text.startswith("who=") or text == "who is null"]) == LIMIT
        assert own["who: others than the 10000 that are measured"] == (number - LIMIT) * EACH
        assert len([text for text in own if text.startswith("origin=")]) == 3
    assert found.blocks.counts.sum() == sum(rows[role, None] for role in ROLES)


def test_no_order_or_grouping_of_counts_changes_a_bit() -> None:
    number = 2 * LIMIT + 500
    whole, rng = events(number), random.Random(3)
    codes = np.random.default_rng(3).integers(0, 5, whole.num_rows)
    parts = [counts_of(whole.take(np.flatnonzero(codes == part))) for part in range(5)]
    wanted = encode_counts(sums([counts_of(whole)]))
    assert encode_counts(sums(rng.sample(parts, 5))) == wanted
    halves = [decode_counts(encode_counts(sums(half))) for half in (parts[:2], parts[2:])]
    assert encode_counts(sums(halves)) == wanted


def test_the_others_are_described_and_not_judged() -> None:
    pane = Pane(sums([counts_of(events(LIMIT + 30))]), DriftOrigin(0, HOUR, 0, "m", "1"))
    records = drift_records(PROFILE, [pane], DriftSpec(HOUR, 0, ("who", "origin"), 0.1, 0.1)).to_pylist()
    of_others = [row for row in records if row["segment"] == "who: others than the 10000 that are measured"]
    assert {(row["role"], row["drifted"], row["reference"]) for row in of_others} == {
        (role, False, "all rows") for role in ROLES
    }


def test_ten_thousand_segments_are_measured_apart() -> None:
    found = sums([counts_of(events(LIMIT))])
    assert len(found.groups) == len(ROLES) * (1 + LIMIT + 3)
    assert not any("others than" in (text or "") for _, text in found.groups)
