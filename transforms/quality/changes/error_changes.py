"""Changes of the mean error of a version, from the errors of parts of windows. Pure: equal errors, equal changes.

Errors in event order are cut into blocks of at least so many labelled events. Of each block the detectors read how far
its mean is from the mean of the blocks before it, in standard deviations of that difference (recursive residuals: R.
Brown, J. Durbin and J. Evans, J. R. Stat. Soc. B 37, 1975; of charts D. Hawkins, The Statistician 36, 1987). The
deviation is learnt from the blocks themselves, so that events that are alike do not count as independent. A change
begins at the split of the blocks that makes them the likeliest (D. Hinkley, Biometrika 57, 1970). While a deviation is
learnt, a detector reads nothing: blocks that a split makes two levels of, far beyond chance, are a change all the same
(K. Worsley, J. Am. Stat. Assoc. 74, 1979), which would otherwise be learnt as what is usual.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from schemas.job import ConceptDriftSpec
from transforms.quality.changes.detectors import OWN_LEVEL, detector_of
from transforms.quality.sums.error_sums import PARTS
from transforms.quality.sums.exact_sums import Floats, Ints

FEWEST = 31
"""Blocks that are read before a detector has its first value: from them its deviation is known."""
_MOST = 8.0  # deviations that a block counts for: one alone, however wrong, is no change
_MOST_OF_SPREAD = 3.0  # the same in the deviation itself, which a change would otherwise hide in
_FEWEST_TO_SPLIT, _FEWEST_BEFORE, _FEWEST_AFTER = 8, 3, 2  # blocks, of which two levels are told while they are learnt
_BY_CHANCE = 1e-4  # the probability of such a change at one look where there is none
_EXACT, _LEAST = 1e-9, 1e-150  # what rounding alone may move a mean by


class WindowErrors(NamedTuple):
    """Of a window how many events it has, and of each of its parts how many of these have an error, and the sum of
    these errors."""

    start_us: int
    events: int
    in_part: Ints
    totals: Floats


class ErrorBlock(NamedTuple):
    """Consecutive errors: from when on, when the last part ends, how many, and their mean."""

    start_us: int
    end_us: int
    n: int
    mean: float


class ErrorChange(NamedTuple):
    """From `begins_us` on the mean error is another one; it was seen at the end of a block, `seen_us`.

    `before`: the mean error since the change before; `after`, `n`: since this one, of how many labelled events.
    """

    begins_us: int
    seen_us: int
    before: float
    after: float
    n: int


def blocks_of(windows: Sequence[WindowErrors], spec: ConceptDriftSpec, window_us: int) -> list[ErrorBlock]:
    """The blocks of windows in order of time. What is left in the end waits for more.

    A block ends with a part of a window (`spec.parts` of them) once it holds `spec.block` labelled events. One that is
    interrupted for a window or longer, as where a version does not serve, is dated after the longest silence.
    """
    found, n, total, start_us, end_us, silent_us = list[ErrorBlock](), 0, 0.0, 0, 0, 0
    for window in windows:
        counts, totals = (each.reshape(spec.parts, PARTS // spec.parts) for each in (window.in_part, window.totals))
        for part in np.flatnonzero(counts.sum(axis=1)).tolist():
            begins_us = _edge_us(window, part, spec, window_us)
            if not n or (begins_us - end_us >= window_us and begins_us - end_us > silent_us):
                start_us, silent_us = begins_us, begins_us - end_us if n else 0
            end_us = _edge_us(window, part + 1, spec, window_us)
            n, total = n + int(counts[part].sum()), total + math.fsum(totals[part].tolist())
            if n >= spec.block:
                found.append(ErrorBlock(start_us, end_us, n, total / n))
                n, total = 0, 0.0
    return found


def _edge_us(window: WindowErrors, part: int, spec: ConceptDriftSpec, window_us: int) -> int:
    """The first microsecond of a part of a window."""
    return window.start_us - (-part * window_us // spec.parts)


def error_changes(
    blocks: Sequence[ErrorBlock], detector: str, spec: ConceptDriftSpec, *, shares: bool
) -> list[ErrorChange]:
    """The changes that a detector sees, in order.

    Args:
        blocks: in order of time.
        detector: of `DETECTORS`.
        spec: its settings.
        shares: whether an error is 0 or 1: its variance is then known to be at least that of chance.
    """
    found, looks = list[ErrorChange](), detector_of(detector, spec)
    level = _Level(blocks, shares, detector in OWN_LEVEL)
    for index in range(len(blocks)):
        value = level.next(index)
        if value is None:
            seen = level.has_two(index)
        else:
            looks.update(value)
            seen = looks.drift_detected
        if seen:
            found.append(level.changed(index))
    return found


@dataclass
class _Level:
    """The mean error since the last change, and by how much blocks deviate from it: of the blocks after `start` the
    squares of their residuals. `known`: how many squares there are, those from before included, and their sum.
    `fixed`: values are off the mean of the blocks that were only learnt from, in their deviation."""

    blocks: Sequence[ErrorBlock]
    shares: bool
    fixed: bool
    learnt: tuple[float, float] | None = None  # that mean, and the deviation of one error
    start: int = 0
    n: int = 0
    mean: float = 0.0
    squares: list[float] = field(default_factory=list)
    known: int = 0
    total: float = 0.0

    def next(self, index: int) -> float | None:
        """The value that a detector reads of a block; None where too few were read before."""
        block, value, variance = self.blocks[index], None, math.inf
        if self.n and self.known >= FEWEST - 1:
            variance = max(self.total / self.known, self._least())
            deviation = math.sqrt(variance * (1 / block.n + 1 / self.n))
            value = min(max((block.mean - self.mean) / deviation, -_MOST), _MOST)
            if self.fixed:
                self.learnt = self.learnt or (self.mean, math.sqrt(variance))
                value = (self.mean + value * deviation - self.learnt[0]) / self.learnt[1] * math.sqrt(block.n)
        self._add(block, _MOST_OF_SPREAD**2 * variance)
        return value

    def has_two(self, seen: int) -> bool:
        """Whether the blocks since the last change, which are only learnt from, are of two levels, beyond chance."""
        return split_by_chance(self.blocks[self.start : seen + 1], self._least()) < _BY_CHANCE

    def _least(self) -> float:
        """Of one error: of 0 and 1 by the rule of succession, else what rounding alone makes."""
        if self.shares:
            share = (self.mean * self.n + 1) / (self.n + 2)
            return share * (1 - share)
        return max((_EXACT * self.mean) ** 2, _LEAST**2)

    def _add(self, block: ErrorBlock, most: float = math.inf) -> None:
        if self.n:
            square = min((block.mean - self.mean) ** 2 / (1 / block.n + 1 / self.n), most)
            self.squares.append(square)
            self.known, self.total = self.known + 1, self.total + square
        self.mean += (block.mean - self.mean) * block.n / (self.n + block.n)
        self.n += block.n

    def changed(self, seen: int) -> ErrorChange:
        """A change was seen in a block: what comes after its beginning has a level of its own."""
        begins = likeliest_split(self.blocks[self.start : seen + 1]) + self.start
        before, after = (_mean(part) for part in (self.blocks[self.start : begins], self.blocks[begins : seen + 1]))
        dropped = self.squares[begins - self.start - 1 :]
        self.known, self.total = self.known - len(dropped), max(self.total - math.fsum(dropped), 0.0)
        self.start, self.n, self.mean, self.squares = begins, 0, 0.0, []
        for block in self.blocks[begins : seen + 1]:
            self._add(block)
        return ErrorChange(self.blocks[begins].start_us, self.blocks[seen].end_us, before, after, self.n)


def _mean(blocks: Sequence[ErrorBlock]) -> float:
    return math.fsum(each.mean * each.n for each in blocks) / sum(each.n for each in blocks)


def split_by_chance(blocks: Sequence[ErrorBlock], least: float) -> float:
    """How probable it is at most that the likeliest split of m blocks of one level makes their sides differ so much; 1
    for too few of them.

    Student's t of the two means, with what blocks deviate by within their sides, for as many splits as there are (C.
    Bonferroni); its tail as D. Wallace has it (Annals of Mathematical Statistics 30, 1959).

    Args:
        blocks: in order of time.
        least: the variance of one error, below which it is not estimated.

    >>> calm, worn = [ErrorBlock(0, 1, 100, 0.1)] * 5, [ErrorBlock(0, 1, 100, 0.9)] * 3
    >>> split_by_chance(calm + worn, 0.1) < 1e-6, split_by_chance(calm + worn[:2], 0.1)
    (True, 1.0)
    """
    splits = len(blocks) - _FEWEST_BEFORE - _FEWEST_AFTER + 1
    if len(blocks) < _FEWEST_TO_SPLIT:
        return 1.0
    begins = min(max(likeliest_split(blocks), _FEWEST_BEFORE), len(blocks) - _FEWEST_AFTER)
    before, after = blocks[:begins], blocks[begins:]
    within = sum(each.n * (each.mean - _mean(side)) ** 2 for side in (before, after) for each in side)
    degrees = len(blocks) - 2
    scale = 1 / sum(each.n for each in before) + 1 / sum(each.n for each in after)
    square = (_mean(after) - _mean(before)) ** 2 / scale / max(within / degrees, least)
    normal = math.sqrt(degrees * math.log1p(square / degrees)) * (8 * degrees + 1) / (8 * degrees + 3)
    return min(splits * math.erfc(normal / math.sqrt(2)), 1.0)


def likeliest_split(blocks: Sequence[ErrorBlock]) -> int:
    """The index, at least 1, from which on the mean differs most from that before, by what is likely of as many events.

    >>> calm, worn = [ErrorBlock(0, 1, 100, 0.1)] * 5, [ErrorBlock(0, 1, 50, 0.2)] * 2
    >>> likeliest_split(calm + worn)
    5
    """
    weights = np.array([each.n for each in blocks], np.float64)
    parts = weights * [each.mean for each in blocks]
    *_, whole = weight = np.cumsum(weights)
    *_, total = part = np.cumsum(parts)
    weight, part = weight[:-1], part[:-1]
    apart = (part / weight - (total - part) / (whole - weight)) ** 2 * weight * (whole - weight)
    return int(np.argmax(apart)) + 1
