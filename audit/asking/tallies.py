"""What many receipts say together: by the summaries of sealed segments, and by reading all that has none.

A summary counts receipts, and a score may have several: those that may are found by the prefixes of their `score_id`s
in the indexes, and only these are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.audit import Audit, ReceiptFilter, columns_of
from audit.files.index import prefixes
from audit.files.sealed import SealedSegment
from schemas.errors import UnusableData

_ANSWERING = ("champion", "challenger")
_AT_NAMES = ("event_id", "model", "release", "role")
_SCORE_NAMES = ("score_id", "model", "role", "event_time")
Prefixes = npt.NDArray[np.uint64]


class VersionScores(NamedTuple):
    """How many scores a version gave in each role, each counted once, and the event times of the first and last of them
    in microseconds since 1970, None where there is none."""

    counts: Mapping[str, int]
    first_us: int | None
    last_us: int | None


def answered_by_another(audit: Audit, model: str, release: int, wanted: ReceiptFilter) -> tuple[str, ...]:
    """The events of a time that another release of a model answered than the one that is given, sorted by id.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    parts, found = audit.parts(wanted), set[str]()
    for segment in parts.summarised:
        try:
            for rows in segment.in_blocks(_blocks_of_others(segment.summary, model, release, wanted)):
                found |= _events_of_others(columns_of(rows, _AT_NAMES, wanted), model, release)
        except UnusableData as error:
            audit.read_whole(segment, error)
            return answered_by_another(audit, model, release, wanted)
    for rows in audit.columns(_AT_NAMES, wanted, parts):
        found |= _events_of_others(rows, model, release)
    return tuple(sorted(found))


def _of_others(rows: pa.RecordBatch | pa.Table, model: str, release: int) -> pa.Array:
    other = pc.and_(pc.not_equal(rows.column("release"), release), pc.equal(rows.column("model"), model))
    answered = reduce(pc.or_, [pc.equal(rows.column("role"), role) for role in _ANSWERING])
    return pc.and_(other, answered)


def _events_of_others(rows: pa.RecordBatch, model: str, release: int) -> set[str]:
    return set(rows.column("event_id").filter(_of_others(rows, model, release)).to_pylist())


def _blocks_of_others(summary: pa.Table, model: str, release: int, wanted: ReceiptFilter) -> list[int]:
    """The blocks of a segment that may have such an event of the time that is wanted."""
    mask = _of_others(summary, model, release)
    if wanted.since_us is not None:
        mask = pc.and_(mask, pc.greater_equal(summary.column("last_event_us"), wanted.since_us))
    if wanted.until_us is not None:
        mask = pc.and_(mask, pc.less(summary.column("first_event_us"), wanted.until_us))
    found: list[int] = pc.unique(summary.column("block").filter(mask)).to_pylist()
    return found


def scores_of(audit: Audit, model: str, version: str) -> VersionScores:
    """The scores that a version gave. Raises as `answered_by_another`."""
    wanted = ReceiptFilter(version=version)
    parts, tally = audit.parts(wanted), _Tally()
    naming = [(segment, own) for segment in parts.summarised if (own := _own(segment, model, version)).num_rows]
    ordered = list[Prefixes]()
    for segment, own in naming:
        tally.take_summary(own)
        try:
            ordered.append(segment.index.ordered("score_id"))
        except UnusableData as error:
            audit.read_whole(segment, error)
            return scores_of(audit, model, version)
    for rows in audit.columns(_SCORE_NAMES, wanted, parts):
        tally.take_rows(rows.filter(pc.equal(rows.column("model"), model)))
    shared = _shared([*ordered, *tally.prefixes()]) if naming else np.zeros(0, np.uint64)
    for (segment, _), keys in zip(naming, ordered, strict=True):
        try:
            for rows in _rows_of(segment, keys, shared, wanted):
                tally.take_counted(rows.filter(pc.equal(rows.column("model"), model)))
        except UnusableData as error:
            audit.read_whole(segment, error)
            return scores_of(audit, model, version)
    return tally.scores()


def _own(segment: SealedSegment, model: str, version: str) -> pa.Table:
    found = segment.summary
    return found.filter(pc.and_(pc.equal(found.column("model"), model), pc.equal(found.column("version"), version)))


def _shared(sets: Sequence[Prefixes]) -> Prefixes:
    """The prefixes that are there more than once, ascending."""
    together = np.sort(np.concatenate(sets), kind="stable")  # merges them, since each is sorted
    return np.unique(together[1:][together[1:] == together[:-1]])


def _rows_of(
    segment: SealedSegment, ordered: Prefixes, shared: Prefixes, wanted: ReceiptFilter
) -> Iterator[pa.RecordBatch]:
    """The receipts of a segment whose `score_id` may be that of another, of those that are wanted."""
    left, right = np.searchsorted(ordered, shared, "left"), np.searchsorted(ordered, shared, "right")
    counts = right - left
    if not counts.any():
        return
    within_ranges = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    _, numbers = segment.index.keys("score_id")
    chosen = np.sort(numbers[np.repeat(left, counts) + within_ranges])
    for rows in segment.at_rows(chosen.tolist()):
        yield columns_of(rows, _SCORE_NAMES, wanted)


class _Tally:
    """Scores by role. Those that were read are known by their ids; of the others only how many receipts there are."""

    def __init__(self) -> None:
        self._ids: dict[str, list[pa.Array]] = {}
        self._unread: dict[str, int] = {}
        self._times: list[int] = []

    def take_summary(self, own: pa.Table) -> None:
        """The rows of a summary that are of the version."""
        for role in own.column("role").unique().to_pylist():
            count = pc.sum(own.column("receipts").filter(pc.equal(own.column("role"), role))).as_py()
            self._unread[role] = self._unread.get(role, 0) + count
        self._times += [pc.min(own.column("first_event_us")).as_py(), pc.max(own.column("last_event_us")).as_py()]

    def take_rows(self, rows: pa.RecordBatch) -> None:
        """Receipts that no summary counts."""
        for role in rows.column("role").unique().to_pylist():
            ids = rows.column("score_id").filter(pc.equal(rows.column("role"), role))
            self._ids.setdefault(role, []).append(ids)
        if rows.num_rows:
            self._times += pc.min_max(rows.column("event_time").cast(pa.int64())).as_py().values()

    def take_counted(self, rows: pa.RecordBatch) -> None:
        """Receipts that a summary counts: from now on they are known by their ids."""
        self.take_rows(rows)
        for role in rows.column("role").to_pylist():
            self._unread[role] -= 1

    def prefixes(self) -> list[Prefixes]:
        """Those of the ids that were read."""
        return [np.unique(prefixes(ids)[0]) for found in self._ids.values() for ids in found]

    def scores(self) -> VersionScores:
        """What was counted."""
        counts = dict[str, int]()
        for role in sorted({*self._ids, *self._unread}):
            ids = self._ids.get(role, [])
            distinct = pc.count_distinct(pa.chunked_array(ids)).as_py() if ids else 0
            counts[role] = distinct + self._unread.get(role, 0)
        return VersionScores(counts, min(self._times, default=None), max(self._times, default=None))
