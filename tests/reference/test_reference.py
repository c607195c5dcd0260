"""The brute-force reference against numbers worked out by hand."""

import hashlib
import math
from typing import Any

import pandas as pd
import pytest

from tests.reference.reference import (
    definitions,
    expected_counts,
    expected_scores,
    microseconds,
    release_in_force,
    role_of,
    score_id,
    unit_interval,
    windowed_feature,
)


def at(clock: str) -> pd.Timestamp:
    return pd.Timestamp(f"2013-01-01T{clock}Z")


# Key A: 10:01 → 4, 10:04 → 1, 10:09 → null, 10:10 → 4, 10:10 → 7 (greater id), 10:15 → 10. B: 10:10 → 100.
EVENTS = pd.DataFrame(
    [
        ("f", at("10:15"), "A", 10.0, "x"),
        ("a", at("10:01"), "A", 4.0, "y"),
        ("e", at("10:10"), "A", 7.0, "x"),
        ("b", at("10:04"), "A", 1.0, "x"),
        ("d", at("10:10"), "A", 4.0, "y"),
        ("c", at("10:09"), "A", math.nan, None),
        ("g", at("10:10"), "B", 100.0, "z"),
        ("h", at("10:16"), None, 5.0, "z"),
    ],
    columns=["id", "departed_at", "key", "value", "text"],
)


def feature(aggregate: str, column: str | None = "value", **options: Any) -> dict[str, Any]:
    """By event id; the window is 10 minutes, the tile 5, unless `options` say otherwise."""
    chosen = {"size": "10m", "every": "5m"} | options
    values = windowed_feature(EVENTS, key="key", column=column, aggregate=aggregate, **chosen)
    return dict(zip(EVENTS["id"], values, strict=True))


def test_count_of_events_sees_neither_itself_nor_its_tile() -> None:
    # T: a, b → 10:00; c → 10:05; d, e, g → 10:10; f, h → 10:15.
    # Windows: a, b none; c [9:55, 10:05) a b; d, e [10:00, 10:10) a b c; f [10:05, 10:15) c d e.
    assert feature("count", None) == {"a": 0, "b": 0, "c": 2, "d": 3, "e": 3, "f": 3, "g": 0, "h": 0}


@pytest.mark.parametrize(
    ("aggregate", "of_d", "of_f", "q"),
    [
        # d sees 4, 1 (and a null); f sees a null, 4, 7.
        ("count", 2, 2, None),
        ("sum", 5.0, 11.0, None),
        ("mean", 2.5, 5.5, None),
        ("min", 1.0, 4.0, None),
        ("max", 4.0, 7.0, None),
        # ((4 − 2.5)² + (1 − 2.5)²) / 1 = 4.5; ((4 − 5.5)² + (7 − 5.5)²) / 1 = 4.5.
        ("std", math.sqrt(4.5), math.sqrt(4.5), None),
        # c is later than b but null; d and e are of one minute, and e has the greater id.
        ("last", 1.0, 7.0, None),
        ("distinct", 2.0, 2.0, None),
        # 1 + 0.25 · (4 − 1); 4 + 0.25 · (7 − 4).
        ("quantile", 1.75, 4.75, 0.25),
        # Each value is there once: the smallest.
        ("top", 1.0, 4.0, None),
    ],
)
def test_aggregates_skip_nulls(aggregate: str, of_d: float, of_f: float, q: float | None) -> None:
    found = feature(aggregate, q=q)
    assert (found["d"], found["e"], found["f"]) == pytest.approx((of_d, of_d, of_f), abs=1e-12)


@pytest.mark.parametrize("aggregate", ["sum", "mean", "min", "max", "std", "last", "distinct", "top"])
def test_empty_window_is_null_for_all_but_count(aggregate: str) -> None:
    found = feature(aggregate)
    assert all(math.isnan(found[event]) for event in "abgh")


def test_window_of_nulls_alone_is_like_an_empty_one() -> None:
    # With 5-minute windows d's [10:05, 10:10) holds c alone, whose value is null.
    assert feature("count", size="5m")["d"] == 0
    assert feature("count", None, size="5m")["d"] == 1
    assert math.isnan(feature("mean", size="5m")["d"])


def test_std_of_one_value_is_null() -> None:
    # With hourly tiles of one day no event sees another; with 1-minute tiles b sees a alone.
    assert math.isnan(feature("std", every="1m")["b"])
    assert feature("mean", every="1m")["b"] == 4.0
    assert feature("count", size="1d", every="1h") == dict.fromkeys("abcdefgh", 0)


def test_texts_have_last_distinct_and_top() -> None:
    # d sees y, x (and a null): one each, the smallest is x. f sees a null, y, x; the last is e's.
    assert {name: feature("top", "text")[name] for name in "adf"} == {"a": None, "d": "x", "f": "x"}
    assert {name: feature("last", "text")[name] for name in "cdf"} == {"c": "x", "d": "x", "f": "x"}
    assert feature("distinct", "text")["d"] == 2.0


def test_most_frequent_wins_over_smallest() -> None:
    # f over a day and with 1-minute tiles sees 4, 1, null, 4, 7: 4 twice.
    assert feature("top", size="1d", every="1m")["f"] == 4.0


def test_null_key_has_no_history_and_adds_to_none() -> None:
    found = feature("count", None, every="1m", size="1d")
    # h has no key; f sees all five others of A; nobody sees h.
    assert (found["h"], found["f"], found["g"]) == (0, 5, 0)


def test_window_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    # At 10:15 with size 5 min the window is [10:10, 10:15): d and e at 10:10 are in, f at 10:15 is not.
    assert feature("sum", size="5m")["f"] == 11.0


def test_times_before_1970_are_floored_downwards() -> None:
    rows = [("a", -240_000_000, "A", 1.0), ("b", -60_000_000, "A", 2.0)]
    events = pd.DataFrame(rows, columns=["id", "departed_at", "key", "value"])
    # 23:56 and 23:59 of 1969 with tiles of 2 minutes: b's T is 23:58, so it sees a.
    found = windowed_feature(events, key="key", column="value", aggregate="sum", size="4m", every="2m")
    assert math.isnan(found[0])
    assert found[1] == 1.0


def test_microseconds_read_any_kind_of_time_alike() -> None:
    stamps = ["2013-01-01T05:00:00+00:00", "2013-01-01T05:00:00.000001+00:00"]
    expected = [1_357_016_400_000_000, 1_357_016_400_000_001]
    zoned = pd.Series(pd.to_datetime(stamps, utc=True, format="ISO8601"))
    assert microseconds(zoned).tolist() == expected
    assert microseconds(zoned.dt.tz_convert(None)).tolist() == expected
    assert microseconds(zoned.dt.tz_convert("America/New_York")).tolist() == expected
    mixed = [pd.Timestamp("2013-01-01T00:00-05:00"), pd.Timestamp(stamps[1])]
    assert microseconds(mixed).tolist() == expected


def release(sequence: int, start: str, champion: str = "1", **more: Any) -> dict[str, Any]:
    base = {"challengers": [], "shadows": [], "split_on": "event_id", "salt": "s"}
    return base | {"sequence": sequence, "effective_from": start, "champion": champion} | more


def test_release_in_force_is_the_greatest_that_has_begun() -> None:
    releases = [
        release(4, "2013-01-01T11:00:00Z"),
        release(1, "2013-01-01T10:00:00Z"),
        release(2, "2013-01-01T11:00:00Z"),
        release(3, "2013-01-01T10:30:00.000001Z"),
    ]
    times = pd.Series([at("09:00"), at("10:00"), at("10:30"), at("10:31"), at("11:00"), at("12:00")])
    # Before all: the first. A release serves from its very start. Of two that begin at 11:00 the later.
    assert release_in_force(releases, times) == [1, 1, 1, 3, 4, 4]


def test_no_release_serves_nobody() -> None:
    with pytest.raises(ValueError, match="no release"):
        release_in_force([], pd.Series([at("10:00")]))


def test_unit_interval_is_the_first_eight_bytes_of_the_hash() -> None:
    # printf '%s' 's|e0' | sha256sum begins with da3ba7079bb5c12a, 's|7' with 02b077204e1dceb0.
    assert unit_interval("s", "e0") == 0xDA3BA7079BB5C12A / 2**64
    assert unit_interval("s", 7) == unit_interval("s", "7") == 0x02B077204E1DCEB0 / 2**64


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        # sha256sum of 's|e7', 's|e2' and 's|e6': 0.0767, 0.2088 and 0.3665, of shares up to 0.1 and 0.3.
        ("e7", ("2", "challenger")),
        ("e2", ("3", "challenger")),
        ("e6", ("1", "champion")),
    ],
)
def test_roles_follow_the_cumulated_shares(event: str, answer: tuple[str, str]) -> None:
    shares = [{"version": "2", "share": 0.1}, {"version": "3", "share": 0.2}]
    split = release(1, "2013-01-01T00:00:00Z", challengers=shares, shadows=["4", "5"])
    assert role_of(split, event) == [answer, ("4", "shadow"), ("5", "shadow")]


def test_split_reads_the_subject_or_a_column() -> None:
    half = [{"version": "2", "share": 0.5}]
    by_subject = release(1, "2013-01-01T00:00:00Z", challengers=half, split_on="subject")
    by_column = by_subject | {"split_on": "origin"}
    by_id = by_subject | {"split_on": "event_id"}
    for value in ("e0", "e1", "e2", "e7"):
        expected = role_of(by_id, value)
        assert role_of(by_subject, "e1", value) == expected
        assert role_of(by_column, "e1", None, {"origin": value}) == expected
    assert role_of(by_subject, "e0", "e7") == [("2", "challenger")]
    with pytest.raises(ValueError, match="event e has no subject to split on"):
        role_of(by_subject, "e", None)


def test_release_without_challengers_splits_nothing() -> None:
    assert role_of(release(1, "2013-01-01T00:00:00Z", split_on="subject"), "e") == [("1", "champion")]


def test_counts_add_up_to_answers_and_shadows() -> None:
    releases = [
        release(1, "2013-01-01T00:00:00Z", "1"),
        release(2, "2013-01-01T10:10:00Z", "1", shadows=["2"]),
        release(3, "2013-01-01T10:15:00Z", "2", challengers=[{"version": "3", "share": 1.0}]),
    ]
    # a, b, c before 10:10; d, e, g at 10:10; f, h from 10:15 on, all of them the challenger's.
    found = expected_counts(EVENTS, releases, subject=None)
    assert found["versions"] == {"1": {"champion": 6}, "2": {"shadow": 3}, "3": {"challenger": 2}}
    assert found["releases"] == {1: 3, 2: 3, 3: 2}
    scores = expected_scores(EVENTS, releases, subject=None)
    of_d = scores[scores["event_id"] == "d"].to_numpy().tolist()
    assert of_d == [["d", 2, "1", "champion"], ["d", 2, "2", "shadow"]]


def test_score_id_is_half_a_hash() -> None:
    # printf '%s' 'e|d|champion|0' | sha256sum
    assert score_id("e", "d", "champion", "0") == "7b818f431045549e8fe11b3db34a51ff"


def test_definitions_are_those_that_the_inputs_name_in_their_order() -> None:
    mean = {"name": "m", "key": "k", "column": "x", "aggregate": "mean", "size": "60m", "every": "5m"}
    count = {"name": "n", "key": "k", "aggregate": "count", "size": "1d", "every": "1h"}
    text = (
        '{"features":[{"aggregate":"mean","column":"x","every":300000000,"key":"k","name":"m","size":3600000000}],'
        '"max_values_per_tile":7}'
    )
    # printf '%s' "$text" | sha256sum
    assert definitions(["x", count, mean], ["x", "m"], 7) == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert definitions([count, mean], ["m"], 7) == definitions([{**mean, "size": "1h"}], ["m", "y"], 7)
    assert definitions([count, mean], ["n", "m"], 7) != definitions([count, mean], ["m", "n"], 7)
