"""How two versions' answers to the same events differ, per group, each metric with an interval of 95 %.

| metric                   | is                                                              | interval           |
|--------------------------|-----------------------------------------------------------------|--------------------|
| `difference`             | the mean of score minus the other's                             | Student            |
| `difference_p05/p50/p95` | quantiles of these                                              | order statistics   |
| `flips_to_positive`      | the share that only the version decides as positive             | Wilson             |
| `flips_to_negative`      | the share that only the other decides as positive               | Wilson             |
| `rank_agreement`         | Spearman's correlation of the two scores                        | Bonett and Wright  |
| `latency_difference`     | the mean of latency minus the other's, microseconds             | Student            |
| `loss_difference`        | the mean of loss minus the other's, once labels are known       | Student, of pairs  |

As in `measures`, n pairs are worth fewer where sums over parts of the window, and over parts with whole subjects, vary
more than those of independent pairs would; here of each mean by its own terms.
"""

from typing import NamedTuple

import numpy as np

from transforms.quality.answers import PairedBy
from transforms.quality.measuring.clustered import with_clusters
from transforms.quality.measuring.intervals import Interval, Z, of_mean
from transforms.quality.measuring.measures import MeanVariance, Measure, deflation_of, effective_of, shares_of, worth_of
from transforms.quality.sums import pair_sums as of
from transforms.quality.sums.exact_sums import ExactSums, Floats, Ints
from transforms.quality.sums.joint_tables import rank_correlation
from transforms.quality.sums.pair_sums import PairSums
from transforms.quality.sums.score_tables import ScoreTable, scores_of

QUANTILES = {"difference_p05": 0.05, "difference_p50": 0.5, "difference_p95": 0.95}
OTHER_SCALE = "the two versions' scores are not numbers of one kind and class"
OTHER_LOSS = "the two versions' losses are of different kinds"
NO_THRESHOLDS = "not both manifests have a threshold, for the same class"
NO_LATENCY = "no latency is known of both"
NO_LABEL = "no pair has a label"
NO_TRUTH = "the labels are no truth for both"
EQUAL = "all scores of a version are equal"


class _Whole(NamedTuple):
    """Sums, and what is computed of all their cells: counts and totals of each group."""

    sums: PairSums
    counts: Ints
    totals: ExactSums


def pair_measures(sums: PairSums, by: PairedBy) -> dict[str, Measure]:
    """All metrics of the groups of a pair of versions."""
    whole = _Whole(sums, sums.counts, sums.totals)
    moments, factor = _deflated(whole, of.DIFFERENCE, of.PAIRS)
    differences, n = _mean(moments, factor, OTHER_SCALE), moments.n
    found = {"difference": differences}
    for name, share in QUANTILES.items():
        found[name] = _quantile(sums.differences, share, n, factor)
    for name, column in (("flips_to_positive", of.TO_POSITIVE), ("flips_to_negative", of.TO_NEGATIVE)):
        found[name] = _flips(whole, column)
    found["rank_agreement"] = _agreement(sums, n, factor)
    if not by.same_scale:
        found = {name: _unknown(each) for name, each in found.items()}
    elif not by.decide:
        found |= {name: _unknown(found[name]) for name in ("flips_to_positive", "flips_to_negative")}
    found["latency_difference"] = _mean(*_deflated(whole, of.LATENCY, of.TIMED), NO_LATENCY)
    why = NO_LABEL if by.same_loss else OTHER_LOSS
    found["loss_difference"] = _mean(*_deflated(whole, of.LOSS, of.LABELLED), why)._replace(needs_labels=True)
    return found


def _unknown(measure: Measure) -> Measure:
    """A metric that this pair of versions cannot have."""
    none = np.full(len(measure.n), np.nan)
    why = NO_THRESHOLDS if measure.why == NO_THRESHOLDS else OTHER_SCALE
    return Measure(none, Interval(none, none), measure.n, why, needs_labels=False)


def _moments(whole: _Whole, quantity: int, column: int) -> MeanVariance:
    n = whole.counts[:, column]
    mean, squares = whole.totals.divided(quantity, n), whole.sums.squares.divided(quantity, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(n > 1, np.maximum(squares - mean**2, 0.0) * n / (n - 1), np.nan)
    return MeanVariance(mean, variance, n.astype(np.float64))


def _deflated(whole: _Whole, quantity: int, column: int) -> tuple[MeanVariance, Floats]:
    sums, found = whole.sums, _moments(whole, quantity, column)
    in_parts = deflation_of(sums.of_span(quantity), sums.in_span(column), found)
    return found, with_clusters(sums.groups, in_parts)


def _mean(found: MeanVariance, factor: Floats, why: str) -> Measure:
    interval = of_mean(found.mean, found.variance, worth_of(found.n, factor))
    return Measure(found.mean, interval, found.n, why, found.variance, effective_of(found.n, factor), False)


def _flips(whole: _Whole, column: int) -> Measure:
    sums, counts = whole.sums, whole.counts.astype(np.float64)
    flips, pairs = counts[:, column], counts[:, of.PAIRS]
    share = flips / pairs
    moments = MeanVariance(share, share * (1 - share) * pairs / np.maximum(pairs - 1, 1), pairs)
    factor = deflation_of(sums.in_span(column).astype(np.float64), sums.in_span(of.PAIRS), moments)
    factor = with_clusters(sums.groups, factor)
    return shares_of(flips, pairs, factor, NO_THRESHOLDS, needs_labels=False)


def _agreement(sums: PairSums, n: Floats, factor: Floats) -> Measure:
    """The interval of Bonett and Wright (2000, doi:10.1007/BF02294183), on Fisher's scale, which contains by how much
    lost digits may have changed the value."""
    found = rank_correlation(sums.joint)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = Z * np.sqrt((1 + found.value**2 / 2) / (worth_of(n, factor) - 3))
        low, high = (np.tanh(np.arctanh(found.value) + sign * half) for sign in (-1, 1))
    some = worth_of(n, factor) > 3
    ends = [np.where(some, each, np.nan) for each in (low - found.off_by, high + found.off_by)]
    interval = Interval(np.maximum(ends[0], -1.0), np.minimum(ends[1], 1.0))
    return Measure(found.value, interval, n, EQUAL, None, effective_of(n, factor), False)


def _quantile(table: ScoreTable, share: float, n: Floats, factor: Floats) -> Measure:
    """The quantile between order statistics (type 7 of Hyndman and Fan 1996, as of NumPy and pandas). The interval is
    from one order statistic to another, by the normal approximation of how many are below the quantile; an end is
    missing where it would lie beyond the least or the greatest difference. Where differences lost digits, the value is
    that of the middle of its bin, and the ends are those of theirs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        half = Z * np.sqrt(share * (1 - share) / worth_of(n, factor))
    ends = [_at(table, share + sign * half, n, edge) for sign, edge in ((-1, 0.0), (1, 1.0))]
    value = _at(table, np.full(len(n), share), n, 0.5)
    return Measure(value, Interval(ends[0], ends[1]), n, OTHER_SCALE, None, effective_of(n, factor), False)


def _at(table: ScoreTable, share: Floats, n: Floats, edge: float) -> Floats:
    """Each group's quantile; NaN for a share below 0 or above 1. `edge`: from 0, the lower edge of a bin, to 1."""
    before = np.cumsum(table.positives)
    first = np.searchsorted(table.group, np.arange(len(n)))
    start = np.append(before - table.positives, before[-1:].sum())[first]
    with np.errstate(invalid="ignore"):
        known = (share >= 0) & (share <= 1) & np.isin(np.arange(len(n)), table.group)
    rank = np.where(known, (n - 1) * np.where(known, share, 0.0), 0.0)
    below = np.floor(rank).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(n - 1, 0).astype(np.int64))
    low, high = (_value_of(table, edge, before, start + each) for each in (below, above))
    found: Floats = np.where(known, low + (rank - below) * (high - low), np.nan)
    return found


def _value_of(table: ScoreTable, edge: float, before: Ints, index: Ints) -> Floats:
    """The value of the row that holds each of all events, in order."""
    if not len(before):
        return np.full(len(index), np.nan)
    rows = np.minimum(np.searchsorted(before, index, side="right"), len(before) - 1)
    return scores_of(table, edge, rows)
