"""Invented errors of decisions, and what river says of them by hand."""

import math
import random
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from river.drift import ADWIN

from schemas.job import ConceptDriftSpec
from transforms.quality.answers import ScoredBy
from transforms.quality.changes.change_records import windows_of
from transforms.quality.changes.error_changes import ErrorBlock, ErrorChange, blocks_of, error_changes
from transforms.quality.sums.error_sums import ErrorSums, sums_of_errors
from transforms.quality.sums.group_sums import Beside

HOUR_US = 3_600_000_000
DECIDES = ScoredBy("v1", "champion", "d1", "probability", 0.5, "late")
NUMBERS = ScoredBy("v3", "champion", "d3", "regression")
SPEC = ConceptDriftSpec(block=50)


class Errors(NamedTuple):
    """Decisions that were right or wrong, each at a time."""

    times_us: Any
    wrong: Any

    def beside(self, rows: Any = slice(None)) -> Beside:
        """Answers of 0.9 whose labels say whether they were right."""
        wrong = self.wrong[rows]
        return Beside(self.times_us[rows], np.full(len(wrong), 0.9), pa.array(~wrong), {})


def errors(seed: int, events: int, rate: float, later: float, changes_at: float = 0.5, hours: int = 96) -> Errors:
    """Errors at a rate, from a share of the time on at another one."""
    rng = random.Random(seed)
    times = sorted(rng.randrange(hours * HOUR_US) for _ in range(events))
    wrong = [rng.random() < (later if at >= changes_at * hours * HOUR_US else rate) for at in times]
    return Errors(np.array(times, np.int64), np.array(wrong, np.bool_))


def blocks(sums: ErrorSums, spec: ConceptDriftSpec = SPEC) -> list[ErrorBlock]:
    return blocks_of(windows_of(sums), spec, HOUR_US)


def changes(found: Errors, detector: str, spec: ConceptDriftSpec = SPEC) -> list[ErrorChange]:
    sums = sums_of_errors(found.beside(), DECIDES, HOUR_US)
    return error_changes(blocks(sums, spec), detector, spec, shares=True)


def by_hand(found: Errors, detector: Any, spec: ConceptDriftSpec = SPEC) -> list[int]:
    """The times at which a detector of river sees changes, fed with the sorted errors one after the other."""
    order = np.argsort(found.times_us)
    part_us, times, wrong = HOUR_US // spec.parts, found.times_us[order], found.wrong[order]
    read, own, seen = list[tuple[int, int, float]](), list[bool](), list[int]()
    level, squares, learnt = list[tuple[int, float]](), list[float](), list[float]()
    for index, (at, error) in enumerate(zip(times.tolist(), wrong.tolist(), strict=True)):
        own.append(error)
        end = (at // part_us + 1) * part_us
        if (index + 1 == len(times) or times[index + 1] >= end) and len(own) >= spec.block:
            read.append((end, len(own), sum(own) / len(own)))
            own = []
    for end, n, mean in read:
        if level:
            size = sum(each[0] for each in level)
            before = sum(each[0] * each[1] for each in level) / size
            scale, most = 1 / n + 1 / size, math.inf
            if len(squares) >= 30:
                share = (before * size + 1) / (size + 2)
                variance = max(sum(squares) / len(squares), share * (1 - share))
                off = (mean - before) / math.sqrt(variance * scale)
                value = min(max(off, -8.0), 8.0)
                if isinstance(detector, ADWIN):  # in units of what was learnt first, off the level of then
                    learnt = learnt or [before, variance]
                    mean_at_most = before + value * math.sqrt(variance * scale)
                    value = (mean_at_most - learnt[0]) / math.sqrt(learnt[1] / n)
                detector.update(value)
                if detector.drift_detected:
                    seen.append(end)
                    break
                most = 9 * variance
            squares.append(min((mean - before) ** 2 / scale, most))
        level.append((n, mean))
    return seen
