"""The reference profile of a bundle: how its columns were distributed in the model's training data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from models.profiles.classes import Classes, classes_of
from models.profiles.columns import Column, Ints, UnsupportedColumn, describe_column
from models.profiles.usual import TrainingWindows
from schemas.expectations import wants


@dataclass(frozen=True)
class Profile:
    """Reference distributions of columns, sorted by name; its cells are those of its columns end to end.

    `windows`: how far windows of the training data were from the whole, where their times are known. `importance`: of
    columns to the model, as the manifest says; not part of the profile's document. `segments`: the counts of all cells
    of the rows of a segment (`origin=JFK`), where the training data have it.
    """

    columns: tuple[Column, ...]
    windows: tuple[TrainingWindows, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict, compare=False)
    segments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def reference(self) -> Ints:
        """Reference counts of all cells, shape (cells,)."""
        return np.array([count for column in self.columns for count in column.cells], np.int64)

    @cached_property
    def spans(self) -> Mapping[str, slice]:
        """Where each column's cells are in `reference` and in observed counts."""
        ends = np.cumsum([0, *(len(column.cells) for column in self.columns)]).tolist()
        return {column.name: slice(ends[i], ends[i + 1]) for i, column in enumerate(self.columns)}

    @cached_property
    def classes(self) -> Classes:
        """Few classes of the cells, for counts by block of a window."""
        return classes_of(self.columns)

    def observable(self, schema: pa.Schema) -> tuple[Column, ...]:
        """The profile's columns that batches of this schema have, in a type that fits."""
        return tuple(
            column
            for column in self.columns
            if (at := schema.get_field_index(column.name)) >= 0 and column.fits(schema.field(at).type)
        )


def build_profile(table: pa.Table | pa.RecordBatch, columns: Iterable[str]) -> Profile:
    """The profile of the named columns, of which `score` holds the model's own scores.

    Rows may come in any order: equal multisets of rows give equal profiles.

    Raises:
        UnsupportedColumn: the table does not have a column exactly once, or it holds something else than
            numbers, texts or booleans.
    """
    return Profile(tuple(describe_column(name, _only(table, name)) for name in sorted(set(columns))))


def _only(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    if table.schema.names.count(name) != 1:
        known = ", ".join(table.schema.names)
        raise UnsupportedColumn(f"column {name!r} is not in the table exactly once; {wants(known)}")
    column = table.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
