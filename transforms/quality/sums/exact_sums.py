"""Sums of floats per group that are exact, so that no order and no grouping of their terms changes a bit.

A float is split into whole numbers below 2^32, each in units of 2^(32 * limb). Whole numbers add up without rounding;
only what is made of a sum in the end is rounded, once. `transforms.features.sums` does the same for many small tiles
of keys, at ten times the cost for a few groups with many rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_BITS = 32


class ExactSums(NamedTuple):
    """Sums of shape (quantities, groups): each is the sum over l of `digits[l]` * 2^(32 * (`low` + l)).

    `digits` has the shape (limbs, quantities, groups). Exact for up to 2^31 terms in each.
    """

    low: int
    digits: Ints

    def whole(self, quantity: int, group: int) -> int:
        """A sum in units of 2^(32 * low)."""
        total = 0
        for digit in reversed(self.digits[:, quantity, group].tolist()):
            total = (total << _BITS) + digit
        return total

    def divided(self, quantity: int, by: Ints) -> Floats:
        """A quantity's sum of each group divided by a number above 0, rounded once; NaN where that is 0."""
        shift = _BITS * self.low
        up, down = max(shift, 0), max(-shift, 0)
        found = [
            (self.whole(quantity, group) << up) / (number << down) if number else float("nan")
            for group, number in enumerate(by.tolist())
        ]
        return np.array(found, np.float64)


class Limbs(NamedTuple):
    """Terms split into limbs, from the limb `low` on: `digits` of each, shape (quantities, terms)."""

    low: int
    quantities: int
    digits: list[Ints]

    def sums(self, order: Ints, starts: Ints) -> ExactSums:
        """The sums of the terms in `order`, one group from each of `starts` on."""
        found = np.zeros((len(self.digits), self.quantities, len(starts)), np.int64)
        for limb, terms in enumerate(self.digits if len(starts) else ()):
            for quantity in range(self.quantities):
                np.add.reduceat(terms[quantity][order], starts, out=found[limb, quantity])
        return ExactSums(self.low, found)


def split(quantities: Sequence[Floats]) -> Limbs:
    """Finite terms of several quantities, each of shape (n,), in limbs.

    >>> parts = split([np.array([0.1, 0.2, 1e30]), np.array([1.0, 2.0, 3.0])])
    >>> sums = parts.sums(np.arange(3), np.array([0, 2]))
    >>> sums.divided(0, np.array([1, 1])).tolist(), sums.divided(1, np.array([2, 1])).tolist()
    ([0.30000000000000004, 1e+30], [1.5, 3.0])
    """
    rest = np.stack(quantities)
    largest = np.abs(rest).max(initial=0.0)
    limb = (int(np.frexp(largest)[1]) - 1) // _BITS
    rest = np.ldexp(rest, -_BITS * limb)
    digits = []
    while rest.any():
        whole = rest.astype(np.int64)  # without its fraction
        rest = (rest - whole) * 2.0**_BITS
        digits.append(whole)
        limb -= 1
    digits.reverse()
    return Limbs(limb + 1, len(rest), digits)


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
        part = total[first : first + len(sums.digits)]
        for limb, digits in zip(part, sums.digits, strict=True):
            for quantity, own in zip(limb, digits, strict=True):
                np.add.at(quantity, rows, own)
    return ExactSums(low, total)
