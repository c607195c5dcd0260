"""Windowed features from tiles: the aggregate over `[T - size, T)` for many (key, T) at once (docs/design.md §7)."""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.job import FeatureSpec
from transforms.features.added_aggregates import aggregate_of
from transforms.features.aggregates import is_sampled, over
from transforms.features.key_plans import KEY, VALUE, Kept, KeyPlan, kept_for, source_of
from transforms.features.tile_tables import ColumnTiles, Ints, Ranges, TileTables, ValueCounts

_T = TypeVar("_T", bound=Hashable)


def evaluate(
    plan: KeyPlan, tables: TileTables | None, rows: pa.RecordBatch, first_tile: int | None = None
) -> list[pa.Array]:
    """The plan's features for `observations`, shape (n,) each, in plan order; rows without a key have no history.

    Tiles before `first_tile` are one, that of all before it: a window that begins with the first event and ends before
    `first_tile` has no answer, since that one holds more.
    """
    codes, times_us = _codes(tables, rows), batches.times_us(rows)
    found: dict[str, pa.Array] = {}
    for every_us, stepping in _grouped(plan.features, lambda feature: feature.every_us):
        queries = _queries(codes, times_us, every_us)
        # Features of equal tables and windows share where those are: to look for them costs as much as most answers.
        for (kept, _), alike in _grouped(stepping, lambda feature: (kept_for(feature), feature.size_us)):
            found |= _answers(plan, tables, kept, alike, queries, rows, first_tile)
    return [found[feature.name] for feature in plan.features]


def _grouped(
    features: Iterable[FeatureSpec], of: Callable[[FeatureSpec], _T]
) -> Iterable[tuple[_T, list[FeatureSpec]]]:
    groups: dict[_T, list[FeatureSpec]] = {}
    for feature in features:
        groups.setdefault(of(feature), []).append(feature)
    return groups.items()


def _codes(tables: TileTables | None, rows: pa.RecordBatch) -> Ints:
    """Each row's key as its index among the tables' keys, -1 for one that has no tiles."""
    if tables is None or not len(tables.keys):
        return np.full(rows.num_rows, -1, np.int64)
    found = pc.fill_null(pc.index_in(rows.column(KEY), value_set=tables.keys), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def over_limit(plan: KeyPlan, tables: TileTables | None, rows: pa.RecordBatch) -> dict[str, int]:
    """For how many of the `observations` a feature is null because a tile of its window has too many distinct
    values."""
    values = {} if tables is None else tables.values
    sampled = {name for name, counts in values.items() if is_sampled(counts)}
    found: dict[str, int] = {}
    if not sampled:
        return found
    codes, times_us = _codes(tables, rows), batches.times_us(rows)
    for feature in plan.features:
        source = source_of(feature).name
        if not aggregate_of(feature.aggregate).exact_only or source not in sampled:
            continue
        queries, table = _queries(codes, times_us, feature.every_us), values[source]
        unknown = over(table, _own_ranges(plan, table, queries, feature, None))
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
    """Whether each pair of a code (-1 or more) and a number below `span` fits into one int64.

    Where times lie far apart they may not; the ranks of the times always do, since codes and ranks are both fewer than
    the rows in memory.
    """
    return (int(codes.max(initial=0)) + 2) * span < 2**63


def _answers(
    plan: KeyPlan,
    tables: TileTables | None,
    kept: Kept,
    features: list[FeatureSpec],
    queries: Queries,
    rows: pa.RecordBatch,
    first_tile: int | None,
) -> dict[str, pa.Array]:
    """Features of one table whose windows are the same."""
    types = {each.name: _type_of(each, rows) for each in features}
    table = None if tables is None else (tables.values if kept.in_values else tables.tiles)[kept.name]
    if table is None or not len(table.code):
        number = len(queries.event)
        return {each.name: aggregate_of(each.aggregate).of_none(number, types[each.name]) for each in features}
    ranges = _own_ranges(plan, table, queries, features[0], first_tile)
    event, known = pa.array(queries.event), None
    if kept.lasting and first_tile is not None:
        known = pa.array(ranges.end_us >= first_tile * plan.tile_us)
    found = {}
    for each in features:
        aggregate = aggregate_of(each.aggregate)
        answer = aggregate.of(table, ranges, each)
        answer = answer if known is None else pc.if_else(known, answer, pa.scalar(None, answer.type))
        if aggregate.since:
            found[each.name] = _seconds_since(answer.take(event), batches.times_us(rows))
        else:
            found[each.name] = answer.cast(types[each.name]).take(event)
    return found


def _type_of(feature: FeatureSpec, rows: pa.RecordBatch) -> pa.DataType:
    column = None if feature.column is None else rows.schema.field(VALUE + source_of(feature).name).type
    return aggregate_of(feature.aggregate).arrow_type(column)


def _seconds_since(moments_us: pa.Array, times_us: Ints) -> pa.Array:
    """How long before each event's time a moment is: the difference is exact, and rounded once."""
    return pc.divide(pc.subtract(pa.array(times_us), moments_us).cast(pa.float64(), safe=False), 1e6)


def _own_ranges(
    plan: KeyPlan,
    table: ColumnTiles | ValueCounts,
    queries: Queries,
    feature: FeatureSpec,
    first_tile: int | None,
) -> Ranges:
    """The rows of `table` in the feature's window of each query."""
    end = queries.step * (feature.every_us // plan.tile_us)
    if feature.size_us is None:
        begin = np.minimum(int(table.tile.min()), end)
    else:
        begin = end - feature.size_us // plan.tile_us
        begin = begin if first_tile is None else np.minimum(np.maximum(begin, first_tile), end)
    low, high = _rows_between(table, queries.code, begin, end)
    return Ranges(low, high, queries.step * feature.every_us, plan.tile_us)


def _rows_between(table: ColumnTiles | ValueCounts, code: Ints, begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The rows of `table` in tiles [begin, end) of each code; unknown codes (below 0) get empty ranges."""
    tile = table.tile
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
    return low, np.where(code < 0, low, high)
