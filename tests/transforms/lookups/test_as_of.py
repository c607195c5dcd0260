"""A table joined as of event time is what a search by hand finds, for any rows in any order."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pandas.util import hash_array

from transforms.lookups import as_of
from transforms.lookups.as_of import NO_ROW, AsOfTable, RepeatedRow

TIME = pa.timestamp("us", tz="UTC")
Row = tuple[Any, int, str]  # key, valid from, what it says


def table_of(rows: list[Row], timed: bool = True, kind: pa.DataType | None = None) -> AsOfTable:
    keys, since, says = zip(*rows, strict=True) if rows else ((), (), ())
    times = pa.array(since, pa.int64()).cast(TIME) if timed else None
    said = pa.record_batch({"says": pa.array(says, pa.string()), "since": pa.array(since, pa.int64())})
    return AsOfTable(pa.array(keys, kind or pa.string()), times, said)


def said(table: AsOfTable, keys: list[Any], times: list[int], kind: pa.DataType | None = None) -> list[Any]:
    rows = table.rows_at(pa.array(keys, kind or pa.string()), np.array(times, np.int64))
    return list(table.take(rows)[0].to_pylist())


def by_hand(rows: list[Row], key: Any, time: int) -> str | None:
    own = [(since, says) for of, since, says in rows if of == key and since <= time]
    return max(own)[1] if own and key is not None else None


@pytest.mark.parametrize("seed", range(5))
def test_each_event_has_the_row_that_a_search_by_hand_finds(seed: int) -> None:
    dice = random.Random(seed)
    pairs = [(f"k{dice.randrange(30)}", dice.randrange(-50, 50)) for _ in range(200)]
    rows = [(key, since, f"{key}@{since}") for key, since in dict.fromkeys(pairs)]
    events = [(dice.choice([None, *(f"k{n}" for n in range(35))]), dice.randrange(-60, 60)) for _ in range(500)]
    expected = [by_hand(rows, key, time) for key, time in events]
    for _ in range(3):
        dice.shuffle(rows)
        assert said(table_of(rows), [key for key, _ in events], [time for _, time in events]) == expected
    assert None in expected
    assert len(set(expected)) > 50


def test_the_row_of_the_very_instant_holds_already() -> None:
    table = table_of([("a", 10, "old"), ("a", 20, "new"), ("b", 5, "other")])
    assert said(table, ["a", "a", "a", "a", "b", "b"], [9, 10, 19, 20, 4, 99]) == [
        None,
        "old",
        "old",
        "new",
        None,
        "other",
    ]


def test_without_times_a_row_holds_always() -> None:
    table = table_of([("a", 0, "A"), ("b", 0, "B")], timed=False)
    assert said(table, ["b", "a", "c", None], [-(2**60), 2**60, 0, 0]) == ["B", "A", None, None]


def test_numbers_are_keys_by_their_texts() -> None:
    table = table_of([(7, 0, "seven"), (8, 0, "eight")], kind=pa.int64())
    assert said(table, [7.0, 8.5, 8.0], [1, 1, 1], pa.float64()) == ["seven", None, "eight"]
    assert said(table, ["7", "007"], [1, 1]) == ["seven", None]


@pytest.mark.parametrize("timed", [True, False])
def test_an_empty_table_has_no_row_for_anybody(timed: bool) -> None:
    table = table_of([], timed)
    assert said(table, ["a", None], [1, 2]) == [None, None]
    assert table.rows_at(pa.array([], pa.string()), np.array([], np.int64)).tolist() == []


def test_two_rows_of_one_key_and_time_are_refused() -> None:
    with pytest.raises(RepeatedRow, match=r"the key 'a' has several rows from 1970-01-01T00:00:00.000007Z on; exp"):
        table_of([("a", 7, "x"), ("b", 7, "y"), ("a", 7, "z")])
    with pytest.raises(RepeatedRow, match="expected: one row for each key, or valid_from: COLUMN"):
        table_of([("a", 7, "x"), ("a", 8, "z")], timed=False)


def test_keys_whose_hashes_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor(texts: pa.Array, salt: int) -> Any:  # the first hash of all texts is the same
        plain = texts.to_numpy(zero_copy_only=False)
        return hash_array(plain, categorize=False) if salt else np.zeros(len(plain), np.uint64)

    monkeypatch.setattr(as_of, "_hashes", poor)
    table = table_of([("a", 0, "A"), ("b", 0, "B")])
    assert said(table, ["a", "b", "c"], [1, 1, 1]) == ["A", "B", None]
    alone = table_of([("a", 0, "A")])  # one key needs no second hash, which another text then shares
    assert said(alone, ["a", "z"], [1, 1]) == ["A", None]
    assert alone.rows_at(pa.array(["z"]), np.array([1])).tolist() == [NO_ROW]
