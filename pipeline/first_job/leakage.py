"""Which columns say what is to be predicted: they hold the label, determine it, or are known only after it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.first_job.names import AFTERMATH, hints_at, shared_word

_TELLS = 0.9
"""A column that removes so much of the error of a guess at the most frequent label determines it."""
_ALIKE = 0.999
_SAME = 0.99999  # a good predictor of a number may correlate with it nearly as much
_BINS = 20
_FEWEST = 10
Floats = npt.NDArray[np.float64]


class Truth(NamedTuple):
    """The label: its column, whether it is of the positive class or its number (NaN where there is none), and the
    column with the time at which it was known, with how long after the event that was (µs, NaN where unknown)."""

    column: str
    values: Floats
    is_binary: bool
    later_column: str = ""
    later_us: Floats | None = None


def leak_of(name: str, values: pa.ChunkedArray, truth: Truth) -> str:
    """Why a column must be no feature; empty where nothing speaks against it."""
    if name == truth.column:
        return "it is the label"
    for other in filter(None, (truth.column, truth.later_column)):
        if shared := shared_word(name, other):
            return f"its name is about what {other} is about ({shared}…)"
    if hints_at(name, AFTERMATH):
        return "its name says that it is known only after the event"
    if truth.later_us is not None and (why := _timed_after(values, truth)):
        return why
    return _tells(values, truth)


def _timed_after(values: pa.ChunkedArray, truth: Truth) -> str:
    """Whether it is there only once the later time is, or is how long that took."""
    assert truth.later_us is not None
    missing, later_missing = _is_null(values), np.isnan(truth.later_us)
    if _is_mixed(missing) and np.mean(missing == later_missing) >= _ALIKE:
        return f"it is there exactly where {truth.later_column} is"
    numbers = _numbers(values)
    both = np.isfinite(numbers) & ~later_missing if numbers is not None else missing & False
    if numbers is not None and _correlation(numbers[both], truth.later_us[both]) > _ALIKE:
        return f"it is the time until {truth.later_column}"
    return ""


def _tells(values: pa.ChunkedArray, truth: Truth) -> str:
    labelled = np.isfinite(truth.values)
    codes = _codes(values)[labelled]
    if not truth.is_binary:
        numbers = _numbers(values)
        both = labelled & np.isfinite(numbers) if numbers is not None else labelled & False
        equals = numbers is not None and abs(_correlation(numbers[both], truth.values[both])) > _SAME
        return "it is the label in other words" if equals else ""
    positive = truth.values[labelled] > 0
    if min(positive.sum(), (~positive).sum()) < _FEWEST:
        return ""
    numbers = _numbers(values)
    by_size = 0.0 if numbers is None else _removed_by_size(numbers[labelled], positive)
    if max(error_removed(codes, positive), by_size) >= _TELLS:
        return "it determines the label"
    missing = _is_null(values)[labelled].astype(np.int64)
    return "whether it is there determines the label" if error_removed(missing, positive) >= _TELLS else ""


def error_removed(codes: npt.NDArray[np.int64], positive: npt.NDArray[np.bool_]) -> float:
    """How much of the error of guessing the most frequent class is left out by guessing it for each code; codes of
    fewer than `_FEWEST` rows tell nothing.

    >>> error_removed(np.arange(40) % 2, np.arange(40) % 2 == 0), error_removed(np.arange(40), np.arange(40) % 2 == 0)
    (1.0, 0.0)
    """
    error = min(int(positive.sum()), int((~positive).sum()))
    rows = np.bincount(codes)
    positives = np.bincount(codes, positive).astype(np.int64)
    own = np.minimum(positives, rows - positives)
    small = rows < _FEWEST
    usual = positives if positive.sum() * 2 < len(positive) else rows - positives
    left = int(np.where(small, usual, own).sum())
    return 1 - left / error if error else 0.0


def _removed_by_size(numbers: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """As `error_removed`, by the best limit between small and large numbers; nulls are left out."""
    there = np.isfinite(numbers)
    values, truths = numbers[there], positive[there]
    count, most = len(truths), int(truths.sum())
    error = min(most, count - most)
    if error < _FEWEST:
        return 0.0
    order = np.argsort(values, kind="stable")
    below = np.cumsum(truths[order])[:-1]
    wrong = below + (count - most) - (np.arange(1, count) - below)  # where small ones are said to be negative
    limits = np.flatnonzero(np.diff(values[order]) > 0)
    if not len(limits):
        return 0.0
    return 1 - int(np.minimum(wrong, count - wrong)[limits].min()) / error


def _codes(values: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The values as codes from 0; numbers of many values by their quantiles, null as a value of its own."""
    numbers = _numbers(values)
    if numbers is None or len(np.unique(numbers[np.isfinite(numbers)])) <= _BINS:
        encoded = values.combine_chunks().dictionary_encode(null_encoding="encode")
        codes = encoded.indices if isinstance(encoded, pa.DictionaryArray) else encoded.combine_chunks().indices
        found: npt.NDArray[np.int64] = codes.to_numpy(zero_copy_only=False).astype(np.int64)
        return found
    bins = min(5 * _BINS, max(2, len(numbers) // (3 * _FEWEST)))
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]))
    binned: npt.NDArray[np.int64] = np.searchsorted(edges, np.nan_to_num(numbers), "right") + 1
    return np.where(np.isfinite(numbers), binned, 0)


def _numbers(values: pa.ChunkedArray) -> Floats | None:
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    plain = values.cast(pa.int8()) if pa.types.is_boolean(kind) else values
    numbers: Floats = pc.fill_null(plain.cast(pa.float64()), np.nan).to_numpy()
    return numbers


def _is_null(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = values.is_null().to_numpy()
    return found


def _is_mixed(mask: npt.NDArray[np.bool_]) -> bool:
    return bool(0.01 < mask.mean() < 0.99)


def _correlation(one: Floats, other: Floats) -> float:
    if len(one) < _FEWEST or not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
