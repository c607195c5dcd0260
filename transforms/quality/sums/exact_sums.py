"""Sums of floats per group that are exact, so that no order and no grouping of their terms changes a bit.

A float is split into whole numbers below 2^32, each in units of 2^(32 * limb). Whole numbers add up without rounding;
only what is made of a sum in the end is rounded, once. `transforms.features.sums` does the same for many small tiles
of keys, at ten times the cost for a few groups with many rows.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.native.grouping import sums_of_limbs

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_BITS, _MASK = 32, 2**32 - 1
_EXACT_TERMS = 2**21  # whole numbers below 2^32 that a float adds up without rounding


class ExactSums(NamedTuple):
    """Sums of shape (quantities, groups): each is the sum over l of `digits[l]` * 2^(32 * (`low` + l)).

    `digits` has the shape (limbs, quantities, groups). Exact for up to 2^31 terms in each.
    """

    low: int
    digits: Ints

    def floats(self, quantity: int) -> Floats:
        """A quantity's sum of each group as a float: a function of the sum alone, within a few units of its last
        digit."""
        digits = _carried(self.digits[:, quantity])
        negative = digits[-1] < 0 if len(digits) else np.zeros(digits.shape[1], np.bool_)
        digits[:, negative] = _carried(-self.digits[:, quantity][:, negative])
        total = np.zeros(digits.shape[1])
        for limb, digit in enumerate(digits):
            total += np.ldexp(digit.astype(np.float64), _BITS * (self.low + limb))
        return np.where(negative, -total, total)

    def divided(self, quantity: int, by: Ints) -> Floats:
        """A quantity's sum of each group divided by a number; NaN where that is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(by > 0, self.floats(quantity) / by, np.nan)


def _carried(digits: Ints) -> Ints:
    """The same sums with digits from 0 to 2^32 - 1, but for the last ones, which have the sign."""
    found, carry = np.empty((len(digits) + 1, digits.shape[1]), np.int64), np.zeros(digits.shape[1], np.int64)
    for limb, own in enumerate(digits):
        total = own + carry
        found[limb], carry = total & _MASK, total >> _BITS
    found[-1] = carry
    return found


class Limbs(NamedTuple):
    """Terms split into limbs, from the limb `low` on: `digits` of each, whole numbers as floats, shape (quantities,
    terms); `some`: of each limb the quantities with any that is not 0."""

    low: int
    quantities: int
    digits: list[Floats]
    some: list[list[int]]

    def sums(self, of_term: Ints, groups: int) -> ExactSums:
        """The sums of the terms of each group; `of_term`: the group of each."""
        found = np.zeros((len(self.digits), self.quantities, groups), np.int64)
        for start in range(0, len(of_term), _EXACT_TERMS):
            own = of_term[start : start + _EXACT_TERMS]
            for limb, (terms, quantities) in enumerate(zip(self.digits, self.some, strict=True)):
                for quantity in quantities:
                    some = terms[quantity, start : start + _EXACT_TERMS]
                    found[limb, quantity] += np.bincount(own, some, groups).astype(np.int64)
        return ExactSums(self.low, found)


class GroupTerms:
    """Finite terms of several quantities, each of shape (n,).

    >>> terms = GroupTerms([np.array([0.1, 0.2, 1e30]), np.array([1.0, 2.0, 3.0])])
    >>> sums = terms.sums(np.array([0, 0, 1]), 2)
    >>> sums.divided(0, np.array([1, 1])).tolist(), sums.divided(1, np.array([2, 1])).tolist()
    ([0.30000000000000004, 1e+30], [1.5, 3.0])
    """

    def __init__(self, quantities: Sequence[Floats]) -> None:
        self._terms = np.stack(quantities)

    def sums(self, of_term: Ints, groups: int) -> ExactSums:
        """The sums of the terms of each group; `of_term`: the group of each."""
        found = sums_of_limbs(self._terms, of_term, groups)
        return self._limbs.sums(of_term, groups) if found is None else ExactSums(*found)

    @cached_property
    def _limbs(self) -> Limbs:
        return limbs_of(self._terms)


def limbs_of(terms: Floats) -> Limbs:
    """Finite terms of several quantities, shape (quantities, n), in limbs."""
    rest = terms.copy()
    largest = np.abs(rest).max(initial=0.0)
    limb = (int(np.frexp(largest)[1]) - 1) // _BITS
    np.ldexp(rest, -_BITS * limb, out=rest)
    digits = []
    while rest.any():
        whole = np.trunc(rest)
        rest -= whole
        rest *= 2.0**_BITS
        digits.append(whole)
        limb -= 1
    digits.reverse()
    some = [np.flatnonzero(each.any(axis=1)).tolist() for each in digits]
    return Limbs(limb + 1, len(rest), digits, some)


def added(parts: Sequence[tuple[ExactSums, Ints]], groups: int, quantities: int) -> ExactSums:
    """Sums of several parts as one; `Ints` says which group of the whole each group of a part is."""
    held = [(sums, rows) for sums, rows in parts if len(sums.digits)]
    if not held:
        return ExactSums(0, np.zeros((0, quantities, groups), np.int64))
    low = min(sums.low for sums, _ in held)
    high = max(sums.low + len(sums.digits) for sums, _ in held)
    total = np.zeros((high - low, quantities, groups), np.int64)
    for sums, rows in held:
        first = sums.low - low
        add_at(total[first : first + len(sums.digits)], rows, sums.digits)
    return ExactSums(low, total)


def add_at(total: Ints, rows: Ints, numbers: Ints) -> None:
    """Adds numbers to what the last axis of `total` has at these rows; in order, they are added at once."""
    if not len(rows):
        return
    ahead = np.diff(rows)
    if (ahead < 0).any():
        np.add.at(np.moveaxis(total, -1, 0), rows, np.moveaxis(numbers, -1, 0))
        return
    starts = np.flatnonzero(np.concatenate(([True], ahead > 0)))
    if len(starts) < len(rows):
        numbers = np.add.reduceat(numbers, starts, axis=-1)
    total[..., rows[starts]] += numbers
