"""What a rollback goes back to, and what it writes.

A rollback writes releases whose evidence says so: `rollback:3` repeats release 3; `rollback:3; neutralises:5` repeats
it from the time of release 5 on, which was to take effect then.
"""

import re
from collections.abc import Iterable, Iterator

from models.errors import StoreError
from models.releases.release import Release
from models.releases.timeline import release_in_force, serving_order
from schemas.expectations import wants

_ROLLED_BACK = re.compile(r"^rollback:(\d{1,8})(; |$)")
_NEUTRALISES = re.compile(r"^rollback:\d{1,8}; neutralises:(\d{1,8})(; |$)")


def rollback_evidence(target: Release, neutralised: Release | None = None) -> str:
    """The evidence in the releases that a rollback writes.

    >>> earlier, scheduled = Release(3, "delays", 0, "v1"), Release(5, "delays", 9, "v2")
    >>> rollback_evidence(earlier), rollback_evidence(earlier, scheduled)
    ('rollback:3', 'rollback:3; neutralises:5')
    """
    return f"rollback:{target.sequence}" + ("" if neutralised is None else f"; neutralises:{neutralised.sequence}")


class Past:
    """The timeline as a rollback sees it at a time (microseconds since 1970).

    A release that a rollback wrote stands for the one that it repeats, and counts as in force as soon as it is written:
    so rolling back twice goes back twice, and never returns to what was rolled back first.

    Args:
        releases: all releases, at least one.
        now_us: the time whose release in force is undone, by the wall clock.

    Attributes:
        in_force: the release that is undone.
        coming: those that are to take effect later, in the order in which they do.
    """

    def __init__(self, releases: Iterable[Release], now_us: int) -> None:
        self._ordered = serving_order(releases)
        self._by_sequence = {release.sequence: release for release in self._ordered}
        self._indexes = {release.sequence: index for index, release in enumerate(self._ordered)}
        neutralised = (_number(_NEUTRALISES, release) for release in self._ordered)
        self._neutralised = frozenset(sequence for sequence in neutralised if sequence is not None)
        begun = [each for each in self._ordered if each.effective_from_us <= now_us or self._is_rollback(each)]
        until_us = max((each.effective_from_us for each in begun), default=now_us)
        serving = release_in_force(begun or self._ordered, until_us)
        assert serving is not None  # there is at least one
        self.in_force = serving
        self.coming = [each for each in self._ordered if each.effective_from_us > now_us and each not in begun]

    def named(self, sequence: int) -> Release:
        """The release with this sequence.

        Raises:
            StoreError: there is none.
        """
        if sequence not in self._by_sequence:
            listed = ", ".join(str(each) for each in sorted(self._by_sequence)[-20:])
            raise StoreError(f"release {sequence} is not in the timeline; {wants(listed)}")
        return self._by_sequence[sequence]

    def earlier(self) -> Iterator[Release]:
        """The releases before the one in force, the latest first; each once, without those that never served."""
        index = self._index(self.in_force)
        seen = {self._stands_for(self.in_force).sequence}
        for release in reversed(self._ordered):
            if self._indexes[release.sequence] >= index or release.sequence in self._neutralised:
                continue
            index = self._index(release)
            repeated = self._stands_for(release)
            if repeated.sequence not in seen:
                seen.add(repeated.sequence)
                yield repeated

    def scheduled(self, start_us: int, after_us: int, target: Release) -> list[Release]:
        """The releases after `after_us` that would take over from a rollback to `target` that begins at `start_us`.

        Of several at one time it is the one that would serve; releases that a rollback to the same release wrote are
        left out.
        """
        serving = {each.effective_from_us: each for each in self._ordered if each.effective_from_us > after_us}
        return [each for each in serving.values() if not self._is_harmless(each, start_us, target)]

    def _is_harmless(self, release: Release, start_us: int, target: Release) -> bool:
        undone = release == self.in_force and release.effective_from_us <= start_us
        return undone or (_number(_ROLLED_BACK, release) is not None and _roles(release) == _roles(target))

    def _is_rollback(self, release: Release) -> bool:
        if release.sequence in self._neutralised or _number(_NEUTRALISES, release) is not None:
            return False
        return _number(_ROLLED_BACK, release) is not None

    def _stands_for(self, release: Release) -> Release:
        """The release that a rollback's release repeats; the release itself if no rollback wrote it."""
        repeated = _number(_ROLLED_BACK, release)
        # Only an earlier release can be repeated: whatever others wrote into the store must not form a cycle.
        while repeated is not None and repeated < release.sequence and repeated in self._by_sequence:
            release = self._by_sequence[repeated]
            repeated = _number(_ROLLED_BACK, release)
        return release

    def _index(self, release: Release) -> int:
        """Where to go back from: the index of the release that this one stands for, where that is earlier."""
        return min(self._indexes[release.sequence], self._indexes[self._stands_for(release).sequence])


def _number(pattern: re.Pattern[str], release: Release) -> int | None:
    found = pattern.search(release.evidence)
    return None if found is None else int(found[1])


def _roles(release: Release) -> tuple[object, ...]:
    return (release.champion, release.challengers, release.shadows, release.split_on, release.salt)
