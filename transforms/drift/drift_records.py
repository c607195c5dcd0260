"""DriftStatistic records of one window's counts. Pure; all columns and groups at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from models.profiles import SCORE, Profile, windows_for
from models.profiles.columns import Floats, Ints
from models.profiles.dependence import BLOCKS, EXACT, Dependence, dependence_of, effective
from models.profiles.distances import Bools
from models.profiles.measuring import Measured, effects_of, measure
from models.profiles.usual import KINDS
from schemas.batches import TIME_TYPE
from schemas.job import DriftSpec
from schemas.records import arrow_schema
from transforms.drift.chance import accepted, chance_of
from transforms.drift.drift_groups import GroupCounts
from transforms.drift.drift_statistics import together
from transforms.drift.drift_sums import dense, dense_blocks

WHOLE = "whole"
_OF_NULLS = "missing_rate"


class DriftOrigin(NamedTuple):
    """The pane of a window (microseconds; start inclusive, end exclusive) and version of counts."""

    window_start_us: int
    window_end_us: int
    pane: int
    model: str
    version: str
    run: str | None = None


class Pane(NamedTuple):
    """The counts of one version in one pane of a window."""

    counts: GroupCounts
    origin: DriftOrigin


def drift_records(profile: Profile, panes: Sequence[Pane], spec: DriftSpec) -> pa.RecordBatch:
    """A batch in the schema of DriftStatistic: each statistic that has a threshold, of each group and column.

    All panes (at least one) are of one version and are measured together: a call costs more than a group.
    There is no record where a column has no rows to compare: in the reference or in the group it was absent, or for
    those
    of values all null; nor a rate of what never happened on either side.
    """
    observed = np.concatenate([dense(pane.counts) for pane in panes])
    groups, context = _of_groups(panes), _Context(profile, panes, spec.window_us, effects_of(profile, observed))
    tables = [
        _statistics(name, threshold, found, context, groups)
        for name, threshold in spec.limits.items()
        if (found := measure(profile, observed, name)) is not None
    ]
    table = pa.concat_tables(tables).combine_chunks()
    passed = accepted(table["p_value"].to_numpy(), table["family"].to_numpy())
    above = table["value"].to_numpy() > np.maximum(table["threshold"].to_numpy(), table["noise_floor"].to_numpy())
    schema = arrow_schema("DriftStatistic")
    table = table.append_column("drifted", pa.array(above & passed))
    arrays = [
        pa.concat_arrays(table[name].chunks or [pa.nulls(0, table[name].type)])
        if name in table.schema.names
        else pa.nulls(len(table), schema.field(name).type)
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _Context:
    """What all statistics of the panes' groups share: dependence, effects and the family of each group."""

    def __init__(self, profile: Profile, panes: Sequence[Pane], window_us: int, effects: Floats) -> None:
        self.effects = effects
        importance = profile.importance
        self.importance = pa.array([importance.get(column.name) for column in profile.columns], pa.float64())
        self.at = {column.name: index for index, column in enumerate(profile.columns)}
        sizes = [len(pane.counts.groups) for pane in panes]
        self.family = np.repeat(np.arange(len(panes)), sizes)
        whole, blocks = _wholes(profile, panes)
        self._whole = np.array(whole, np.int64)
        self._dependence: Dependence = dependence_of(profile, blocks)
        self._windows = windows_for(profile.windows, window_us)
        self.reference = self._windows.name if self._windows else WHOLE
        starts = np.array([pane.origin.window_start_us for pane in panes], np.int64)
        kinds = self._windows.kinds_of(starts) if self._windows else np.zeros_like(starts)
        self._kind = np.repeat(kinds, sizes)

    def usual(self, name: str, found: Measured) -> Floats:
        """What 99 of 100 windows of the training data stayed below, shape (groups, columns); 0 where that is not
        known."""
        if self._windows is None:
            return np.zeros_like(found.value)
        usual, unknown = self._windows.usual, (0.0,) * KINDS[self._windows.by]
        by_column = [usual.get(column, {}).get(name, unknown) for column in found.names]
        return np.array(by_column, np.float64).T[self._kind]

    def rows(self, name: str, found: Measured) -> tuple[Floats, Floats, Floats]:
        """Effective rows of the groups, of both sides together, and how well they are known: (groups, columns) each."""
        at = np.array([self.at[column] for column in found.names])
        inflation = self._dependence.of_nulls if name == _OF_NULLS else self._dependence.inflation
        own = inflation[self._whole][:, at]
        known = self._dependence.known[self._whole]
        if self._windows is not None:  # a shift within the window looks like dependence
            usual = [self._windows.inflation.get(column, np.inf) for column in found.names]
            own = np.minimum(own, np.array(usual, np.float64))
        rows, freedom = effective(found.n, own, known)
        ratio = np.where(known[:, np.newaxis], own, 1.0)
        both = together(rows, found.reference_n / ratio)
        by_windows = self.judged_by_windows(found.names)
        both = np.where(by_windows, together(found.n, found.reference_n), both)
        return rows, both, np.where(by_windows, EXACT, freedom)

    def judged_by_windows(self, names: Sequence[str]) -> Bools:
        """The model's own score, where windows of the training data say how far it usually is: shape (columns,).

        It is what the inputs are there for, so it is judged alone, and the inputs as a family.
        """
        return np.array([name == SCORE and self._windows is not None for name in names])


def _wholes(profile: Profile, panes: Sequence[Pane]) -> tuple[list[int], Ints]:
    """The counts by block of all rows of each pane's roles, and which of them each group of the panes belongs to.

    A segment's rows are taken to depend on each other as all rows of its role do.
    """
    size = profile.classes.size
    indexes: dict[tuple[int, str], int] = {}
    whole: list[int] = []
    blocks: list[Ints] = []
    for pane_index, pane in enumerate(panes):
        for group_index, (role, segment) in enumerate(pane.counts.groups):
            key = (pane_index, role)
            if key not in indexes:
                indexes[key] = len(blocks)
                fits = segment is None and pane.counts.blocks.classes == size
                blocks.append(dense_blocks(pane.counts, group_index) if fits else np.zeros((BLOCKS, size), np.int64))
            whole.append(indexes[key])
    return whole, np.stack(blocks)


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


def _statistics(name: str, threshold: float, found: Measured, context: _Context, groups: pa.Table) -> pa.Table:
    """The records of one statistic, with the `family` of each: its pane."""
    rows, both, freedom = context.rows(name, found)
    chance = chance_of(name, found, both, freedom)
    group, column = np.nonzero((found.n > 0) & (found.reference_n > 0))
    at = np.array([context.at[each] for each in found.names])
    own = {
        "column": pa.array(found.names, pa.string()).take(pa.array(column)),
        "statistic": pa.repeat(pa.scalar(name), len(group)),
        "value": found.value[group, column],
        "threshold": pa.repeat(pa.scalar(threshold, pa.float64()), len(group)),
        "noise_floor": np.maximum(chance.floor, context.usual(name, found))[group, column],
        "n": found.n[group, column],
        "reference_n": found.reference_n[group, column],
        "n_effective": rows[group, column],
        "p_value": chance.p_value[group, column],
        "effect": context.effects[group, at[column]],
        "reference": pa.repeat(pa.scalar(context.reference), len(group)),
        "importance": context.importance.take(pa.array(at[column])),
        "family": 2 * context.family[group] + context.judged_by_windows(found.names)[column],
    }
    common = groups.take(pa.array(group))
    return pa.table(dict(zip(common.schema.names, common.columns, strict=True)) | own)
