"""Whether what a segment says of its records, in its index, summary and statement, is what they say: questions are
answered by it, and who prepared it had no key."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.files.index import prefixes
from audit.files.reading import ReadStretch
from audit.files.sealed import SealedSegment, StoredBlock
from audit.files.segments import INDEX, STATEMENT, SUMMARY
from audit.files.summaries import SummaryBuilder
from audit.sealing.building import TIMES, joined_keys, widened
from audit.sealing.sources import stretch_of
from schemas.avro.datums import decode_block
from schemas.errors import UnusableData
from schemas.native.hashing import bytes_and_offsets

_AT_ONCE_RECORDS = 8_192
_Keys = tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]


class ToldTruly:
    """Takes a segment's blocks in order, of which `verify` knows that they are as they were sealed."""

    def __init__(self, segment: SealedSegment) -> None:
        self._segment, self._index = segment, segment.index
        self._pending: list[StoredBlock] = []
        self._wrong = set[str]()
        self._keys: dict[str, list[_Keys]] = {name: [] for name in self._index.names}
        self._spans: list[tuple[int, int] | None] = [None, None]
        self._summary = SummaryBuilder() if segment.statement.summarised else None

    def add(self, block: StoredBlock, hashes: bytes) -> None:
        """The next block, with the hashes of its leaves back to back."""
        number = block.location.first // self._index.block_rows
        if not np.array_equal(np.frombuffer(hashes, "<u4")[::8], self._index.checks(number)):
            self._wrong.add(INDEX)
        self._pending.append(block)
        if sum(len(each.location.offsets) for each in self._pending) >= _AT_ONCE_RECORDS:
            self._look()

    def lies(self) -> list[str]:
        """The names of the files that say something else than the records, after all blocks."""
        self._look()
        wrong, statement = self._wrong, self._segment.statement
        if INDEX not in wrong and not all(self._finds(name, joined_keys(found)) for name, found in self._keys.items()):
            wrong.add(INDEX)
        told = (statement.first_event_us, statement.last_event_us, statement.first_scored_us, statement.last_scored_us)
        if told != tuple(time for span in self._spans for time in span or (None, None)):
            wrong.add(STATEMENT)
        if self._summary is not None and not self._summary.table().equals(_sorted(self._segment)):
            wrong.add(SUMMARY)
        return sorted(wrong)

    def _look(self) -> None:
        if self._pending:
            found = _stretch(self._segment, self._pending)
            if found is None:
                self._wrong.add(INDEX)
            else:
                self._take(found)
        self._pending = []

    def _take(self, found: ReadStretch) -> None:
        if not np.array_equal(bytes_and_offsets(found.datums)[1][:-1], np.concatenate(list(_begins(self._pending)))):
            self._wrong.add(INDEX)
        for name, keys in self._keys.items():
            keys.append(prefixes(found.columns.column(name)))
        for index, of in enumerate(TIMES[self._segment.statement.kind]):
            if of is not None:
                self._spans[index] = widened(self._spans[index], found.columns.column(of))
        if self._summary is not None:
            self._summary.add(found.columns, found.first, self._index.block_rows)

    def _finds(self, name: str, keys: _Keys) -> bool:
        """Whether the index has each value of a name, and no others, where a look-up finds it."""
        found, there = keys
        try:
            ordered, rows = self._index.keys(name)
        except UnusableData:
            return False
        if len(rows) != int(there.sum()) or not np.array_equal(found[rows], ordered) or not there[rows].all():
            return False
        once = not len(rows) or int(np.bincount(rows).max()) == 1
        return once and bool(np.all(ordered[1:] >= ordered[:-1])) and self._index.is_fenced(name)


def _begins(blocks: list[StoredBlock]) -> Iterator[npt.NDArray[np.int64]]:
    """Where each record of some blocks begins among the bytes of all of them."""
    before = 0
    for block in blocks:
        yield block.location.offsets.astype(np.int64) + before
        before += len(block.data)


def _stretch(segment: SealedSegment, blocks: list[StoredBlock]) -> ReadStretch | None:
    """The records of some blocks; None where they are not so many."""
    data, count = b"".join([each.data for each in blocks]), sum(len(each.location.offsets) for each in blocks)
    first = blocks[0].location.first
    try:
        skimmed = stretch_of(data, count, segment.schema, first)
        if skimmed is not None:
            return skimmed
        found = decode_block(data, count, segment.schema)
    except UnusableData:
        return None
    return None if found.unreadable or len(found.rows) != count else ReadStretch(found.rows, found.payloads, first)


def _sorted(segment: SealedSegment) -> pa.Table | None:
    try:
        return segment.summary
    except UnusableData:
        return None
