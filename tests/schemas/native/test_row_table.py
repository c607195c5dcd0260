"""Rows are found by their hashes as in a dictionary, with the compiled module and without."""

import random
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from schemas.native import compiled
from schemas.native.row_table import RowTable
from tests.schemas.native.built import each, used

__all__ = ["each", "used"]


def drawn(seed: int, count: int, alike: int = 0) -> npt.NDArray[np.uint8]:
    """Hashes, of which the first `alike` bytes are the same: they are looked for in one slot."""
    made = np.frombuffer(random.Random(seed).randbytes(16 * count), np.uint8).reshape(-1, 16).copy()
    made[:, :alike] = 7
    return made


def told(parts: list[npt.NDArray[np.uint8]], asked: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Where all are found after each part was put, with rows that begin at a million times its number."""
    table, found = RowTable(), list[list[int]]()
    for number, part in enumerate(parts):
        table.put(part, number * 1_000_000)
        found.append(table.find(asked).tolist())
    return found


@pytest.mark.parametrize("alike", [0, 8, 15])
def test_rows_are_those_of_a_dictionary(used: pytest.MonkeyPatch, alike: int) -> None:
    first, second = drawn(1, 700, alike), drawn(2, 3000 if alike < 8 else 300, alike)
    parts = [first, second[:0], second, first[::3]]  # a table that grows, and rows that others replace
    asked = np.concatenate([first, second, drawn(3, 50, alike)])
    found = told(parts, asked)
    used.setattr(compiled, "EACH", None)
    assert found == told(parts, asked)
    assert found[0][:700] == [*range(700)] or alike == 15
    assert {*found[-1][-50:]} == {-1} or alike == 15


def test_a_table_of_many_is_whole(used: pytest.MonkeyPatch) -> None:
    table, made = RowTable(), drawn(4, 100_000)
    for start in range(0, 100_000, 9_999):
        table.put(made[start : start + 9_999], start)
    assert table.find(made).tolist() == [*range(100_000)]


@pytest.mark.parametrize("slots", [0, 1, 24, 72, 25])
def test_what_is_no_table_or_a_full_one_is_refused(each: ModuleType, slots: int) -> None:
    with pytest.raises(ValueError, match="expected: "):
        each.rows_put(bytearray(slots), drawn(5, 2), 0)
    if slots == 24:
        assert np.frombuffer(each.rows_find(bytearray(24), drawn(5, 2)), np.int64).tolist() == [-1, -1]
