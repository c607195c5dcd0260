"""Bisects a request down to the records that the server rejects."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.scorers.remote.failures import CallFailed

Scores = npt.NDArray[np.float64]
Failures = dict[int, tuple[str, str]]
Send = Callable[[pa.RecordBatch, bool], Scores]
_MOST_REFUSALS = 64


class Halving:
    """Scores the records of one request, however many of them the server rejects.

    A single bad record in n costs 2·log2(n) more requests. So that a server which rejects everything is not called 2n
    times, halving ends after 64 rejections, and after 2·log2(n) + 4 rejections without a score in between; the
    remaining records then fail together, with the last rejection.

    Args:
        send: scores a batch; the second argument forbids further attempts. Raises CallFailed.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._refusals = 0
        self._scored = False
        self._budget = 0

    def score(self, batch: pa.RecordBatch) -> tuple[Scores, Failures]:
        """Scores (NaN for a failed record), and (error, detail) of each failed one by its row.

        Raises:
            CallFailed: nothing of the batch has a score, and no single record is to blame.
        """
        self._budget = 2 * max(batch.num_rows - 1, 1).bit_length() + 4
        try:
            return self._send(batch, False), {}
        except CallFailed as failure:
            if not failure.halves or batch.num_rows == 1:
                raise
            self._refusals = 1
            scores, failures = self._halves(batch, 0, failure)
            if not self._scored:
                raise
            return scores, failures

    def _halves(self, batch: pa.RecordBatch, start: int, last: CallFailed) -> tuple[Scores, Failures]:
        middle = batch.num_rows // 2
        left, wrong_left = self._part(batch.slice(0, middle), start, last)
        right, wrong_right = self._part(batch.slice(middle), start + middle, last)
        return np.concatenate((left, right)), wrong_left | wrong_right

    def _part(self, batch: pa.RecordBatch, start: int, last: CallFailed) -> tuple[Scores, Failures]:
        if self._refusals >= (_MOST_REFUSALS if self._scored else self._budget):
            return failed(batch.num_rows, start, last, f"one of {batch.num_rows} records not tried one by one: ")
        try:
            scores = self._send(batch, True)
        except CallFailed as failure:
            self._refusals += 1
            if not failure.halves:
                # The server became unreachable meanwhile: nothing more is sent.
                self._refusals = _MOST_REFUSALS
                self._budget = 0
            elif batch.num_rows > 1:
                return self._halves(batch, start, failure)
            return failed(batch.num_rows, start, failure)
        self._scored = True
        return scores, {}


def failed(rows: int, start: int, failure: CallFailed, prefix: str = "") -> tuple[Scores, Failures]:
    """NaN for every row, and the same failure for each."""
    reason = (type(failure).__name__, f"{prefix}{failure}")
    return np.full(rows, np.nan), dict.fromkeys(range(start, start + rows), reason)
