"""The label of a first job: which column is to be predicted, what of it is positive, when it is known, whether it can
be learnt from, and which events a model of it is tried on."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.first_job.found_times import TimeForm, known
from pipeline.first_job.leakage import Truth
from pipeline.first_job.names import AFTERMATH, LABEL, NUMBER_LABEL, POSITIVE, hints_at, shared_word, words_of
from pipeline.first_job.questions import NONE, JobDecisions, OpenQuestion
from schemas.batches import as_texts
from schemas.times import format_time_us
from schemas.validation import SpecError

_MOST_WORDS = 40
_AFTER = 0.99
_EVEN = 0.5
_FEWEST = 2
_DAY_US = 86_400_000_000


class ChosenLabel(NamedTuple):
    """`positive`: the comparison that makes it true or false, None where it is already, or a number. `later`: the
    column with the time at which it was known, None where that is the event's. `labelled`: which rows have one."""

    column: str
    positive: str | None
    is_binary: bool
    later: str | None
    labelled: npt.NDArray[np.bool_]
    truth: Truth


def choose_label(
    table: pa.Table,
    decisions: JobDecisions,
    identity: Collection[str],
    times: Mapping[str, TimeForm],
    at_us: npt.NDArray[np.int64],
    later: Mapping[str, npt.NDArray[np.int64]],
) -> ChosenLabel | None:
    """The label; None where the data have none, or it was said so.

    Raises:
        SpecError: a stated label cannot be one.
    """
    two = [name for name in table.column_names if name not in {*identity, *times} and len(_values(table[name])) == 2]
    numbers = [name for name in table.column_names if name not in {*identity, *times, *two}
               and set(words_of(name)) & NUMBER_LABEL and _is_number(table[name])]  # fmt: skip
    hinted = [name for name in two if hints_at(name, LABEL) and not hints_at(name, AFTERMATH - LABEL)]
    by_name = [name for name in hinted if set(words_of(name)) & LABEL] or hinted or numbers
    unfit = [name for name in table.column_names if name not in {*identity, *times, *by_name}
             and set(words_of(name)) & LABEL]  # fmt: skip
    column = decisions.decide(_question(two, numbers, by_name, dict(_unfit(table, unfit))))
    if column == NONE:
        return None
    is_binary = len(_values(table[column])) == 2 or decisions.stated.get("positive") in _values(table[column])
    if column in identity or column in times or not (is_binary or _is_number(table[column])):
        allowed = "a column of two values, or of numbers, that is no id and no time; of several values with --positive"
        raise SpecError("label", column, allowed)
    positive = _positive(table[column], decisions) if is_binary else None
    truths = _truths(table[column], positive, is_binary)
    when = _known_at(column, decisions, at_us, _of_all_labels(column, decisions, truths, later))
    after_us = None if when is None else _after(at_us, later[when])
    truth = Truth(column, truths, is_binary, when or "", after_us)
    labelled = np.isfinite(truth.values) & (np.ones(len(at_us), np.bool_) if when is None else known(later[when]))
    return ChosenLabel(column, _comparison(table[column], positive), is_binary, when, labelled, truth)


def _unfit(table: pa.Table, names: list[str]) -> Iterator[tuple[str, str]]:
    """Columns that are called as labels are and are none, with the reason."""
    for name in names:
        values = _values(table[name])
        if not len(table[name].drop_null()):
            yield name, "holds nothing"
        elif len(values) == 1:
            yield name, f"is always {values[0]}, from which nothing can be learnt"
        elif not _is_number(table[name]):
            shown = f", such as --label {name} --positive {values[0]}" if values else ""
            yield name, f"has more than two values, and one has to be stated{shown}"


def _question(two: list[str], numbers: list[str], by_name: list[str], unfit: Mapping[str, str]) -> OpenQuestion:
    allowed = (*dict.fromkeys([*by_name, *two, *numbers]), NONE)
    if len(by_name) == 1:
        return OpenQuestion("label", by_name[0], "its name says that it is what became of the event", allowed, True)
    if by_name:
        why = f"the first of several that could be it: {', '.join(by_name)}"
        return OpenQuestion("label", by_name[0], why, allowed)
    if two:
        why = f"no name says that it is a label; of two values are {', '.join(two[:5])}"
        return OpenQuestion("label", NONE, why, allowed)
    said = "; ".join(f"{name} {why}" for name, why in unfit.items())
    return OpenQuestion("label", NONE, said or "no column looks like what became of an event", allowed, True)


def _values(column: pa.ChunkedArray) -> list[str]:
    """The values of a column as texts, where these are few."""
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_boolean(kind) or _is_number(column)):
        return []
    distinct = pc.unique(column.drop_null())
    return sorted(as_texts(distinct).to_pylist()) if len(distinct) <= _MOST_WORDS else []


def _is_number(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _positive(column: pa.ChunkedArray, decisions: JobDecisions) -> str:
    """Which of two values is the positive class: by its word, else the rarer one."""
    values = _values(column)
    counts = {value: int(pc.sum(pc.equal(_texts(column), value)).as_py() or 0) for value in values}
    by_word = [value for value in values if set(words_of(value) or [value]) & POSITIVE]
    if len(values) > 2:
        return decisions.decide(OpenQuestion("positive", "", "as stated", values))
    if _is_number(column) and values != ["0", "1"]:
        larger = max(values, key=float)
        return decisions.decide(OpenQuestion("positive", larger, "the larger of the two numbers", values))
    if decisions.stated.get("positive") not in (None, *values):
        raise SpecError("--positive", decisions.stated["positive"], " or ".join(values))
    if len(by_word) == 1:
        why = f"{counts[by_word[0]]:,} of {sum(counts.values()):,} labels"
        return decisions.decide(OpenQuestion("positive", by_word[0], why, values, True))
    rarer = min(values, key=lambda value: counts[value])
    why = f"the rarer value: {counts[rarer]:,} of {sum(counts.values()):,} labels"
    return decisions.decide(OpenQuestion("positive", rarer, why, values))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([as_texts(chunk) for chunk in column.chunks], pa.string())


def _truths(column: pa.ChunkedArray, positive: str | None, is_binary: bool) -> npt.NDArray[np.float64]:
    if is_binary:
        found = pc.equal(_texts(column), positive).cast(pa.int8()).cast(pa.float64())
    else:
        found = column.cast(pa.float64())
    truths: npt.NDArray[np.float64] = pc.fill_null(found, np.nan).to_numpy()
    return truths


def _comparison(column: pa.ChunkedArray, positive: str | None) -> str | None:
    """As `labels.positive` says it; true is positive by itself."""
    if positive is None or (pa.types.is_boolean(column.type) and positive == "true"):
        return None
    return f"== {positive}" if positive.strip() == positive else f"== '{positive}'"


def _after(at_us: npt.NDArray[np.int64], later_us: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where(known(at_us) & known(later_us), (later_us - at_us).astype(np.float64), np.nan)


def _known_at(
    column: str, decisions: JobDecisions, at_us: npt.NDArray[np.int64], later: Mapping[str, npt.NDArray[np.int64]]
) -> str | None:
    """The column with the time at which the label was known."""
    after = dict(_all_later(at_us, later))
    if not after and "label_time" not in decisions.stated:
        decisions.note("label_time", NONE, "no column says when the label was known: it counts as known at once")
        return None
    related = [name for name in after if shared_word(name, column)]
    latest = max(related or after, key=lambda name: after[name], default=NONE)
    why = "the time after the event's" if len(after) == 1 else "the latest of the times after the event's"
    answer = decisions.decide(OpenQuestion("label_time", latest, why, (*after, NONE), len(after) == 1))
    if answer != NONE and answer not in after:
        raise SpecError("--label_time", answer, f"a column of times after the events: {', '.join(after) or 'none'}")
    return None if answer == NONE else answer


def _of_all_labels(
    column: str,
    decisions: JobDecisions,
    truths: npt.NDArray[np.float64],
    later: Mapping[str, npt.NDArray[np.int64]],
) -> dict[str, npt.NDArray[np.int64]]:
    """The columns of times but for those that only some labels have, such as the day of a cancellation: by it, events
    that were not cancelled would never have a label. Stated ones stay."""
    kept = {}
    for name, times in later.items():
        labels = np.unique(truths[np.isfinite(truths)])
        shares = [np.mean(known(times)[truths == label]) for label in labels[:_MOST_WORDS]]
        if decisions.stated.get("label_time") != name and len(shares) == 2 and min(shares) < _EVEN * max(shares):
            why = f"mostly one value of {column} has it, by which the others never had a label"
            decisions.note("label_time", f"not {name}", why)
        else:
            kept[name] = times
    return kept


def _all_later(at_us: npt.NDArray[np.int64], later: Mapping[str, npt.NDArray[np.int64]]) -> Iterator[tuple[str, float]]:
    """The columns whose times are after those of the events, with how long in the median."""
    for name, times in later.items():
        apart = _after(at_us, times)
        there = apart[np.isfinite(apart)]
        if len(there) and np.mean(there >= 0) >= _AFTER and np.median(there) > 0:
            yield name, float(np.median(there))


class LabelTrial(NamedTuple):
    """Where the last fifth of the labelled events begins, None where there is no trial of the model; and why."""

    split_at: str | None
    why: str


def unlearnable(label: ChosenLabel) -> str:
    """Why nothing can be learnt from a label; empty where something can."""
    truths = label.truth.values[label.labelled]
    if not label.is_binary:
        return "" if _is_varied(truths, False) else f"its {len(truths):,} known numbers are all the same"
    positive = int((truths > 0).sum())
    found = f"{positive:,} of {len(truths):,} known labels are positive"
    return "" if _is_varied(truths, True) else f"{found}, and at least {_FEWEST} of each kind are needed"


def _is_varied(truths: npt.NDArray[np.float64], is_binary: bool) -> bool:
    if not is_binary:
        return len(np.unique(truths)) > 1
    positive = int((truths > 0).sum())
    return min(positive, len(truths) - positive) >= _FEWEST


def trial_of(label: ChosenLabel, at_us: npt.NDArray[np.int64]) -> LabelTrial:
    """The trial of a model that learns the label of events at these times."""
    usable = known(at_us) & label.labelled
    rows, truths = at_us[usable], label.truth.values[usable]
    at = int(np.quantile(rows, 0.8)) if len(rows) else 0
    whole = at - at % (_DAY_US if len(rows) and np.ptp(rows) > 20 * _DAY_US else 1_000_000)
    before = rows < whole
    if not len(rows) or not before.mean() > 0.5:
        return LabelTrial(None, "most events are of one time: none are left for a trial")
    if not _is_varied(truths[before], label.is_binary):
        return LabelTrial(None, "before the last fifth of the events nearly all labels are alike: all are learnt from")
    return LabelTrial(format_time_us(whole), "the model is tried on the last fifth of the events")
