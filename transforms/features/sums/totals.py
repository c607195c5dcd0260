"""Exact sums of floats, one for each row of a table of tiles: no order and no grouping of what is added changes a bit.

A sum is a list of whole numbers, digits, each a multiple of a power of 2^32: digits of floats add up without rounding.
Floats are taken apart with few passes over whole arrays, so that what most columns have, numbers of few magnitudes,
costs hardly more than to add them up as floats: whole numbers below 2^32 have one digit, amounts of money three.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BITS = 32
# A digit from here on hands its upper part to the next: neither it nor the sum of those of a window overflows.
_LARGE = 2**45
# The squares of numbers in between, and what they lack as floats, are neither infinite nor rounded.
_LEAST, _GREATEST, _SCALE = 2.0**-400, 2.0**480, 608
_MOST = 2.0**62  # of what is added up as one digit
_LAST_BITS = 27  # a number without them has 26 bits, whose square is exact


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """A sum for each of n rows: of `digits`, shape (d, n), times 2^(32 * `limbs`), shape (d,), which rise."""

    limbs: Ints
    digits: Ints

    def __len__(self) -> int:
        return len(self.digits.T)

    def __getitem__(self, rows: Ints) -> "Totals":
        return _without_zeros(self.limbs, self.digits.take(rows, axis=1))


def no_totals(rows: int) -> Totals:
    """Sums of nothing."""
    return Totals(np.zeros(0, np.int64), np.zeros((0, rows), np.int64))


def totals_of(numbers: Floats, starts: Ints) -> tuple[Totals, Totals]:
    """The sums of finite numbers and of their squares, in groups that begin at `starts`, the first of which is 0.

    Raises:
        ValueError: a number is infinite or none at all; events that have one are dead letters.
    """
    sizes = np.abs(numbers)
    greatest = float(sizes.max(initial=0))
    if not np.isfinite(greatest):
        raise ValueError(f"a sum of {greatest}; expected: finite numbers")
    if greatest * greatest * len(numbers) < _MOST:
        wholes = numbers.astype(np.int64)
        if (wholes == numbers).all():
            return _one_digit(wholes, starts), _one_digit(wholes * wholes, starts)
    return _summed(numbers[None], starts), _squares_of(numbers, sizes, starts)


def _one_digit(wholes: Ints, starts: Ints) -> Totals:
    if not wholes.any():
        return no_totals(len(starts))
    return _carried(Totals(np.zeros(1, np.int64), np.add.reduceat(wholes, starts)[None]))


def _squares_of(numbers: Floats, sizes: Floats, starts: Ints) -> Totals:
    tiny, huge = (sizes < _LEAST) & (sizes > 0), sizes > _GREATEST
    if not tiny.any() and not huge.any():
        return _summed(_squares(numbers), starts)
    between = _summed(_squares(np.where(tiny | huge, 0, numbers)), starts)
    lower, upper = (
        _summed(_squares(np.ldexp(np.where(own, numbers, 0), bits)), starts, -2 * bits // BITS)
        for own, bits in ((tiny, _SCALE), (huge, -_SCALE))
    )
    return _added(_added(between, lower), upper)


def _squares(numbers: Floats) -> Floats:
    """The squares as floats, and what they lack (Dekker 1971), shape (2, n)."""
    half = np.int64(1) << (_LAST_BITS - 1)
    upper = (numbers.view(np.int64) + half & -(np.int64(1) << _LAST_BITS)).view(np.float64)
    lower, squares = numbers - upper, numbers * numbers
    return np.stack([squares, (upper * upper - squares) + 2 * upper * lower + lower * lower])


def _summed(parts: Floats, starts: Ints, first: int = 0) -> Totals:
    """The sums of all parts, shape (p, n), times 2^(32 * `first`)."""
    limbs: list[int] = []
    digits: list[Ints] = []
    while greatest := float(np.abs(parts).max(initial=0)):
        limb = math.frexp(greatest)[1] - 1 >> 5
        wholes = np.trunc(_times(parts, -BITS * limb))
        limbs.append(limb + first)
        digits.append(np.add.reduceat(wholes.astype(np.int64).sum(axis=0), starts))
        parts = parts - _times(wholes, BITS * limb)
    if not limbs:
        return no_totals(len(starts))
    return _carried(Totals(np.array(limbs[::-1], np.int64), np.stack(digits[::-1])))


def _times(numbers: Floats, bits: int) -> Floats:
    """Numbers times 2^`bits`."""
    if bits == 0:
        return numbers
    return numbers * 2.0**bits if -1022 <= bits <= 1023 else np.ldexp(numbers, bits)


def regrouped(totals: Totals, starts: Ints) -> Totals:
    """The sums of groups of rows that begin at `starts`, the first of which is 0."""
    if not len(totals.limbs):
        return no_totals(len(starts))
    return _carried(Totals(totals.limbs, np.add.reduceat(totals.digits, starts, axis=1)))


def joined_totals(parts: Sequence[Totals]) -> Totals:
    """The rows of several, end to end."""
    limbs = parts[0].limbs
    if all(np.array_equal(part.limbs, limbs) for part in parts):
        return Totals(limbs, np.concatenate([part.digits for part in parts], axis=1))
    limbs = np.unique(np.concatenate([part.limbs for part in parts]))
    found, at = np.zeros((len(limbs), sum(map(len, parts))), np.int64), 0
    for part in parts:
        found[np.searchsorted(limbs, part.limbs), at : at + len(part)] = part.digits
        at += len(part)
    return Totals(limbs, found)


def _added(one: Totals, other: Totals) -> Totals:
    """The sums of both, row by row."""
    limbs = np.union1d(one.limbs, other.limbs)
    found = np.zeros((len(limbs), len(one)), np.int64)
    for each in (one, other):
        found[np.searchsorted(limbs, each.limbs)] += each.digits
    return Totals(limbs, found)


def _carried(totals: Totals) -> Totals:
    while len(totals.digits) and max(int(totals.digits.max()), -int(totals.digits.min())) >= _LARGE:
        carried = np.where(np.abs(totals.digits) >= _LARGE, totals.digits >> BITS, 0)
        totals = _added(Totals(totals.limbs, totals.digits - (carried << BITS)), Totals(totals.limbs + 1, carried))
    return totals


def _without_zeros(limbs: Ints, digits: Ints) -> Totals:
    some = digits.any(axis=1)
    return Totals(limbs, digits) if some.all() else Totals(limbs[some], digits[some])


def totals_between(totals: Totals, low: Ints, high: Ints) -> Totals:
    """The sums of the rows from `low` to before `high` of each query."""
    first, last = (int(low.min()), int(high.max())) if len(low) else (0, 0)
    low, high = low - first, high - first
    found = np.empty((len(totals.limbs), len(low)), np.int64)
    running = np.zeros(max(last - first, 0) + 1, np.int64)
    for digits, own in zip(totals.digits, found, strict=True):
        np.cumsum(digits[first:last], out=running[1:])
        np.subtract(running.take(high), running.take(low), out=own)
    return _without_zeros(totals.limbs, found)
