"""The scores that an advice rests on: those that a version gave as champion in the windows that led to it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.audit import Audit, ReceiptFilter
from gates.windows import CHAMPION

_FIELDS = ("score_id", "event_time", "model", "role")


class ScoresOfWindows(NamedTuple):
    """How many scores there are, the least of their ids, which are hashes and so a sample of all, and what was looked
    through."""

    total: int
    ids: list[str]
    looked_through: str


def scores_of_windows(
    audit: Audit, model: str, version: str, windows_us: Sequence[tuple[int, int]], most: int
) -> ScoresOfWindows:
    """Reads the receipts of these windows. Retries of a score count once.

    Args:
        windows_us: starts and ends, not included, in order and apart; microseconds since 1970.
        most: ids that are returned.

    Raises:
        StoreUnavailable, BrokenChain: the audit cannot be read.
    """
    wanted = ReceiptFilter(version=version, since_us=windows_us[0][0], until_us=windows_us[-1][1])
    starts, ends = (np.array(each, np.int64) for each in zip(*windows_us, strict=True))
    chunks = [_of(batch, model, starts, ends) for batch in audit.columns(_FIELDS, wanted)]
    ids = pc.unique(pa.chunked_array([each for each in chunks if len(each)], pa.string()))
    return ScoresOfWindows(len(ids), _least(ids, most), str(audit.looked_through))


def _least(ids: pa.Array, most: int) -> list[str]:
    if not most or not len(ids):
        return []
    by_text = [("", "ascending")]  # an array's one key needs no name
    found: list[str] = ids.take(pc.select_k_unstable(ids, k=most, sort_keys=by_text)).to_pylist()
    return found


def _of(batch: pa.RecordBatch, model: str, starts: np.ndarray, ends: np.ndarray) -> pa.Array:
    times = batch.column("event_time").cast(pa.int64()).to_numpy(zero_copy_only=False)
    begun = np.searchsorted(starts, times, side="right") - 1
    within = pa.array((begun >= 0) & (times < ends[np.maximum(begun, 0)]))
    own = pc.and_(pc.equal(batch.column("model"), model), pc.equal(batch.column("role"), CHAMPION))
    return batch.column("score_id").filter(pc.and_(own, within))
