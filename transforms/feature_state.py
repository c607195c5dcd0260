"""One shard of windowed features over time, without Beam: what arrives, what waits, what is known.

The watermark is known only through `advance`; an event's features are due once it has reached the event's T.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas import batches
from schemas.times import format_duration_us
from transforms.state import StateFormatMismatch
from transforms.tile_queries import evaluate
from transforms.tiles import OBSERVED, VALUE, Ints, KeyPlan, TileTables, expire, fold, merge

NEVER_US = -(2**62)
_ADVICE = "start without the savepoint, or give the new features a key column that had none"


@dataclass(slots=True)
class FeatureState:
    """State of one shard: observations that wait, those of open tiles, the closed tiles, the watermark known."""

    waiting: list[pa.RecordBatch] = field(default_factory=list)
    open_rows: list[pa.RecordBatch] = field(default_factory=list)
    tiles: TileTables | None = None
    watermark_us: int = NEVER_US


class Layout(NamedTuple):
    """What the numbers in a shard's state mean: the tiles' width, and by how many shards keys are spread."""

    tile_us: int
    shards: int


def check_fits(plan: KeyPlan, state: FeatureState, stored: Layout, layout: Layout) -> None:
    """Drops what the state holds of columns that no feature reads any more.

    Raises:
        StateFormatMismatch: the state means something else to this job's features, or lacks a column of theirs.
    """
    if stored != layout:
        raise StateFormatMismatch(
            f"features of {plan.key}: state has tiles of {format_duration_us(stored.tile_us)} in {stored.shards} "
            f"shards, this job makes tiles of {format_duration_us(layout.tile_us)} in {layout.shards}; {_ADVICE}"
        )
    names = [*OBSERVED, *plan.value_columns]
    for rows in (*state.waiting, *state.open_rows):
        _check_columns(plan, names, rows.schema.names)
    state.waiting = [rows.select(names) for rows in state.waiting]
    state.open_rows = [rows.select(names) for rows in state.open_rows]
    if state.tiles is not None:
        _check_columns(plan, plan.columns, state.tiles.tiles)
        _check_columns(plan, plan.holistic, state.tiles.values)
        tiles = {name: state.tiles.tiles[name] for name in plan.columns}
        values = {name: state.tiles.values[name] for name in plan.columns if name in plan.holistic}
        state.tiles = TileTables(state.tiles.keys, tiles, values)


def _check_columns(plan: KeyPlan, wanted: Iterable[str], held: Iterable[str]) -> None:
    missing = sorted(set(wanted) - set(held))
    if missing:
        columns = ", ".join(name.removeprefix(VALUE) or "every event" for name in missing)
        raise StateFormatMismatch(
            f"features of {plan.key}: state from before the job was changed has nothing of {columns}; {_ADVICE}"
        )


def ready_times(plan: KeyPlan, times_us: Ints) -> Ints:
    """The latest T of the plan's features for each event time: when its features are complete."""
    steps = {feature.every_us for feature in plan.features}
    latest: Ints = np.maximum.reduce([np.floor_divide(times_us, step) * step for step in sorted(steps)])
    return latest


def features_of(plan: KeyPlan, tiles: TileTables | None, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Row number, time and the plan's features of `observations`, from the tiles given."""
    names = [batches.ROW, batches.EVENT_TIME]
    arrays = [*(rows.column(name) for name in names), *evaluate(plan, tiles, rows)]
    return pa.RecordBatch.from_arrays(arrays, names=[*names, *(feature.name for feature in plan.features)])


def advance(
    plan: KeyPlan, state: FeatureState, watermark_us: int, lateness_us: int, max_values: int
) -> tuple[pa.RecordBatch | None, int]:
    """The watermark has reached `watermark_us`: features of the events that are due, and how many rows were too late.

    Tiles close when the watermark passes their end; later rows amend them until the end of their tile plus the
    longest size plus `lateness_us`; rows later than that change nothing and are counted.
    """
    # What was already useless before this advance decides what is too late: after a leap of the watermark the events
    # that waited for it still need their tiles.
    first_kept, moved = _first_kept_tile(plan, state.watermark_us, lateness_us), watermark_us > state.watermark_us
    state.watermark_us = max(state.watermark_us, watermark_us)
    expired = _close_tiles(plan, state, first_kept, max_values)
    due = _take_due(plan, state)
    featured = None if due is None else features_of(plan, state.tiles, due)
    if moved and state.tiles is not None:
        state.tiles = expire(state.tiles, _first_kept_tile(plan, state.watermark_us, lateness_us))
    return featured, expired


def _first_kept_tile(plan: KeyPlan, watermark_us: int, lateness_us: int) -> int:
    return (watermark_us - plan.longest_us - lateness_us) // plan.tile_us


def _take_due(plan: KeyPlan, state: FeatureState) -> pa.RecordBatch | None:
    if not state.waiting:
        return None
    waiting = batches.concat_batches(state.waiting)
    due = ready_times(plan, batches.times_us(waiting)) <= state.watermark_us
    state.waiting = [] if due.all() else [batches.take_rows(waiting, ~due)]
    return batches.take_rows(waiting, due) if due.any() else None


def _close_tiles(plan: KeyPlan, state: FeatureState, first_kept: int, max_values: int) -> int:
    """Folds the rows of tiles that the watermark has passed; returns how many rows came too late for that."""
    if not state.open_rows:
        return 0
    rows = batches.concat_batches(state.open_rows)
    tile = np.floor_divide(batches.times_us(rows), plan.tile_us)
    closed = (tile + 1) * plan.tile_us <= state.watermark_us
    kept = closed & (tile >= first_kept)
    state.open_rows = [] if closed.all() else [batches.take_rows(rows, ~closed)]
    if kept.any():
        fresh = fold(plan, batches.take_rows(rows, kept), max_values)
        state.tiles = fresh if state.tiles is None else merge([state.tiles, fresh], max_values)
    return int(np.count_nonzero(closed & ~kept))


def next_due(plan: KeyPlan, state: FeatureState) -> tuple[int, int] | None:
    """The earliest and the latest T of the waiting events in microseconds; None if none waits."""
    if not state.waiting:
        return None
    times = np.concatenate([ready_times(plan, batches.times_us(batch)) for batch in state.waiting])
    return int(times.min()), int(times.max())


def forgotten_at(plan: KeyPlan, state: FeatureState, lateness_us: int) -> int | None:
    """When the watermark makes all of the state useless, in microseconds; None for an empty state."""
    times = [int(batches.times_us(rows).max()) for rows in state.open_rows if rows.num_rows]
    ends = [time // plan.tile_us * plan.tile_us for time in times]
    if state.tiles is not None:
        ends += [int(t.tile.max()) * plan.tile_us for t in state.tiles.tiles.values() if len(t.tile)]
    return max(ends) + plan.tile_us + plan.longest_us + lateness_us if ends else None
