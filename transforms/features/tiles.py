"""Tiles: partial aggregates of one key column's events, the state behind windowed features (docs/design.md §7).

A tile covers `[index * tile_us, (index + 1) * tile_us)` of event time for one key value. Its partials combine in any
grouping. Events are always summed in the order of (time, id), first into grains of a tile and then into the tile, so
that equal sets of events give equal bits, while a stream need not keep the events of a tile until the tile is over.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.expressions.evaluation import is_true
from schemas.job import FeatureSpec
from transforms.features.aggregates import AGGREGATES
from transforms.features.tile_tables import ColumnTiles, Floats, Ints, TileTables, ValueCounts, hash_fraction

ALL_EVENTS = ""  # the pseudo column of `count` without a column
KEY, VALUE = "key", "v:"  # columns of observations: the key, and the prefix of the values read
OBSERVED = (batches.EVENT_ID, batches.EVENT_TIME, batches.ROW, KEY)  # what every observation has
# A stream keeps raw events for at most this much event time, and at most this many partial aggregates make one.
_GRAIN_US = 5_000_000
_MOST_PARTS = 60


class Source(NamedTuple):
    """What tiles are made of: the values of a column, or of none all events, where a condition is true."""

    column: str | None
    where: str | None

    @property
    def name(self) -> str:
        """What it is called in tiles and in state; no event column is called so where there is a condition."""
        return (self.column or ALL_EVENTS) if self.where is None else f"{self.column or ALL_EVENTS}\twhere {self.where}"


def source_of(feature: FeatureSpec) -> Source:
    """What a feature's tiles are made of: features of equal columns and conditions share them."""
    return Source(feature.column, feature.where)


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What is kept for one key: its features, tile width, and the columns read, with what each of them needs.

    `grains_us` are the widths of the grains that make up a tile, finest first; each divides the next and the tile.
    """

    key: str | tuple[str, ...]
    features: tuple[FeatureSpec, ...]
    tile_us: int
    grains_us: tuple[int, ...]
    sources: tuple[Source, ...]
    holistic: frozenset[str]
    longest_us: int

    @property
    def widths_us(self) -> tuple[int, ...]:
        """The widths that events are summed to, one after the other: the grains' and the tile's."""
        return (*self.grains_us, self.tile_us)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(source.name for source in self.sources)

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The names of the sources in observations; `count` without a column and a condition needs none."""
        return tuple(VALUE + name for name in self.columns if name != ALL_EVENTS)


def plan_key(features: Sequence[FeatureSpec], key: str | tuple[str, ...]) -> KeyPlan:
    """The plan for the features of `key`; the tile is the greatest common divisor of their sizes and steps.

    Counts over 10 and 15 minutes, every 5 minutes, are made of tiles of 5 minutes, and those of grains of 5 seconds:

    >>> counts = [FeatureSpec(f"n_{m}m", "origin", None, "count", m * 60_000_000, 300_000_000) for m in (10, 15)]
    >>> plan = plan_key(counts, "origin")
    >>> plan.tile_us, plan.longest_us, plan.grains_us
    (300000000, 900000000, (5000000,))
    """
    own = tuple(feature for feature in features if feature.key == key)
    tile_us = math.gcd(*(value for feature in own for value in (feature.size_us, feature.every_us)))
    sources = tuple(dict.fromkeys(map(source_of, own)))
    holistic = frozenset(source_of(each).name for each in own if AGGREGATES[each.aggregate].holistic)
    longest_us = max(feature.size_us for feature in own)
    return KeyPlan(key, own, tile_us, _grains_us(tile_us), sources, holistic, longest_us)


def _grains_us(tile_us: int) -> tuple[int, ...]:
    """Widths below a tile's, in whole milliseconds, the resolution of some runners' timers: few steps, each with the
    fewest parts that lead to a grain that is short enough."""
    widths = [tile_us]
    while widths[0] > _GRAIN_US:
        divisors = [parts for parts in range(2, _MOST_PARTS + 1) if widths[0] % (parts * 1000) == 0]
        if not divisors:  # a width with large prime factors only is not divided
            break
        enough = [parts for parts in divisors if widths[0] // parts <= _GRAIN_US]
        widths.insert(0, widths[0] // (enough[0] if enough else divisors[-1]))
    return tuple(widths[:-1])


def observations(plan: KeyPlan, events: pa.RecordBatch) -> pa.RecordBatch:
    """What a key's features need of each event: id, time, row number, `key` as text (or null), `v:` columns."""
    arrays = [
        events.column(batches.EVENT_ID),
        events.column(batches.EVENT_TIME),
        events.column(batches.ROW),
        keys_of(events, plan.key),
        *_observed(plan, events),
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[*OBSERVED, *plan.value_columns])


def keys_of(events: pa.RecordBatch, key: str | tuple[str, ...]) -> pa.Array:
    """Each event's key as a text, null where a part of it is null; of no columns one key of all events.

    Different values have different texts: a bar between parts, and a backslash before bars and backslashes in them.

    >>> batch = pa.record_batch({"origin": ["JFK", "a|b", None], "carrier": ["B6", "c", "UA"]})
    >>> keys_of(batch, ("origin", "carrier")).to_pylist()
    ['JFK|B6', 'a\\\\|b|c', None]
    """
    if isinstance(key, str):
        return batches.as_texts(events.column(key))
    if not key:
        return pa.repeat(pa.scalar(""), events.num_rows)
    parts = [batches.as_texts(events.column(name)) for name in key]
    for sign in ("\\", "|"):
        parts = [pc.replace_substring(part, sign, f"\\{sign}") for part in parts]
    return pc.binary_join_element_wise(*parts, pa.scalar("|"), null_handling="emit_null")


def _observed(plan: KeyPlan, events: pa.RecordBatch) -> list[pa.Array]:
    """The values of each source but that of all events: null where its condition is not true."""
    conditions = dict.fromkeys(source.where for source in plan.sources if source.where is not None)
    true_for = {where: is_true(where, events) for where in conditions}
    found = []
    for source in plan.sources:
        if source.where is None:
            found += [] if source.column is None else [events.column(source.column)]
        else:
            values = pa.scalar(True) if source.column is None else events.column(source.column)
            found.append(pc.if_else(true_for[source.where], values, pa.scalar(None, values.type)))
    return found


def fold(plan: KeyPlan, rows: pa.RecordBatch, max_values: int) -> TileTables:
    """The tiles of `observations`; rows without a key belong to none."""
    # Counts, unlike sums, do not depend on the grouping.
    tables = _folded(plan, rows, plan.widths_us[0], plan.tile_us, max_values)
    tiles = tables.tiles
    for fine_us, coarse_us in pairwise(plan.widths_us):
        tiles = {name: _coarser(table, coarse_us // fine_us) for name, table in tiles.items()}
    return tables._replace(tiles=tiles)


def fold_grains(plan: KeyPlan, rows: pa.RecordBatch, max_values: int) -> TileTables | None:
    """The finest grains of `observations`, as tiles of that width; None where no row has a key and a value."""
    return _without_keys(_folded(plan, rows, plan.widths_us[0], plan.widths_us[0], max_values))


def coarsen(tables: TileTables, parts: int, max_values: int) -> TileTables:
    """Tables whose tiles are `parts` times as wide."""
    tiles = {name: _coarser(table, parts) for name, table in tables.tiles.items()}
    values = {
        name: _reduced_values(counts._replace(tile=counts.tile // parts), max_values)
        for name, counts in tables.values.items()
    }
    return TileTables(tables.keys, tiles, values)


def _coarser(table: ColumnTiles, parts: int) -> ColumnTiles:
    return _reduced(table._replace(tile=table.tile // parts))


def _folded(plan: KeyPlan, rows: pa.RecordBatch, tile_us: int, values_us: int, max_values: int) -> TileTables:
    """Rows as tiles of `tile_us` and counts of values in tiles of `values_us`."""
    rows = batches.take_rows(rows, rows.column(KEY).is_valid().to_numpy(zero_copy_only=False))
    encoded = rows.column(KEY).dictionary_encode()
    keys, codes = _sorted_codes(encoded)
    times = batches.times_us(rows)
    order = _canonical_order(codes, times, rows.column(batches.EVENT_ID))
    codes, times = codes[order], times[order]
    rows = batches.take_rows(rows.select([batches.EVENT_ID, *plan.value_columns]), order)
    tile_of = np.floor_divide(times, tile_us)
    tiles, values = {}, {}
    for column in plan.columns:
        present = rows.column(batches.EVENT_ID) if column == ALL_EVENTS else rows.column(VALUE + column)
        single = _singletons(codes, tile_of, times, rows.column(batches.EVENT_ID), present)
        tiles[column] = _reduced(single)
        if column in plan.holistic:
            ones = np.ones(len(single.code), np.int64)
            tile_of_value = single.tile // (values_us // tile_us)
            counts = ValueCounts(single.code, tile_of_value, single.last, ones, ones.astype(np.float64))
            values[column] = _reduced_values(counts, max_values)
    return TileTables(keys, tiles, values)


def _sorted_codes(encoded: pa.DictionaryArray) -> tuple[pa.Array, Ints]:
    """Distinct values in sorted order and each row's index among them (-1 for null)."""
    order = pc.sort_indices(encoded.dictionary)
    rank = np.empty(len(order) + 1, np.int64)
    rank[order.to_numpy()] = np.arange(len(order))
    rank[-1] = -1
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return encoded.dictionary.take(order), rank[codes]


def _canonical_order(codes: Ints, times: Ints, ids: pa.Array) -> Ints:
    """Row order by (code, time, id); ids are compared only where code and time are equal."""
    order = np.lexsort((times, codes))
    tied = (np.diff(codes[order]) == 0) & (np.diff(times[order]) == 0)
    if not tied.any():
        return order
    in_tie = np.concatenate(([False], tied)) | np.concatenate((tied, [False]))
    indexes = np.flatnonzero(in_tie)
    group = np.cumsum(np.concatenate(([True], ~tied)))[indexes]
    subset = pa.table({"group": group, "id": ids.take(pa.array(order[indexes]))})
    ranked = pc.sort_indices(subset, sort_keys=[("group", "ascending"), ("id", "ascending")]).to_numpy()
    order[indexes] = order[indexes][ranked]
    return order


def _singletons(codes: Ints, tile: Ints, times: Ints, ids: pa.Array, values: pa.Array) -> ColumnTiles:
    """Each non-null value as a tile of its own."""
    present = values.is_valid().to_numpy(zero_copy_only=False)
    if not present.all():
        rows = pa.array(np.flatnonzero(present))
        codes, tile, times = codes[present], tile[present], times[present]
        ids, values = ids.take(rows), values.take(rows)
    if pa.types.is_floating(values.type):
        values = pc.add(values, 0.0)  # -0.0 becomes 0.0: they are one value, but Arrow's dictionaries keep them apart
    numbers = _numbers(values)
    ones, zeros = np.ones(len(codes), np.int64), np.zeros(len(codes))
    return ColumnTiles(codes, tile, ones, numbers, zeros, numbers, numbers, values, times, ids)


def _numbers(values: pa.Array) -> Floats:
    if pa.types.is_string(values.type):
        return np.zeros(len(values))
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _group_starts(*sorted_columns: Ints) -> Ints:
    """Where a new group begins in columns that are sorted together."""
    if len(sorted_columns[0]) == 0:
        return np.zeros(0, np.int64)
    changed = np.zeros(len(sorted_columns[0]) - 1, np.bool_)
    for column in sorted_columns:
        changed |= np.diff(column) != 0
    return np.concatenate(([0], np.flatnonzero(changed) + 1))


def _reduced(entries: ColumnTiles) -> ColumnTiles:
    """Entries sorted by (code, tile, last_us, last_id) with those of equal (code, tile) combined.

    M2 combines as in Chan, Golub & LeVeque (1979): sum of M2 plus n_i * (mean_i - mean)^2.
    """
    starts = _group_starts(entries.code, entries.tile)
    if len(starts) == len(entries.code):
        return entries
    ends = np.append(starts[1:], len(entries.code)) - 1
    n = np.add.reduceat(entries.n, starts)
    total = np.add.reduceat(entries.total, starts)
    spread = entries.total / entries.n - np.repeat(total / n, np.diff(np.append(starts, len(entries.code))))
    m2 = np.add.reduceat(entries.m2 + entries.n * spread * spread, starts)
    low, high = np.minimum.reduceat(entries.low, starts), np.maximum.reduceat(entries.high, starts)
    rows = pa.array(ends)
    last, last_id = entries.last.take(rows), entries.last_id.take(rows)
    return ColumnTiles(
        entries.code[starts], entries.tile[starts], n, total, m2, low, high, last, entries.last_us[ends], last_id
    )


def _reduced_values(counts: ValueCounts, max_values: int) -> ValueCounts:
    """Counts of equal (code, tile, value) added, and every tile cut to `max_values` distinct values."""
    _, rank = _sorted_codes(counts.value.dictionary_encode())
    order = np.lexsort((rank, counts.tile, counts.code))
    code, tile, rank = counts.code[order], counts.tile[order], rank[order]
    starts = _group_starts(code, tile, rank)
    if len(starts) == 0:
        return counts
    added = np.add.reduceat(counts.times[order], starts)
    values = counts.value.take(pa.array(order[starts]))
    code, tile = code[starts], tile[starts]
    kept = np.minimum.reduceat(counts.kept[order], starts)
    bounds = _group_starts(code, tile)
    kept = np.repeat(np.minimum.reduceat(kept, bounds), np.diff(np.append(bounds, len(code))))
    reduced = ValueCounts(code, tile, values, added, kept)
    sizes = np.diff(np.append(bounds, len(code)))
    return reduced if sizes.max() <= max_values and kept.min() == 1 else _sampled(reduced, bounds, sizes, max_values)


def _sampled(counts: ValueCounts, bounds: Ints, sizes: Ints, max_values: int) -> ValueCounts:
    """Per tile the values whose hash is below its `kept`, or below the smaller bound that leaves `max_values` of
    them."""
    fraction, kept = hash_fraction(counts.value), counts.kept.copy()
    for start, size in zip(bounds.tolist(), sizes.tolist(), strict=True):
        if size > max_values:
            limit = float(np.partition(fraction[start : start + size], max_values)[max_values])
            kept[start : start + size] = min(limit, float(kept[start]))
    inside = fraction < kept
    rows = pa.array(np.flatnonzero(inside))
    return ValueCounts(
        counts.code[inside], counts.tile[inside], counts.value.take(rows), counts.times[inside], kept[inside]
    )


def merge(parts: Iterable[TileTables], max_values: int) -> TileTables | None:
    """Tables of the same plan merged into one; None for no tables."""
    tables = list(parts)
    if len(tables) < 2:
        return tables[0] if tables else None
    encoded = pa.concat_arrays([part.keys for part in tables]).dictionary_encode()
    keys, indexes = _sorted_codes(encoded)
    offsets = np.cumsum([0, *(len(part.keys) for part in tables)])
    remap = [indexes[a:b] for a, b in pairwise(offsets)]
    tiles = {name: _merged_tiles([part.tiles[name] for part in tables], remap) for name in tables[0].tiles}
    values = {
        name: _reduced_values(_joined([part.values[name] for part in tables], remap, ValueCounts), max_values)
        for name in tables[0].values
    }
    return TileTables(keys, tiles, values)


def _merged_tiles(parts: list[ColumnTiles], remap: list[Ints]) -> ColumnTiles:
    joined: ColumnTiles = _joined(parts, remap, ColumnTiles)
    order = np.lexsort((joined.last_us, joined.tile, joined.code))
    _, id_rank = _sorted_codes(joined.last_id.dictionary_encode())
    order = np.lexsort((id_rank, joined.last_us, joined.tile, joined.code))
    return _reduced(_taken(joined, order))


def _joined(parts: Sequence[Any], remap: list[Ints], kind: Any) -> Any:
    """Columns of several tables end to end, codes translated to the common keys."""
    columns = []
    for index, name in enumerate(kind._fields):
        pieces = [part[index] for part in parts]
        if name == "code":
            pieces = [codes[piece] for codes, piece in zip(remap, pieces, strict=True)]
        columns.append(pa.concat_arrays(pieces) if isinstance(pieces[0], pa.Array) else np.concatenate(pieces))
    return kind(*columns)


def _taken(table: Any, rows: Ints) -> Any:
    indexes = pa.array(rows)
    return type(table)(
        *(column.take(indexes) if isinstance(column, pa.Array) else column[rows] for column in table)
    )


def split_at(tables: TileTables, tile: int) -> tuple[TileTables | None, TileTables | None]:
    """The tiles whose index is below `tile`, and the others; None for none."""
    return _chosen(tables, lambda tiles: tiles < tile), expire(tables, tile)


def expire(tables: TileTables, first_tile: int) -> TileTables | None:
    """The tables without tiles whose index is below `first_tile`; None when nothing is left."""
    return _chosen(tables, lambda tiles: tiles >= first_tile)


def _chosen(tables: TileTables, chosen: Callable[[Ints], npt.NDArray[np.bool_]]) -> TileTables | None:
    tiles = {name: _taken(t, np.flatnonzero(chosen(t.tile))) for name, t in tables.tiles.items()}
    values = {name: _taken(v, np.flatnonzero(chosen(v.tile))) for name, v in tables.values.items()}
    return _without_keys(TileTables(tables.keys, tiles, values))


def _without_keys(tables: TileTables) -> TileTables | None:
    """The tables without keys that have no tile (a stream's keys come and go), None when there is none."""
    used = np.zeros(len(tables.keys), np.bool_)
    for table in tables.tiles.values():
        used[table.code] = True
    if used.all():
        return tables if len(used) else None
    if not used.any():
        return None
    index = np.cumsum(used) - 1
    tiles = {name: table._replace(code=index[table.code]) for name, table in tables.tiles.items()}
    values = {name: counts._replace(code=index[counts.code]) for name, counts in tables.values.items()}
    return TileTables(tables.keys.take(pa.array(np.flatnonzero(used))), tiles, values)
