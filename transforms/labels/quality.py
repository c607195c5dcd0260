"""How near scores came to the truth: metrics as pure functions, equal for equal sets of scores in any order.

| metric     | of            | is                                                                                   |
|------------|---------------|--------------------------------------------------------------------------------------|
| `auc`      | probabilities | the chance that a positive event scores above a negative one; equal scores count half |
| `log_loss` | probabilities | the mean of -ln of the probability that was given to what was true                   |
| `brier`    | probabilities | the mean square of the distance between probability and truth (0 or 1)               |
| `accuracy` | decisions     | the share of decisions that were right                                               |
| `mae`      | numbers       | the mean absolute error                                                              |
| `rmse`     | numbers       | the root of the mean square error                                                    |

scikit-learn has all of these, but is an extra here, and these few lines are not worth a dependency; the tests compare
with it.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]
_SMALLEST = float(np.finfo(np.float64).eps)  # as in scikit-learn: a certain answer that is wrong is not infinitely bad
ONE_CLASS = "only one class among the labels"
NOTHING = "no labelled event"


class Quality(NamedTuple):
    """`values`: by metric, None where there is none; `why`: of those the reason."""

    values: Mapping[str, float | None]
    why: Mapping[str, str]


def quality_of_probabilities(scores: Floats, truths: Truths, threshold: float | None) -> Quality:
    """AUC, log loss, Brier score and, with a threshold, accuracy of probabilities of the positive class, shape (n,).

    >>> found = quality_of_probabilities(np.array([0.9, 0.2, 0.2]), np.array([True, False, True]), threshold=0.5)
    >>> {name: round(value, 4) for name, value in found.values.items()}
    {'auc': 0.75, 'log_loss': 0.646, 'brier': 0.23, 'accuracy': 0.6667}
    >>> quality_of_probabilities(np.array([0.9]), np.array([True]), None).why
    {'auc': 'only one class among the labels', 'accuracy': 'the manifest has no threshold'}
    """
    values = {"auc": auc(scores, truths), "log_loss": log_loss(scores, truths), "brier": brier(scores, truths)}
    decided = None if threshold is None else accuracy((scores >= threshold) == truths)
    why = {} if threshold is not None else {"accuracy": "the manifest has no threshold"}
    one_class = {"auc": ONE_CLASS} if len(scores) and values["auc"] is None else {}
    return _quality({**values, "accuracy": decided}, {**one_class, **why}, len(scores))


def quality_of_numbers(scores: Floats, truths: Floats) -> Quality:
    """MAE and RMSE of numbers, shape (n,).

    >>> dict(quality_of_numbers(np.array([1.0, 4.0]), np.array([1.0, 2.0])).values)
    {'mae': 1.0, 'rmse': 1.4142135623730951}
    """
    squares = mean((scores - truths) ** 2)
    values = {"mae": mean(np.abs(scores - truths)), "rmse": None if squares is None else math.sqrt(squares)}
    return _quality(values, {}, len(scores))


def quality_of_decisions(right: Truths) -> Quality:
    """Accuracy, by which decisions were right, shape (n,)."""
    return _quality({"accuracy": accuracy(right)}, {}, len(right))


def no_quality(why: str, *names: str) -> Quality:
    """None of the metrics, for a reason."""
    return Quality(dict.fromkeys(names), dict.fromkeys(names, why))


def auc(scores: Floats, truths: Truths) -> float | None:
    """By ranks (Mann and Whitney); None where there is only one class."""
    positives = int(truths.sum())
    negatives = len(truths) - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    twice = (2 * last - counts + 1)[inverse]  # twice the mean rank of equal scores: whole numbers, so exact
    return (int(twice[truths].sum()) - positives * (positives + 1)) / (2 * positives * negatives)


def log_loss(scores: Floats, truths: Truths) -> float | None:
    given = np.clip(np.where(truths, scores, 1 - scores), _SMALLEST, 1 - _SMALLEST)
    return mean(-np.log(given))


def brier(scores: Floats, truths: Truths) -> float | None:
    return mean((scores - truths) ** 2)


def accuracy(right: Truths) -> float | None:
    return int(right.sum()) / len(right) if len(right) else None


def mean(values: Floats) -> float | None:
    """The mean of the exact sum, which depends on no order."""
    return math.fsum(values.tolist()) / len(values) if len(values) else None


def _quality(values: Mapping[str, float | None], why: Mapping[str, str], count: int) -> Quality:
    if not count:
        return no_quality(NOTHING, *values)
    return Quality(values, why)
