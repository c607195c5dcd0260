"""Contributions of any model: the score is asked for rows that mix a record with ordinary ones.

Shapley values of the game of "which inputs are the record's own, the others an ordinary row's", by permutation sampling
(Strumbelj and Kononenko 2014) in antithetic pairs (Mitchell et al. 2022): each ordering is also walked backwards, which
is exact for what adds up of single inputs and of pairs of them. Along an ordering the differences telescope, so that
they always add up to the score minus that of the ordinary row.
"""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.scorers import Scorer
from models.scorers.asking import ask
from models.scorers.contributions import Floats

MOST_ROWS, MOST_ASKED = 1024, 128
"""How many scores the reasons of one score may cost; where a server computes them."""


class SampledContributions:
    """Shapley values by sampling, against `background` rows; the same for equal ids.

    On the scale of the score; of a class the share of the background that gets the same class. `most_rows`:
    how many scores each may cost.
    """

    def __init__(self, scorer: Scorer, background: pa.RecordBatch, of_class: bool, most_rows: int | None) -> None:
        self._most_rows = most_rows or (MOST_ASKED if scorer.asks_server else MOST_ROWS)
        self._scorer = scorer
        self._background = background
        self._of_class = of_class

    def of(self, row: pa.RecordBatch, score_id: str) -> tuple[float, Floats, float]:
        """Of a batch of one row: the base value, what each input added, and the margin; `score_id` decides what is
        sampled.

        Raises:
            ModelFailed, PartlyScored: the model does not score one of the mixed rows.
        """
        inputs = row.num_columns
        random = np.random.default_rng(int.from_bytes(hashlib.sha256(score_id.encode()).digest()[:8], "big"))
        chosen, orders = self._orders(inputs, random)
        own = _walks(orders)
        steps = own.shape[1]
        index = np.where(own, 0, 1 + chosen[:, np.newaxis, np.newaxis]).reshape(-1, inputs)
        answers = ask(self._scorer, _mixed(row, self._background, index)).reshape(len(orders), steps)
        if self._of_class:
            answers = (answers == answers[0, -1]).astype(np.float64)
        steps_taken = np.diff(answers, axis=1)
        values = np.zeros(inputs)
        np.add.at(values, orders.ravel(), steps_taken.ravel())
        return float(answers[:, 0].mean()), values / len(orders), float(answers[0, -1])

    def _orders(self, inputs: int, random: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The ordinary row of each walk, and the order in which its inputs become the record's own; of shapes (walks,)
        and (walks, inputs)."""
        ordinary = self._background.num_rows
        pairs = max(self._most_rows // (2 * (inputs + 1)), 1)
        pairs = pairs - pairs % ordinary if pairs >= ordinary else pairs
        chosen = np.resize(random.permutation(ordinary), pairs)
        forward = random.permuted(np.tile(np.arange(inputs), (pairs, 1)), axis=1)
        return np.repeat(chosen, 2), np.stack([forward, forward[:, ::-1]], axis=1).reshape(-1, inputs)


def _walks(orders: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which inputs are the record's own at each step of each walk: (walks, inputs + 1, inputs)."""
    rank = np.argsort(orders, axis=1)
    own: npt.NDArray[np.bool_] = rank[:, np.newaxis, :] < np.arange(orders.shape[1] + 1)[np.newaxis, :, np.newaxis]
    return own


def _mixed(row: pa.RecordBatch, background: pa.RecordBatch, index: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """Rows whose inputs are those of the record (0) or of an ordinary row (1 and more), by column."""
    columns = [
        pa.concat_arrays([own, other]).take(pa.array(index[:, number]))
        for number, (own, other) in enumerate(zip(row.columns, background.columns, strict=True))
    ]
    return pa.RecordBatch.from_arrays(columns, schema=row.schema)
