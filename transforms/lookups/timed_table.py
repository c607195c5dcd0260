"""A table in a store as of event time: an event is answered by the version in force at its time, then by the row of its
key."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.columns import ARROW_TYPES
from schemas.job import LookupSpec, TableRelease
from transforms.lookups.answers import TableAnswer
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.stored_versions import HELD_VERSIONS, version_of_release

Ints = npt.NDArray[np.int64]
NONE_IN_FORCE = -1


def in_turn(releases: Iterable[TableRelease]) -> tuple[TableRelease, ...]:
    """Releases, each once, in the order in which their versions hold: by (`effective_from`, sequence)."""
    by_sequence = {each.sequence: each for each in releases}
    return tuple(sorted(by_sequence.values(), key=lambda each: (each.effective_from_us, each.sequence)))


def holding_at(releases: Sequence[TableRelease], times_us: Ints) -> Ints:
    """The index of the release in force at each time, `NONE_IN_FORCE` before the first: what a table says must have
    been known when the event happened.

    >>> two = [TableRelease(1, 10, "v1", "a"), TableRelease(2, 20, "v2", "b")]
    >>> holding_at(two, np.array([9, 10, 19, 20])).tolist()
    [-1, 0, 0, 1]
    """
    starts_us = np.array([each.effective_from_us for each in releases], np.int64)
    return np.searchsorted(starts_us, times_us, side="right").astype(np.int64) - 1


class TimedTable:
    """The versions of a table in the order of their releases; each is loaded when an event needs it, which waits."""

    def __init__(self, lookup: LookupSpec, releases: Iterable[TableRelease]) -> None:
        self._lookup, self.releases = lookup, in_turn(releases)

    def answer(self, keys: pa.Array, times_us: Ints) -> TableAnswer:
        """As `Answering`; `versions` are those that answered."""
        indexes = holding_at(self.releases, times_us)
        answers, rows = list[TableAnswer](), list[Ints]()
        for index in np.unique(indexes).tolist():
            own = np.flatnonzero(indexes == index)
            whole = len(own) == len(indexes)
            found = self._of(index, keys if whole else keys.take(pa.array(own)), times_us[own])
            if whole:
                return found
            answers.append(found)
            rows.append(own)
        return _in_order(answers, rows) if answers else self._nothing(0)

    def _of(self, index: int, keys: pa.Array, times_us: Ints) -> TableAnswer:
        found = None if index == NONE_IN_FORCE else self.find(index)
        if found is None:
            return self._nothing(len(keys))
        release, table = found
        return table.answer(keys, times_us)._replace(versions=pa.repeat(pa.scalar(release.version), len(keys)))

    def last(self) -> tuple[TableRelease, AsOfTable]:
        """The release that holds last, with its table."""
        return self.releases[-1], HELD_VERSIONS.awaited(version_of_release(self._lookup, self.releases[-1]))

    def find(self, index: int) -> tuple[TableRelease, AsOfTable] | None:
        """The release that answers events of the release `index`, with its table."""
        release = self.releases[index]
        return release, HELD_VERSIONS.awaited(version_of_release(self._lookup, release))

    def _nothing(self, count: int) -> TableAnswer:
        columns = [pa.nulls(count, ARROW_TYPES[kind]) for _, kind in self._lookup.columns]
        return TableAnswer(columns, np.ones(count, np.bool_), pa.nulls(count, pa.string()))


def _in_order(answers: Sequence[TableAnswer], rows: Sequence[Ints]) -> TableAnswer:
    """The answers for parts of a batch, whose rows are these, as one for the batch."""
    back = pa.array(np.argsort(np.concatenate(rows)))
    columns = [pa.concat_arrays(each).take(back) for each in zip(*(one.columns for one in answers), strict=True)]
    missing = np.concatenate([one.missing for one in answers])[back.to_numpy()]
    versions = pa.concat_arrays([one.versions for one in answers]).take(back)
    return TableAnswer(columns, missing, versions)
