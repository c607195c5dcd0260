"""Few classes of a column's cells: what is counted by block of a window, to see how much its events depend on each
other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.profiles.columns import Column, Ints, NumericColumn

NUMBER_CLASSES = 7
VALUE_CLASSES = 6


class Classes(NamedTuple):
    """The class of each cell of a profile (`of_cell`, shape (cells,)), where each column `starts` among all classes
    (shape (columns,)), and `size`, the number of all. A column's last class is that of nulls. `ordered`: columns of
    numbers, whose classes are in the order of values."""

    of_cell: Ints
    starts: Ints
    size: int
    ordered: tuple[bool, ...]


def classes_of(columns: Sequence[Column]) -> Classes:
    """Numbers: up to seven classes of about equal mass; texts and booleans: the six most frequent values, and the
    others.

    >>> from models.profiles.columns import CategoricalColumn
    >>> classes_of([CategoricalColumn("c", "string", ("a", "b"), (5, 3), 0, 1, 9)]).of_cell.tolist()
    [0, 1, 2, 3]
    """
    parts, starts = [], [0]
    for column in columns:
        part = _numbers(column) if isinstance(column, NumericColumn) else _values(len(column.values) + 1)
        known = int(part.max()) + 1
        parts.append(np.append(part, known) + starts[-1])
        starts.append(starts[-1] + known + 1)
    ordered = tuple(isinstance(column, NumericColumn) for column in columns)
    return Classes(np.concatenate(parts), np.array(starts[:-1]), starts[-1], ordered)


def _numbers(column: NumericColumn) -> Ints:
    counts = np.array(column.counts, np.float64)
    middle = np.cumsum(counts) - counts / 2
    found = np.floor(NUMBER_CLASSES * middle / max(counts.sum(), 1)).astype(np.int64)
    classes: Ints = np.unique(np.clip(found, 0, NUMBER_CLASSES - 1), return_inverse=True)[1]
    return classes


def _values(cells: int) -> Ints:
    return np.minimum(np.arange(cells), VALUE_CLASSES)
