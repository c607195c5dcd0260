"""Reading a timeline as people do: which release is in force, and what a rollback goes back to."""

import re
from collections.abc import Iterable, Sequence

from models.errors import StoreError
from models.releases import Release

_ROLLED_BACK = re.compile(r"rollback:(\d{1,8})")


def serving_order(releases: Iterable[Release]) -> list[Release]:
    """Releases in the order in which they serve: by (`effective_from`, sequence)."""
    return sorted(releases, key=lambda release: (release.effective_from_us, release.sequence))


def release_in_force(releases: Iterable[Release], at_us: int) -> Release | None:
    """The release that serves an event of this time; None without any. The first serves earlier events too.

    A job asks the same of the releases it admitted, which may be fewer.
    """
    ordered = serving_order(releases)
    begun = [release for release in ordered if release.effective_from_us <= at_us]
    return next(iter([*reversed(begun), *ordered]), None)


def roles_of(release: Release | None) -> dict[str, str]:
    """The role of each version of a release, challengers with their share: `{"v1": "champion"}`."""
    if release is None:
        return {}
    challengers = {each.version: f"challenger {each.share:.4g}" for each in release.challengers}
    return {release.champion: "champion", **challengers, **dict.fromkeys(release.shadows, "shadow")}


def release_undone_to(ordered: Sequence[Release], sequence: int | None) -> Release:
    """The release that a rollback repeats.

    Without a `sequence` it is the one before the last in the order of serving. Where the last is itself a
    rollback, to some release N, it is the one before N: rolling back twice goes back twice, it does not return
    to what was rolled back first.

    Args:
        ordered: at least one release, in serving order.
        sequence: the release to go back to, or None.

    Raises:
        StoreError: there is no such release.
    """
    by_sequence = {release.sequence: release for release in ordered}
    if sequence is not None:
        if sequence not in by_sequence:
            listed = ", ".join(str(each) for each in sorted(by_sequence)[-20:])
            raise StoreError(f"release {sequence} is not in the timeline; allowed: {listed}")
        return by_sequence[sequence]
    undone = ordered[-1]
    repeated = _ROLLED_BACK.fullmatch(undone.evidence)
    while repeated and int(repeated[1]) in by_sequence:
        undone = by_sequence[int(repeated[1])]
        repeated = _ROLLED_BACK.fullmatch(undone.evidence)
    place = ordered.index(undone)
    if place == 0:
        raise StoreError(f"release {undone.sequence} is the first one: nothing to go back to; allowed: --to SEQUENCE")
    return ordered[place - 1]
