"""Quality records of fairness: the rates of groups of protected columns, and the disparities of each column. Pure."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas import batches
from transforms.quality.answers import FairnessBy
from transforms.quality.measuring.disparities import UNDEFINED
from transforms.quality.measuring.fair_measures import (
    CALIBRATION,
    COMPARISONS,
    NOT_DECIDED,
    SELECTION,
    TRUE_POSITIVES,
    ColumnDisparity,
    FairRates,
    disparity_of,
    fair_rates,
    no_labels,
    told,
)
from transforms.quality.measuring.intervals import Interval
from transforms.quality.measuring.measures import Measure
from transforms.quality.measuring.quality_records import Described, QualityOrigin, as_records, at_training, selective
from transforms.quality.sums import fair_sums as of
from transforms.quality.sums.exact_sums import Ints
from transforms.quality.sums.fair_sums import TOO_MANY, Bools, FairSums


class _Column(NamedTuple):
    """A protected column in a window: the indexes of all its groups, and of those that are compared, which are not
    null; whether there are too many, so that one stands for all."""

    start: int
    name: str
    groups: Ints
    compared: Ints
    too_many: bool


def fair_records(sums: FairSums, by: FairnessBy, origin: QualityOrigin) -> pa.RecordBatch:
    """A batch in the schema of Quality: of each group its rates, `segment` being the group; and of each column its
    disparities, `segment` being the column's name."""
    rates, columns = fair_rates(sums), _columns(sums)
    of_columns = _of_columns(sums, rates, columns, by, origin)
    if not by.of.decides:
        return of_columns
    return batches.concat_batches([_of_groups(sums, rates, columns, by, origin), of_columns])


def _columns(sums: FairSums) -> list[_Column]:
    found: dict[tuple[int, str], list[int]] = {}
    for index, (start, column, _) in enumerate(sums.groups):
        found.setdefault((start, column), []).append(index)
    return [_column(sums, start, name, rows) for (start, name), rows in found.items()]


def _column(sums: FairSums, start: int, name: str, rows: list[int]) -> _Column:
    texts = {row: sums.groups[row][2] for row in rows}
    compared = [row for row, text in texts.items() if text not in ("", TOO_MANY)]
    return _Column(start, name, np.array(rows, np.int64), np.array(compared, np.int64), TOO_MANY in texts.values())


def _of_groups(
    sums: FairSums, rates: FairRates, columns: list[_Column], by: FairnessBy, origin: QualityOrigin
) -> pa.RecordBatch:
    whole = sums.counts
    rows = [row for column in columns for row in _shown(column, sums, whole[:, of.EVENTS], by)]
    counts, at = whole[rows], np.array(rows, np.int64)
    named = [(sums.groups[row][0], _text(*sums.groups[row][1:])) for row in rows]
    measures = {name: _taken(told(each, by.min_n), at) for name, each in rates.measures.items()}
    whys, trained = list[str | None](), list[float | None]()
    for index, of_labels in enumerate(no_labels(counts)):
        some = _selective(counts[index], by)
        for name, each in measures.items():
            known = bool(np.isfinite(each.value[index]))
            lacking = (of_labels if each.needs_labels else None) or _too_few(each, index, by) or each.why
            whys.append((some if each.needs_labels else None) if known else lacking)
            trained.append(at_training(by.of, name, named[index][1]))
    described = Described(tuple(named), counts[:, of.EVENTS], counts[:, of.LABELLED], whys, trained)
    found = as_records(measures, described, by.of, origin)
    return batches.take_rows(found, _kept(counts, [sums.groups[row][1] for row in rows], measures, by))


def _shown(column: _Column, sums: FairSums, events: Ints, by: FairnessBy) -> list[int]:
    """The groups that have records. Where small ones are withheld, so many are that nobody can tell the events of one
    of them from those of all: together they have at least `min_n`."""
    rows = [row for row in column.groups.tolist() if sums.groups[row][2] != TOO_MANY]
    if not by.withholds:
        return rows
    small = [row for row in rows if events[row] < by.min_n]
    others = sorted((row for row in rows if events[row] >= by.min_n), key=lambda row: (events[row], row))
    while small and others and sum(int(events[row]) for row in small) < by.min_n:
        small.append(others.pop(0))
    return sorted(others)


def _kept(counts: Ints, columns: list[str], measures: dict[str, Measure], by: FairnessBy) -> Bools:
    """Which records of groups there are: not those that quality has of the same segments; and where small groups are
    withheld, none by labels of which so few are of one class."""
    needs_labels = np.array([each.needs_labels for each in measures.values()])
    of_quality = np.isin(list(measures), [SELECTION, CALIBRATION])
    shared = np.isin(np.array(columns, np.object_), list(by.segments))[:, None] & of_quality
    positive, labelled = counts[:, of.POSITIVES], counts[:, of.LABELLED]
    few = (np.minimum(positive, labelled - positive) < by.min_n)[:, None] & needs_labels & by.withholds
    kept: Bools = ~(shared | few).ravel()
    return kept


def _text(column: str, group: str) -> str:
    return group or f"{column} is null"


def _taken(measure: Measure, at: Ints) -> Measure:
    value, low, high, n = (each[at] for each in (measure.value, *measure.interval, measure.n))
    others = [None if each is None else each[at] for each in (measure.variance, measure.effective)]
    return measure._replace(value=value, interval=Interval(low, high), n=n, variance=others[0], effective=others[1])


def _too_few(measure: Measure, index: int, by: FairnessBy) -> str | None:
    n = int(measure.n[index])
    return f"of {n} events; expected: at least {by.min_n} (fairness.min_n)" if 0 < n < by.min_n else None


def _selective(counts: Ints, by: FairnessBy) -> str | None:
    events, decided, labelled = (int(counts[each]) for each in (of.EVENTS, of.DECIDED, of.LABELLED))
    return selective(by.of, events, decided, labelled, int(counts[of.RIGHT_POSITIVES] + counts[of.WRONG_POSITIVES]))


def _of_columns(
    sums: FairSums, rates: FairRates, columns: list[_Column], by: FairnessBy, origin: QualityOrigin
) -> pa.RecordBatch:
    counts = sums.counts
    found = [_disparities(counts, rates, each, by) for each in columns]
    measures = {name: _measure(name, [each[name] for each in found]) for name in COMPARISONS}
    whys = [each.why for of_column in found for each in of_column.values()]
    whole = np.stack([counts[each.groups].sum(axis=0) for each in columns])
    named = tuple((each.start, each.name) for each in columns)
    described = Described(named, whole[:, of.EVENTS], whole[:, of.LABELLED], whys, [None] * len(whys))
    return as_records(measures, described, by.of, origin)


def _disparities(counts: Ints, rates: FairRates, column: _Column, by: FairnessBy) -> dict[str, ColumnDisparity]:
    if not by.of.decides:
        return dict.fromkeys(COMPARISONS, ColumnDisparity(UNDEFINED, 0, NOT_DECIDED))
    if column.too_many:
        why = f"more than {by.max_groups} groups; expected: at most {by.max_groups} (fairness.max_groups)"
        return dict.fromkeys(COMPARISONS, ColumnDisparity(UNDEFINED, 0, why))
    found = {name: disparity_of(name, rates, column.compared, by.min_n) for name in COMPARISONS}
    some = next(filter(None, (_selective(counts[row], by) for row in column.compared.tolist())), None)
    return {name: _warned(name, each, some) for name, each in found.items()}


def _warned(name: str, found: ColumnDisparity, selective_labels: str | None) -> ColumnDisparity:
    of_labels = TRUE_POSITIVES in COMPARISONS[name].rates
    if not of_labels or selective_labels is None or np.isnan(found.disparity.value):
        return found
    return found._replace(why="; ".join(filter(None, (found.why, selective_labels))))


def _measure(name: str, found: list[ColumnDisparity]) -> Measure:
    value, low, high = (np.array(ends) for ends in zip(*(each.disparity for each in found), strict=True))
    n = np.array([each.n for each in found], np.float64)
    return Measure(value, Interval(low, high), n, "", needs_labels=SELECTION not in COMPARISONS[name].rates)
