"""Sum, mean, variance and standard deviation of windows, from the exact sums of tiles (docs/features.md)."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.job import FeatureSpec
from transforms.features.sums.rounding import Pairs, nearest, paired, rounded, two_product, two_sum
from transforms.features.sums.totals import BITS, Floats, Ints, Totals, totals_between
from transforms.features.tile_tables import ColumnTiles, Ranges

_LEAST_EXPONENT = -1020  # of results that are rounded once only, since they are not subnormal


def counts(table: ColumnTiles, ranges: Ranges) -> Ints:
    """How many values each window has."""
    running = np.concatenate(([0], np.cumsum(table.n)))
    return running[ranges.high] - running[ranges.low]


def total(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The exact sum, rounded once."""
    return _finite(_scaled(*rounded(_between(table.total, ranges))), ranges.high > ranges.low)


def mean(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The exact sum, rounded once, divided by the number of values; also where no float holds the sum."""
    (numbers, exponents), n = rounded(_between(table.total, ranges)), np.maximum(counts(table, ranges), 1)
    sums = _scaled(numbers, exponents)
    means = sums / n
    if not np.isfinite(means).all():
        means = np.where(np.isfinite(sums), means, _scaled(numbers / n, exponents))
    return _finite(means, ranges.high > ranges.low)


def _between(totals: Totals, ranges: Ranges) -> Totals:
    return totals_between(totals, ranges.low, ranges.high)


def std(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """The root of the variance."""
    return pc.sqrt(variance(table, ranges, feature))


def variance(table: ColumnTiles, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
    """Of a sample: the exact quotient (n * sum of squares - square of the sum) / (n * (n - 1)), rounded once."""
    n = counts(table, ranges)
    sums, squares = (_between(each, ranges) for each in (table.total, table.squares))
    found, doubtful = _quotients(n, paired(sums), paired(squares))
    open_ = np.flatnonzero(doubtful & (n > 1))
    found[open_] = _in_whole_numbers(n[open_], sums[open_], squares[open_])
    return _finite(found, n > 1)


def _quotients(n: Ints, sums: Pairs, squares: Pairs) -> tuple[Floats, Ints]:
    """The variances, and whether the float nearest to each may be another one."""
    numbers, half = np.maximum(n, 2).astype(np.float64), squares.exponents // 2
    bits = np.maximum(sums.exponents - half, -1000).astype(np.int32)
    sums = Pairs(np.ldexp(sums.high, bits), np.ldexp(sums.low, bits), half, np.ldexp(sums.error, bits))
    upper, more = two_product(numbers, squares.high)
    of_sums, less = two_product(sums.high, sums.high)
    above, rest = two_sum(upper, -of_sums)
    above, rest = two_sum(above, rest + ((more + numbers * squares.low) - (less + 2 * sums.high * sums.low)))
    below = numbers * (numbers - 1)
    quotient = above / below
    product, lacking = two_product(quotient, below)
    quotient, rest = two_sum(quotient, ((above - product) - lacking + rest) / below)
    of_sums = (2.25 * np.abs(sums.high) + sums.error) * sums.error
    error = numbers * squares.error + of_sums + upper * 2.0**-100
    found, doubtful = nearest(quotient, rest, error / below + np.abs(quotient) * 2.0**-100)
    small = np.frexp(quotient)[1] + squares.exponents < _LEAST_EXPONENT
    doubtful |= small | (below >= 2.0**53)
    return _scaled(found, squares.exponents), doubtful & (squares.high != 0)


def _in_whole_numbers(n: Ints, sums: Totals, squares: Totals) -> list[float]:
    """The same by whole numbers of any length, one by one."""
    (of_sums, at_sums), (of_squares, at_squares) = map(_whole, (sums, squares))
    lowest = min(2 * at_sums, at_squares)
    found = []
    for count, one, square in zip(n.tolist(), of_sums, of_squares, strict=True):
        above = (count * square << at_squares - lowest) - (one * one << 2 * at_sums - lowest)
        found.append(_divided(above, count * (count - 1), lowest))
    return found


def _whole(totals: Totals) -> tuple[list[int], int]:
    """The sums as whole numbers, in units of 2 to the power of the second."""
    least = int(totals.limbs[0]) if len(totals.limbs) else 0
    found = [0] * len(totals)
    for limb, digits in zip(totals.limbs.tolist(), totals.digits.tolist(), strict=True):
        found = [number + (digit << BITS * (limb - least)) for number, digit in zip(found, digits, strict=True)]
    return found, BITS * least


def _divided(above: int, below: int, bits: int) -> float:
    above, below = (above << bits, below) if bits >= 0 else (above, below << -bits)
    try:
        return above / below  # of whole numbers, which Python rounds once
    except OverflowError:
        return float("inf")


def _scaled(numbers: Floats, exponents: Ints) -> Floats:
    with np.errstate(over="ignore"):
        return np.ldexp(numbers, exponents.astype(np.int32))


def _finite(numbers: Floats, some: npt.NDArray[np.bool_]) -> pa.Array:
    """Null where there is nothing, and where no float holds the number."""
    return pa.array(numbers, mask=~(some & np.isfinite(numbers)))
