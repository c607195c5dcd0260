"""The aggregates of windowed features, each as one entry of `AGGREGATES` (docs/features.md).

An entry's function is pure and works on whole columns: it answers many windows at once, from the rows of a sorted
table that lie in each. Whoever adds an aggregate adds an entry, and runs `make docs`: the list of the JSON Schema and
the table of docs/features.md are made of the entries. The example of each is run as a test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import ARROW_TYPES, ColumnKind
from schemas.job import FeatureSpec
from transforms.features.sums.exact_aggregates import decayed_count, decayed_mean, decayed_sum, trend
from transforms.features.sums.moments import counts, mean, std, total, variance
from transforms.features.tile_tables import ColumnTiles, Floats, Ints, Ranges, ValueCounts, hash_fraction

# Expanding ranges into rows is bounded to this many rows at a time (about 100 MB with all temporaries).
_CHUNK_ROWS = 1_000_000


def _reduce(ufunc: np.ufunc, values: npt.NDArray[np.float64], ranges: Ranges) -> Floats:
    """`ufunc` over each range; meaningless where a range is empty."""
    padded = np.append(values, values[:1])  # reduceat takes no index past the end
    pairs = np.empty(2 * len(ranges.low), np.int64)
    pairs[0::2], pairs[1::2] = ranges.low, ranges.high
    return ufunc.reduceat(padded, pairs)[0::2] if len(pairs) else np.zeros(0)


def _where_any(values: npt.NDArray[np.generic], ranges: Ranges) -> pa.Array:
    return pa.array(values, mask=ranges.high <= ranges.low)


def _count(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return pa.array(counts(table, ranges))


def _min(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return _where_any(_reduce(np.minimum, table.low, ranges), ranges)


def _max(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return _where_any(_reduce(np.maximum, table.high, ranges), ranges)


def _last(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return table.last.take(pa.array(ranges.high - 1, mask=ranges.high <= ranges.low))


def _first(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return table.last.take(pa.array(ranges.low, mask=ranges.high <= ranges.low))


def _rate(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return pa.array(counts(table, ranges) / ((feature.size_us or 1) / 1e6))


def _last_us(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The time of the latest value."""
    return pa.array(table.last_us).take(pa.array(ranges.high - 1, mask=ranges.high <= ranges.low))


def _expanded(ranges: Ranges):  # type: ignore[no-untyped-def]  # a generator of three arrays, described below
    """Chunks of (query index, row index, queries of the chunk), every row of every range once, ranges kept whole."""
    sizes = np.maximum(ranges.high - ranges.low, 0)
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK_ROWS, side="right")))
        own = sizes[start:stop]
        query = np.repeat(np.arange(start, stop), own)
        within = np.arange(int(own.sum())) - np.repeat(np.cumsum(own) - own, own)
        yield query, ranges.low[query] + within, (start, stop)
        start = stop


class _Windows(NamedTuple):
    """Distinct values of each window, sorted by (query, value): what holistic aggregates are computed from."""

    query: Ints
    rank: Ints
    times: Ints
    kept: Floats


def windows_of(table: ValueCounts, ranges: Ranges):  # type: ignore[no-untyped-def]  # a generator of _Windows
    """The windows of the ranges, some at a time, each whole."""
    encoded = table.value.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank_of = np.empty(len(order), np.int64)
    rank_of[order] = np.arange(len(order))
    ranks = rank_of[encoded.indices.to_numpy(zero_copy_only=False)]
    sampled = is_sampled(table)
    fractions = hash_fraction(table.value) if sampled else np.zeros(0)
    for query, row, (_, stop) in _expanded(ranges):
        if not len(row):
            continue
        kept = np.ones(stop)
        if sampled:
            np.minimum.at(kept, query, table.kept[row])
            inside = fractions[row] < kept[query]
            query, row = query[inside], row[inside]
        by_value = np.lexsort((ranks[row], query))
        query, row = query[by_value], row[by_value]
        rank = ranks[row]
        starts = np.flatnonzero(np.concatenate(([True], (np.diff(query) != 0) | (np.diff(rank) != 0))))
        yield _Windows(query[starts], rank[starts], np.add.reduceat(table.times[row], starts), kept)


def is_sampled(table: ValueCounts) -> bool:
    """Whether some tile left values out because it has more different ones than are kept."""
    return bool(len(table.kept)) and bool(table.kept.min() < 1)


def over(table: ValueCounts, ranges: Ranges) -> npt.NDArray[np.bool_]:
    """Whether a tile in a range left values out: what depends on how often each occurs is not known there."""
    if not is_sampled(table):
        return np.zeros(len(ranges.low), np.bool_)
    running = np.concatenate(([0], np.cumsum(table.kept < 1)))
    return np.asarray(running[np.maximum(ranges.high, ranges.low)] > running[ranges.low])


def _unknown(table: ValueCounts, ranges: Ranges) -> npt.NDArray[np.bool_]:
    """The mask of queries without an exact answer: nothing is in their range, or not everything."""
    return np.asarray((ranges.high <= ranges.low) | over(table, ranges))


def sorted_values(table: ValueCounts) -> pa.Array:
    """The different values of a table, of which `rank` of `windows_of` is an index."""
    distinct = pc.unique(table.value)
    return distinct.take(pc.sort_indices(distinct))


def _distinct(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    answer = np.zeros(len(ranges.low), np.int64)
    for window in windows_of(table, ranges):
        found = np.bincount(window.query, minlength=len(answer))
        some = np.flatnonzero(found)
        answer[some] = np.rint(found[some] / window.kept[some]).astype(np.int64)
    return _where_any(answer, ranges)


def _top(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    best = np.zeros(len(ranges.low), np.int64)
    for window in windows_of(table, ranges):
        order = np.lexsort((window.rank, -window.times, window.query))
        first = np.flatnonzero(np.concatenate(([True], np.diff(window.query[order]) != 0)))
        best[window.query[order][first]] = window.rank[order][first]
    return sorted_values(table).take(pa.array(best, mask=_unknown(table, ranges)))


def _mode_share(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    share = np.zeros(len(ranges.low))
    for window in windows_of(table, ranges):
        first = np.flatnonzero(np.concatenate(([True], np.diff(window.query) != 0)))
        most, total = (ufunc.reduceat(window.times, first) for ufunc in (np.maximum, np.add))
        share[window.query[first]] = most / total
    return pa.array(share, mask=_unknown(table, ranges))


def _quantile(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """Linear interpolation between the order statistics around (n - 1) * q (Hyndman & Fan 1996, definition 7)."""
    answer = np.zeros(len(ranges.low))
    numbers = sorted_values(table).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    q = feature.q if feature.q is not None else 0.5
    for window in windows_of(table, ranges):
        running = np.cumsum(window.times)
        first = np.flatnonzero(np.concatenate(([True], np.diff(window.query) != 0)))
        before = running[first] - window.times[first]
        n = np.append(running[first[1:] - 1], running[-1]) - before
        rank = (n - 1) * q
        lower = np.floor(rank).astype(np.int64)
        upper = np.minimum(lower + 1, n - 1)
        at_lower = numbers[window.rank[np.searchsorted(running, before + lower, side="right")]]
        at_upper = numbers[window.rank[np.searchsorted(running, before + upper, side="right")]]
        answer[window.query[first]] = _between(at_lower, at_upper, rank - lower)
    return pa.array(answer, mask=_unknown(table, ranges))


def _between(low: Floats, high: Floats, share: Floats) -> Floats:
    """The number so far on the way from `low` to `high`, also where their distance is not a finite number."""
    with np.errstate(over="ignore", invalid="ignore"):
        linear = low + (high - low) * share
    return np.where(np.isfinite(linear), linear, low * (1 - share) + high * share)


Answer: TypeAlias = Callable[[Any, Ranges, FeatureSpec], pa.Array]


class Example(NamedTuple):
    """What an aggregate answers of values, oldest first; `q` is that of a quantile, `half_life_us` of what decays."""

    values: tuple[float, ...] | tuple[str, ...]
    answer: float | int | str
    q: float | None = None
    half_life_us: int | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate.

    `of` answers windows that have events: from `ColumnTiles`, or where it is `holistic` (it needs the different values
    and how often each occurs) from `ValueCounts`; then beyond `max_values_per_tile` it is an estimate, or null where
    `exact_only`. `gives`: the kind of the answer, `own` for that of the column. `of_texts`: columns of texts have one.
    `columnless`: it may go without a column. `counts`: it is 0 where all others are null. `has_q`: it takes a `q`.
    `form`: which tables of `ColumnTiles` or exact sums it reads (`key_plans.Kept`). `has_half_life`: it takes one.
    `of_all`: whether `size` may be `all`: then old tiles become one, and no answer depends on how values are grouped.
    `since`: `of` answers times in microseconds, and the feature is how long before the event's own time they are, in
    seconds.
    """

    of: Answer
    gives: Literal["number", "integer", "own"]
    says: str
    example: Example
    of_texts: bool = False
    holistic: bool = False
    exact_only: bool = False
    columnless: bool = False
    counts: bool = False
    has_q: bool = False
    since: bool = False
    form: Literal["tiles", "first", "sums"] = "tiles"
    has_half_life: bool = False
    of_all: bool = False

    def kind(self, column_kind: str | None) -> ColumnKind:
        """The kind of the feature, of a column of this kind; None stands for no column."""
        own = column_kind or "number"
        return own if self.gives == "own" else self.gives

    def arrow_type(self, column_type: pa.DataType | None) -> pa.DataType:
        """The Arrow type of the feature, of a column of this type; None stands for no column."""
        own = ARROW_TYPES["number"] if column_type is None else column_type
        return own if self.gives == "own" else ARROW_TYPES[self.gives]

    def of_none(self, rows: int, kind: pa.DataType) -> pa.Array:
        """The answers for so many events whose windows have nothing."""
        return pa.array(np.zeros(rows, np.int64)).cast(kind) if self.counts else pa.nulls(rows, kind)


_NUMBERS = (4.0, 1.0, 4.0, 9.0)
_TEXTS = ("UA", "AA", "UA", "DL")

AGGREGATES: Mapping[str, Aggregate] = {
    "count": Aggregate(
        _count, "integer", "how many values; without a column, how many events", Example(_NUMBERS, 4),
        of_texts=True, columnless=True, counts=True,
        of_all=True,
    ),
    "sum": Aggregate(
        total, "number", "their sum", Example(_NUMBERS, 18.0),
        of_all=True,
    ),
    "mean": Aggregate(
        mean, "number", "their mean", Example(_NUMBERS, 4.5),
        of_all=True,
    ),
    "min": Aggregate(
        _min, "number", "the smallest", Example(_NUMBERS, 1.0),
        of_all=True,
    ),
    "max": Aggregate(
        _max, "number", "the largest", Example(_NUMBERS, 9.0),
        of_all=True,
    ),
    "std": Aggregate(
        std, "number", "the standard deviation of a sample; null below two values", Example((2.0, 4.0, 6.0), 2.0),
        of_all=True,
    ),
    "last": Aggregate(
        _last, "own", "that of the latest event; of several at one time that of the greatest id",
        Example(_TEXTS, "DL"), of_texts=True,
        of_all=True,
    ),
    "distinct": Aggregate(
        _distinct, "integer", "how many different values", Example(_TEXTS, 3), of_texts=True, holistic=True
    ),
    "quantile": Aggregate(
        _quantile, "number", "the quantile `q`, linear between neighbours", Example(_NUMBERS, 4.0, 0.5),
        holistic=True, exact_only=True, has_q=True,
    ),
    "top": Aggregate(
        _top, "own", "the most frequent, of equals the smallest", Example(_TEXTS, "UA"),
        of_texts=True, holistic=True, exact_only=True,
    ),
    "median": Aggregate(
        _quantile, "number", "the quantile 0.5", Example(_NUMBERS, 4.0), holistic=True, exact_only=True
    ),
    "mode_share": Aggregate(
        _mode_share, "number", "the share of the most frequent among all", Example(_TEXTS, 0.5),
        of_texts=True, holistic=True, exact_only=True,
    ),
    "variance": Aggregate(
        variance, "number", "the variance of a sample; null below two values", Example((2.0, 4.0, 6.0), 4.0),
        of_all=True,
    ),
    "rate": Aggregate(
        _rate, "number", "`count` divided by the size of the window in seconds", Example((1.0, 1.0, 1.0), 0.005),
        of_texts=True, columnless=True, counts=True,
    ),
    "time_since_last": Aggregate(
        _last_us, "number", "seconds from the latest in the window to the event's own time", Example(_NUMBERS, 420.0),
        of_texts=True, columnless=True, since=True,
        of_all=True,
    ),
    "first": Aggregate(
        _first, "own", "that of the earliest event; of several at one time that of the greatest id",
        Example(_TEXTS, "UA"), of_texts=True, form="first",
        of_all=True,
    ),
    "trend": Aggregate(
        trend, "number", "the slope of the least-squares line through values by time, per second; null where all are "
        "at one time", Example((1.0, 4.0, 7.0), 0.05), form="sums",
        of_all=True,
    ),
    "decayed_count": Aggregate(
        decayed_count, "number", "`count` where each has halved with every `half_life` from its time to `T`",
        Example((1.0,), 0.25, half_life_us=300_000_000), of_texts=True, columnless=True, counts=True, form="sums",
        has_half_life=True,
    ),
    "decayed_sum": Aggregate(
        decayed_sum, "number", "their sum, each weighted so", Example((8.0,), 2.0, half_life_us=300_000_000),
        form="sums", has_half_life=True,
    ),
    "decayed_mean": Aggregate(
        decayed_mean, "number", "their mean, each weighted so", Example((1.0, 4.0), 3.0, half_life_us=60_000_000),
        form="sums", has_half_life=True,
    ),
}
