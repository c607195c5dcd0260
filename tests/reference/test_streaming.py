"""The streaming reference against examples worked out by hand: tiles of 5 minutes, sums of values."""

import math
from typing import Any

import pandas as pd
import pytest

from tests.reference.reference import BEFORE_ALL, windowed_feature
from tests.reference.streaming import behind_watermark, streaming_feature, watermarks_of


def at(clock: str) -> pd.Timestamp:
    return pd.Timestamp(f"2013-01-01T{clock}Z")


def us(clock: str) -> int:
    return int(at(clock).value // 1000)


def batch(*events: tuple[str, str, float]) -> pd.DataFrame:
    """Events as (id, clock, value), all of key A."""
    rows = [(name, at(clock), "A", value) for name, clock, value in events]
    return pd.DataFrame(rows, columns=["id", "departed_at", "key", "value"])


def sums(batches: list[pd.DataFrame], watermarks: list[int], **options: Any) -> dict[str, float | None]:
    """By event id, null as None; windows of 10 minutes, 10 minutes of allowed lateness."""
    chosen = {"size": "10m", "every": "5m", "allowed_lateness": "10m"} | options
    found = streaming_feature(batches, watermarks, key="key", column="value", aggregate="sum", **chosen)
    ids = pd.concat(batches)["id"]
    return {name: None if math.isnan(value) else value for name, value in zip(ids, found, strict=True)}


def test_watermark_is_what_earlier_batches_allow() -> None:
    times = pd.Series([at("10:00"), at("10:40"), at("10:05"), at("10:20"), at("10:09")])
    # Batches of 2, 1, 2. The second and third meet 10:40 − 30 min = 10:10; 10:05 does not raise it.
    assert watermarks_of(times, "30m", [2, 1, 2]) == [BEFORE_ALL, us("10:10"), us("10:10")]
    assert behind_watermark(times, "30m", [2, 1, 2]) == [False, False, True, False, True]


def test_event_at_the_watermark_is_not_behind_it() -> None:
    times = pd.Series([at("10:40"), at("10:10")])
    assert behind_watermark(times, "30m", [1, 1]) == [False, False]
    assert behind_watermark(times, "29m", [1, 1]) == [False, True]


def test_batches_must_hold_all_events() -> None:
    with pytest.raises(ValueError, match="batches hold 1 events, there are 2"):
        behind_watermark([at("10:00"), at("10:01")], "1m", [1])


def test_event_waits_until_the_watermark_reaches_its_tile() -> None:
    batches = [batch(("b", "10:07", 2.0)), batch(("a", "10:01", 1.0)), batch(("c", "10:02", 4.0))]
    # b (T = 10:05) arrives first. The watermark is 10:00 when a arrives, then 10:05: b sees a and not c.
    assert sums(batches, [BEFORE_ALL, us("10:00"), us("10:05")])["b"] == 1.0
    # With 10:04 all the way it reaches T only after the last batch: b sees both.
    assert sums(batches, [BEFORE_ALL, us("10:00"), us("10:04")])["b"] == 5.0


def test_event_whose_tile_has_begun_is_scored_at_once() -> None:
    batches = [batch(("a", "10:01", 1.0)), batch(("b", "10:07", 2.0)), batch(("c", "10:03", 4.0))]
    # The watermark is 10:05 = b's T when b arrives: b sees a. c comes too late for b, though not for others.
    assert sums(batches, [BEFORE_ALL, us("10:05"), us("10:05")]) == {"a": None, "b": 1.0, "c": None}


def test_late_event_is_scored_from_what_is_known_and_amends_its_tile() -> None:
    first = batch(("a", "10:01", 1.0), ("b", "10:06", 2.0))
    late, after = batch(("l", "10:07", 8.0)), batch(("z", "10:12", 0.0))
    found = sums([first, late, after], [BEFORE_ALL, us("10:10"), us("10:10")])
    # l (T = 10:05) is behind 10:10 and sees a alone. Its tile is kept until 10:30: z (T = 10:10) has it.
    assert (found["l"], found["z"]) == (1.0, 1.0 + 2.0 + 8.0)


@pytest.mark.parametrize(("watermark", "seen"), [("10:29", 2.0 + 8.0), ("10:30", 2.0)])
def test_tile_is_amended_while_it_is_kept_and_not_later(watermark: str, seen: float) -> None:
    # l's tile [10:05, 10:10) is kept for 10 + 10 minutes: until the watermark is 10:30. b's goes at 10:35.
    first, late, probe = batch(("b", "10:11", 2.0)), batch(("l", "10:07", 8.0)), batch(("v", "10:15", 0.0))
    found = sums([first, late, probe], [BEFORE_ALL, us(watermark), us(watermark)])
    assert found["v"] == seen


def test_tiles_that_are_gone_are_not_seen() -> None:
    batches = [batch(("a", "10:01", 1.0), ("b", "10:06", 2.0)), batch(("l", "10:11", 8.0))]
    # l (T = 10:10) has [10:00, 10:10). a's tile is kept until 10:25, b's until 10:30.
    assert sums(batches, [BEFORE_ALL, us("10:24")])["l"] == 3.0
    assert sums(batches, [BEFORE_ALL, us("10:25")])["l"] == 2.0
    assert sums(batches, [BEFORE_ALL, us("10:30")])["l"] is None
    assert sums(batches, [BEFORE_ALL, us("10:30")], kept_for="1h")["l"] == 3.0


def test_a_batch_arrives_as_a_whole() -> None:
    one = [batch(("l", "10:11", 8.0), ("m", "10:06", 4.0))]
    # Both are scored at once; l sees m, which is of an earlier tile, and m does not see l.
    assert sums(one, [us("10:12")]) == {"l": 4.0, "m": None}


def test_perfect_watermark_equals_the_bounded_run() -> None:
    events = batch(*((f"e{n}", f"10:{n:02d}", float(n * n % 7)) for n in range(0, 60, 3)))
    batches = [events.iloc[start : start + 4] for start in range(0, len(events), 4)]
    watermarks = [int(rows["departed_at"].min().value // 1000) for rows in batches]
    options: dict[str, Any] = {"key": "key", "column": "value", "aggregate": "mean"}
    options |= {"size": "15m", "every": "5m"}
    streamed = streaming_feature(batches, watermarks, allowed_lateness="0m", **options)
    pd.testing.assert_series_equal(streamed, windowed_feature(events, **options))


def test_falling_watermarks_and_cut_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match="must never fall"):
        sums([batch(("a", "10:01", 1.0))] * 2, [us("10:00"), us("09:00")])
    with pytest.raises(ValueError, match="size 7m must be a multiple of every 5m"):
        sums([batch(("a", "10:01", 1.0))], [BEFORE_ALL], size="7m")
