"""Tiles: partial aggregates of one key column's events, the state behind windowed features (docs/design.md §7).

A tile covers `[index * tile_us, (index + 1) * tile_us)` of event time for one key value. Its partials combine in any
order and grouping, and equal sets of events give equal bits: so a stream need not keep the events of a tile until the
tile is over, and one that comes late is added as if it had been in time.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from transforms.features.key_plans import ALL_EVENTS, KEY, VALUE, Kept, KeyPlan
from transforms.features.sums.exact_aggregates import terms_of
from transforms.features.sums.exact_sums import reduced_sums, sums_of
from transforms.features.sums.totals import Totals, joined_totals, regrouped, totals_of
from transforms.features.tile_tables import (
    FIRST,
    ColumnTiles,
    Floats,
    Ints,
    TileTables,
    ValueCounts,
    group_starts,
    hash_fraction,
    is_sums,
)


def fold(plan: KeyPlan, rows: pa.RecordBatch, max_values: int) -> TileTables:
    """The tiles of `observations`; rows without a key belong to none."""
    return _folded(plan, rows, plan.tile_us, max_values)


def fold_grains(plan: KeyPlan, rows: pa.RecordBatch, max_values: int) -> TileTables | None:
    """The finest grains of `observations`, as tiles of that width; None where no row has a key and a value."""
    return _without_keys(_folded(plan, rows, plan.widths_us[0], max_values))


def coarsen(tables: TileTables, parts: int, max_values: int) -> TileTables:
    """Tables whose tiles are `parts` times as wide."""
    tiles = {name: _coarser(name, table, parts) for name, table in tables.tiles.items()}
    values = {
        name: _reduced_values(name, counts._replace(tile=counts.tile // parts), max_values)
        for name, counts in tables.values.items()
    }
    return TileTables(tables.keys, tiles, values)


def _coarser(name: str, table: ColumnTiles, parts: int) -> ColumnTiles:
    return _wider(name, table._replace(tile=table.tile // parts))


def _wider(name: str, wider: ColumnTiles) -> ColumnTiles:
    """Tiles of which several may have the same index now."""
    if name.endswith(FIRST):  # the order within a tile is that of `last_us`, which falls with time there
        wider = _taken(wider, np.lexsort((wider.last_us, wider.tile, wider.code)))
    return _reduced(wider)


class _Single(NamedTuple):
    """Values one by one, sorted by (code, tile, time, id); `numbers` are the values as numbers."""

    code: Ints
    tile: Ints
    numbers: Floats
    values: pa.Array
    times_us: Ints
    ids: pa.Array


def _folded(plan: KeyPlan, rows: pa.RecordBatch, tile_us: int, max_values: int) -> TileTables:
    """Rows as tiles of `tile_us`."""
    rows = batches.take_rows(rows, rows.column(KEY).is_valid().to_numpy(zero_copy_only=False))
    encoded = rows.column(KEY).dictionary_encode()
    keys, codes = _sorted_codes(encoded)
    times = batches.times_us(rows)
    order = _canonical_order(codes, times, rows.column(batches.EVENT_ID))
    codes, times = codes[order], times[order]
    rows = batches.take_rows(rows.select([batches.EVENT_ID, *plan.value_columns]), order)
    tile_of = np.floor_divide(times, tile_us)
    ids = rows.column(batches.EVENT_ID)
    tiles, values, singles = {}, {}, {}
    for source in plan.sources:
        present = ids if source.name == ALL_EVENTS else rows.column(VALUE + source.name)
        singles[source] = _singles(codes, tile_of, times, ids, present)
    for kept in plan.kept:
        single = singles[kept.source]
        if kept.in_values:
            values[kept.name] = _values_of(kept, single, max_values)
        else:
            tiles[kept.name] = _tiles(single) if kept.form == "tiles" else _first_tiles(single)
    return TileTables(keys, tiles, values)


def _tiles(single: _Single) -> ColumnTiles:
    starts = group_starts(single.code, single.tile)
    ends = np.append(starts, len(single.code))[1:] - 1
    rows, numbers = pa.array(ends), single.numbers
    return ColumnTiles(
        single.code[starts],
        single.tile[starts],
        np.diff(starts, append=len(single.code)),
        *totals_of(numbers, starts),
        _least(np.minimum, numbers, starts),
        _least(np.maximum, numbers, starts),
        single.values.take(rows),
        single.times_us[ends],
        single.ids.take(rows),
    )


def _first_tiles(single: _Single) -> ColumnTiles:
    """Tiles in which the earliest value is the last; nothing else is asked of them."""
    order = np.lexsort((-single.times_us, single.tile, single.code))
    turned: _Single = _taken(single._replace(times_us=-single.times_us), order)
    return _tiles(turned._replace(numbers=np.zeros(len(order))))


def _values_of(kept: Kept, single: _Single, max_values: int) -> ValueCounts:
    """The counts or sums of single values."""
    if kept.form != "counts":
        return sums_of(single.code, single.tile, terms_of(kept.half_life_us, single.numbers, single.times_us))
    ones = np.ones(len(single.code), np.int64)
    counts = ValueCounts(single.code, single.tile, single.values, ones, ones.astype(np.float64))
    return _reduced_values(kept.name, counts, max_values)


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


def _singles(codes: Ints, tile: Ints, times: Ints, ids: pa.Array, values: pa.Array) -> _Single:
    """The values that are not null."""
    present = values.is_valid().to_numpy(zero_copy_only=False)
    if not present.all():
        rows = pa.array(np.flatnonzero(present))
        codes, tile, times = codes[present], tile[present], times[present]
        ids, values = ids.take(rows), values.take(rows)
    if pa.types.is_floating(values.type):
        values = pc.add(values, 0.0)  # -0.0 becomes 0.0: they are one value, but Arrow's dictionaries keep them apart
    return _Single(codes, tile, _numbers(values), values, times, ids)


def _numbers(values: pa.Array) -> Floats:
    if pa.types.is_string(values.type):
        return np.zeros(len(values))
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _least(ufunc: np.ufunc, numbers: Floats, starts: Ints) -> Floats:
    found: Floats = ufunc.reduceat(numbers, starts) if len(starts) else numbers
    return found


def _reduced(entries: ColumnTiles) -> ColumnTiles:
    """Entries sorted by (code, tile, last_us, last_id) with those of equal (code, tile) combined."""
    starts = group_starts(entries.code, entries.tile)
    if len(starts) == len(entries.code):
        return entries
    ends = np.append(starts[1:], len(entries.code)) - 1
    rows = pa.array(ends)
    return ColumnTiles(
        entries.code[starts],
        entries.tile[starts],
        np.add.reduceat(entries.n, starts),
        regrouped(entries.total, starts),
        regrouped(entries.squares, starts),
        np.minimum.reduceat(entries.low, starts),
        np.maximum.reduceat(entries.high, starts),
        entries.last.take(rows),
        entries.last_us[ends],
        entries.last_id.take(rows),
    )


def _reduced_values(name: str, counts: ValueCounts, max_values: int) -> ValueCounts:
    """Counts of equal (code, tile, value) added, and every tile cut to `max_values` distinct values; sums are never
    cut."""
    if is_sums(name):
        return reduced_sums(counts)
    _, rank = _sorted_codes(counts.value.dictionary_encode())
    order = np.lexsort((rank, counts.tile, counts.code))
    code, tile, rank = counts.code[order], counts.tile[order], rank[order]
    starts = group_starts(code, tile, rank)
    if len(starts) == 0:
        return counts
    added = np.add.reduceat(counts.times[order], starts)
    values = counts.value.take(pa.array(order[starts]))
    code, tile = code[starts], tile[starts]
    kept = np.minimum.reduceat(counts.kept[order], starts)
    bounds = group_starts(code, tile)
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
        name: _reduced_values(name, _joined([part.values[name] for part in tables], remap, ValueCounts), max_values)
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
        columns.append(_end_to_end(pieces))
    return kind(*columns)


def _end_to_end(pieces: list[Any]) -> Any:
    if isinstance(pieces[0], Totals):
        return joined_totals(pieces)
    return pa.concat_arrays(pieces) if isinstance(pieces[0], pa.Array) else np.concatenate(pieces)


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


def collapse(tables: TileTables, first_tile: int, lasting: frozenset[str]) -> TileTables | None:
    """The tables without tiles whose index is below `first_tile`; in those that last they become the one before it."""
    if not lasting:
        return expire(tables, first_tile)
    tiles = {name: _old_as_one(name, table, first_tile, lasting) for name, table in tables.tiles.items()}
    values = {
        name: _reduced_values(name, counts._replace(tile=np.maximum(counts.tile, first_tile - 1)), 0)
        if name in lasting
        else _taken(counts, np.flatnonzero(counts.tile >= first_tile))
        for name, counts in tables.values.items()
    }
    return _without_keys(TileTables(tables.keys, tiles, values))


def _old_as_one(name: str, table: ColumnTiles, first_tile: int, lasting: frozenset[str]) -> ColumnTiles:
    if name not in lasting:
        kept: ColumnTiles = _taken(table, np.flatnonzero(table.tile >= first_tile))
        return kept
    return _wider(name, table._replace(tile=np.maximum(table.tile, first_tile - 1)))


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
