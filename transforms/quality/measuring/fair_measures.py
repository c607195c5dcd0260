"""Rates of groups of protected columns, and how far those of a column's groups are apart.

| metric                | of a group, the share                                                     | interval |
|-----------------------|---------------------------------------------------------------------------|----------|
| `selection_rate`      | of all events that are decided as positive; it needs no labels            | Wilson   |
| `true_positive_rate`  | of the positive events that are decided so                                | Wilson   |
| `false_positive_rate` | of the other labelled events that are decided as positive                 | Wilson   |
| `calibration_error`   | by which score and share of positives are apart, in ten bins              | Student  |

| metric                          | of a column's groups                                                        |
|---------------------------------|-----------------------------------------------------------------------------|
| `demographic_parity_difference` | the greatest selection rate minus the least (Dwork et al. 2012)             |
| `demographic_parity_ratio`      | the least divided by the greatest                                           |
| `equal_opportunity_difference`  | of true positive rates (Hardt, Price and Srebro 2016)                       |
| `equal_opportunity_ratio`       | of true positive rates                                                      |
| `equalized_odds_difference`     | the greater of those of true and of false positive rates (the same)         |
| `equalized_odds_ratio`          | the lesser of those ratios                                                  |

Values are those of `fairlearn` (its `between_groups` and `worst_case`) where each group has events of both classes; a
rate of no event is null here and 0 there. Intervals of disparities: `disparities`. Each rate is worth as many
independent events as its own sums over 24 parts of the window say.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from transforms.quality.measuring.disparities import UNDEFINED, Disparity, Rates, difference_of, ratio_of
from transforms.quality.measuring.intervals import Interval
from transforms.quality.measuring.measures import (
    NO_POSITIVE,
    NO_TRUTH,
    NOTHING,
    MeanVariance,
    Measure,
    calibration_of,
    deflation_of,
    shares_of,
    worth_of,
)
from transforms.quality.sums import fair_sums as of
from transforms.quality.sums.exact_sums import Floats, Ints
from transforms.quality.sums.fair_sums import FairSums

SELECTION, TRUE_POSITIVES, FALSE_POSITIVES = "selection_rate", "true_positive_rate", "false_positive_rate"
CALIBRATION = "calibration_error"
NO_NEGATIVE = "no event among the labels that is not positive"
NOT_DECIDED = "the manifest has no threshold, so nobody is selected: rates of groups are of decisions"
_EQUAL = "no group has any: their ratio is 0 / 0"
_BOTH = (TRUE_POSITIVES, FALSE_POSITIVES)


class Comparison(NamedTuple):
    """A disparity: of which rates, and how it is made of them."""

    rates: tuple[str, ...]
    made: Callable[..., Disparity]


COMPARISONS = {
    "demographic_parity_difference": Comparison((SELECTION,), difference_of),
    "demographic_parity_ratio": Comparison((SELECTION,), ratio_of),
    "equal_opportunity_difference": Comparison((TRUE_POSITIVES,), difference_of),
    "equal_opportunity_ratio": Comparison((TRUE_POSITIVES,), ratio_of),
    "equalized_odds_difference": Comparison(_BOTH, difference_of),
    "equalized_odds_ratio": Comparison(_BOTH, ratio_of),
}


class FairRates(NamedTuple):
    """The metrics of all groups; and of each rate the independent events it is worth, and from how many degrees of
    freedom that is known, by group."""

    measures: dict[str, Measure]
    worth: dict[str, Floats]
    degrees: dict[str, Floats]


def fair_rates(sums: FairSums) -> FairRates:
    """The rates of each group, without regard to how few events they are of."""
    labelled, positive = sums.in_span(of.LABELLED), sums.in_span(of.POSITIVES)
    parts = {
        SELECTION: (sums.in_span(of.DECIDED), sums.in_span(of.EVENTS), "no event"),
        TRUE_POSITIVES: (sums.in_span(of.RIGHT_POSITIVES), positive, NO_POSITIVE),
        FALSE_POSITIVES: (sums.in_span(of.WRONG_POSITIVES), labelled - positive, NO_NEGATIVE),
    }
    measures, worth, degrees = {}, {}, {}
    for name, (part, whole, why) in parts.items():
        deflation, n = _deflation(part, whole), whole.sum(axis=1).astype(np.float64)
        share = shares_of(part.sum(axis=1).astype(np.float64), n, deflation, why, needs_labels=name != SELECTION)
        measures[name], worth[name] = share, worth_of(n, deflation)
        degrees[name] = np.where(deflation > 1, (whole > 0).sum(axis=1) - 1.0, np.inf)
    measures[CALIBRATION] = _calibration(sums, labelled.sum(axis=1))
    return FairRates(measures, worth, degrees)


def _deflation(part: Ints, whole: Ints) -> Floats:
    n = whole.sum(axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part.sum(axis=1) / n
        variance = share * (1 - share) * n / np.maximum(n - 1, 1)
    return deflation_of(part.astype(np.float64), whole, MeanVariance(share, variance, n))


def _calibration(sums: FairSums, labelled: Ints) -> Measure:
    """Its dependence is that of the truth: of how many positive events there are in each part of the window."""
    groups, bins, _ = sums.in_bin.shape
    scores = sums.in_bins.divided(0, np.ones(groups * bins, np.int64)).reshape(groups, bins)
    deflation = _deflation(sums.in_span(of.POSITIVES), sums.in_span(of.LABELLED))
    return calibration_of(labelled, sums.in_bin[:, :, 1], scores, sums.squares.divided(0, labelled), deflation)


def told(measure: Measure, least: int) -> Measure:
    """A metric without the values that are of fewer than `least` events."""
    few = measure.n < least
    value, low, high = (np.where(few, np.nan, each) for each in (measure.value, *measure.interval))
    none = [None if each is None else np.where(few, np.nan, each) for each in (measure.variance, measure.effective)]
    return measure._replace(value=value, interval=Interval(low, high), variance=none[0], effective=none[1])


class ColumnDisparity(NamedTuple):
    """One disparity of one column's groups: of how many events, and why it is null, or of which groups it is."""

    disparity: Disparity
    n: int
    why: str | None


def disparity_of(name: str, rates: FairRates, groups: Ints, least: int) -> ColumnDisparity:
    """A disparity of the groups at these indexes, which are those of one column in one window; of each kind of rate
    those that are of at least `least` events are compared."""
    comparison, families, n, without = COMPARISONS[name], [], 0, 0
    for kind in comparison.rates:
        measure = rates.measures[kind]
        own = groups[(measure.n[groups] >= max(least, 1))]
        without = max(without, len(groups) - len(own))
        n += int(measure.n[own].sum())
        if len(own) < 2:
            return ColumnDisparity(UNDEFINED, n, _why_not(measure, groups, len(own), least))
        families.append(Rates(measure.value[own], rates.worth[kind][own], rates.degrees[kind][own]))
    found = comparison.made(*families)
    if np.isnan(found.value):
        return ColumnDisparity(UNDEFINED, n, _EQUAL)
    return ColumnDisparity(found, n, _few(without, len(groups), least) if without else None)


def _few(without: int, groups: int, least: int) -> str:
    return f"{without} of {groups} groups left out: fewer than {least} events that count (fairness.min_n)"


def _why_not(measure: Measure, groups: Ints, compared: int, least: int) -> str:
    if not len(groups):
        return "no event has a value in this column"
    if len(groups) == 1:
        return "only one group"
    if measure.needs_labels and not measure.n[groups].any():
        return measure.why
    return f"{compared} of {len(groups)} groups; expected: two with at least {max(least, 1)} events that count"


def no_labels(counts: Ints) -> list[str | None]:
    """Of each group why it has no labelled event, None where it has some."""
    whys = []
    for labelled, unusable in counts[:, [of.LABELLED, of.UNUSABLE]].tolist():
        whys.append(None if labelled else NO_TRUTH if unusable else NOTHING)
    return whys
