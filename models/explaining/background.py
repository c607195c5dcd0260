"""The ordinary rows that a score is compared with: a version's golden records, else rows made from its profile."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from models.admission.proving import read_golden
from models.bundles.manifest import Input, Manifest
from models.profiles import CategoricalColumn, Column, NumericColumn, Profile
from schemas.columns import VALUES, read_type

ROWS = 20
"""As many as `publish` records."""


def background_of(manifest: Manifest, folder: Path | None, profile: Profile | None) -> pa.RecordBatch | None:
    """Rows as `prepare_inputs` makes them, at most `ROWS` of them; None where the bundle has neither golden records nor
    a profile of all inputs."""
    if manifest.golden is not None and folder is not None:
        recorded = read_golden(folder, manifest).batch
        picked = np.unique(np.linspace(0, recorded.num_rows - 1, min(ROWS, recorded.num_rows)).astype(np.int64))
        return recorded.take(pa.array(picked))
    known = {} if profile is None else {column.name: column for column in profile.columns}
    if not all(each.name in known and each.type in VALUES for each in manifest.inputs):
        return None
    shuffled = np.random.default_rng(0)
    columns = [shuffled.permuted(_spread(known[each.name], each)) for each in manifest.inputs]
    fields = [pa.field(each.name, read_type(each.type)) for each in manifest.inputs]
    arrays = [_typed(values, field.type) for values, field in zip(columns, fields, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def average_of(column: Column) -> list[tuple[float | str | bool | None, float]]:
    """The values that stand for a column, with their shares: the mean of numbers, each frequent text or boolean."""
    if isinstance(column, NumericColumn):
        return [] if column.mean is None else [(column.mean, 1.0)]
    known = sum(column.counts)
    named = [(value == "true" if column.type == "boolean" else value) for value in column.values]
    return [(value, count / known) for value, count in zip(named, column.counts, strict=True) if count]


def _spread(column: Column, entry: Input) -> np.ndarray:
    """`ROWS` values of a column in the shares that its profile has them in; objects, None for a null."""
    at = (np.arange(ROWS) + 0.5) / ROWS
    cells = np.array(column.cells, np.float64)
    share = np.cumsum(cells / max(cells.sum(), 1.0))
    chosen = np.minimum(np.searchsorted(share, at, side="right"), len(cells) - 1)
    values = _cell_values(column, entry)
    return np.array([values[cell] for cell in chosen.tolist()], object)


def _cell_values(column: Column, entry: Input) -> list[float | str | bool | None]:
    """A value for each cell."""
    empty = entry.default
    if isinstance(column, CategoricalColumn):
        named: list[float | str | bool | None] = [
            value == "true" if column.type == "boolean" else value for value in column.values
        ]
        most = named[0] if named else empty
        return [*named, most, empty if entry.nullable or empty is not None else most]
    low, high = column.min or 0.0, column.max or 0.0
    edges = np.clip([low, *column.edges, high], low, high)
    middles: list[float | str | bool | None] = ((edges[:-1] + edges[1:]) / 2).tolist()
    null = empty if entry.nullable or empty is not None else column.mean
    return [*middles, null]


def _typed(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    if pa.types.is_integer(kind):
        return pa.array([None if value is None else round(value) for value in values.tolist()], kind)
    return pa.array(values.tolist(), kind)
