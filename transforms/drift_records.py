"""DriftStatistic records of one window's counts. Pure; all columns and groups at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from models.profiles import Column, NumericColumn, Profile
from schemas.batches import TIME_TYPE
from schemas.job import DriftSpec
from schemas.records import arrow_schema
from transforms.drift_groups import GroupCounts, dense
from transforms.drift_statistics import Ints, Statistic, ks, psi

_Function: TypeAlias = Callable[[Ints, Ints, Ints], Statistic]


class Origin(NamedTuple):
    """The pane of a window (microseconds; start inclusive, end exclusive) and version of counts."""

    window_start_us: int
    window_end_us: int
    pane: int
    model: str
    version: str
    run: str | None = None


# Fields of the record that no statistic has yet.
_UNMEASURED = ("reference", "n_effective", "p_value", "effect", "importance")


def drift_records(profile: Profile, counts: GroupCounts, spec: DriftSpec, origin: Origin) -> pa.RecordBatch:
    """A batch in the schema of DriftStatistic: PSI of each group and column, KS of those with numbers.

    There is no record where a column has no rows to compare: it was absent, or for KS all of it null, in the
    reference or in the group.
    """
    observed = dense(counts)
    everything = _Cells(profile.columns, profile, without_nulls=False)
    numbers = [column for column in profile.columns if isinstance(column, NumericColumn)]
    tables = [_statistics("psi", psi, spec.psi_threshold, everything, profile, observed, counts)]
    if numbers:
        bins = _Cells(numbers, profile, without_nulls=True)
        tables.append(_statistics("ks", ks, spec.ks_threshold, bins, profile, observed, counts))
    table = pa.concat_tables(tables)
    fixed = {
        "window_start": pa.scalar(origin.window_start_us, TIME_TYPE),
        "window_end": pa.scalar(origin.window_end_us, TIME_TYPE),
        "pane": pa.scalar(origin.pane, pa.int64()),
        "model": pa.scalar(origin.model, pa.string()),
        "version": pa.scalar(origin.version, pa.string()),
        "run": pa.scalar(origin.run, pa.string()),
    }
    schema = arrow_schema("DriftStatistic")
    fixed |= {name: pa.scalar(None, schema.field(name).type) for name in _UNMEASURED}
    arrays = [
        pa.repeat(fixed[name], len(table)) if name in fixed else table[name].combine_chunks()
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _Cells:
    """The cells that a statistic reads: `names` of columns, and their `starts` among the `chosen` cells."""

    def __init__(self, columns: Sequence[Column], profile: Profile, *, without_nulls: bool) -> None:
        spans = [profile.spans[column.name] for column in columns]
        parts = [np.arange(span.start, span.stop - without_nulls) for span in spans]
        self.names = pa.array([column.name for column in columns], pa.string())
        self.chosen: Ints = np.concatenate(parts)
        self.starts: Ints = np.cumsum([0, *(len(part) for part in parts[:-1])])


def _statistics(
    name: str,
    function: _Function,
    threshold: float,
    cells: _Cells,
    profile: Profile,
    observed: Ints,
    counts: GroupCounts,
) -> pa.Table:
    """The records of one statistic, without what is the same in all records of the pane."""
    result = function(profile.reference[cells.chosen], observed[:, cells.chosen], cells.starts)
    group, column = np.nonzero((result.n > 0) & (result.reference_n > 0))
    roles, segments = zip(*counts.groups, strict=True)
    return pa.table(
        {
            "role": pa.array(roles, pa.string()).take(pa.array(group)),
            "segment": pa.array(segments, pa.string()).take(pa.array(group)),
            "column": cells.names.take(pa.array(column)),
            "statistic": pa.repeat(pa.scalar(name), len(group)),
            "value": result.value[group, column],
            "threshold": pa.repeat(pa.scalar(threshold, pa.float64()), len(group)),
            "noise_floor": result.noise_floor[group, column],
            "n": result.n[group, column],
            "reference_n": result.reference_n[group, column],
            "drifted": result.drifted(threshold)[group, column],
        }
    )
