"""Receipts that have the `score_id` of another: how many, and which contradict each other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.index import prefixes
from audit.files.reading import ReadStretch, read_file
from audit.files.sealed import SealedSegment
from audit.files.segments import KINDS, RECEIPTS
from audit.sealing.findings import AuditFindings
from models.store.backends import Backend

_AT_ONCE = 20_000


class LocatedReceipts(NamedTuple):
    """Receipts of a file, in the schema of the file, with its key."""

    rows: pa.RecordBatch
    file: str


Contradicting = Callable[[list[LocatedReceipts]], Iterable[str]]


class Duplicates:
    """Gathers the prefixes of all receipts, eight bytes each, and compares those that are there twice.

    Args:
        backend: the audit.
        contradicting: the scores among receipts that contradict each other.
    """

    def __init__(self, backend: Backend, contradicting: Contradicting) -> None:
        self._backend, self._contradicting = backend, contradicting
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
        receipts = [
            LocatedReceipts(rows, file)
            for number in np.unique(where).tolist()
            for rows, file in self._receipts(segments, number, np.sort(row[where == number]).tolist())
        ]
        ids = pa.chunked_array([each.rows.column("score_id").cast(pa.string()) for each in receipts], pa.string())
        counts = pc.value_counts(ids)
        several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        found.duplicated += len(ids) - len(counts)
        same = [LocatedReceipts(_of(each.rows, several), each.file) for each in receipts]  # eight bytes may be of two
        found.contradictions += self._contradicting([each for each in same if each.rows.num_rows])

    def _receipts(
        self, segments: Sequence[SealedSegment], number: int, rows: list[int]
    ) -> Iterator[tuple[pa.RecordBatch, str]]:
        if number >= 0:
            for batch in segments[number].at_rows(rows):
                yield batch, segments[number].file
            return
        file, wanted = self._files[-number - 1], np.array(rows)
        for piece in read_file(self._backend, file, KINDS[RECEIPTS]):
            if isinstance(piece, ReadStretch):
                within = wanted[(wanted >= piece.first) & (wanted < piece.first + piece.columns.num_rows)] - piece.first
                yield piece.columns.take(pa.array(within)), file


def _of(rows: pa.RecordBatch, ids: pa.Array) -> pa.RecordBatch:
    return rows.filter(pc.is_in(rows.column("score_id"), ids))


def _spans(count: int, edges: list[int]) -> Iterator[tuple[int, int]]:
    """Spans of about 20,000 receipts, each of whole groups."""
    first = 0
    for edge in edges:
        if edge - first >= _AT_ONCE:
            yield first, edge
            first = edge
    if first < count:
        yield first, count
