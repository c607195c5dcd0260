"""One shard of windowed features over time, without Beam: arriving rows, waiting rows, and aggregates.

The watermark is known only through `advance`; an event's features are due once the watermark has reached the event's T.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas import batches
from schemas.times import format_duration_us
from transforms.features import waiting as waits
from transforms.features.key_plans import OBSERVED, VALUE, KeyPlan
from transforms.features.tile_queries import evaluate, over_limit
from transforms.features.tile_tables import Ints, TileTables
from transforms.features.tiles import coarsen, collapse, fold_grains, merge, split_at
from transforms.flow.state import StateFormatMismatch

NEVER_US = -(2**62)
_ADVICE = "next: start without the savepoint, or give the new features a key column that had none"


class Grains(NamedTuple):
    """Completed parts of open tiles, as tiles of the width `KeyPlan.widths_us[level]`."""

    level: int
    tables: TileTables


@dataclass(slots=True)
class FeatureState:
    """State of one shard: waiting observations, observations of open grains, closed grains of open tiles, closed tiles,
    and the known watermark."""

    waiting: list[pa.RecordBatch] = field(default_factory=list)
    open_rows: list[pa.RecordBatch] = field(default_factory=list)
    grains: list[Grains] = field(default_factory=list)
    tiles: TileTables | None = None
    watermark_us: int = NEVER_US


class Layout(NamedTuple):
    """What the numbers in a shard's state mean: the tiles' width, and over how many shards keys are spread."""

    tile_us: int
    shards: int


def check_fits(plan: KeyPlan, state: FeatureState, stored: Layout, layout: Layout) -> None:
    """Drops the columns of the state that no feature reads any more.

    Raises:
        StateFormatMismatch: the state was made with another layout, or lacks a column that this job's features need.
    """
    if stored != layout:
        raise StateFormatMismatch(
            f"features of {plan.key}: state has tiles of {format_duration_us(stored.tile_us)} in {stored.shards} "
            f"shards, this job makes tiles of {format_duration_us(layout.tile_us)} in {layout.shards}; {_ADVICE}"
        )
    names = [*OBSERVED, *plan.value_columns]
    for rows in (*state.waiting, *state.open_rows):
        _check_columns(plan, names, rows.schema.names)
    state.waiting = [_only(rows, names) for rows in state.waiting]
    state.open_rows = [_only(rows, names) for rows in state.open_rows]
    for index, grains in enumerate(state.grains):
        fitting = _fitting(plan, grains.tables)
        if fitting is not grains.tables:
            state.grains[index] = Grains(grains.level, fitting)
    if state.tiles is not None:
        state.tiles = _fitting(plan, state.tiles)


def _only(rows: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    return rows if rows.schema.names == names else rows.select(names)


def _fitting(plan: KeyPlan, tables: TileTables) -> TileTables:
    _check_columns(plan, plan.tile_names, tables.tiles)
    _check_columns(plan, plan.value_names, tables.values)
    if tuple(tables.tiles) == plan.tile_names and tuple(tables.values) == plan.value_names:
        return tables
    tiles = {name: tables.tiles[name] for name in plan.tile_names}
    values = {name: tables.values[name] for name in plan.value_names}
    return TileTables(tables.keys, tiles, values)


def _check_columns(plan: KeyPlan, wanted: Iterable[str], held: Iterable[str]) -> None:
    missing = sorted(set(wanted) - set(held))
    if missing:
        columns = ", ".join(name.removeprefix(VALUE).replace("\t", " ") or "every event" for name in missing)
        raise StateFormatMismatch(
            f"features of {plan.key}: state from before the job was changed has nothing of {columns}; {_ADVICE}"
        )


def ready_times(plan: KeyPlan, times_us: Ints) -> Ints:
    """The latest T of the plan's features for each event time: when its features are complete."""
    return waits.ready_times({feature.every_us for feature in plan.features}, times_us)


def features_of(
    plan: KeyPlan, tiles: TileTables | None, rows: pa.RecordBatch, first_tile: int | None = None
) -> pa.RecordBatch:
    """Row number, time and the plan's features of `observations`, from the tiles given; those before `first_tile` are
    one."""
    names = [batches.ROW, batches.EVENT_TIME]
    arrays = [*(rows.column(name) for name in names), *evaluate(plan, tiles, rows, first_tile)]
    return pa.RecordBatch.from_arrays(arrays, names=[*names, *(feature.name for feature in plan.features)])


class Advanced(NamedTuple):
    """The features of the events that were due (None for no event), how many rows were too late for their tile, and
    of how many events a feature is null because a tile has too many distinct values."""

    featured: pa.RecordBatch | None
    expired: int
    over_limit: dict[str, int]


def advance(plan: KeyPlan, state: FeatureState, watermark_us: int, lateness_us: int, max_values: int) -> Advanced:
    """Advances the watermark to `watermark_us` and returns what is due.

    Tiles close when the watermark passes their end; later rows amend them until the end of their tile plus the
    longest size plus `lateness_us`; rows later than that change nothing and are counted.
    """
    # Only what was useless before this advance is too late: after a jump of the watermark the events that waited for it
    # still need their tiles.
    first_kept = _first_kept_tile(plan, state.watermark_us, lateness_us)
    state.watermark_us = max(state.watermark_us, watermark_us)
    expired = _close_grains(plan, state, first_kept, max_values)
    _close_tiles(plan, state, max_values)
    due = _take_due(plan, state)
    featured = None if due is None else features_of(plan, state.tiles, due, first_kept if plan.lasting else None)
    over = {} if due is None else over_limit(plan, state.tiles, due)
    now_kept = _first_kept_tile(plan, state.watermark_us, lateness_us)
    if now_kept > first_kept and state.tiles is not None:
        state.tiles = collapse(state.tiles, now_kept, plan.lasting)
    return Advanced(featured, expired, over)


def has_moved_on(plan: KeyPlan, before_us: int, watermark_us: int, lateness_us: int) -> bool:
    """Whether a watermark makes more events due or too late than `before_us` did."""
    first_kept = [_first_kept_tile(plan, at_us, lateness_us) for at_us in (before_us, watermark_us)]
    return first_kept[0] < first_kept[1] or before_us // plan.tile_us < watermark_us // plan.tile_us


def _first_kept_tile(plan: KeyPlan, watermark_us: int, lateness_us: int) -> int:
    return (watermark_us - plan.longest_us - lateness_us) // plan.tile_us


def _take_due(plan: KeyPlan, state: FeatureState) -> pa.RecordBatch | None:
    if not state.waiting:
        return None
    waiting = batches.concat_batches(state.waiting)
    due = is_served(plan, waiting, state.watermark_us)
    state.waiting = [] if due.all() else [batches.take_rows(waiting, ~due)]
    return batches.take_rows(waiting, due) if due.any() else None


def _close_grains(plan: KeyPlan, state: FeatureState, first_kept: int, max_values: int) -> int:
    """Folds the rows of grains that the watermark has passed; returns how many rows arrived too late to be folded."""
    if not state.open_rows:
        return 0
    rows = batches.concat_batches(state.open_rows)
    times_us, grain_us = batches.times_us(rows), plan.widths_us[0]
    closed = (np.floor_divide(times_us, grain_us) + 1) * grain_us <= state.watermark_us
    if not closed.any():
        return 0
    kept = closed & (np.floor_divide(times_us, plan.tile_us) >= first_kept)
    state.open_rows = [] if closed.all() else [batches.take_rows(rows, ~closed)]
    fresh = fold_grains(plan, batches.take_rows(rows, kept), max_values) if kept.any() else None
    if fresh is not None:
        state.grains.append(Grains(0, fresh))
    return int(np.count_nonzero(closed & ~kept))


def _close_tiles(plan: KeyPlan, state: FeatureState, max_values: int) -> None:
    """Combines grains that the watermark has passed into the next coarser ones, and finally into tiles."""
    for level, (fine_us, coarse_us) in enumerate(pairwise(plan.widths_us)):
        parts = coarse_us // fine_us
        first_open = state.watermark_us // coarse_us * parts
        own = [grains.tables for grains in state.grains if grains.level == level]
        whole = merge(own, max_values) if any(_first_tile(tables) < first_open for tables in own) else None
        if whole is None:
            continue
        closed, rest = split_at(whole, first_open)
        state.grains = [grains for grains in state.grains if grains.level != level]
        state.grains += [] if rest is None else [Grains(level, rest)]
        state.grains += [] if closed is None else [Grains(level + 1, coarsen(closed, parts, max_values))]
    tiles = [grains.tables for grains in state.grains if grains.level == len(plan.grains_us)]
    if tiles:
        state.grains = [grains for grains in state.grains if grains.level < len(plan.grains_us)]
        state.tiles = merge([*([] if state.tiles is None else [state.tiles]), *tiles], max_values)


def _first_tile(tables: TileTables) -> int:
    return min(int(table.tile.min()) for table in tables.tiles.values() if len(table.tile))


def is_served(plan: KeyPlan, rows: pa.RecordBatch, watermark_us: int) -> npt.NDArray[np.bool_]:
    """Which rows no longer wait."""
    return ready_times(plan, batches.times_us(rows)) <= watermark_us


def folds_at(plan: KeyPlan, rows: pa.RecordBatch) -> int:
    """When the last grain of open rows is over, in microseconds."""
    grain_us = plan.widths_us[0]
    return (int(batches.times_us(rows).max()) // grain_us + 1) * grain_us


def forgotten_at(plan: KeyPlan, state: FeatureState, lateness_us: int) -> int | None:
    """The watermark from which on all of the state is useless, in microseconds; None for an empty state, and where it
    is never useless."""
    if plan.lasting:
        return None
    times = [int(batches.times_us(rows).max()) for rows in state.open_rows if rows.num_rows]
    held = [*state.grains, *([] if state.tiles is None else [Grains(len(plan.grains_us), state.tiles)])]
    for level, tables in held:
        times += [int(t.tile.max()) * plan.widths_us[level] for t in tables.tiles.values() if len(t.tile)]
    return max(times) // plan.tile_us * plan.tile_us + plan.tile_us + plan.longest_us + lateness_us if times else None
