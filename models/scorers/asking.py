"""One call of a scorer, and what is wrong with its answer: the same checks in admission and in the job."""

import logging
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Output
from models.errors import NotScored, one_line
from models.scorers.base import PartlyScored, Scorer
from schemas.reasons import shortened

_LOG = logging.getLogger(__name__)
Scores = npt.NDArray[np.float64]
ROUNDING = 1e-6
"""How far a probability may lie outside 0 to 1: libraries add floats."""
_MOST_DETAIL = 2000


class WrongAnswer(NotScored):
    """A scorer's answer is not one float64 for each record; `str()` is one line."""


class ModelFailed(NotScored):
    """A call of a scorer that gave no scores: `error` and `detail` for its dead letters, both one line."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(error, detail)
        self.error = error
        self.detail = detail


def ask(scorer: Scorer, batch: pa.RecordBatch) -> Scores:
    """The scorer's answer: one float64 for each row, the values not yet checked.

    Whatever is raised within `Scorer.score` is the model's failure, whatever its class, since libraries raise every
    class: also `SystemExit`, and the panic of a Rust library, which are no `Exception`.

    Raises:
        ModelFailed: the scorer raised, or answered with something else.
        PartlyScored: some rows have no score; its own scores and failures are of this batch's rows.
        KeyboardInterrupt: the user interrupted the process, which says nothing about the model.
    """
    try:
        answer = scorer.score(batch)
    except KeyboardInterrupt:
        raise
    except PartlyScored as partly:
        _check_parts(partly, batch.num_rows)
        raise
    except BaseException as problem:
        raise ModelFailed(type(problem).__name__, shortened(one_line(problem), _MOST_DETAIL)) from problem
    try:
        check_shape(answer, batch.num_rows)
    except WrongAnswer as wrong:
        raise ModelFailed(WrongAnswer.__name__, str(wrong)) from None
    return answer


def unseen_in(scorer: Scorer, batch: pa.RecordBatch) -> Mapping[str, int]:
    """`Scorer.unseen` without zeros; where a scorer fails in it, its scores remain valid and a log line says why
    nothing is counted."""
    try:
        return {name: int(number) for name, number in scorer.unseen(batch).items() if number > 0}
    except Exception as problem:  # a plug-in may raise anything
        why = shortened(one_line(problem), _MOST_DETAIL)
        _LOG.warning("scorer %r cannot tell unseen categories: %s", scorer.kind, why)
        return {}


def check_shape(answer: object, rows: int) -> None:
    """Raises `WrongAnswer` unless an answer is float64 of shape (rows,)."""
    if not isinstance(answer, np.ndarray) or answer.shape != (rows,) or answer.dtype != np.float64:
        found = f"{getattr(answer, 'dtype', type(answer).__name__)} of shape {getattr(answer, 'shape', '?')}"
        raise WrongAnswer(f"scores are {found}; expected: float64 of shape ({rows},)")


def outside(scores: Scores, output: Output) -> npt.NDArray[np.bool_]:
    """Which finite scores are not probabilities although the manifest promises one; shape (n,).

    >>> outside(np.array([0.5, 1.2, -1e-9, np.nan]), Output("probability")).tolist()
    [False, True, False, False]
    """
    if output.kind != "probability":
        return np.zeros(len(scores), np.bool_)
    # NaN and infinity are another fault: here they compare as false or are masked.
    return np.isfinite(scores) & ((scores < -ROUNDING) | (scores > 1 + ROUNDING))


def faults_of(scores: Scores, output: Output) -> dict[int, tuple[str, str]]:
    """(error, detail) of each row without a valid score: `NotFinite`, or `NotAProbability` where it must be one.

    >>> for row, fault in faults_of(np.array([0.5, 1.2, np.inf]), Output("probability")).items():
    ...     print(row, *fault)
    1 NotAProbability the scorer answered 1.2; allowed: 0 to 1
    2 NotFinite the scorer answered inf; expected: a finite number
    """
    wrong = np.flatnonzero(~np.isfinite(scores) | outside(scores, output)).tolist()
    return {row: _fault(float(scores[row])) for row in wrong}


def _fault(score: float) -> tuple[str, str]:
    if not np.isfinite(score):
        return "NotFinite", f"the scorer answered {score}; expected: a finite number"
    return "NotAProbability", f"the scorer answered {score:.12g}; allowed: 0 to 1"


def _check_parts(partly: PartlyScored, rows: int) -> None:
    """Raises `ModelFailed` where the failures of single rows do not refer to rows of this batch."""
    try:
        check_shape(partly.scores, rows)
        strangers = [row for row in partly.failures if not (isinstance(row, (int, np.integer)) and 0 <= row < rows)]
        if strangers:
            raise WrongAnswer(f"failures of row {strangers[0]!r}; allowed: rows 0 to {rows - 1}")
    except WrongAnswer as wrong:
        raise ModelFailed(WrongAnswer.__name__, str(wrong)) from None
