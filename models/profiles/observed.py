"""Counts of observed rows on the cells of a reference profile; they merge by addition, in any grouping."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from models.profiles.columns import Ints
from models.profiles.reference import Profile

_DENSE_FACTOR = 8  # with fewer cells per value, counting in all cells is quicker than sorting the values


class GroupCells(NamedTuple):
    """Counts above zero of several groups of rows.

    `keys` are sorted, `group * cells + cell` for each `counts`; both of shape (k,).
    """

    keys: Ints
    counts: Ints


def observe(profile: Profile, batch: pa.RecordBatch) -> Ints:
    """The rows of a batch counted on the profile's cells, shape (cells,); unseen texts count as other values.

    Columns of the profile that the batch lacks, or has in a type that does not fit (`Profile.observable`),
    count nothing. O(rows × columns), vectorised.

    >>> from models.profiles.reference import build_profile
    >>> profile = build_profile(pa.table({"carrier": ["AA", "AA", "UA", None]}), ["carrier"])
    >>> observe(profile, pa.record_batch({"carrier": ["UA", "UA", "B6"]})).tolist()  # AA, UA, others, null
    [0, 2, 1, 0]
    """
    cells = len(profile.reference)
    found = observe_groups(profile, batch, [np.zeros(batch.num_rows, np.int64)], 1)
    counts = np.zeros(cells, np.int64)
    counts[found.keys] = found.counts
    return counts


def observe_groups(profile: Profile, batch: pa.RecordBatch, groupings: list[Ints], groups: int) -> GroupCells:
    """Counts per (group, cell), where row r is in group `g[r]` (0 <= g < groups) of each of the `groupings`.

    Each value's cell is looked up once, however many groups its row is in.
    """
    return tally_groups(cells_of_rows(profile, batch), len(profile.reference), groupings, groups)


def cells_of_rows(profile: Profile, batch: pa.RecordBatch) -> list[Ints]:
    """The cell of each row, shape (n,), for each column of the profile that can be observed in the batch."""
    return [
        profile.spans[column.name].start + column.cells_of(batch.column(column.name))
        for column in profile.observable(batch.schema)
    ]


def tally_groups(found: list[Ints], cells: int, groupings: list[Ints], groups: int) -> GroupCells:
    """How often each of `cells` was `found` in each group; `groupings` as in `observe_groups`."""
    keys = [group * cells + cell for group in groupings for cell in found]
    if not keys:
        return GroupCells(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return _tally(np.concatenate(keys), groups * cells)


def _tally(keys: Ints, size: int) -> GroupCells:
    if size <= _DENSE_FACTOR * len(keys):
        dense = np.bincount(keys, minlength=size)
        present = np.flatnonzero(dense)
        return GroupCells(present, dense[present])
    return GroupCells(*np.unique(keys, return_counts=True))
