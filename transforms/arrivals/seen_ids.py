"""Which event ids a shard has seen: sorted runs of 128-bit hashes, without Beam."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from transforms.flow.sharding import hash_ids
from transforms.flow.state import Plain

FORMAT_VERSION = 2
Hashes = npt.NDArray[np.uint64]
_COLUMN_TYPES = ("<u8", "<u8", "<i8")
_SECOND_KEY = "halflife:seen-id"  # 16 characters other than pandas' default give an independent hash


class SeenRun(NamedTuple):
    """Ids as two independent 64-bit hashes, sorted by the first, with their event times in microseconds."""

    first: Hashes
    second: Hashes
    time_us: npt.NDArray[np.int64]


class SeenForm:
    """A run as plain bytes: its three columns, little-endian."""

    _plain = Plain(tuple[bytes, bytes, bytes])

    def encode(self, value: SeenRun) -> bytes:
        columns = zip(value, _COLUMN_TYPES, strict=True)
        return self._plain.encode(tuple(column.astype(kind, copy=False).tobytes() for column, kind in columns))

    def decode(self, encoded: bytes) -> SeenRun:
        columns = zip(self._plain.decode(encoded), _COLUMN_TYPES, strict=True)
        run = SeenRun(*(np.frombuffer(column, kind) for column, kind in columns))
        if len({len(column) for column in run}) != 1:
            raise ValueError(f"columns of {', '.join(str(len(column)) for column in run)} ids")
        return run


def two_hashes(ids: pa.Array) -> tuple[Hashes, Hashes]:
    """Two independent hashes of each id."""
    texts = ids.to_numpy(zero_copy_only=False)
    first = pd.util.hash_array(texts, categorize=False)
    return first, pd.util.hash_array(texts, hash_key=_SECOND_KEY, categorize=False)


def run_of(ids: pa.Array, times_us: npt.NDArray[np.int64]) -> SeenRun:
    """The ids as a sorted run."""
    first, second = two_hashes(ids)
    order = np.argsort(first, kind="stable")
    return SeenRun(first[order], second[order], times_us[order])


def contains(runs: Sequence[SeenRun], ids: pa.Array) -> npt.NDArray[np.bool_]:
    """Which of the ids are in one of the runs, shape (n,)."""
    first, second = two_hashes(ids)
    found = np.zeros(len(first), np.bool_)
    for run in runs:
        index = np.minimum(np.searchsorted(run.first, first), len(run.first) - 1)
        found |= (run.first[index] == first) & (run.second[index] == second)
    return found


def compacted(runs: Sequence[SeenRun], keep_from_us: int) -> SeenRun | None:
    """All runs as one, without ids whose event time is before `keep_from_us`; None when nothing is left."""
    joined = SeenRun(*(np.concatenate(columns) for columns in zip(*runs, strict=True)))
    kept = np.flatnonzero(joined.time_us >= keep_from_us)
    if not len(kept):
        return None
    order = kept[np.argsort(joined.first[kept], kind="stable")]
    return SeenRun(joined.first[order], joined.second[order], joined.time_us[order])


def first_among(groups: Sequence[pa.RecordBatch]) -> list[npt.NDArray[np.bool_]]:
    """As `first_of_each`, over the rows of several batches that together may be too large for one column."""
    if len(groups) == 1:
        return [first_of_each(groups[0])]
    hashes = np.concatenate([hash_ids(group.column(batches.EVENT_ID)) for group in groups])
    _, index, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    suspected = counts[index] > 1
    chosen = np.ones(len(hashes), np.bool_)
    ends = np.cumsum([group.num_rows for group in groups])[:-1]
    if suspected.any():
        rows = [_wide(group, own) for group, own in zip(groups, np.split(suspected, ends), strict=True)]
        chosen[suspected] = first_of_each(pa.concat_batches(rows))
    return np.split(chosen, ends)


def _wide(group: pa.RecordBatch, rows: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """The columns that identify the events of a group, with 64-bit offsets."""
    chosen = batches.take_rows(group.select([batches.EVENT_ID, batches.EVENT_TIME, batches.PAYLOAD]), rows)
    columns = [chosen.column(0).cast(pa.large_string()), chosen.column(1), chosen.column(2).cast(pa.large_binary())]
    return pa.RecordBatch.from_arrays(columns, chosen.schema.names)


def first_of_each(events: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Marks one event for every id: the one with the smallest (event time, payload), whatever the order of rows."""
    chosen = np.ones(events.num_rows, np.bool_)
    hashes = np.sort(hash_ids(events.column(batches.EVENT_ID)))  # the usual case, at half the cost: no two are equal
    if not (hashes[1:] == hashes[:-1]).any():
        return chosen
    encoded = events.column(batches.EVENT_ID).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    counts = np.bincount(codes)
    repeated = np.flatnonzero(counts[codes] > 1)
    subset = pa.table(
        {
            "row": repeated,
            "code": codes[repeated],
            "time": events.column(batches.EVENT_TIME).take(pa.array(repeated)),
            "payload": events.column(batches.PAYLOAD).take(pa.array(repeated)),
        }
    )
    order = pc.sort_indices(subset, [("code", "ascending"), ("time", "ascending"), ("payload", "ascending")])
    rows, sorted_codes = repeated[order.to_numpy()], codes[repeated][order.to_numpy()]
    chosen[rows[np.concatenate(([False], np.diff(sorted_codes) == 0))]] = False
    return chosen
