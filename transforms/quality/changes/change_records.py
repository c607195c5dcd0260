"""Quality records of the changes that detectors see in the errors of one version in one role. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.batches import TIME_TYPE
from schemas.job import ConceptDriftSpec
from schemas.records import arrow_schema
from transforms.quality.answers import ErrorsBy
from transforms.quality.changes.detectors import is_there
from transforms.quality.changes.error_changes import (
    FEWEST,
    ErrorBlock,
    ErrorChange,
    WindowErrors,
    blocks_of,
    error_changes,
)
from transforms.quality.measuring.measures import NOTHING
from transforms.quality.measuring.quality_records import QualityOrigin
from transforms.quality.sums.error_sums import ErrorSums

CHANGE = "change_"
"""Before the name of a detector, the metric of its records."""
EPOCH = 512
"""Windows from whose beginning on detectors begin anew, the epoch before included: they read at most twice as many."""
NO_CHANGE, TOO_FEW = "no change was seen", "too few labelled events"
NO_LIBRARY = "river is not installed where this was measured"


class WindowReading(NamedTuple):
    """What a detector said while it read a window: the last change that it saw in it, or why there is none."""

    window: WindowErrors
    detector: str
    change: ErrorChange | None
    why: str | None


def windows_of(sums: ErrorSums) -> list[WindowErrors]:
    """The errors of each window, in order of time."""
    rows = zip(sums.starts.tolist(), sums.events.tolist(), sums.in_part, sums.totals(), strict=True)
    return [WindowErrors(*row) for row in rows]


def first_needed_us(start_us: int, window_us: int) -> int:
    """The beginning of the first window that a detector reads before the window that begins then."""
    return (start_us // (EPOCH * window_us) - 1) * EPOCH * window_us


def readings(
    windows: Sequence[WindowErrors],
    spec: ConceptDriftSpec,
    window_us: int,
    *,
    shares: bool,
    wanted: Iterable[int] | None = None,
) -> list[WindowReading]:
    """What each detector says of windows; that of a window depends on it and on earlier ones alone.

    Args:
        windows: in order of time.
        spec: the detectors and their settings.
        window_us: how long a window is.
        shares: whether an error is 0 or 1.
        wanted: the beginnings of those to be said something about; by default all.
    """
    chosen = {each.start_us for each in windows} if wanted is None else set(wanted)
    found = list[WindowReading]()
    for first_us in sorted({first_needed_us(start, window_us) for start in chosen}):
        until_us = first_us + 2 * EPOCH * window_us
        own = [each for each in windows if first_us <= each.start_us < until_us]
        last = [
            each for each in own if each.start_us in chosen and first_needed_us(each.start_us, window_us) == first_us
        ]
        blocks = blocks_of(own, spec, window_us)
        for detector in spec.detectors:
            seen = error_changes(blocks, detector, spec, shares=shares) if is_there() else []
            found += _of_windows(last, detector, blocks, seen, window_us)
    return found


def _of_windows(
    windows: Sequence[WindowErrors],
    detector: str,
    blocks: Sequence[ErrorBlock],
    seen: Sequence[ErrorChange],
    window_us: int,
) -> Iterator[WindowReading]:
    ends = np.array([each.end_us for each in blocks], np.int64)
    by_window = {(each.seen_us - 1) // window_us * window_us: each for each in seen}
    for window in windows:
        change = by_window.get(window.start_us)
        known = int(np.searchsorted(ends, window.start_us + window_us, "right"))
        yield WindowReading(window, detector, change, None if change else _why(window, known))


def _why(window: WindowErrors, blocks: int) -> str:
    if not is_there():
        return NO_LIBRARY
    if blocks > FEWEST:
        return NO_CHANGE
    if not blocks and not window.in_part.any():
        return NOTHING
    return f"{TOO_FEW}: {blocks} blocks; expected: more than {FEWEST}"


def change_records(found: Sequence[WindowReading], by: ErrorsBy, origin: QualityOrigin) -> pa.RecordBatch:
    """A batch in the schema of Quality, of the pane of `origin`."""
    constant = {"pane": origin.pane, "model": origin.model, "version": by.by.version, "role": by.by.role,
                "segment": "", "run": origin.run}  # fmt: skip
    rows = [{**constant, **_fields(each, origin.window_us)} for each in found]
    schema = arrow_schema("Quality")
    columns = [_column([row.get(field.name) for row in rows], field) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _fields(reading: WindowReading, window_us: int) -> dict[str, object]:
    window, change = reading.window, reading.change
    labelled = int(window.in_part.sum())
    fields = {
        "window_start": window.start_us, "window_end": window.start_us + window_us, "metric": CHANGE + reading.detector,
        "n": labelled, "events": window.events, "label_coverage": labelled / window.events, "why": reading.why,
    }  # fmt: skip
    if change is None:
        return fields
    return {**fields, "value": change.after, "before": change.before, "began": change.begins_us, "n_since": change.n}


def _column(values: list[object], field: pa.Field) -> pa.Array:
    if pa.types.is_timestamp(field.type):
        return pa.array(values, pa.int64()).cast(TIME_TYPE)
    return pa.array(values, field.type)
