"""How far windows of the training data were from the whole of it: what a job's windows are compared with."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pyarrow as pa

from models.profiles.columns import SCORE, Floats, Ints
from models.profiles.dependence import BLOCKS, dependence_of
from models.profiles.measuring import STATISTICS, effects_of, measure
from models.profiles.observed import cells_of_rows, observe_groups, tally_groups
from models.profiles.reference import Profile
from models.profiles.usual import KINDS, LENGTHS, Side, Tail, TrainingWindows, Usual, kinds_of_windows

_BY: Mapping[str, Literal["hour", "weekday"]] = {"1h": "hour", "1d": "weekday"}
EVENT_TIME = "event_time"
_SHARE = 0.99
_TAIL = 0.25  # of the windows: with less the few of them decide, with more the tail is no longer exponential
_TYPICAL = 0.75
_SAMPLED = 200
_FEWEST = 5  # windows of a length
_FEWEST_OF_A_KIND = 20
_EXPLAINED = 0.5  # of the variance of distances
_FILLED = 0.25  # of the median rows of a window; emptier ones are at the edges of the sample
_JUDGED = (SCORE, "wasserstein")
_SIDES_ALIKE = 0.2  # below that probability the windows that fell and those that rose are spread differently
_COUNTS_TOGETHER = 2_000_000  # 16 MB, however many columns there are


def with_training_windows(profile: Profile, table: pa.Table | pa.RecordBatch, column: str = EVENT_TIME) -> Profile:
    """The profile with how far windows of `table`, of which it was made, are from its whole: of one hour, one day and a
    week, where there are five or more. Unchanged where the table has no times (timestamps, none null) in that
    `column`."""
    at = table.schema.get_field_index(column)
    if at < 0 or not pa.types.is_timestamp(table.schema.field(at).type) or table.column(at).null_count:
        return profile
    rows = table.combine_chunks() if isinstance(table, pa.Table) else pa.Table.from_batches([table])
    times = rows.column(column).cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy()
    names = [name for name in profile.spans if name in rows.schema.names]
    batches = rows.select(names).to_batches()
    found = (_of_length(profile, batches[0], times, length) for length in LENGTHS if batches)
    return replace(profile, windows=tuple(each for each in found if each is not None))


def _of_length(profile: Profile, rows: pa.RecordBatch, times_us: Ints, length: str) -> TrainingWindows | None:
    starts, window = np.unique(np.floor_divide(times_us, LENGTHS[length]), return_inverse=True)
    sizes = np.bincount(window, minlength=len(starts))
    filled = np.flatnonzero(sizes >= _FILLED * np.median(sizes)) if len(starts) else np.zeros(0, np.int64)
    if len(filled) < _FEWEST:
        return None
    distances, moved = _distances(profile, rows, window, len(starts))
    taken = {key: values[filled] for key, values in distances.items()}
    by = _BY.get(length)
    kinds = kinds_of_windows(by, starts[filled] * LENGTHS[length])
    if by is None or not _explains(np.stack([taken[column, "psi"] for column in profile.spans], axis=1), kinds):
        by, kinds = None, np.zeros(len(filled), np.int64)
    usual: Usual = {}
    for (column, statistic), values in taken.items():
        usual.setdefault(column, {})[statistic] = _usual(values, kinds, KINDS[by])
    sampled = filled[np.unique(np.linspace(0, len(filled) - 1, _SAMPLED).astype(np.int64))]
    inflation = _inflation(profile, rows, times_us, window, LENGTHS[length], sampled)
    tails = _tails(moved[filled], kinds, KINDS[by]) if _JUDGED in taken else ()
    return TrainingWindows(length, len(filled), by, usual, inflation, tails)  # type: ignore[arg-type]  # of LENGTHS


def _distances(
    profile: Profile, rows: pa.RecordBatch, window: Ints, windows: int
) -> tuple[dict[tuple[str, str], Floats], Floats]:
    """Each statistic of each window, shape (windows,), by column and statistic; and how far the score moved, negative
    where it fell."""
    cells, parts = len(profile.reference), dict[tuple[str, str], list[Floats]]()
    score = [list(profile.spans).index(SCORE)] if SCORE in profile.spans else []
    moved = [np.zeros((0, len(score)))]
    counted = observe_groups(profile, rows, [window], windows)
    together = max(1, _COUNTS_TOGETHER // cells)
    for first in range(0, windows, together):
        number = min(together, windows - first)
        inside = slice(*np.searchsorted(counted.keys, (first * cells, (first + number) * cells)).tolist())
        dense = np.zeros(number * cells, np.int64)
        dense[counted.keys[inside] - first * cells] = counted.counts[inside]
        observed = dense.reshape(number, cells)
        moved.append(effects_of(profile, observed)[:, score])
        for statistic in STATISTICS:
            measured = measure(profile, observed, statistic)
            for index, column in enumerate(measured.names if measured else ()):
                assert measured is not None
                parts.setdefault((column, statistic), []).append(measured.value[:, index])
    return {key: np.concatenate(values) for key, values in parts.items()}, np.concatenate(moved).sum(axis=1)


def _inflation(
    profile: Profile, rows: pa.RecordBatch, times_us: Ints, window: Ints, length_us: int, sampled: Ints
) -> dict[str, float]:
    """How dependent rows usually are on those before them, by column, in a sample of the windows (sorted)."""
    inside = np.isin(window, sampled)
    own, of = rows.filter(pa.array(inside)), np.searchsorted(sampled, window[inside])
    block = (times_us[inside] % length_us) * BLOCKS // length_us
    classes, size = [profile.classes.of_cell[cell] for cell in cells_of_rows(profile, own)], profile.classes.size
    counted = tally_groups(classes, size, [of * BLOCKS + block], len(sampled) * BLOCKS)
    parts, width, together = [], BLOCKS * size, max(1, _COUNTS_TOGETHER // (BLOCKS * size))
    for first in range(0, len(sampled), together):
        number = min(together, len(sampled) - first)
        mine = slice(*np.searchsorted(counted.keys, (first * width, (first + number) * width)).tolist())
        dense = np.zeros(number * width, np.int64)
        dense[counted.keys[mine] - first * width] = counted.counts[mine]
        parts.append(dependence_of(profile, dense.reshape(number, BLOCKS, size)).inflation)
    usual = np.quantile(np.concatenate(parts), _TYPICAL, axis=0)
    return dict(zip(profile.spans, usual.tolist(), strict=True))


def _explains(distances: Floats, kinds: Ints) -> bool:
    """Whether windows' kinds explain half of the variance of their distances, shape (windows, columns), beyond
    chance."""
    present, index = np.unique(kinds, return_inverse=True)
    rows = len(kinds)
    if len(present) < 2 or rows < _FEWEST_OF_A_KIND * len(present):
        return False
    means = np.stack([distances[index == each].mean(axis=0) for each in range(len(present))])
    total = ((distances - distances.mean(axis=0)) ** 2).sum(axis=0)
    within = ((distances - means[index]) ** 2).sum(axis=0)
    left = np.divide(within, total, out=np.ones_like(total), where=total > 0) * (rows - 1) / (rows - len(present))
    return float(np.max(1 - left)) >= _EXPLAINED


def _usual(values: Floats, kinds: Ints, number: int) -> tuple[float, ...]:
    overall = float(np.quantile(values, _SHARE))
    if number == 1:
        return (overall,)
    own = [values[kinds == kind] for kind in range(number)]
    return tuple(float(np.quantile(each, _SHARE)) if len(each) >= _FEWEST_OF_A_KIND else overall for each in own)


def _tails(moved: Floats, kinds: Ints, number: int) -> tuple[Tail, ...]:
    """Of each kind, or of all windows where there are few of it; none where those are few too, or all equally far."""
    own = [moved[kinds == kind] for kind in range(number)]
    if len(moved) < _FEWEST_OF_A_KIND:
        return ()
    found = [_tail(each if len(each) >= _FEWEST_OF_A_KIND else moved) for each in own]
    return tuple(each for each in found if each is not None) if None not in found else ()


def _tail(moved: Floats) -> Tail | None:
    """One tail of all windows, or one of each side where they differ: levels that are skewed end at once on one side,
    whose many short excesses would make the other side's tail too short."""
    distances = np.abs(moved)
    above = float(np.quantile(distances, 1 - _TAIL))
    beyond = distances > above
    sides = [_side(distances[beyond & side] - above) for side in (moved < 0, moved >= 0)]
    one = _side(distances[beyond] - above)
    if one is None:
        return None
    if None not in sides:
        smaller, greater = sorted((side for side in sides if side), key=lambda side: side.excess)
        if _differ(smaller, greater):
            return Tail(above, greater.excess, greater.beyond, len(moved), smaller)
    return Tail(above, one.excess, one.beyond, len(moved))


def _side(excesses: Floats) -> Side | None:
    total = float(excesses.sum())
    return Side(total, len(excesses)) if total > 0 else None


def _differ(one: Side, other: Side) -> bool:
    """Whether the mean excesses differ beyond chance: of equally spread exponential ones the sum of one side is a share
    of both sides' that is beta distributed, whose distribution function is a tail of a binomial one."""
    excesses = np.log([one.excess, other.excess])
    own, rest = excesses - np.logaddexp(*excesses)
    trials = one.beyond + other.beyond - 1
    hits = np.arange(trials + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log(trials - hits[:-1]) - np.log(hits[1:]))])
    chances = np.exp(ways + hits * own + (trials - hits) * rest)
    below = float(chances[one.beyond :].sum())
    return 2 * min(below, 1 - below) < _SIDES_ALIKE
