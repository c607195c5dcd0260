"""The summary of a sealed segment: which versions answered in each of its blocks, so that few or none are read.

An Arrow IPC file, sorted, with one row for each block (its index in the container) and each model, version, role and
release in it: how many receipts, and their first and last event times in microseconds since 1970.
"""

from hashlib import sha256
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.segments import SUMMARY, SegmentStatement, UnusableSegment
from schemas.native.hashing import bytes_and_offsets

SUMMARISED = ("model", "version", "role", "release")
"""The columns of receipts that a summary counts by, besides `event_time`."""
_KEYS = ("block", *SUMMARISED)
_SCHEMA = pa.schema(
    [
        ("block", pa.int32()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("role", pa.string()),
        ("release", pa.int64()),
        ("receipts", pa.int64()),
        ("first_event_us", pa.int64()),
        ("last_event_us", pa.int64()),
    ]
)
_FOLD_ROWS = 65_536  # many small files are folded at once
_MANY_ROWS = 1_024  # fewer are as quick to fold as to compare


class SummaryBuilder:
    """Gathers the summary of a segment while its receipts are added."""

    def __init__(self) -> None:
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._folded: list[pa.Table] = []

    def add(self, rows: pa.RecordBatch, first: int, block_rows: int) -> None:
        """Adds receipts in order; `first`: the index of the first in the segment."""
        count = rows.num_rows
        times = rows.column("event_time").cast(pa.int64())
        if count >= _MANY_ROWS and not times.null_count and all(_is_one(rows.column(name)) for name in SUMMARISED):
            self._keep(_of_one(rows.slice(0, 1), times.to_numpy(), first, block_rows))
            return
        named = [rows.column(name) for name in ("model", "version", "role")]
        blocks = pa.array(np.arange(first, first + count, dtype=np.int64) // block_rows, pa.int32())
        columns = [
            blocks,
            *named,
            rows.column("release").cast(pa.int64()),
            pa.array(np.ones(count, np.int64)),
            times,
            times,
        ]
        self._keep(pa.record_batch(columns, schema=_SCHEMA))

    def _keep(self, counted: pa.RecordBatch) -> None:
        self._pending.append(counted)
        self._pending_rows += counted.num_rows
        if self._pending_rows >= _FOLD_ROWS:
            self._fold()

    def table(self) -> pa.Table:
        """The summary of all that was added."""
        self._fold()
        found = _folded(pa.concat_tables([_SCHEMA.empty_table(), *self._folded]))
        return found.sort_by([(name, "ascending") for name in _KEYS])

    def write(self, stream: IO[bytes]) -> None:
        """Writes the summary of all that was added."""
        found = self.table()
        with pa.ipc.new_file(stream, _SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(found)

    def _fold(self) -> None:
        if self._pending:
            self._folded.append(_folded(pa.Table.from_batches(self._pending)))
        self._pending, self._pending_rows = [], 0


def _is_one(column: pa.Array) -> bool:
    """Whether all values are the same, and there."""
    if column.null_count:
        return False
    if pa.types.is_integer(column.type):
        numbers = np.asarray(column)
        return bool(np.all(numbers == numbers[0]))
    if not pa.types.is_string(column.type):
        return False
    data, ends = bytes_and_offsets(column)
    size = int(ends[1] - ends[0])
    every = data.slice(int(ends[0]), int(ends[-1] - ends[0])).to_pybytes()
    return bool(np.all(np.diff(ends) == size)) and every == every[:size] * len(column)


def _of_one(named: pa.RecordBatch, times: npt.NDArray[np.int64], first: int, block_rows: int) -> pa.RecordBatch:
    """What `_folded` makes of consecutive receipts that one release answered; `named`: one of them."""
    blocks = np.arange(first // block_rows, (first + len(times) - 1) // block_rows + 1)
    begins = np.maximum(blocks * block_rows - first, 0)
    same = pa.array(np.zeros(len(blocks), np.int32))
    columns = [
        pa.array(blocks, pa.int32()),
        *(named.column(name).take(same) for name in SUMMARISED),
        pa.array(np.diff(begins, append=len(times))),
        pa.array(np.minimum.reduceat(times, begins)),
        pa.array(np.maximum.reduceat(times, begins)),
    ]
    return pa.record_batch(columns, schema=_SCHEMA)


def _folded(rows: pa.Table) -> pa.Table:
    """One row for each block, model, version, role and release."""
    sums = [("receipts", "sum"), ("first_event_us", "min"), ("last_event_us", "max")]
    found = rows.group_by(list(_KEYS), use_threads=False).aggregate(sums)
    return pa.table([found.column(name) for name in (*_KEYS, *(f"{of}_{how}" for of, how in sums))], schema=_SCHEMA)


def parse_summary(data: bytes | None, statement: SegmentStatement) -> pa.Table:
    """The summary of a segment as a table.

    Raises:
        UnusableSegment: it is missing, is not what was sealed, or contradicts the statement.
    """
    where = f"{SUMMARY} of segment {statement.number}"
    if data is None or sha256(data).hexdigest() != statement.files[SUMMARY]:
        what = "is missing" if data is None else "is not what was sealed"
        raise UnusableSegment(f"{where} {what}; expected: the file of its sha256; next: halflife audit verify")
    try:
        found: Any = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        found.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnusableSegment(f"{where} cannot be read: {error}; expected: an Arrow file") from None
    blocks = -(-statement.records // statement.block_rows)
    if found.schema != _SCHEMA or not found.num_rows:
        raise UnusableSegment(f"{where} has {', '.join(found.schema.names)}; expected: {', '.join(_SCHEMA.names)}")
    span = pc.min_max(found.column("block")).as_py()
    if pc.sum(found.column("receipts")).as_py() != statement.records or span["min"] != 0 or span["max"] != blocks - 1:
        raise UnusableSegment(f"{where} has other receipts than the segment; expected: {statement.records} in {blocks}")
    return found
