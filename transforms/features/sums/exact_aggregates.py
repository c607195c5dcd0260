"""Aggregates of exact sums: counts, sums and means that decay, and the slope of a line (docs/features.md)."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.job import FeatureSpec
from transforms.features.decay import weights
from transforms.features.sums.exact_sums import Scaled, Terms, limbs_between, rounded, span_of, whole_numbers
from transforms.features.tile_tables import Floats, Ints, Ranges, ValueCounts

# The quantities of sums that decay, and of those of a line.
_WEIGHT, _WEIGHTED = 0, 1
_N, _V, _T, _TT, _TV = range(5)
_HALF = 2**26  # a time is split into two numbers whose products with others are exact
_MOST_QUERIES = 65_536  # at once, so that their limbs take some megabytes


def terms_of(half_life_us: int | None, numbers: Floats, times_us: Ints) -> list[Terms]:
    """The terms of values: of what decays, or without a half-life those of a line."""
    return list(_of_line(numbers, times_us) if half_life_us is None else _of_decay(half_life_us, numbers, times_us))


def _of_decay(half_life_us: int, numbers: Floats, times_us: Ints) -> Iterator[Terms]:
    """Each value weighs 2^(its time / half-life), whatever the window: what that is at T is known when T is."""
    own, exponents = weights(times_us, half_life_us)
    yield Terms(_WEIGHT, own, exponents)
    yield Terms(_WEIGHTED, own * (numbers * 0.5), exponents + 1)  # no weight makes half of a number infinite


def _of_line(numbers: Floats, times_us: Ints) -> Iterator[Terms]:
    """n, and the sums of v, t, t * t and t * v, in microseconds, in terms that are exact (for times until 2112)."""
    high, low = np.divmod(times_us, _HALF)
    times = [(high.astype(np.float64), 26), (low.astype(np.float64), 0)]
    fraction, exponent = np.frexp(numbers)
    upper = np.ldexp(np.rint(fraction * 2.0**26), -26)
    values = [np.ldexp(part, exponent) for part in (upper, fraction - upper)]
    yield Terms(_N, np.ones(len(numbers)))
    yield Terms(_V, numbers)
    for index, (time, bits) in enumerate(times):
        yield Terms(_T, time, bits)
        yield from (Terms(_TV, time * value, bits) for value in values)
        yield from (Terms(_TT, time * other, bits + more) for other, more in (times[index], *times[:index] * 2))


def decayed_count(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The weights added."""
    return pa.array(_decayed(table, ranges, feature, _WEIGHT))


def decayed_sum(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The weighted values added; null where there are none, and where no float holds the sum."""
    found = _decayed(table, ranges, feature, _WEIGHTED)
    return pa.array(found, mask=_empty(ranges) | ~np.isfinite(found))


def decayed_mean(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The weighted values added, divided by the weights; null where there are none."""
    found = np.zeros(len(ranges.low))
    for own, part in _parts(ranges):
        values, of_one = (_scaled(table, part, feature, quantity) for quantity in (_WEIGHTED, _WEIGHT))
        some = np.where(of_one.numbers == 0, 1.0, of_one.numbers)
        found[own] = np.ldexp(values.numbers / some, _within(values.exponents - of_one.exponents))
    return pa.array(found, mask=_empty(ranges))


def _decayed(table: ValueCounts, ranges: Ranges, feature: FeatureSpec, quantity: int) -> Floats:
    found = np.zeros(len(ranges.low))
    for own, part in _parts(ranges):
        total = _scaled(table, part, feature, quantity)
        weight, exponents = weights(part.end_us, feature.half_life_us or 1)
        with np.errstate(over="ignore"):
            found[own] = np.ldexp(total.numbers / weight, _within(total.exponents - exponents))
    return found


def _within(exponents: Ints) -> npt.NDArray[np.int32]:
    """Exponents that C's `int` holds; beyond them numbers are 0 or infinite anyway."""
    return np.clip(exponents, -4096, 4096).astype(np.int32)


def _empty(ranges: Ranges) -> npt.NDArray[np.bool_]:
    return np.asarray(ranges.high <= ranges.low)


def _parts(ranges: Ranges) -> Iterator[tuple[slice, Ranges]]:
    for start in range(0, len(ranges.low), _MOST_QUERIES):
        own = slice(start, start + _MOST_QUERIES)
        yield own, ranges._replace(low=ranges.low[own], high=ranges.high[own], end_us=ranges.end_us[own])


def _scaled(table: ValueCounts, ranges: Ranges, feature: FeatureSpec, quantity: int) -> Scaled:
    """A quantity of what decays, in units of 2^0 at time 0: of the limbs that events of the window can have."""
    half_life_us = feature.half_life_us or 1
    least, span = span_of(table, quantity, table.tile * ranges.tile_us // half_life_us >> 5)
    size_us = feature.size_us or 0
    first = (ranges.end_us - size_us) // half_life_us >> 5
    count = span + (size_us // half_life_us + 1 >> 5) + 2
    return rounded(limbs_between(table, ranges, quantity, first + least, count), first + least)


def trend(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The slope of the least-squares line, per second, rounded once; null where all times are equal."""
    found: list[float | None] = []
    for _, part in _parts(ranges):
        columns = [_whole(table, part, quantity) for quantity in (_N, _V, _T, _TT, _TV)]
        (n, at_n), (v, at_v), (t, at_t), (tt, at_tt), (tv, at_tv) = columns
        times = [(n, at_n), (t, at_t), (tt, at_tt)]
        whole_n, whole_t, whole_tt = ([_shifted(one, 32 * at) for one in numbers] for numbers, at in times)
        lowest = min(at_v, at_tv)
        whole_v, whole_tv = ([one << 32 * (at - lowest) for one in numbers] for numbers, at in ((v, at_v), (tv, at_tv)))
        found += map(_slope, whole_n, whole_v, whole_t, whole_tt, whole_tv, [32 * lowest] * len(whole_n))
    return pa.array(found, pa.float64())


def _whole(table: ValueCounts, ranges: Ranges, quantity: int) -> tuple[list[int], int]:
    """The sums of a quantity, and the limb of which they are multiples."""
    least, limbs = _limbs(table, ranges, quantity)
    return whole_numbers(limbs), least


def _limbs(table: ValueCounts, ranges: Ranges, quantity: int) -> tuple[int, Ints]:
    least, count = span_of(table, quantity, np.zeros(len(table.tile), np.int64))
    return least, limbs_between(table, ranges, quantity, np.full(len(ranges.low), least), count)


def _shifted(number: int, bits: int) -> int:
    return number << bits if bits >= 0 else number >> -bits


def _slope(n: int, v: int, t: int, tt: int, tv: int, bits: int) -> float | None:
    """Of sums in microseconds, `v` and `tv` times 2^`bits`."""
    above, below = (n * tv - t * v) * 1_000_000, n * tt - t * t
    if below == 0:
        return None
    above, below = (above << bits, below) if bits >= 0 else (above, below << -bits)
    try:
        return above / below  # of whole numbers, which Python rounds once
    except OverflowError:
        return None
