"""Counts of observed rows on the cells of a reference profile; they merge by addition, in any grouping."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from models.profiles.columns import Ints
from models.profiles.reference import Profile

_DENSE_FACTOR = 8  # with fewer cells per value, counting in all cells is quicker than sorting the values


class ProfileMismatch(ValueError):
    """Counts on the cells of different profiles, which cannot be added."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Observed counts per cell of the profile with this signature: `counts` of shape (cells,)."""

    signature: str
    counts: Ints

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Observed):
            return NotImplemented
        return self.signature == other.signature and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # equal by content of an array, so not hashable


class GroupCells(NamedTuple):
    """Counts above zero of several groups of rows.

    `keys` are sorted, `group * cells + cell` for each `counts`; both of shape (k,).
    """

    keys: Ints
    counts: Ints


def observe(profile: Profile, batch: pa.RecordBatch) -> Observed:
    """The rows of a batch counted on the profile's cells; unseen texts count as other values.

    Columns of the profile that the batch lacks, or has in a type that does not fit (`Profile.observable`),
    count nothing. O(rows × columns), vectorised.
    """
    cells = len(profile.reference)
    found = observe_groups(profile, batch, [np.zeros(batch.num_rows, np.int64)], 1)
    counts = np.zeros(cells, np.int64)
    counts[found.keys] = found.counts
    return Observed(profile.signature, counts)


def observe_groups(profile: Profile, batch: pa.RecordBatch, groupings: list[Ints], groups: int) -> GroupCells:
    """Counts per (group, cell), where row r is in group `g[r]` (0 <= g < groups) of each of the `groupings`.

    Each value's cell is looked up once, however many groups its row is in.
    """
    cells = len(profile.reference)
    positions = [
        profile.spans[column.name].start + column.positions(batch.column(column.name))
        for column in profile.observable(batch.schema)
    ]
    keys = [group * cells + position for group in groupings for position in positions]
    if not keys:
        return GroupCells(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return _tally(np.concatenate(keys), groups * cells)


def _tally(keys: Ints, size: int) -> GroupCells:
    if size <= _DENSE_FACTOR * len(keys):
        dense = np.bincount(keys, minlength=size)
        present = np.flatnonzero(dense)
        return GroupCells(present, dense[present])
    return GroupCells(*np.unique(keys, return_counts=True))


def merge(parts: Iterable[Observed]) -> Observed:
    """The sum of at least one part.

    Raises:
        ProfileMismatch: the parts were counted on different profiles.
        ValueError: there is no part.
    """
    observed = list(parts)
    if not observed:
        raise ValueError("nothing to merge; allowed: at least one part")
    return reduce(_add, observed)


def _add(left: Observed, right: Observed) -> Observed:
    if left.signature != right.signature:
        ours, theirs = left.signature[:12], right.signature[:12]
        raise ProfileMismatch(f"profile {theirs} cannot be added to {ours}; allowed: counts of one profile")
    return Observed(left.signature, left.counts + right.counts)
