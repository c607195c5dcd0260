"""Receipts that have the `score_id` of another: how many, and which contradict each other."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from audit.files.index import prefixes
from audit.files.reading import ReadStretch, read_file
from audit.files.sealed import SealedSegment
from audit.files.segments import KINDS, RECEIPTS
from audit.sealing.findings import AuditFindings
from models.store.backends import Backend

_AT_ONCE = 20_000


class LocatedReceipt(NamedTuple):
    """A receipt as one row, with the key of its file."""

    stretch: ReadStretch
    file: str


Contradicts = Callable[[list[LocatedReceipt]], bool]


class Duplicates:
    """Gathers the prefixes of all receipts, eight bytes each, and compares those that are there twice.

    Args:
        backend: the audit.
        contradicts: whether receipts of one score contradict each other.
    """

    def __init__(self, backend: Backend, contradicts: Contradicts) -> None:
        self._backend, self._contradicts = backend, contradicts
        self._files: list[str] = []
        self._unsealed: list[tuple[int, int, Any]] = []

    def take_unsealed(self, file: str, stretch: ReadStretch) -> None:
        """A stretch that nobody has sealed."""
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        keys, _ = prefixes(stretch.columns.column("score_id"))
        self._unsealed.append((len(self._files), stretch.first, keys))

    def find(self, segments: Sequence[SealedSegment], found: AuditFindings) -> None:
        """Counts what is there twice, and names the scores whose receipts contradict each other."""
        keys, wheres, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)], [np.zeros(0, np.uint32)]
        for number, segment in enumerate(segments):
            prefix, row = segment.index.keys("score_id")
            keys.append(prefix)
            wheres.append(np.full(len(row), number, np.int32))
            rows.append(row)
        for number, first, prefix in self._unsealed:
            keys.append(prefix)
            wheres.append(np.full(len(prefix), -number, np.int32))
            rows.append(np.arange(first, first + len(prefix), dtype=np.uint32))
        together = np.concatenate(keys)
        order = np.argsort(together, kind="stable")
        ordered = together[order]
        same = ordered[1:] == ordered[:-1]
        twice = np.zeros(len(ordered), np.bool_)
        twice[1:] |= same
        twice[:-1] |= same
        chosen = order[twice]
        where, row = np.concatenate(wheres)[chosen], np.concatenate(rows)[chosen]
        edges = np.flatnonzero(np.diff(ordered[twice].astype(np.int64))) + 1
        for first, last in _spans(len(chosen), edges.tolist()):
            self._compare(segments, where[first:last], row[first:last], found)

    def _compare(self, segments: Sequence[SealedSegment], where: Any, row: Any, found: AuditFindings) -> None:
        by_id = defaultdict[str, list[LocatedReceipt]](list)
        for number in np.unique(where).tolist():
            for each in self._receipts(segments, number, row[where == number].tolist()):
                by_id[each.stretch.columns.column("score_id")[0].as_py()].append(each)
        for score_id, receipts in by_id.items():
            found.duplicated += len(receipts) - 1
            if len(receipts) > 1 and self._contradicts(receipts):
                found.contradictions.append(score_id)

    def _receipts(self, segments: Sequence[SealedSegment], number: int, rows: list[int]) -> Iterator[LocatedReceipt]:
        if number >= 0:
            for stretch in segments[number].records(rows):
                yield LocatedReceipt(stretch, segments[number].file)
            return
        file, wanted = self._files[-number - 1], set(rows)
        for piece in read_file(self._backend, file, KINDS[RECEIPTS]):
            if isinstance(piece, ReadStretch):
                for row in sorted(wanted & set(range(piece.first, piece.first + len(piece.datums)))):
                    at = row - piece.first
                    yield LocatedReceipt(ReadStretch(piece.columns.slice(at, 1), piece.datums.slice(at, 1), row), file)


def _spans(count: int, edges: list[int]) -> Iterator[tuple[int, int]]:
    """Spans of about 20,000 receipts, each of whole groups."""
    first = 0
    for edge in edges:
        if edge - first >= _AT_ONCE:
            yield first, edge
            first = edge
    if first < count:
        yield first, count
