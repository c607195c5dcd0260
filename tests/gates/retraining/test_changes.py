"""Changes of the level of windows: found where they are, and hardly ever where there are none."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from gates.retraining.changes import LevelWindow, level_changes


def levels(*stretches: tuple[int, float], seed: int = 1, variance: float = 1.0) -> list[LevelWindow]:
    chance = random.Random(seed)
    return [LevelWindow(chance.gauss(mean, 1), variance) for n, mean in stretches for _ in range(n)]


@pytest.mark.parametrize(("shift", "within"), [(2.0, 3), (3.0, 2), (6.0, 1)])
def test_a_change_is_found_near_where_it_is(shift: float, within: int) -> None:
    found = [level_changes(levels((60, 0), (30, shift), seed=seed)) for seed in range(50)]
    near = [each for each in found if each and abs(each[-1].begins - 60) <= within and each[-1].rises]
    assert len(near) >= 45


def test_each_of_several_changes_is_found_up_and_down() -> None:
    found = level_changes(levels((40, 0), (30, 5), (30, 1)))
    assert [(round(each.begins, -1), each.rises) for each in found] == [(40, True), (70, False)]


def test_a_level_without_changes_raises_hardly_any_alarm() -> None:
    """Once in 19,000 windows to each side, by Siegmund: 0.04 in a year of days."""
    alarms = sum(len(level_changes(levels((365, 5), seed=seed))) for seed in range(100))
    assert alarms <= 10


def test_windows_that_differ_by_more_than_they_state_are_no_changes() -> None:
    alarms = sum(len(level_changes(levels((100, 5), seed=seed, variance=1e-6))) for seed in range(100))
    assert alarms <= 10


@pytest.mark.parametrize("windows", [[], [LevelWindow(1.0, 0.0)], [LevelWindow(0.1, 0.0)] * 50])
def test_nothing_and_what_never_varies_have_no_change(windows: list[LevelWindow]) -> None:
    assert level_changes(windows) == []


def test_a_constant_that_changes_has_one() -> None:
    found = level_changes([LevelWindow(0.1, 0.0)] * 20 + [LevelWindow(0.2, 0.0)] * 3)
    assert [tuple(each) for each in found] == [(20, True, 20)]


RIVER: dict[str, Any] = json.loads((Path(__file__).parent / "river.json").read_text("utf-8"))


@pytest.mark.parametrize("stated", RIVER["streams"], ids=lambda each: f"{each['shift']}-{each['seed']}")
def test_a_change_is_seen_when_rivers_page_hinkley_sees_it(stated: dict[str, Any]) -> None:
    """As benchmarks/gates/river_changes.py has computed it; river's level has
    the newest value in it, and our deviation may be a little above 1."""
    chance, begins = random.Random(stated["seed"]), RIVER["begins"]
    values = [chance.gauss(stated["shift"] if at >= begins else 0.0, 1.0) for at in range(RIVER["length"])]
    found = [each.seen for each in level_changes([LevelWindow(value, 1.0) for value in values])][:1]
    assert (found == []) == (stated["seen"] is None)
    assert all(abs(one - stated["seen"]) <= 2 for one in found)


@pytest.mark.parametrize("apart", [2, 5, 10])
def test_weekends_that_differ_are_no_changes(apart: float) -> None:
    """With the median of the steps of neighbours, which are small within a week, each weekend is two changes."""
    chance = random.Random(apart)
    days = [LevelWindow(apart * (day % 7 > 4) + chance.gauss(0, 1), 1e-6) for day in range(180)]
    assert level_changes(days) == []
    worn = days[:120] + [each._replace(value=each.value + 3 * apart) for each in days[120:]]
    found = level_changes(worn)
    assert {each.rises for each in found} == {True}
    assert abs(found[-1].begins - 120) <= 3
