"""The timeline and the assignment of events to roles, against the formulas of the design in plain Python."""

import hashlib
import pickle
import random
from typing import Any

import numpy as np
import pytest

from models.releases.release import (
    AdmittedRelease,
    Challenger,
    InvalidRelease,
    Release,
    parse_release,
    release_document,
)
from models.releases.shares import assign, unit_interval
from models.releases.timeline import Timeline
from schemas.times import format_time_us, parse_instant_us

VALUES = [f"event-{number}" for number in range(2000)] + ["", "ünïcode", "a|b"]


def release(sequence: int, effective_from_us: int = 0, shares: tuple[float, ...] = ()) -> Release:
    challengers = tuple(Challenger(f"c{point}", share) for point, share in enumerate(shares))
    return Release(sequence, "late", effective_from_us, "v1", challengers, salt="salt", by="tests")


def admitted(*entries: tuple[int, int]) -> list[AdmittedRelease]:
    return [AdmittedRelease(release(sequence, start), {"v1": "d"}) for sequence, start in entries]


def point(salt: str, value: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{salt}|{value}".encode()).digest()[:8], "big") / 2**64


def role(salt: str, shares: tuple[float, ...], value: str) -> int:
    cumulated = 0.0
    for number, share in enumerate(shares, start=1):
        cumulated += share
        if point(salt, value) < cumulated:
            return number
    return 0


def test_unit_interval_is_the_formula_to_the_last_bit() -> None:
    assert unit_interval("salt", VALUES).tolist() == [point("salt", value) for value in VALUES]
    assert unit_interval("salt", []).shape == (0,)


@pytest.mark.parametrize("shares", [(), (0.1,), (0.0,), (1.0,), (0.2, 0.0, 0.3), (0.1,) * 10, (0.5, 0.5)])
def test_assignment_can_be_recomputed(shares: tuple[float, ...]) -> None:
    found = assign(release(1, shares=shares), VALUES)
    assert found.dtype == np.int8
    assert found.tolist() == [role("salt", shares, value) for value in VALUES]


def test_share_of_zero_gets_nothing_and_ten_percent_gets_about_ten() -> None:
    found = assign(release(1, shares=(0.0, 0.1)), VALUES)
    assert not (found == 1).any()
    assert 0.08 < (found == 2).mean() < 0.12


def test_growing_share_keeps_who_was_in_it() -> None:
    small, large = (assign(release(1, shares=(share,)), VALUES) for share in (0.1, 0.3))
    assert ((small == 1) <= (large == 1)).all()


def test_release_in_force_is_the_greatest_that_has_begun() -> None:
    entries = admitted((1, 100), (2, 300), (3, 300), (4, 200), (5, 250))
    random.Random(1).shuffle(entries)
    timeline = Timeline(entries)
    assert [entry.release.sequence for entry in timeline.entries] == [1, 4, 5, 2, 3]
    times = np.array([-5, 99, 100, 199, 200, 249, 250, 299, 300, 10**15], dtype=np.int64)
    found = [timeline.entries[index].release.sequence for index in timeline.in_force(times)]
    assert found == [1, 1, 1, 1, 4, 4, 5, 5, 3, 3]


def test_in_force_equals_a_search_of_all_entries() -> None:
    dice = random.Random(7)
    entries = admitted(*((sequence, dice.randrange(50)) for sequence in range(1, 40)))
    timeline = Timeline(entries)
    for time, index in zip(range(60), timeline.in_force(np.arange(60, dtype=np.int64)), strict=True):
        begun = [one for one in timeline.entries if one.release.effective_from_us <= time] or [timeline.entries[0]]
        wanted = max(begun, key=lambda one: (one.release.effective_from_us, one.release.sequence))
        assert timeline.entries[index] == wanted


def test_empty_timeline_serves_nothing() -> None:
    assert Timeline([]).in_force(np.array([1, 2], dtype=np.int64)).tolist() == [-1, -1]


def test_release_that_comes_twice_counts_once_and_travels() -> None:
    timeline = Timeline(admitted((1, 5), (2, 6)) * 3)
    assert len(timeline) == 2
    assert pickle.loads(pickle.dumps(timeline)).entries == timeline.entries


def test_document_round_trips() -> None:
    given = Release(
        7,
        "late",
        1_362_096_000_000_001,
        "v1",
        (Challenger("v2", 0.25),),
        ("v3",),
        "subject",
        "s",
        "me",
        5,
        "why",
        "e",
    )
    written = release_document(given)
    assert written["effective_from"] == "2013-03-01T00:00:00.000001Z"
    assert written["at"] == "1970-01-01T00:00:00.000005Z"
    assert parse_release(written) == given
    assert given.versions == ("v1", "v2", "v3")


INVALID: list[tuple[dict[str, Any], str]] = [
    (
        {"challengers": [{"version": "v2", "share": 0.6}, {"version": "v3", "share": 0.6}]},
        "shares that sum to 1.2",
    ),
    ({"challengers": [{"version": "v2", "share": -0.1}]}, r"challengers\[0\].share: -0.1"),
    ({"challengers": [{"version": "v2", "share": float("nan")}]}, r"challengers\[0\].share: nan"),
    ({"challengers": [{"version": "v1", "share": 0.1}]}, "version 'v1' in two roles"),
    ({"shadows": ["v2", "v2"]}, "version 'v2' in two roles"),
    ({"chalengers": []}, "chalengers: unknown key.*'challengers'"),
    ({"canary": "v2"}, "canary: unknown key"),
    ({"effective_from": "2013-03-01"}, "effective_from: '2013-03-01'"),
    ({"effective_from": "2013-03-01T00:00:00"}, "effective_from"),
    ({"effective_from": "2013-02-30T00:00:00Z"}, "effective_from"),
    ({"sequence": 0}, "sequence: 0"),
    ({"champion": "a/b"}, "champion: 'a/b'"),
    ({"salt": ""}, "salt: ''"),
]


@pytest.mark.parametrize(("changes", "message"), INVALID, ids=[message[:30] for _, message in INVALID])
def test_invalid_release_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRelease, match=message):
        parse_release({**release_document(release(1)), **changes})


def test_three_thirds_are_one() -> None:
    thirds = [{"version": f"c{number}", "share": 0.33333333334} for number in range(3)]
    assert len(parse_release({**release_document(release(1)), "challengers": thirds}).challengers) == 3


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2013-03-01T01:00:00+01:00", 1_362_096_000_000_000),
        ("2013-03-01T00:00:00.5Z", 1_362_096_000_500_000),
    ],
)
def test_times_are_microseconds_utc(text: str, time_us: int) -> None:
    assert parse_instant_us(text) == time_us
    assert parse_instant_us(format_time_us(time_us)) == time_us


@pytest.mark.parametrize("text", ["", "yesterday", "2013-03-01", "2013-03-01T00:00:00"])
def test_time_without_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_instant_us(text)
