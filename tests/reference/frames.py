"""Between the reference's pandas frames and the batches that transforms take and give."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from schemas import batches
from tests.reference.reference import microseconds, windowed_feature

ARROW = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "string": pa.string()}


def events_batch(
    events: pd.DataFrame, columns: Mapping[str, str], time: str = "departed_at", id: str = "id"
) -> pa.RecordBatch:
    """The frame as tracked events, numbered in its order; `columns` are the job's, name → type."""
    ids = pa.array(events[id].tolist(), pa.string())
    arrays = {
        batches.EVENT_ID: ids,
        batches.EVENT_TIME: pa.array(microseconds(events[time])).cast(batches.TIME_TYPE),
        batches.SUBJECT: pa.nulls(len(events), pa.string()),
        batches.PAYLOAD: pa.array([name.encode() for name in ids.to_pylist()], pa.binary()),
        batches.LATE: pa.repeat(pa.scalar(False), len(events)),
        batches.ROW: pa.array(np.arange(len(events))),
    }
    for name, kind in columns.items():
        values = [None if pd.isna(value) else value for value in events[name].tolist()]
        arrays[name] = pa.array(values, ARROW[kind])
    return pa.RecordBatch.from_pydict(arrays)


def expected_feature(events: pd.DataFrame, feature: Any, **names: str) -> list[Any]:
    """The reference's values of a `FeatureSpec`, None for null."""
    values = windowed_feature(
        events,
        key=feature.key,
        column=feature.column,
        aggregate=feature.aggregate,
        size=pd.Timedelta(36_500, "D") if feature.size_us is None else pd.Timedelta(feature.size_us, "us"),
        every=pd.Timedelta(feature.every_us, "us"),
        q=feature.q,
        half_life_us=feature.half_life_us,
        **names,
    )
    return [None if pd.isna(value) else value for value in values]


def differences(found: list[Any], expected: list[Any], scale: float = 0.0) -> list[tuple[int, Any, Any]]:
    """The rows where values differ: texts and nulls exactly, numbers by more than 1e-9 of themselves or of `scale`."""
    pairs = zip(found, expected, strict=True)
    return [(index, mine, theirs) for index, (mine, theirs) in enumerate(pairs) if not _equal(mine, theirs, scale)]


def _equal(mine: Any, theirs: Any, scale: float) -> bool:
    if mine is None or theirs is None or isinstance(mine, str) or isinstance(theirs, str):
        return bool(mine == theirs)
    return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=max(1e-9 * scale, 1e-12))


def magnitude(values: pd.Series) -> float:
    """The greatest absolute value of a column of numbers, 0 for others: what rounding errors are measured by."""
    numbers = pd.to_numeric(values, errors="coerce").abs().to_numpy(np.float64)
    return float(np.nanmax(numbers)) if np.isfinite(numbers).any() else 0.0
