"""DriftStatistic records of one window's counts. Pure; all columns and groups at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from models.profiles import Column, NumericColumn, Profile
from schemas.batches import TIME_TYPE
from schemas.job import DriftSpec
from schemas.records import arrow_schema
from transforms.drift.drift_groups import GroupCounts, dense
from transforms.drift.drift_statistics import Ints, Statistic, ks, psi
from transforms.drift.thresholds import drifted, threshold_of

_Function: TypeAlias = Callable[[Ints, Ints, Ints], Statistic]


class DriftOrigin(NamedTuple):
    """The pane of a window (microseconds; start inclusive, end exclusive) and version of counts."""

    window_start_us: int
    window_end_us: int
    pane: int
    model: str
    version: str
    run: str | None = None


# Fields of the record that no statistic fills yet.
_UNMEASURED = ("reference", "n_effective", "p_value", "effect", "importance")


class Pane(NamedTuple):
    """The counts of one version in one pane of a window."""

    counts: GroupCounts
    origin: DriftOrigin


def drift_records(profile: Profile, panes: Sequence[Pane], spec: DriftSpec) -> pa.RecordBatch:
    """A batch in the schema of DriftStatistic: PSI of each group and column, KS of those with numbers.

    All panes (at least one) are of one version and are measured together: a call costs more than a group.
    There is no record where a column has no rows to compare: in the reference or in the group it was absent, or for KS
    all null.
    """
    observed = np.concatenate([dense(pane.counts) for pane in panes])
    groups = _of_groups(panes)
    everything = _Cells(profile.columns, profile, without_nulls=False)
    numbers = [column for column in profile.columns if isinstance(column, NumericColumn)]
    tables = [_statistics("psi", psi, threshold_of(spec, "psi"), everything, profile, observed, groups)]
    if numbers:
        bins = _Cells(numbers, profile, without_nulls=True)
        tables.append(_statistics("ks", ks, threshold_of(spec, "ks"), bins, profile, observed, groups))
    table = pa.concat_tables(tables).combine_chunks()
    schema = arrow_schema("DriftStatistic")
    missing = {name: pa.nulls(len(table), schema.field(name).type) for name in _UNMEASURED}
    arrays = [
        missing[name] if name in missing else pa.concat_arrays(table[name].chunks or [pa.nulls(0, table[name].type)])
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _of_groups(panes: Sequence[Pane]) -> pa.Table:
    """The fields that all records of a group share: one row for each group of each pane."""
    sizes = [len(pane.counts.groups) for pane in panes]
    rows = np.repeat(np.arange(len(panes)), sizes)
    origins = [pane.origin for pane in panes]
    groups = [group for pane in panes for group in pane.counts.groups]
    starts, ends = [o.window_start_us for o in origins], [o.window_end_us for o in origins]
    common = {
        "window_start": pa.array(starts, pa.int64()).cast(TIME_TYPE),
        "window_end": pa.array(ends, pa.int64()).cast(TIME_TYPE),
        "pane": pa.array([origin.pane for origin in origins], pa.int64()),
        "model": pa.array([origin.model for origin in origins], pa.string()),
        "version": pa.array([origin.version for origin in origins], pa.string()),
        "run": pa.array([origin.run for origin in origins], pa.string()),
    }
    table = pa.table(common).take(pa.array(rows))
    table = table.append_column("role", pa.array([role for role, _ in groups], pa.string()))
    return table.append_column("segment", pa.array([segment for _, segment in groups], pa.string()))


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
    groups: pa.Table,
) -> pa.Table:
    """The records of one statistic."""
    result = function(profile.reference[cells.chosen], observed[:, cells.chosen], cells.starts)
    group, column = np.nonzero((result.n > 0) & (result.reference_n > 0))
    own = {
        "column": cells.names.take(pa.array(column)),
        "statistic": pa.repeat(pa.scalar(name), len(group)),
        "value": result.value[group, column],
        "threshold": pa.repeat(pa.scalar(threshold, pa.float64()), len(group)),
        "noise_floor": result.noise_floor[group, column],
        "n": result.n[group, column],
        "reference_n": result.reference_n[group, column],
        "drifted": drifted(result, threshold)[group, column],
    }
    common = groups.take(pa.array(group))
    return pa.table(dict(zip(common.schema.names, common.columns, strict=True)) | own)
