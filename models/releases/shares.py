"""Which version answers an event: the champion, or a challenger (such as a canary) by its share.

Anyone computes the same from a release and the event's value.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.releases.release import Release


def unit_interval(salt: str, values: Sequence[str]) -> npt.NDArray[np.float64]:
    """Where each value falls in [0, 1].

    That is `int.from_bytes(sha256(f"{salt}|{value}")[:8], "big") / 2**64` (docs/design.md §5).

    Args:
        salt: the release's salt.
        values: n strings.

    Returns:
        float64 of shape (n,); equal to the formula in Python to the last bit.

    >>> unit_interval("2013-06", ["JFK", "LGA", "EWR"]).round(4).tolist()
    [0.9406, 0.5339, 0.3899]
    >>> round(int.from_bytes(hashlib.sha256(b"2013-06|JFK").digest()[:8], "big") / 2**64, 4)
    0.9406
    """
    # Hashing has no columnar form: one sha256 for each value, about 1 µs, the prefix hashed once.
    prefix = hashlib.sha256(f"{salt}|".encode())
    heads = bytearray()
    for value in values:
        digest = prefix.copy()
        digest.update(value.encode())
        heads += digest.digest()[:8]
    return np.frombuffer(bytes(heads), dtype=">u8").astype(np.float64) / 2.0**64


def assign(release: Release, values: Sequence[str]) -> npt.NDArray[np.int8]:
    """Which role answers each event: 0 the champion, i the challenger `release.challengers[i - 1]`.

    A value belongs to the first challenger whose cumulated share is greater than its point in the unit
    interval, so a share of 0 gets nothing; the rest is the champion's. Without challengers nothing is hashed.

    Args:
        release: the release in force.
        values: n values of the column `release.split_on` as text, none of them null.

    Returns:
        int8 of shape (n,).

    With the shares 0.4 and 0.2, values below 0.4 are the first challenger's, those from 0.4 to below 0.6 the second's:

    >>> from models.releases.release import Challenger
    >>> challengers = (Challenger("v2", 0.4), Challenger("v3", 0.2))
    >>> assign(Release(1, "delays", 0, "v1", challengers, salt="2013-06"), ["JFK", "LGA", "EWR"]).tolist()
    [0, 2, 1]
    """
    if not release.challengers:
        return np.zeros(len(values), dtype=np.int8)
    cumulated = np.cumsum([challenger.share for challenger in release.challengers])
    index = np.searchsorted(cumulated, unit_interval(release.salt, values), side="right")
    return np.where(index == len(cumulated), 0, index + 1).astype(np.int8)


def answering(release: Release) -> tuple[str, ...]:
    """The versions that answer events of a release: those that `assign` can choose.

    >>> from models.releases.release import Challenger
    >>> answering(Release(1, "delays", 0, "v1", (Challenger("v2", 0.1), Challenger("v3", 0.0))))
    ('v1', 'v2')
    """
    return (release.champion, *(each.version for each in release.challengers if each.share > 0))
