"""Since when a loss is what it is now: changes of the level of windows, by a self-starting CUSUM.

Sources: E. Page, Continuous inspection schemes (Biometrika 41, 1954); D. Hawkins, Self-starting CUSUM charts for
location and scale (The Statistician 36, 1987), of a level that nobody states; D. Hinkley, Inference about the
change-point in a sequence of random variables (Biometrika 57, 1970), of where it is; D. Siegmund, Sequential Analysis
(1985), of how often it is wrong.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

SLACK, LIMIT = 0.5, 8.0
"""In standard deviations of a window: half of the smallest shift that is looked for, and the sum that is an alarm. By
Siegmund's approximation a stream without changes raises an alarm to one side once in 19,000 windows."""
_FEWEST = 3  # windows, from which a level is known
_OF_FOUR_IN_FIVE = 1.2816  # deviations that 4 of 5 normal values are within
_EXACT, _LEAST = 1e-9, 1e-200  # what rounding alone may move a mean by


class LevelWindow(NamedTuple):
    """The mean of a window, and the variance of that mean."""

    value: float
    variance: float


class LevelChange(NamedTuple):
    """From window `begins` on the level is another one, higher or lower; it was seen in window `seen`."""

    begins: int
    rises: bool
    seen: int


def level_changes(windows: Sequence[LevelWindow]) -> list[LevelChange]:
    """The changes of level, in order. Pure: equal windows, equal changes.

    What a window may deviate by is the greater of what it states and of what neighbouring windows differ by usually:
    days differ by more than their events show.

    >>> calm, worn = [LevelWindow(0.3, 1e-4)] * 10, [LevelWindow(0.4, 1e-4)] * 4
    >>> level_changes(calm + worn), level_changes(calm)
    ([LevelChange(begins=10, rises=True, seen=10)], [])
    """
    least = max(_usual_variance(windows), _LEAST)
    spread = [LevelWindow(each.value, max(each.variance, least, (_EXACT * each.value) ** 2)) for each in windows]
    found, start = list[LevelChange](), 0
    while (change := _first_change(spread, start)) is not None:
        found.append(change)
        start = change.begins
    return found


def _usual_variance(windows: Sequence[LevelWindow]) -> float:
    """By what 4 of 5 neighbours differ at most: a few changes do not move it, and two days of each week that differ
    from the others do."""
    steps = sorted(abs(after.value - before.value) for before, after in pairwise(windows))
    return (steps[len(steps) * 4 // 5] / _OF_FOUR_IN_FIVE) ** 2 / 2 if len(steps) >= _FEWEST else 0.0


def _first_change(windows: Sequence[LevelWindow], start: int) -> LevelChange | None:
    weight = mean = 0.0
    sums = [0.0, 0.0]
    for index in range(start, len(windows)):
        value, variance = windows[index]
        if index - start >= _FEWEST:
            deviates = (value - mean) / math.sqrt(variance + 1 / weight)
            sums = [max(0.0, known + signed - SLACK) for known, signed in zip(sums, (deviates, -deviates), strict=True)]
            if max(sums) > LIMIT:
                return LevelChange(_likeliest(windows, start, index), sums[0] > LIMIT, index)
        own = 1 / variance
        mean += (value - mean) * own / (weight + own)
        weight += own
    return None


def _likeliest(windows: Sequence[LevelWindow], start: int, seen: int) -> int:
    """The beginning of the new level that makes what was seen the likeliest: the split whose sides differ most."""
    weights = [1 / each.variance for each in windows[start : seen + 1]]
    parts = [weight * each.value for weight, each in zip(weights, windows[start : seen + 1], strict=True)]
    whole, total = math.fsum(weights), math.fsum(parts)
    best, begins, weight, part = -1.0, seen, 0.0, 0.0
    for index in range(start, seen):
        weight, part = weight + weights[index - start], part + parts[index - start]
        apart = (part / weight - (total - part) / (whole - weight)) ** 2 * weight * (whole - weight) / whole
        if apart > best:
            best, begins = apart, index + 1
    return begins
