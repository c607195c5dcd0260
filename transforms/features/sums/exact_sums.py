"""Sums of floats that are exact, so that no order and no grouping of their terms changes a bit.

A term is split into whole numbers below 2^32, each a multiple of 2^(32 * limb): whole numbers add up without rounding.
A table of them is a `ValueCounts`: `value` names a quantity and a limb, `times` is the whole number. The limbs of a
window are the difference of two running totals; only what is made of them for an answer is rounded.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.features.tile_tables import Floats, Ints, Ranges, ValueCounts, group_starts

_BITS, _MASK = 32, 2**32 - 1
_QUANTITIES = 8  # of one table, at most: `value` is limb * 8 + quantity
# A sum from here on hands its upper part to the next limb: neither it nor the sums of all tiles of a window overflow.
_LARGE = 2**45


class Terms(NamedTuple):
    """A quantity's terms, shape (n,): `numbers` * 2^`exponents`; a row adds up as many terms as there are of it."""

    quantity: int
    numbers: Floats
    exponents: Ints | int = 0


def sums_of(codes: Ints, tiles: Ints, terms: Sequence[Terms]) -> ValueCounts:
    """The table of terms; term i belongs to the tile `tiles[i]` of the key `codes[i]`."""
    parts = [part for each in terms for part in _split(codes, tiles, each)]
    code, tile, value, amount = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _reduced(code, tile, value, amount)


def reduced_sums(sums: ValueCounts) -> ValueCounts:
    """A table in order, with one row for each limb of a tile."""
    return _reduced(sums.code, sums.tile, sums.value.to_numpy(), sums.times)


def _split(codes: Ints, tiles: Ints, terms: Terms) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    fraction, exponent = np.frexp(terms.numbers)
    whole = np.abs(np.ldexp(fraction, 53)).astype(np.uint64)
    bit = exponent.astype(np.int64) - 53 + terms.exponents
    limb, shift = bit >> 5, (bit & 31).astype(np.uint64)
    low, high = (whole & np.uint64(_MASK)) << shift, (whole >> np.uint64(_BITS)) << shift
    mask, width = np.uint64(_MASK), np.uint64(_BITS)
    negative = np.signbit(terms.numbers)
    for above, amount in enumerate((low & mask, (low >> width) + (high & mask), high >> width)):
        some = np.flatnonzero(amount)
        signed = amount[some].astype(np.int64)
        signed[negative[some]] *= -1
        yield codes[some], tiles[some], (limb[some] + above) * _QUANTITIES + terms.quantity, signed


def _reduced(code: Ints, tile: Ints, value: Ints, amount: Ints) -> ValueCounts:
    order = np.lexsort((value, tile, code))
    code, tile, value = code[order], tile[order], value[order]
    starts = group_starts(code, tile, value)
    code, tile, value = code[starts], tile[starts], value[starts]
    amount = np.add.reduceat(amount[order], starts) if len(starts) else amount
    large = np.flatnonzero(np.abs(amount) >= _LARGE)
    if len(large):
        carried = amount[large] >> _BITS
        amount[large] &= _MASK
        code, tile = (np.concatenate((column, column[large])) for column in (code, tile))
        value = np.concatenate((value, value[large] + _QUANTITIES))
        return _reduced(code, tile, value, np.concatenate((amount, carried)))
    return ValueCounts(code, tile, pa.array(value, pa.int64()), amount, np.ones(len(code)))


def limbs_between(table: ValueCounts, ranges: Ranges, quantity: int, first: Ints, count: int) -> Ints:
    """The sums of a quantity in the rows of each query, shape (queries, count): of its limbs from `first` on."""
    found = np.zeros((len(ranges.low), count), np.int64)
    values = table.value.to_numpy()
    rows = np.flatnonzero((values & (_QUANTITIES - 1)) == quantity)
    rows = rows[np.argsort(values[rows], kind="stable")]
    limbs = values[rows] >> 3
    starts = group_starts(limbs)
    by_first = np.argsort(first, kind="stable")
    ordered = first[by_first]
    for start, end in pairwise([*starts.tolist(), len(rows)]):
        limb, own = limbs[start], rows[start:end]
        near = slice(*np.searchsorted(ordered, [limb - count + 1, limb + 1]))
        queries = by_first[near]
        running = np.concatenate(([0], np.cumsum(table.times[own])))
        upper, lower = (running[np.searchsorted(own, edge[queries])] for edge in (ranges.high, ranges.low))
        found[queries, limb - ordered[near]] += np.where(ranges.high[queries] > ranges.low[queries], upper - lower, 0)
    return found


def span_of(table: ValueCounts, quantity: int, base: Ints) -> tuple[int, int]:
    """The first limb of a quantity, counted from that of its row, and how many there are from it on."""
    values = table.value.to_numpy()
    own = (values & (_QUANTITIES - 1)) == quantity
    limbs = (values[own] >> 3) - base[own]
    return (int(limbs.min()), int(limbs.max() - limbs.min()) + 1) if len(limbs) else (0, 1)


def _digits(limbs: Ints) -> Ints:
    """The limbs of each query with digits from 0 to 2^32 - 1 and a last one that has the sign, shape (n, count + 1)."""
    found = np.empty((len(limbs), limbs.shape[1] + 1), np.int64)
    carry = np.zeros(len(limbs), np.int64)
    for at in range(limbs.shape[1]):
        total = limbs[:, at] + carry
        found[:, at], carry = total & _MASK, total >> _BITS
    found[:, -1] = carry
    return found


def whole_numbers(limbs: Ints) -> list[int]:
    """The whole number of each query, in units of its first limb."""
    digits = _digits(limbs)
    last = digits[:, -1]
    words = np.column_stack((digits[:, :-1], last & _MASK, (last >> _BITS) & _MASK))
    data, size = words.astype("<u4").tobytes(), 4 * words.shape[1]
    return [int.from_bytes(data[at : at + size], "little", signed=True) for at in range(0, len(data), size)]


class Scaled(NamedTuple):
    """Numbers `numbers` * 2^`exponents`, shape (n,)."""

    numbers: Floats
    exponents: Ints


def rounded(limbs: Ints, first: Ints | int) -> Scaled:
    """The number of each query, of the four digits from its first that is not zero: a function of the number alone."""
    digits = _digits(limbs)
    negative = digits[:, -1] < 0
    digits[negative] = _digits(-limbs[negative])
    at = digits.shape[1] - 1 - np.argmax(digits[:, ::-1] != 0, axis=1)
    queries, total = np.arange(len(digits)), np.zeros(len(digits))
    for below in (3, 2, 1, 0):
        digit = np.where(at >= below, digits[queries, np.maximum(at - below, 0)], 0)
        total = total * 2.0**-_BITS + digit
    return Scaled(np.where(negative, -total, total), (at + first) * _BITS)
