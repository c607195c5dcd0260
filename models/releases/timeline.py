"""The timeline that releases form: which of them is in force at a time, and what follows it."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from models.releases.release import AdmittedRelease, Release

Times = npt.NDArray[np.int64]
"""Microseconds since 1970."""


def serving_order(releases: Iterable[Release]) -> list[Release]:
    """Releases in the order in which they serve: by (`effective_from`, sequence)."""
    return sorted(releases, key=_turn)


def _turn(release: Release) -> tuple[int, int]:
    return release.effective_from_us, release.sequence


def in_force(starts_us: Times, times_us: Times) -> npt.NDArray[np.int64]:
    """Which release serves at each time: the last one that has begun, or the first if none has.

    So of several that begin at one time the last one serves, and the first release also serves events from before it.

    >>> in_force(np.array([10, 20, 20]), np.array([5, 10, 19, 20])).tolist()
    [0, 0, 0, 2]

    Args:
        starts_us: `effective_from` of the releases in serving order, shape (m,).
        times_us: shape (n,).

    Returns:
        Indexes into the releases, int64 of shape (n,); all -1 where there is no release.
    """
    begun = np.searchsorted(starts_us, times_us, side="right").astype(np.int64)
    return np.maximum(begun - 1, 0 if len(starts_us) else -1)


def release_in_force(releases: Iterable[Release], at_us: int) -> Release | None:
    """The release that serves an event of this time; None without any. The first serves earlier events too.

    A job applies the same rule to the releases that it admitted, which may be fewer.

    >>> timeline = [Release(1, "delays", 0, "v1"), Release(2, "delays", 100, "v2"), Release(3, "delays", 100, "v3")]
    >>> [release_in_force(timeline, at_us).champion for at_us in (-1, 99, 100)]
    ['v1', 'v1', 'v3']
    """
    ordered = serving_order(releases)
    starts_us = np.array([release.effective_from_us for release in ordered], dtype=np.int64)
    [index] = in_force(starts_us, np.array([at_us], dtype=np.int64)).tolist()
    return None if index < 0 else ordered[index]


def taken_over_by(releases: Iterable[Release], release: Release) -> Release | None:
    """The release that serves instead of this one from some time on; None where this one serves for good."""
    ordered = serving_order(releases)
    later = ordered[ordered.index(release) + 1 :]
    return release_in_force(later, later[0].effective_from_us) if later else None


def roles_of(release: Release | None) -> dict[str, str]:
    """The role of each version of a release, challengers with their share: `{"v1": "champion"}`.

    >>> roles_of(Release(1, "delays", 0, "v1", shadows=("v2",)))
    {'v1': 'champion', 'v2': 'shadow'}
    """
    if release is None:
        return {}
    challengers = {each.version: f"challenger {each.share:.4g}" for each in release.challengers}
    return {release.champion: "champion", **challengers, **dict.fromkeys(release.shadows, "shadow")}


class Timeline:
    """Admitted releases in the order of (`effective_from`, sequence).

    Built from any iterable, in any order; a release that comes twice (panes of a side input repeat) counts
    once.
    """

    def __init__(self, entries: Iterable[AdmittedRelease]) -> None:
        by_sequence: dict[int, AdmittedRelease] = {}
        for entry in entries:
            by_sequence.setdefault(entry.release.sequence, entry)
        self.entries: tuple[AdmittedRelease, ...] = tuple(
            sorted(by_sequence.values(), key=lambda entry: _turn(entry.release))
        )
        self._starts = np.array([entry.release.effective_from_us for entry in self.entries], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def run(self) -> str | None:
        """The run that admitted the newest release; None where it is not known."""
        newest = max(self.entries, key=lambda entry: entry.release.sequence)
        return newest.run or None

    def in_force(self, event_time_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Index into `entries` of the release that serves each event (shape (n,), int64), as `in_force` says."""
        return in_force(self._starts, event_time_us)
