"""The scores that an advice rests on: those that a version gave as champion in the windows that led to it."""

import heapq
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from audit.files.audit import Audit, ReceiptFilter
from gates.windows import CHAMPION

_FIELDS = ("score_id", "model", "role")


class ScoresOfWindows(NamedTuple):
    """How many scores there are, the least of their ids, which are hashes and so a sample of all, and what was looked
    through."""

    total: int
    ids: list[str]
    looked_through: str


def scores_of_windows(audit: Audit, model: str, version: str, span_us: tuple[int, int], most: int) -> ScoresOfWindows:
    """Reads the receipts of these event times, the end not included. Retries of a score count once.

    Raises:
        StoreUnavailable, BrokenChain: the audit cannot be read.
    """
    wanted = ReceiptFilter(version=version, since_us=span_us[0], until_us=span_us[1])
    chunks = [_of(batch, model) for batch in audit.columns(_FIELDS, wanted)]
    ids = pc.unique(pa.chunked_array([each for each in chunks if len(each)], pa.string()))
    least = heapq.nsmallest(most, ids.to_pylist()) if most else []
    return ScoresOfWindows(len(ids), least, str(audit.looked_through))


def _of(batch: pa.RecordBatch, model: str) -> pa.Array:
    own = pc.and_(pc.equal(batch.column("model"), model), pc.equal(batch.column("role"), CHAMPION))
    return batch.column("score_id").filter(own)
