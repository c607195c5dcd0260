"""Metrics of groups, each with an interval of 95 %, from the sums of their answers and labels.

| metric              | of            | is                                                              | interval |
|---------------------|---------------|-----------------------------------------------------------------|----------|
| `auc`               | probabilities | the chance that a positive event scores above a negative one    | DeLong   |
| `log_loss`          | probabilities | the mean of -ln of the probability given to what was true       | Student  |
| `brier`             | probabilities | the mean square of probability minus truth (0 or 1)             | Student  |
| `calibration_error` | probabilities | how far mean score and share of positives are apart in ten bins | Student  |
| `accuracy`          | decisions     | the share of decisions that were right                          | Wilson   |
| `precision`         | decisions     | the share of positive decisions that were right                 | Wilson   |
| `recall`            | decisions     | the share of positive events that were decided so               | Wilson   |
| `f1`                | decisions     | the harmonic mean of the two                                    | Wilson   |
| `selection_rate`    | decisions     | the share of events decided as positive; it needs no labels     | Wilson   |
| `mae`, `rmse`       | numbers       | mean absolute error; root of the mean square error              | Student  |
| `r2`                | numbers       | 1 - mean square error / variance of the labels                  | Student  |
| `error`             | all           | the mean loss: log loss, absolute error, share of wrong classes | Student  |

Events near each other in time are alike, so n events are worth fewer: `n_effective` is n divided by how much more the
sums of losses of 24 parts of the window vary than those of independent events would (cluster-robust variance: Liang
and Zeger 1986, doi:10.1093/biomet/73.1.13); where events have subjects, whole windows also by 24 parts that each have
whole subjects in them. All intervals are as wide as for so many independent events.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.quality.answers import ScoredBy
from transforms.quality.measuring.clustered import with_clusters
from transforms.quality.measuring.intervals import Interval, of_auc, of_mean, of_share
from transforms.quality.sums import group_sums as of
from transforms.quality.sums.exact_sums import Floats, Ints
from transforms.quality.sums.group_sums import GroupSums
from transforms.quality.sums.score_tables import auc_of

NOTHING = "no labelled event"
ONE_CLASS = "only one class among the labels"
NO_THRESHOLD = "the manifest has no threshold"
NO_TRUTH = "the labels are not true and false; next: state labels.positive"
NO_NUMBER = "the labels are no numbers, or too great"
NO_DECISION = "no labelled event is decided as positive"
NO_POSITIVE = "no positive event among the labels"
NOTHING_POSITIVE = "no labelled event is positive, nor decided so"
ONE_VALUE = "all labels are equal"
_LEAST_SPANS = 8  # below, their sums say nothing about dependence


class Measure(NamedTuple):
    """A metric of each group, shape (groups,): NaN where there is none, with the reason in `why`; `n`: what it is of;
    `variance`: of one event's contribution, of means; `effective`: the independent events that `n` is worth."""

    value: Floats
    interval: Interval
    n: Floats
    why: str
    variance: Floats | None = None
    effective: Floats | None = None
    needs_labels: bool = True


def measures_of(sums: GroupSums, by: ScoredBy) -> dict[str, Measure]:
    """All metrics of the groups of one version's answers in one role."""
    found = _of_loss(sums)
    deflation = _deflation(sums, found)
    if by.of_classes:
        return {"accuracy": _accuracy(sums, deflation), "error": _means(sums, 0, 1, deflation, NOTHING)}
    if by.kind == "regression":
        return _of_numbers(sums, deflation)
    return _of_probabilities(sums, by, deflation)


class MeanVariance(NamedTuple):
    """Mean and variance of one event's contribution, and how many there are, shape (groups,)."""

    mean: Floats
    variance: Floats
    n: Floats


def _of_loss(sums: GroupSums, first: int = of.LOSS, second: int = of.LOSS_2) -> MeanVariance:
    """Mean and variance of a quantity whose square is another."""
    n = sums.counts[:, of.LABELLED]
    mean, squares = sums.sums.divided(first, n), sums.sums.divided(second, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(n > 1, np.maximum(squares - mean**2, 0.0) * n / (n - 1), np.nan)
    return MeanVariance(mean, variance, n.astype(np.float64))


def _deflation(sums: GroupSums, loss: MeanVariance) -> Floats:
    groups, spans = sums.in_span.shape
    of_span = sums.losses.divided(0, np.ones(groups * spans, np.int64)).reshape(groups, spans)
    return with_clusters(sums.groups, deflation_of(of_span, sums.in_span, loss))


def deflation_of(of_span: Floats, in_span: Ints, loss: MeanVariance) -> Floats:
    """By how much n is greater than n_effective, at least 1; NaN where too few parts of the window have any event.
    `of_span`: the sum of what the mean is of, `in_span`: of how many terms, shape (groups, SPANS)."""
    used = (in_span > 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = of_span - in_span * np.where(loss.n > 0, loss.mean, 0.0)[:, None]
        clustered = (off**2).sum(axis=1) * used / (used - 1) / loss.n**2
        found = clustered / (loss.variance / loss.n)
    return np.where((used >= _LEAST_SPANS) & (loss.variance > 0), np.maximum(found, 1.0), np.nan)


def worth_of(n: Floats, deflation: Floats) -> Floats:
    """How many independent events n are worth, as far as that is known."""
    return n / np.where(np.isnan(deflation), 1.0, deflation)


def effective_of(n: Floats, deflation: Floats) -> Floats:
    """The same; NaN where it is not known."""
    return np.where(np.isnan(deflation), np.nan, n / deflation)


def _means(sums: GroupSums, first: int, second: int, deflation: Floats, why: str) -> Measure:
    found = _of_loss(sums, first, second)
    interval = of_mean(found.mean, found.variance, worth_of(found.n, deflation))
    return Measure(found.mean, interval, found.n, why, found.variance, effective_of(found.n, deflation))


def shares_of(part: Floats, n: Floats, deflation: Floats, why: str, *, needs_labels: bool = True) -> Measure:
    """The share that `part` is of n events."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(n > 0, part / n, np.nan)
    interval = of_share(value, worth_of(n, deflation))
    effective = effective_of(n, deflation)
    return Measure(value, interval, n, why, value * (1 - value), effective, needs_labels)


def _column(sums: GroupSums, name: int) -> Floats:
    found: Floats = sums.counts[:, name].astype(np.float64)
    return found


def _accuracy(sums: GroupSums, deflation: Floats) -> Measure:
    return shares_of(_column(sums, of.RIGHT), _column(sums, of.LABELLED), deflation, NOTHING)


def _of_probabilities(sums: GroupSums, by: ScoredBy, deflation: Floats) -> dict[str, Measure]:
    labelled, positive = _column(sums, of.LABELLED), _column(sums, of.POSITIVES)
    auc, least = auc_of(sums.table), np.minimum(positive, labelled - positive)
    worth = np.where(np.isnan(deflation), 1.0, deflation)
    spread = of_auc(auc.value, auc.variance * worth, least / worth)
    interval = Interval(np.maximum(spread.low - auc.off_by, 0), np.minimum(spread.high + auc.off_by, 1))
    found = {
        "auc": Measure(auc.value, interval, labelled, ONE_CLASS, None, effective_of(labelled, deflation)),
        "log_loss": _means(sums, of.LOSS, of.LOSS_2, deflation, NOTHING),
        "brier": _means(sums, of.BRIER, of.BRIER_2, deflation, NOTHING),
        "calibration_error": _calibration(sums, deflation),
    }
    return found | _of_decisions(sums, by, deflation) | {"error": found["log_loss"]}


def _calibration(sums: GroupSums, deflation: Floats) -> Measure:
    labelled, (groups, bins, _) = sums.counts[:, of.LABELLED], sums.in_bin.shape
    scores = sums.in_bins.divided(0, np.ones(groups * bins, np.int64)).reshape(groups, bins)
    return calibration_of(labelled, sums.in_bin[:, :, 1], scores, sums.sums.divided(of.BRIER, labelled), deflation)


def calibration_of(labelled: Ints, positives: Ints, scores: Floats, brier: Floats, deflation: Floats) -> Measure:
    """The calibration error of groups: of each bin, shape (groups, bins), how many events are positive and the sum of
    the scores. An event contributes its error with the sign of its bin's, so the variance is of these; `brier`: the
    mean of their squares."""
    n = labelled.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(labelled > 0, np.abs(positives - scores).sum(axis=1) / labelled, np.nan)
    variance = np.maximum(brier - value**2, 0.0)
    interval = of_mean(value, variance, worth_of(n, deflation))
    above = Interval(np.maximum(interval.low, 0.0), interval.high)
    return Measure(value, above, n, NOTHING, None, effective_of(n, deflation))


def _of_decisions(sums: GroupSums, by: ScoredBy, deflation: Floats) -> dict[str, Measure]:
    right, wrong, positive, labelled, events, decided = (
        _column(sums, name)
        for name in (of.RIGHT_POSITIVES, of.WRONG_POSITIVES, of.POSITIVES, of.LABELLED, of.EVENTS, of.DECIDED)
    )
    if not by.decides:
        none = np.full(len(labelled), np.nan)
        nothing = Measure(none, Interval(none, none), labelled, NO_THRESHOLD)
        return dict.fromkeys(("accuracy", "precision", "recall", "f1"), nothing) | {
            "selection_rate": nothing._replace(n=events, needs_labels=False)
        }
    common = shares_of(right, positive + wrong, deflation, NOTHING_POSITIVE)
    f1 = [2 * share / (1 + share) for share in (common.value, *common.interval)]
    return {
        "accuracy": _accuracy(sums, deflation),
        "precision": shares_of(right, right + wrong, deflation, NO_DECISION),
        "recall": shares_of(right, positive, deflation, NO_POSITIVE),
        "f1": common._replace(value=f1[0], interval=Interval(f1[1], f1[2]), variance=None),
        "selection_rate": shares_of(decided, events, deflation, "no event", needs_labels=False),
    }


def _of_numbers(sums: GroupSums, deflation: Floats) -> dict[str, Measure]:
    mae = _means(sums, of.LOSS, of.LOSS_2, deflation, NOTHING)
    squares = _means(sums, of.LOSS_2, of.ERROR_4, deflation, NOTHING)
    rmse = [np.sqrt(np.maximum(each, 0.0)) for each in (squares.value, *squares.interval)]
    return {
        "mae": mae,
        "rmse": squares._replace(value=rmse[0], interval=Interval(rmse[1], rmse[2]), variance=None),
        "r2": _r2(sums, deflation),
        "error": mae,
    }


def _r2(sums: GroupSums, deflation: Floats) -> Measure:
    """1 - s / v, with s the mean of e^2 and v of (y - m)^2; its variance is that of (e^2 - s / v (y - m)^2) / v, by the
    delta method."""
    n = sums.counts[:, of.LABELLED]
    s, m, y2, y3, y4, e4, s_y, s_y2 = (
        sums.sums.divided(name, n)
        for name in (of.LOSS_2, of.TRUTH, of.TRUTH_2, of.TRUTH_3, of.TRUTH_4, of.ERROR_4, of.ERROR_2_TRUTH,
                     of.ERROR_2_TRUTH_2)
    )  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        v = y2 - m**2
        v = np.where(v > 1e-14 * y2, v, np.nan)
        ratio = s / v
        fourth = y4 - 4 * m * y3 + 6 * m**2 * y2 - 3 * m**4
        together = s_y2 - 2 * m * s_y + m**2 * s
        variance = np.maximum(e4 - 2 * ratio * together + ratio**2 * fourth, 0.0) / v**2
        value = 1 - ratio
    spread = of_mean(value, variance, worth_of(n.astype(np.float64), deflation))
    interval = Interval(spread.low, np.minimum(spread.high, 1.0))
    labelled = n.astype(np.float64)
    return Measure(value, interval, labelled, ONE_VALUE, None, effective_of(labelled, deflation))


def without_labels(sums: GroupSums, by: ScoredBy) -> npt.NDArray[np.object_]:
    """Of each group, why metrics of labels have no value where their own reason does not say it: nothing is labelled,
    or labels are no truth; None where they may have one."""
    found = np.full(len(sums.groups), None)
    found[sums.counts[:, of.LABELLED] == 0] = NOTHING
    found[sums.counts[:, of.UNUSABLE] > 0] = NO_NUMBER if by.kind == "regression" else NO_TRUTH
    return found
