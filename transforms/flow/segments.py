"""Which segments of a window are measured where there are very many: as many as `MAX_SEGMENTS` of each column.

Those whose texts have the smallest hashes are measured, so the choice depends on the set of events alone: it is the
same in every run and for any order and grouping of partial results, and mostly the same from window to window. All
other events of the window are one more segment, which says so.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from transforms.flow.distinct import distinct

Ints = npt.NDArray[np.int64]
MAX_SEGMENTS = 10_000
"""Segments of one column in one window that are measured apart."""
_NULL = " is null"


def others_of(column: str, limit: int = MAX_SEGMENTS) -> str:
    """The segment of all events that are in none of those that are measured apart.

    >>> others_of("origin")
    'origin: others than the 10000 that are measured'
    """
    return f"{column}: others than the {limit} that are measured"


def column_of(segment: str) -> str:
    """The column of a segment's text, up to a sign that values may follow.

    >>> column_of("origin=JFK"), column_of("origin is null"), column_of(others_of("origin"))
    ('origin', 'origin', 'origin')
    """
    head = segment.partition("=")[0]
    return head.removesuffix(_NULL) if head.endswith(_NULL) else head.partition(": others than the ")[0]


def ranks_of(texts: Sequence[str]) -> Ints:
    """Of each text its rank by hash, equal hashes by text."""
    order = sorted(range(len(texts)), key=lambda at: (zlib.crc32(texts[at].encode()), texts[at]))
    ranks = np.empty(len(texts), np.int64)
    ranks[order] = np.arange(len(texts))
    return ranks


def limited_codes(window: Ints, codes: Ints, texts: Sequence[str], limit: int = MAX_SEGMENTS) -> Ints:
    """The segment of each row, `len(texts)` where its window has `limit` others that go first; shape (n,).

    Args:
        window: the index of each row's window.
        codes: the index of each row's segment in `texts`.

    >>> limited_codes(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2]), ["a", "b", "c"], limit=2).tolist()
    [3, 1, 2, 2]
    """
    if len(texts) <= limit:
        return codes
    ranks = ranks_of(texts)
    found, of_row = distinct(window * len(texts) + ranks[codes])
    windows = found // len(texts)
    nth = np.arange(len(found)) - np.searchsorted(windows, windows)
    return np.where(nth[of_row] < limit, codes, len(texts))


def limited_groups(groups: Sequence[tuple[int, str]], limit: int = MAX_SEGMENTS) -> list[tuple[int, str]]:
    """Of each group of several partial results the one that it counts in: itself, or the others of its window.

    >>> limited_groups([(0, ""), (0, "o=a"), (0, "o=b"), (0, "o=c")], limit=2)
    [(0, ''), (0, 'o: others than the 2 that are measured'), (0, 'o=b'), (0, 'o=c')]
    """
    if len(groups) <= limit:
        return list(groups)
    of_column: dict[tuple[int, str], list[int]] = {}
    for at, (start, text) in enumerate(groups):
        column = column_of(text)
        if text and text != others_of(column, limit):
            of_column.setdefault((start, column), []).append(at)
    found = list(groups)
    for (start, column), members in of_column.items():
        ranks = ranks_of([groups[at][1] for at in members]) if len(members) > limit else np.zeros(0, np.int64)
        for at in np.flatnonzero(ranks >= limit).tolist():
            found[members[at]] = (start, others_of(column, limit))
    return found
