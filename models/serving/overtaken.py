"""Counts the events that another release answered than the one that should have."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from models.releases.timeline import Timeline

_SECOND_US = 1_000_000
Int64s = npt.NDArray[np.int64]


class Overtaken:
    """Per release, the events at or after its `effective_from` that were answered before it could answer.

    Events are kept as counts per second of event time, so the events that a release missed are counted to the second.
    Memory: one number for each second from the horizon on. Not thread-safe.
    """

    def __init__(self) -> None:
        self._by_second: Counter[int] = Counter()
        self._by_release: Counter[int] = Counter()
        self._known: set[int] = set()

    def see(self, timeline: Timeline, horizon_us: int) -> None:
        """Count the events that were scored before a new release was known; forget what is behind the horizon."""
        for second in [second for second in self._by_second if second < horizon_us // _SECOND_US]:
            del self._by_second[second]
        starts = [entry.release.effective_from_us for entry in timeline.entries]
        for start, end, entry in zip(starts, [*starts[1:], None], timeline.entries, strict=True):
            if entry.release.sequence not in self._known:
                self._known.add(entry.release.sequence)
                self._by_release[entry.release.sequence] += self._scored_between(start, end)

    def scored(self, times_us: Int64s) -> None:
        """Record that events with these times have been answered."""
        seconds, counts = np.unique(times_us // _SECOND_US, return_counts=True)
        self._by_second.update(dict(zip(seconds.tolist(), counts.tolist(), strict=True)))

    def substituted(self, sequence: int, events: int) -> None:
        """Count events of a release that another one answered."""
        self._by_release[sequence] += events

    def take(self, sequence: int) -> int:
        """The count of a release, which is then reset."""
        return self._by_release.pop(sequence, 0)

    def _scored_between(self, start_us: int, end_us: int | None) -> int:
        first, end = start_us // _SECOND_US, None if end_us is None else end_us // _SECOND_US
        return sum(n for second, n in self._by_second.items() if second >= first and (end is None or second < end))
