"""Quality records of the groups of one version's answers in one role. Pure; all groups of a metric at once."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.batches import TIME_TYPE
from schemas.records import arrow_schema
from transforms.quality.answers import ScoredBy
from transforms.quality.measuring.measures import Measure, measures_of, without_labels
from transforms.quality.sums import group_sums as of
from transforms.quality.sums.exact_sums import Floats, Ints
from transforms.quality.sums.group_sums import Group, GroupSums

_BY_CHANCE = 1e-3
_LOSSES = {"probability": "log_loss", "class": "log_loss", "regression": "mae"}


class QualityOrigin(NamedTuple):
    """The pane of the windows, of this width in microseconds, and whose quality it is."""

    window_us: int
    pane: int
    model: str
    run: str | None = None


def quality_records(sums: GroupSums, by: ScoredBy, origin: QualityOrigin) -> pa.RecordBatch:
    """A batch in the schema of Quality: each metric of each group, in order of groups."""
    measures = measures_of(sums, by)
    whys, selective = without_labels(sums, by, measures), selective_labels(sums, by)
    values = np.stack([each.value for each in measures.values()], axis=1)
    trained = [at_training(by, name, segment) for _, segment in sums.groups for name in measures]
    described = Described(
        sums.groups, sums.counts[:, of.EVENTS], sums.counts[:, of.LABELLED],
        _reasons(measures, whys, selective, values), trained,
    )  # fmt: skip
    return as_records(measures, described, by, origin)


class Described(NamedTuple):
    """Of each group: its name, how many events it has and how many of these a label, shape (groups,); of each metric of
    each group, why it is null or what it is of, and the value of training."""

    groups: tuple[Group, ...]
    events: Ints
    labelled: Ints
    whys: list[str | None]
    at_training: list[float | None]


def as_records(
    measures: dict[str, Measure], of_groups: Described, by: ScoredBy, origin: QualityOrigin, against: str | None = None
) -> pa.RecordBatch:
    """A batch in the schema of Quality; `against`: the other version, of a pair."""
    groups, metrics = len(of_groups.groups), len(measures)
    starts = np.array([start for start, _ in of_groups.groups], np.int64)
    events, labelled = of_groups.events, of_groups.labelled
    fields = {name: _stacked(measures, name) for name in ("value", "n", "variance", "effective", "low", "high")}
    coverage = np.where([each.needs_labels for each in measures.values()], (labelled / events)[:, None], np.nan)
    values = fields["value"].ravel()
    whole = {
        "window_start": pa.array(np.repeat(starts, metrics)).cast(TIME_TYPE), "window_end": pa.array(np.repeat(starts
        + origin.window_us, metrics)).cast(TIME_TYPE), "segment": pa.array([segment for _, segment in
        of_groups.groups]).take(pa.array(np.repeat(np.arange(groups), metrics))), "metric": pa.array(list(measures) *
        groups, pa.string()), "value": _nullable(values), "low": _nullable(fields["low"].ravel()), "high":
        _nullable(fields["high"].ravel()), "n": pa.array(fields["n"].ravel().astype(np.int64)), "events":
        pa.array(np.repeat(events, metrics)), "label_coverage": _nullable(coverage.ravel()), "at_training":
        pa.array(of_groups.at_training, pa.float64()),
        "variance": _nullable(fields["variance"].ravel()),
        "n_effective": _nullable(fields["effective"].ravel()),
        "why": pa.array(of_groups.whys, pa.string()),
    }  # fmt: skip
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
    return pa.array(numbers, pa.float64(), mask=~np.isfinite(numbers))


def _reasons(
    measures: dict[str, Measure], whys: list[dict[str, str]], selective: list[str | None], values: Floats
) -> list[str | None]:
    known, found = np.isfinite(values).reshape(len(whys), len(measures)), list[str | None]()
    for of_group, some, own in zip(whys, selective, known.tolist(), strict=True):
        for (name, each), has_value in zip(measures.items(), own, strict=True):
            found.append((some if each.needs_labels else None) if has_value else of_group[name])
    return found


def at_training(by: ScoredBy, metric: str, segment: str) -> float | None:
    """The value of a metric that training measured, as the manifest states it."""
    stated = dict(by.quality)
    names = [metric, *([_LOSSES[by.kind]] if metric == "error" and not by.of_classes else [])]
    suffix = f"|{segment}" if segment else ""
    return next((stated[f"{name}{suffix}"] for name in names if f"{name}{suffix}" in stated), None)


def selective_labels(sums: GroupSums, by: ScoredBy) -> list[str | None]:
    """Of each group, whether only the events of one decision get labels, and which share they are; None where both do.

    Where one decision has labels and the other has none, that is so unless chance may explain it: if both got labels at
    the rate of the first, no label among so many events would be rarer than 1 in 1,000.
    """
    if not by.decides:
        return [None] * len(sums.groups)
    names = (of.EVENTS, of.DECIDED, of.LABELLED)
    columns = [sums.counts[:, name].tolist() for name in names]
    columns.append((sums.counts[:, of.RIGHT_POSITIVES] + sums.counts[:, of.WRONG_POSITIVES]).tolist())
    return [selective(by, *numbers) for numbers in zip(*columns, strict=True)]


def selective(by: ScoredBy, events: int, decided: int, labelled: int, labelled_decided: int) -> str | None:
    """The same of one group. `decided`: as positive, `labelled_decided`: of these those with a label."""
    of_decision = ((decided, labelled_decided), (events - decided, labelled - labelled_decided))
    for text, (own, some), (other, none) in zip(by.decisions, of_decision, of_decision[::-1], strict=True):
        if some and not none and other and (1 - some / own) ** other < _BY_CHANCE:
            share = f"{100 * own / events:.3g} % of the events"
            return f"only events decided as {text!r} have labels, {share}: this is the quality of those alone"
    return None
