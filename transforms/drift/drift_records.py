"""DriftStatistic records of one window's counts. Pure; all columns and groups at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from models.profiles import SCORE, Profile, windows_for
from models.profiles.columns import Floats, Ints
from models.profiles.dependence import EXACT, Dependence, dependence_of, effective
from models.profiles.distances import Bools
from models.profiles.measuring import Measured, effects_of, measure, numbers_of
from models.profiles.usual import KINDS
from schemas.batches import TIME_TYPE
from schemas.job import DriftSpec
from schemas.records import arrow_schema
from transforms.drift.chance import Chance, accepted, chance_of
from transforms.drift.drift_groups import GroupCounts
from transforms.drift.drift_statistics import together
from transforms.drift.drift_sums import dense, dense_blocks

WHOLE = "whole"
SEGMENT = "segment"
ALL_ROWS = "all rows"
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
    observed = dense([pane.counts for pane in panes])
    context = _Context(profile, panes, spec.window_us, observed)
    groups = _of_groups(panes).append_column("reference", pa.array(context.reference, pa.string()))
    tables = [
        _statistics(name, threshold, found, context, groups)
        for name, threshold in spec.limits.items()
        if (found := measure(profile, observed, name, context.references, context.numbers)) is not None
    ]
    table = pa.concat_tables(tables).combine_chunks()
    p_values, judged = table["p_value"].to_numpy(), table["judged"].to_numpy()
    above = table["value"].to_numpy() > np.maximum(table["threshold"].to_numpy(), table["noise_floor"].to_numpy())
    tests = np.where(judged, context.families * p_values, 1.0)
    drifted = above & judged & accepted(tests, table["family"].to_numpy())
    table = table.append_column("drifted", pa.array(drifted))
    table = table.set_column(table.schema.names.index("p_value"), "p_value", pa.array(p_values, mask=~judged))
    schema = arrow_schema("DriftStatistic")
    arrays = [
        pa.concat_arrays(table[name].chunks or [pa.nulls(0, table[name].type)])
        if name in table.schema.names
        else pa.nulls(len(table), schema.field(name).type)
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _Context:
    """What all statistics of the panes' groups share: what each group is compared with, dependence, effects, family."""

    def __init__(self, profile: Profile, panes: Sequence[Pane], window_us: int, observed: Ints) -> None:
        segments = [segment for pane in panes for _, segment in pane.counts.groups]
        self._all = np.array([segment is None for segment in segments])
        self.judged = self._all | np.array([segment in profile.segments for segment in segments])
        self.references = _references(profile, segments)
        self.numbers = numbers_of(profile, observed, self.references)
        self.effects = effects_of(profile, observed, self.references, self.numbers)
        importance = profile.importance
        self.importance = pa.array([importance.get(column.name) for column in profile.columns], pa.float64())
        self.at = {column.name: index for index, column in enumerate(profile.columns)}
        sizes = [len(pane.counts.groups) for pane in panes]
        self.family = np.repeat(np.arange(len(panes)), sizes)
        whole, blocks = _wholes(profile, panes)
        self._whole = np.array(whole, np.int64)
        self._dependence: Dependence = dependence_of(profile, blocks)
        self._windows = windows_for(profile.windows, window_us)
        self.families = 2 if self._windows is not None and self._windows.tails else 1  # they share the 1 % of a window
        self.reference = [self._reference(segment, profile) for segment in segments]
        starts = np.array([pane.origin.window_start_us for pane in panes], np.int64)
        kinds = self._windows.kinds_of(starts) if self._windows else np.zeros_like(starts)
        self._kind = np.repeat(kinds, sizes)

    def _reference(self, segment: str | None, profile: Profile) -> str:
        """As it is in records."""
        if segment is None:
            return self._windows.name if self._windows else WHOLE
        if segment not in profile.segments:
            return ALL_ROWS
        return f"{SEGMENT}, {self._windows.name}" if self._windows else SEGMENT

    def usual(self, name: str, found: Measured) -> Floats:
        """What 99 of 100 windows of the training data stayed below, shape (groups, columns); 0 where that is not
        known."""
        if self._windows is None:
            return np.zeros_like(found.value)
        usual, unknown = self._windows.usual, (0.0,) * KINDS[self._windows.by]
        by_column = [usual.get(column, {}).get(name, unknown) for column in found.names]
        return np.where(self.by_windows(found.names), 0.0, np.array(by_column, np.float64).T[self._kind])

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
        by_windows = self.by_windows(found.names)
        both = np.where(by_windows, together(found.n, found.reference_n), both)
        return rows, both, np.where(by_windows, EXACT, freedom)

    def by_windows(self, names: Sequence[str]) -> Bools:
        """Where windows of the training data alone judge: the model's own score of all rows, where they say how far it
        usually is; shape (groups, columns).

        It is what the inputs are there for, so it is judged alone, and the inputs as a family.
        """
        alone = self.families == 2
        return np.outer(self._all, np.array([alone and name == SCORE for name in names], np.bool_))

    def p_values(self, name: str, found: Measured, chance: Chance) -> Floats:
        """Those of chance; of the score those among windows of the training data of how far it moved."""
        by_windows = self.by_windows(found.names)
        if self._windows is None or not by_windows.any():
            return chance.p_value
        moved = self._windows.p_values(np.abs(self.effects[:, self.at[SCORE]]), self._kind)
        return np.where(by_windows, moved[:, np.newaxis], chance.p_value)


def _references(profile: Profile, segments: Sequence[str | None]) -> Ints | None:
    """What each group is compared with, shape (groups, cells): a segment with itself, where the profile knows it."""
    if not any(segment in profile.segments for segment in segments):
        return None
    known = {name: np.array(counts, np.int64) for name, counts in profile.segments.items() if name in segments}
    return np.stack([profile.reference if segment is None else known.get(segment, profile.reference)
                     for segment in segments])  # fmt: skip


def _wholes(profile: Profile, panes: Sequence[Pane]) -> tuple[list[int], Ints]:
    """The counts by block of all rows of each pane's roles, and which of them each group of the panes belongs to.

    A segment's rows are taken to depend on each other as all rows of its role do.
    """
    indexes: dict[tuple[int, str], int] = {}
    whole, row_of = list[int](), list[int]()
    for pane_index, pane in enumerate(panes):
        for role, segment in pane.counts.groups:
            row = indexes.setdefault((pane_index, role), len(indexes))
            whole.append(row)
            row_of.append(row if segment is None else -1)
    counts = [pane.counts for pane in panes]
    return whole, dense_blocks(counts, np.array(row_of, np.int64), len(indexes), profile.classes.size)


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
        "p_value": context.p_values(name, found, chance)[group, column],
        "effect": context.effects[group, at[column]],
        "importance": context.importance.take(pa.array(at[column])),
        "judged": context.judged[group],
        "family": 3 * context.family[group]
        + np.where(context.judged[group], context.by_windows(found.names)[group, column], 2),
    }
    common = groups.take(pa.array(group))
    return pa.table(dict(zip(common.schema.names, common.columns, strict=True)) | own)
