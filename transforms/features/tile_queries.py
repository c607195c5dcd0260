"""Windowed features from tiles: the aggregate over `[T - size, T)` for many (key, T) at once (docs/design.md §7)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.job import FeatureSpec
from transforms.features.tiles import (
    ALL_EVENTS,
    EXACT_ONLY,
    HOLISTIC,
    KEY,
    VALUE,
    ColumnTiles,
    Floats,
    Ints,
    KeyPlan,
    TileTables,
    ValueCounts,
    hash_fraction,
)

# Expanding ranges into rows is bounded to this many rows at a time (about 100 MB with all temporaries).
_CHUNK_ROWS = 1_000_000
# Beyond this ratio of squares to spread the one-pass variance loses more than four of its sixteen digits.
_ILL_CONDITIONED = 1e4


class Ranges(NamedTuple):
    """Row ranges [`low`, `high`) of a sorted table, one per query."""

    low: Ints
    high: Ints


def feature_type(feature: FeatureSpec, column_type: pa.DataType | None) -> pa.DataType:
    """The Arrow type of a feature: int64 for counts, the column's own for last and top, else float64."""
    if feature.aggregate in ("count", "distinct"):
        return pa.int64()
    if feature.aggregate in ("last", "top") and column_type is not None:
        return column_type
    return pa.float64()


def evaluate(plan: KeyPlan, tables: TileTables | None, rows: pa.RecordBatch) -> list[pa.Array]:
    """The plan's features for `observations`, shape (n,) each, in plan order; rows without a key have no history."""
    codes, times_us = _codes(tables, rows), batches.times_us(rows)
    queries = {every_us: _queries(codes, times_us, every_us) for every_us in {f.every_us for f in plan.features}}
    return [_feature(plan, tables, feature, queries[feature.every_us], rows.schema) for feature in plan.features]


def _codes(tables: TileTables | None, rows: pa.RecordBatch) -> Ints:
    """Each row's key as its place among the tables' keys, -1 for one that has no tiles."""
    if tables is None or not len(tables.keys):
        return np.full(rows.num_rows, -1, np.int64)
    found = pc.fill_null(pc.index_in(rows.column(KEY), value_set=tables.keys), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def over_limit(plan: KeyPlan, tables: TileTables | None, rows: pa.RecordBatch) -> dict[str, int]:
    """Of how many of the `observations` a feature is null because a tile of its window has too many distinct values."""
    values = {} if tables is None else tables.values
    sampled = {name for name, counts in values.items() if _is_sampled(counts)}
    found: dict[str, int] = {}
    if not sampled:
        return found
    codes, times_us = _codes(tables, rows), batches.times_us(rows)
    for feature in plan.features:
        if feature.aggregate not in EXACT_ONLY or feature.column not in sampled:
            continue
        queries, table = _queries(codes, times_us, feature.every_us), values[feature.column]
        unknown = _over(table, _own_ranges(plan, table, queries, feature))
        found[feature.name] = int(np.count_nonzero(unknown[queries.event]))
    return {name: events for name, events in found.items() if events}


class Queries(NamedTuple):
    """Distinct (code, end of the window in steps of `every`), and for each event which of them is its own."""

    code: Ints
    step: Ints
    event: Ints


def _queries(codes: Ints, times_us: Ints, every_us: int) -> Queries:
    steps = np.floor_divide(times_us, every_us)
    base = int(steps.min()) if len(steps) else 0
    span = (int(steps.max()) if len(steps) else 0) - base + 1
    if not _fit(codes, span):
        present, rank = np.unique(steps, return_inverse=True)
        ranked = _queries(codes, rank, 1)
        return ranked._replace(step=present[ranked.step])
    distinct, event = np.unique((codes + 1) * span + (steps - base), return_inverse=True)
    code, step = np.divmod(distinct, span)
    return Queries(code - 1, step + base, event)


def _fit(codes: Ints, span: int) -> bool:
    """Whether each pair of a code (-1 or more) and a number below `span` is an int64 of its own.

    Where times lie far apart they may not; the ranks of so many times do: both are less than the rows in memory.
    """
    return (int(codes.max(initial=0)) + 2) * span < 2**63


def _feature(
    plan: KeyPlan, tables: TileTables | None, feature: FeatureSpec, queries: Queries, schema: pa.Schema
) -> pa.Array:
    column = feature.column or ALL_EVENTS
    kind = feature_type(feature, None if feature.column is None else schema.field(VALUE + feature.column).type)
    if tables is None or not len(tables.tiles[column].code):
        return _empty(feature, len(queries.event), kind)
    table = tables.values[column] if feature.aggregate in HOLISTIC else tables.tiles[column]
    answer = _AGGREGATES[feature.aggregate](table, _own_ranges(plan, table, queries, feature), feature)
    return answer.cast(kind).take(pa.array(queries.event))


def _empty(feature: FeatureSpec, rows: int, kind: pa.DataType) -> pa.Array:
    return pa.array(np.zeros(rows, np.int64)) if feature.aggregate == "count" else pa.nulls(rows, kind)


def _own_ranges(
    plan: KeyPlan, table: ColumnTiles | ValueCounts, queries: Queries, feature: FeatureSpec
) -> Ranges:
    """The rows of `table` in the feature's window of each query."""
    end = queries.step * (feature.every_us // plan.tile_us)
    return _ranges(table, queries.code, end, feature.size_us // plan.tile_us)


def _ranges(table: ColumnTiles | ValueCounts, code: Ints, end: Ints, size: int) -> Ranges:
    """The rows of `table` in tiles [end - size, end) of each code; unknown codes (below 0) get empty ranges."""
    tile, begin = table.tile, end - size
    base = min(int(tile.min()), int(begin.min(initial=tile[0])))
    span = max(int(tile.max()), int(end.max(initial=tile[0]))) - base + 1
    if not _fit(table.code, span):
        present = np.unique(tile)
        tile, begin, end = (np.searchsorted(present, numbers) for numbers in (tile, begin, end))
        base, span = 0, len(present) + 1
    # One int64 per (code, tile) that sorts like the pair.
    composite = table.code * span + (tile - base)
    low = np.searchsorted(composite, code * span + (begin - base))
    high = np.searchsorted(composite, code * span + (end - base))
    return Ranges(low, np.where(code < 0, low, high))


def _reduce(ufunc: np.ufunc, values: npt.NDArray[np.float64], ranges: Ranges) -> Floats:
    """`ufunc` over each range; meaningless where a range is empty."""
    padded = np.append(values, values[:1])  # reduceat takes no index past the end
    pairs = np.empty(2 * len(ranges.low), np.int64)
    pairs[0::2], pairs[1::2] = ranges.low, ranges.high
    return ufunc.reduceat(padded, pairs)[0::2] if len(pairs) else np.zeros(0)


def _where_any(values: npt.NDArray[np.generic], ranges: Ranges) -> pa.Array:
    return pa.array(values, mask=ranges.high <= ranges.low)


def _counts(table: ColumnTiles, ranges: Ranges) -> Ints:
    running = np.concatenate(([0], np.cumsum(table.n)))
    return running[ranges.high] - running[ranges.low]


def _count(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return pa.array(_counts(table, ranges))


def _sum(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return _where_any(_reduce(np.add, table.total, ranges), ranges)


def _mean(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return _where_any(_reduce(np.add, table.total, ranges) / np.maximum(_counts(table, ranges), 1), ranges)


def _min(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return _where_any(_reduce(np.minimum, table.low, ranges), ranges)


def _max(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return _where_any(_reduce(np.maximum, table.high, ranges), ranges)


def _last(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    return table.last.take(pa.array(ranges.high - 1, mask=ranges.high <= ranges.low))


def _std(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """Sample standard deviation; null below two values. Combines tiles as Chan, Golub & LeVeque (1979)."""
    n = _counts(table, ranges)
    means = table.total / table.n
    mean = _reduce(np.add, table.total, ranges) / np.maximum(n, 1)
    squares = _reduce(np.add, table.n * means * means, ranges)
    m2 = _reduce(np.add, table.m2, ranges) + squares - n * mean * mean
    doubtful = np.flatnonzero((n > 1) & (squares > _ILL_CONDITIONED * np.maximum(m2, 0)))
    for query, row, _ in _expanded(Ranges(ranges.low[doubtful], ranges.high[doubtful])):
        spread = means[row] - mean[doubtful][query]
        exact = np.bincount(query, table.m2[row] + table.n[row] * spread * spread, len(doubtful))
        found = np.unique(query)
        m2[doubtful[found]] = exact[found]
    variance = np.maximum(m2, 0) / np.maximum(n - 1, 1)
    return pa.array(np.sqrt(variance), mask=n < 2)


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


def _windows(table: ValueCounts, ranges: Ranges):  # type: ignore[no-untyped-def]  # a generator of _Windows
    encoded = table.value.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank_of = np.empty(len(order), np.int64)
    rank_of[order] = np.arange(len(order))
    ranks = rank_of[encoded.indices.to_numpy(zero_copy_only=False)]
    sampled = _is_sampled(table)
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


def _is_sampled(table: ValueCounts) -> bool:
    return bool(len(table.kept)) and bool(table.kept.min() < 1)


def _over(table: ValueCounts, ranges: Ranges) -> npt.NDArray[np.bool_]:
    """Whether a tile in a range left values out: what depends on how often each occurs is not known there."""
    if not _is_sampled(table):
        return np.zeros(len(ranges.low), np.bool_)
    running = np.concatenate(([0], np.cumsum(table.kept < 1)))
    return np.asarray(running[np.maximum(ranges.high, ranges.low)] > running[ranges.low])


def _unknown(table: ValueCounts, ranges: Ranges) -> npt.NDArray[np.bool_]:
    """The mask of queries without an exact answer: nothing is in their range, or not everything."""
    return np.asarray((ranges.high <= ranges.low) | _over(table, ranges))


def _sorted_values(table: ValueCounts) -> pa.Array:
    distinct = pc.unique(table.value)
    return distinct.take(pc.sort_indices(distinct))


def _distinct(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    answer = np.zeros(len(ranges.low), np.int64)
    for window in _windows(table, ranges):
        found = np.bincount(window.query, minlength=len(answer))
        some = np.flatnonzero(found)
        answer[some] = np.rint(found[some] / window.kept[some]).astype(np.int64)
    return _where_any(answer, ranges)


def _top(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    best = np.zeros(len(ranges.low), np.int64)
    for window in _windows(table, ranges):
        order = np.lexsort((window.rank, -window.times, window.query))
        first = np.flatnonzero(np.concatenate(([True], np.diff(window.query[order]) != 0)))
        best[window.query[order][first]] = window.rank[order][first]
    return _sorted_values(table).take(pa.array(best, mask=_unknown(table, ranges)))


def _quantile(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """Linear interpolation between the order statistics around (n - 1) * q (Hyndman & Fan 1996, definition 7)."""
    answer = np.zeros(len(ranges.low))
    numbers = _sorted_values(table).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    q = feature.q if feature.q is not None else 0.5
    for window in _windows(table, ranges):
        running = np.cumsum(window.times)
        first = np.flatnonzero(np.concatenate(([True], np.diff(window.query) != 0)))
        before = running[first] - window.times[first]
        n = np.append(running[first[1:] - 1], running[-1]) - before
        place = (n - 1) * q
        lower = np.floor(place).astype(np.int64)
        upper = np.minimum(lower + 1, n - 1)
        at_lower = numbers[window.rank[np.searchsorted(running, before + lower, side="right")]]
        at_upper = numbers[window.rank[np.searchsorted(running, before + upper, side="right")]]
        answer[window.query[first]] = _between(at_lower, at_upper, place - lower)
    return pa.array(answer, mask=_unknown(table, ranges))


def _between(low: Floats, high: Floats, share: Floats) -> Floats:
    """The number so far on the way from `low` to `high`, also where their distance is no finite number."""
    with np.errstate(over="ignore", invalid="ignore"):
        linear = low + (high - low) * share
    return np.where(np.isfinite(linear), linear, low * (1 - share) + high * share)


_AGGREGATES: dict[str, Callable[..., pa.Array]] = {
    "count": _count,
    "sum": _sum,
    "mean": _mean,
    "min": _min,
    "max": _max,
    "std": _std,
    "last": _last,
    "distinct": _distinct,
    "quantile": _quantile,
    "top": _top,
}
