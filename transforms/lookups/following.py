"""A table in the store whose timeline grows while a stream runs; no event waits for a version that came meanwhile."""

import numpy as np
import pyarrow as pa

from models.releases.release import AdmittedRelease, Release
from models.releases.timeline import Timeline
from models.serving.overtaken import Overtaken
from schemas.job import LookupSpec, TableRelease
from transforms.flow import metrics
from transforms.lookups.answers import TableAnswer
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.stored_versions import HELD_VERSIONS, version_of_release
from transforms.lookups.timed_table import Ints, TimedTable, in_turn

_DAY_US = 86_400_000_000


class FollowedTable(TimedTable):
    """The versions that the job began with, for which events wait, and those that came since, which are loaded in the
    background: until one is, the former one answers. Events that another version answered than the one in force are
    counted, also those that were joined before its release was known (to the second). Not thread-safe.

    Args:
        horizon_us: how far behind the newest event others may be; those of a day are counted at least.
    """

    def __init__(self, lookup: LookupSpec, horizon_us: int) -> None:
        assert lookup.stored is not None
        super().__init__(lookup, lookup.stored.releases)
        self._at_start = {each.sequence for each in self.releases}
        self._kept_us = max(horizon_us, _DAY_US)
        self._overtaken = Overtaken()
        self._latest_us = -(2**62)
        self._see()

    def hear(self, release: TableRelease) -> None:
        """A release that came; one that is known already changes nothing."""
        if any(each.sequence == release.sequence for each in self.releases):
            return
        self.releases = in_turn([*self.releases, release])
        HELD_VERSIONS.begin(version_of_release(self._lookup, release))
        self._see()
        self._count(self._overtaken.take(release.sequence))

    def answer(self, keys: pa.Array, times_us: Ints) -> TableAnswer:
        """As `Answering`."""
        found = super().answer(keys, times_us)
        if len(times_us):
            self._latest_us = max(self._latest_us, int(np.max(times_us)))
            self._overtaken.scored(times_us)
        return found

    def find(self, index: int) -> tuple[TableRelease, AsOfTable] | None:
        """The release in force if its version is loaded, else the nearest before it; None where none is."""
        for release in reversed(self.releases[: index + 1]):
            wanted = version_of_release(self._lookup, release)
            waits = release.sequence in self._at_start
            table = HELD_VERSIONS.awaited(wanted) if waits else HELD_VERSIONS.now(wanted)
            if table is not None:
                return release, table
        return None

    def _of(self, index: int, keys: pa.Array, times_us: Ints) -> TableAnswer:
        found = super()._of(index, keys, times_us)
        if index >= 0 and found.versions is not None and found.versions[0].as_py() != self.releases[index].version:
            self._count(len(keys))
        return found

    def _see(self) -> None:
        entries = [
            AdmittedRelease(Release(each.sequence, "", each.effective_from_us, each.version), {})
            for each in self.releases
        ]
        self._overtaken.see(Timeline(entries), self._latest_us - self._kept_us)

    def _count(self, events: int) -> None:
        if events:
            metrics.counter(metrics.FORMER_TABLE_PREFIX + self._lookup.name).inc(events)
