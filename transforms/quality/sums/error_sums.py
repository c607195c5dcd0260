"""The errors of one version's labelled answers, added up over parts of windows: what detectors of changes read.

Counts are whole numbers and sums are exact, so partial results of any order and grouping give the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from transforms.quality.answers import ScoredBy
from transforms.quality.sums.exact_sums import ExactSums, Floats, GroupTerms, Ints, added
from transforms.quality.sums.group_sums import Beside, RowCells, errors_of

PARTS = 24
"""Parts of a window, of equal width: as fine as a change can be dated."""


class ErrorSums(NamedTuple):
    """Of each of the windows that start at `starts`, ascending: how many `events` there are, labelled or not, shape
    (windows,); `in_part`, how many have an error, shape (windows, PARTS); the sum of their `errors`, (1, windows *
    PARTS)."""

    starts: Ints
    events: Ints
    in_part: Ints
    errors: ExactSums

    @property
    def groups(self) -> tuple[tuple[int, str], ...]:
        """The windows as groups of other sums are: without segments."""
        return tuple((start, "") for start in self.starts.tolist())

    def totals(self) -> Floats:
        """The sum of the errors of each part, shape (windows, PARTS)."""
        return self.errors.floats(0).reshape(self.in_part.shape)

    def chosen(self, rows: Sequence[int]) -> "ErrorSums":
        """The windows at these indexes, ascending."""
        if len(rows) == len(self.starts):
            return self
        at = np.array(rows, np.int64)
        cells = (at[:, None] * PARTS + np.arange(PARTS)).ravel()
        digits = self.errors.digits[:, :, cells]
        return ErrorSums(self.starts[at], self.events[at], self.in_part[at], ExactSums(self.errors.low, digits))


def sums_of_errors(beside: Beside, by: ScoredBy, window_us: int) -> ErrorSums:
    """The errors of one version's answers in one role, at least one row."""
    starts, window = np.unique(np.floor_divide(beside.times_us, window_us), return_inverse=True)
    errors = errors_of(beside, by)
    known = np.flatnonzero(np.isfinite(errors))
    part = beside.times_us[known] % window_us * PARTS // window_us
    cells = RowCells(window[known] * PARTS + part)
    sums = GroupTerms([errors[known]]).sums(cells.of_row, len(cells.found))
    return ErrorSums(
        starts * window_us,
        np.bincount(window, minlength=len(starts)).astype(np.int64),
        np.bincount(window[known] * PARTS + part, minlength=len(starts) * PARTS).reshape(len(starts), PARTS),
        added([(sums, cells.found)], len(starts) * PARTS, 1),
    )


def added_errors(parts: Sequence[ErrorSums]) -> ErrorSums:
    """Several sums of one version and role as one; at least one."""
    starts = np.unique(np.concatenate([part.starts for part in parts]))
    rows = [np.searchsorted(starts, part.starts) for part in parts]
    events, in_part = np.zeros(len(starts), np.int64), np.zeros((len(starts), PARTS), np.int64)
    pieces = []
    for part, own in zip(parts, rows, strict=True):
        events[own] += part.events
        in_part[own] += part.in_part
        pieces.append((part.errors, (own[:, None] * PARTS + np.arange(PARTS)).ravel()))
    return ErrorSums(starts, events, in_part, added(pieces, len(starts) * PARTS, 1))
