"""The features of a first job: columns that a model may read, and windows over the events of one subject."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.first_job.found_times import known
from pipeline.first_job.labels import ChosenLabel
from pipeline.first_job.leakage import leak_of
from pipeline.first_job.names import LABEL, hints_at, words_of
from pipeline.first_job.questions import JobDecisions
from schemas.validation import MISSING, SpecError

_CODES = {"id", "nr", "code", "plz", "zip", "key", "uuid"}
_MOST_TEXTS = 50
_WINDOWED_COLUMNS = 2
_DAY_US = 86_400_000_000
# Windows to choose from: size, step, and the size in microseconds.
_WINDOWS = (("1h", "5m", _DAY_US // 24), ("1d", "1h", _DAY_US), ("7d", "6h", 7 * _DAY_US), ("30d", "1d", 30 * _DAY_US),
            ("365d", "7d", 365 * _DAY_US))  # fmt: skip
_ENOUGH = 2.0


class Chosen(NamedTuple):
    """Columns by what they hold, windowed features, and why other columns are left out."""

    numbers: tuple[str, ...]
    flags: tuple[str, ...]
    texts: tuple[str, ...]
    left_out: Mapping[str, str]
    windowed: tuple[Mapping[str, Any], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are features by themselves."""
        return (*self.numbers, *self.flags, *self.texts)


def choose_features(
    table: pa.Table,
    decisions: JobDecisions,
    identity: Collection[str],
    times: Collection[str],
    label: ChosenLabel | None,
    subject: str | None,
    at_us: npt.NDArray[np.int64],
) -> Chosen:
    """What a model may read, and why it may not read the rest.

    Raises:
        SpecError: nothing is left.
    """
    kinds: dict[str, list[str]] = {"number": [], "flag": [], "text": []}
    left_out = {}
    for name in table.column_names:
        why = _unfit(name, table[name], identity, times)
        if not why:
            why = _named_as_label(name) if label is None else leak_of(name, table[name], label.truth)
        if why:
            left_out[name] = why
        else:
            kinds[_kind(table[name])].append(name)
    windowed = tuple(_windows(kinds["number"], set(table.column_names), subject, table, at_us))
    numbers, flags, texts = (tuple(kinds[kind]) for kind in ("number", "flag", "text"))
    chosen = Chosen(numbers, flags, texts, left_out, windowed)
    if not chosen.columns and not windowed:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise SpecError("features", MISSING, f"a column that a model may read ({why})")
    decisions.note("features", ", ".join(chosen.columns) or "none", f"as they are: {len(chosen.columns)}")
    for name, why in left_out.items():
        if name not in identity:
            decisions.note("left out", name, why)
    if windowed:
        names = ", ".join(each["name"] for each in windowed)
        decisions.note("windows", names, f"over the events of one {subject} before each event")
    return chosen


def _unfit(name: str, values: pa.ChunkedArray, identity: Collection[str], times: Collection[str]) -> str:
    if name in identity:
        return "it says which event, or whose, and when"
    if name in times:
        return "it is a time"
    distinct = int(pc.count_distinct(values).as_py()) if _is_plain(values.type) else 0
    if pa.types.is_nested(values.type):
        return "it holds lists or fields, which are not looked at here"
    if not distinct:
        return "it holds no numbers, truth values or texts"
    if distinct == 1 and not values.null_count:
        return "it is always the same"
    if pa.types.is_string(values.type) and distinct > _MOST_TEXTS:
        return f"it has {distinct:,} different texts"
    if hints_at(name, _CODES) and _kind(values) == "number" and distinct > _MOST_TEXTS and _is_whole(values):
        return "its name says that its numbers are no quantities"
    return ""


def _named_as_label(name: str) -> str:
    return "its name says that it is what became of the event" if set(words_of(name)) & LABEL else ""


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
                or pa.types.is_string(kind))  # fmt: skip


def _is_whole(values: pa.ChunkedArray) -> bool:
    numbers = values.drop_null().cast(pa.float64()).to_numpy()
    return bool((numbers == np.floor(numbers)).all())


def _kind(values: pa.ChunkedArray) -> str:
    if pa.types.is_boolean(values.type):
        return "flag"
    return "text" if pa.types.is_string(values.type) else "number"


def _windows(
    numbers: list[str], taken: set[str], subject: str | None, table: pa.Table, at_us: npt.NDArray[np.int64]
) -> Iterator[dict[str, Any]]:
    """How many events a subject had, and the means of two numbers: over the shortest window with some events in it."""
    if subject is None:
        return
    size, every = _window(table[subject], at_us)
    shared = {"key": subject, "size": size, "every": every}
    count = {"name": _free(f"{subject}_events_{size}", taken), **shared, "aggregate": "count"}
    yield count
    spread = sorted(numbers, key=lambda name: -int(pc.count_distinct(table[name]).as_py()))
    for name in spread[:_WINDOWED_COLUMNS]:
        yield {"name": _free(f"{subject}_{name}_mean_{size}", taken), **shared, "column": name, "aggregate": "mean"}


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _window(subjects: pa.ChunkedArray, at_us: npt.NDArray[np.int64]) -> tuple[str, str]:
    codes = subjects.combine_chunks().dictionary_encode().indices
    keys = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False)
    order = np.lexsort((at_us, keys))
    same = (np.diff(keys[order]) == 0) & (keys[order][1:] >= 0) & known(at_us[order])[:-1]
    gaps = np.diff(at_us[order])[same]
    typical = float(np.median(gaps)) if len(gaps) else 0.0
    fitting = [(size, every) for size, every, size_us in _WINDOWS if size_us >= _ENOUGH * typical]
    return fitting[0] if fitting else _WINDOWS[-1][:2]
