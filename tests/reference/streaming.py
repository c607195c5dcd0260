"""What a stream must compute when events arrive out of order: the slow and obvious way, as in `reference.py`.

Events arrive in batches. A batch arrives as a whole: its events know each other. The watermark rests while a
batch arrives, and rises only between batches; after the last batch it rises to the end of time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tests.reference.reference import (
    AFTER_ALL,
    BEFORE_ALL,
    Duration,
    Int64s,
    Times,
    Window,
    aggregate_at,
    as_series,
    histories,
    microseconds,
    of_nothing,
    span_us,
)


def watermarks_of(
    event_times_in_arrival_order: Times, bound: Duration, batch_sizes: Sequence[int]
) -> list[int]:
    """The watermark (microseconds) that each batch meets: greatest event time of earlier batches − bound.

    The first batch meets −2⁶², before all events. Raises ValueError where the sizes do not add up.
    """
    times, late_by = microseconds(event_times_in_arrival_order), span_us(bound)
    if sum(batch_sizes) != len(times):
        raise ValueError(f"batches hold {sum(batch_sizes)} events, there are {len(times)}")
    starts = np.cumsum([0, *batch_sizes])[:-1]
    return [int(times[:start].max()) - late_by if start else BEFORE_ALL for start in starts]


def behind_watermark(
    event_times_in_arrival_order: Times, bound: Duration, batch_sizes: Sequence[int]
) -> list[bool]:
    """Whether each event, in arrival order, is earlier than the watermark that its batch meets."""
    times = microseconds(event_times_in_arrival_order)
    watermarks = watermarks_of(event_times_in_arrival_order, bound, batch_sizes)
    return [bool(behind) for behind in times < np.repeat(watermarks, batch_sizes)]


def streaming_feature(
    batches: Sequence[pd.DataFrame],
    watermarks: Sequence[int],
    *,
    key: str,
    column: str | None,
    aggregate: str,
    size: Duration,
    every: Duration,
    allowed_lateness: Duration,
    q: float | None = None,
    half_life_us: int | None = None,
    time: str = "departed_at",
    id: str = "id",
    kept_for: Duration | None = None,
) -> pd.Series:
    """docs/design.md §7 with late data: one value per event, in arrival order, on the joined index of the batches.

    `watermarks` (microseconds, never falling) are those that the batches meet. T is `windowed_feature`'s:
    - An event whose T is above the watermark waits until it reaches T, and sees all that has arrived by then.
    - Others are scored at once: they see what has arrived, their own batch included, in tiles still kept.
    - A tile [s, s + every) is kept while s + every + kept_for + allowed lateness > watermark. An event that
      arrives later than that is added to nothing. `kept_for` is `size`, unless larger windows keep the tiles.
    Raises ValueError where watermarks fall, or `size` is not a multiple of `every` (tiles would be cut).
    """
    size_us, every_us = span_us(size), span_us(every)
    if size_us % every_us:
        raise ValueError(f"size {size} must be a multiple of every {every}")
    events, met = pd.concat(batches), _never_falling([*watermarks, AFTER_ALL])
    batch_of = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])
    keep = span_us(allowed_lateness) + span_us(size if kept_for is None else kept_for)
    values: list[Any] = [of_nothing(aggregate)] * len(events)
    for history in histories(events, key, column, time, id).values():
        arrived = batch_of[history.indexes]
        ends = history.times // every_us * every_us
        kept_until = ends + every_us + keep
        for moment, end, batch, index in zip(history.times, ends, arrived, history.indexes, strict=True):
            visible = (kept_until > met[arrived]) & _seen(arrived, kept_until, met, int(batch), int(end))
            visible &= (history.times >= end - size_us) & (history.times < end)
            window = Window(int(end), size_us, q, half_life_us)
            values[index] = aggregate_at(history, visible, int(moment), aggregate, window)
    return as_series(values, aggregate, events.index)


def _never_falling(watermarks: list[int]) -> Int64s:
    if watermarks != sorted(watermarks):
        raise ValueError("watermarks must never fall")
    return np.asarray(watermarks, dtype="int64")


def _seen(arrived: Int64s, kept_until: Int64s, met: Int64s, batch: int, end: int) -> Any:
    """Which events of a key (when arrived, until when kept) an event of `batch` with T = `end` sees."""
    if end <= met[batch]:
        return (arrived <= batch) & (kept_until > met[batch])
    # The first batch that meets a watermark at or above T comes too late for it, as do all after.
    return arrived < int(np.argmax(met >= end))
