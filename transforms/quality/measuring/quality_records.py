"""Quality records of the groups of one version's answers in one role. Pure; all groups of a metric at once."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.batches import TIME_TYPE
from schemas.records import arrow_schema
from transforms.quality.answers import ScoredBy
from transforms.quality.measuring.clustered import without_clusters
from transforms.quality.measuring.measures import Measure, measures_of, without_labels
from transforms.quality.sums import group_sums as of
from transforms.quality.sums.exact_sums import Floats, Ints
from transforms.quality.sums.group_sums import Group, GroupSums

_BY_CHANCE = 1e-3
_LOSSES = {"probability": "log_loss", "class": "log_loss", "regression": "mae"}


Texts: TypeAlias = npt.NDArray[np.object_]
"""Texts and None."""
NOTHING_SAID: Texts = np.array(None, np.object_)


class QualityOrigin(NamedTuple):
    """The pane of the windows, of this width in microseconds, and whose quality it is."""

    window_us: int
    pane: int
    model: str
    run: str | None = None


def quality_records(sums: GroupSums, by: ScoredBy, origin: QualityOrigin) -> pa.RecordBatch:
    """A batch in the schema of Quality: each metric of each group, in order of groups."""
    measures = measures_of(sums, by)
    whys = _reasons(measures, without_labels(sums, by), selective_labels(sums, by))
    described = Described(sums.groups, sums.counts[:, of.EVENTS], sums.counts[:, of.LABELLED], whys,
                          _trained(by, measures, sums.groups))  # fmt: skip
    return without_clusters(sums.groups, as_records(measures, described, by, origin))


class Described(NamedTuple):
    """Of each group: its name, how many events it has and how many of these a label, shape (groups,); of each metric of
    each group, why it is null or what it is of, and the value of training, shape (groups, metrics)."""

    groups: tuple[Group, ...]
    events: Ints
    labelled: Ints
    whys: Texts | list[str | None]
    at_training: Floats | list[float | None]


def as_records(
    measures: dict[str, Measure], of_groups: Described, by: ScoredBy, origin: QualityOrigin, against: str | None = None
) -> pa.RecordBatch:
    """A batch in the schema of Quality; `against`: the other version, of a pair."""
    groups, metrics = len(of_groups.groups), len(measures)
    starts = np.array([start for start, _ in of_groups.groups], np.int64)
    events, labelled = of_groups.events, of_groups.labelled
    fields = {name: _stacked(measures, name) for name in ("value", "n", "variance", "effective", "low", "high")}
    coverage = np.where([each.needs_labels for each in measures.values()], (labelled / events)[:, None], np.nan)
    of_row = pa.array(np.repeat(np.arange(groups), metrics))
    whole = {
        "window_start": pa.array(np.repeat(starts, metrics)).cast(TIME_TYPE),
        "window_end": pa.array(np.repeat(starts + origin.window_us, metrics)).cast(TIME_TYPE),
        "segment": pa.array([segment for _, segment in of_groups.groups]).take(of_row),
        "metric": pa.array(list(measures)).take(pa.array(np.tile(np.arange(metrics), groups))),
        "n": pa.array(fields["n"].ravel().astype(np.int64)),
        "events": pa.array(np.repeat(events, metrics)),
        "label_coverage": _nullable(coverage),
        "at_training": _nullable(np.array(of_groups.at_training, np.float64)),
        "n_effective": _nullable(fields["effective"]),
        "why": pa.array(np.array(of_groups.whys, np.object_).ravel(), pa.string()),
    } | {name: _nullable(fields[name]) for name in ("value", "low", "high", "variance")}
    constant = {"pane": origin.pane, "model": origin.model, "version": by.version, "role": by.role,
                "against": against, "run": origin.run}  # fmt: skip
    schema = arrow_schema("Quality")
    arrays = [
        whole[field.name] if field.name in whole
        else pa.repeat(pa.scalar(constant.get(field.name), field.type), groups * metrics)
        for field in schema
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _stacked(measures: dict[str, Measure], field: str) -> Floats:
    """A field of all metrics, shape (groups, metrics); NaN where a metric has none."""
    columns = [getattr(each.interval, field) if field in ("low", "high") else getattr(each, field)
               for each in measures.values()]  # fmt: skip
    none = np.full(len(next(iter(measures.values())).value), np.nan)
    return np.stack([none if column is None else column for column in columns], axis=1)


def _nullable(numbers: Floats) -> pa.Array:
    flat = numbers.ravel()
    return pa.array(flat, pa.float64(), mask=~np.isfinite(flat))


def _reasons(measures: dict[str, Measure], whys: Texts, selective: Texts) -> Texts:
    """`whys`: of each group what is said of a metric that lacks its labels, else None."""
    known = np.isfinite(np.stack([each.value for each in measures.values()], axis=1))
    needs = np.array([each.needs_labels for each in measures.values()])
    own = np.array([each.why for each in measures.values()], np.object_)
    missing: Texts = np.where(needs & (whys != None)[:, None], whys[:, None], own)  # noqa: E711  # of each element
    missing[known] = np.where(needs, selective[:, None], NOTHING_SAID)[known]
    return missing


def _trained(by: ScoredBy, measures: Iterable[str], groups: Sequence[Group]) -> Floats:
    """What training measured, shape (groups, metrics); NaN where it did not."""
    names = list(measures)
    if not by.quality:
        return np.full((len(groups), len(names)), np.nan)
    of_segment = {segment: [at_training(by, name, segment) for name in names] for _, segment in groups}
    return np.array([of_segment[segment] for _, segment in groups], np.float64)


def at_training(by: ScoredBy, metric: str, segment: str) -> float | None:
    """The value of a metric that training measured, as the manifest states it."""
    stated = dict(by.quality)
    names = [metric, *([_LOSSES[by.kind]] if metric == "error" and not by.of_classes else [])]
    suffix = f"|{segment}" if segment else ""
    return next((stated[f"{name}{suffix}"] for name in names if f"{name}{suffix}" in stated), None)


def selective_labels(sums: GroupSums, by: ScoredBy) -> Texts:
    """Of each group, whether only the events of one decision get labels, and which share they are; None where both do.

    Where one decision has labels and the other has none, that is so unless chance may explain it: if both got labels at
    the rate of the first, no label among so many events would be rarer than 1 in 1,000.
    """
    if not by.decides:
        return np.full(len(sums.groups), None)
    right = sums.counts[:, of.RIGHT_POSITIVES] + sums.counts[:, of.WRONG_POSITIVES]
    events, decided, labelled = (sums.counts[:, name] for name in (of.EVENTS, of.DECIDED, of.LABELLED))
    return selective_of(by, events, decided, labelled, right)


def selective_of(by: ScoredBy, events: Ints, decided: Ints, labelled: Ints, labelled_decided: Ints) -> Texts:
    """The same of counts of each group. `decided`: as positive, `labelled_decided`: of these those with a label."""
    found = np.full(len(events), None)
    one_sided = (labelled > 0) & ((labelled_decided == 0) | (labelled_decided == labelled))
    numbers = (each[one_sided].tolist() for each in (events, decided, labelled, labelled_decided))
    for at, of_group in zip(np.flatnonzero(one_sided).tolist(), zip(*numbers, strict=True), strict=True):
        found[at] = selective(by, *of_group)
    return found


def selective(by: ScoredBy, events: int, decided: int, labelled: int, labelled_decided: int) -> str | None:
    """The same of one group."""
    of_decision = ((decided, labelled_decided), (events - decided, labelled - labelled_decided))
    for text, (own, some), (other, none) in zip(by.decisions, of_decision, of_decision[::-1], strict=True):
        if some and not none and other and (1 - some / own) ** other < _BY_CHANCE:
            share = f"{100 * own / events:.3g} % of the events"
            return f"only events decided as {text!r} have labels, {share}: this is the quality of those alone"
    return None
