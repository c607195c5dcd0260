"""What exact sums are in floats: rounded once, or as two floats that are closer than any cancellation of use."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.features.sums.totals import BITS, Floats, Ints, Totals

_HALF = 1 << (BITS - 1)
_SPLIT = 2.0**27 + 1
_EXACT = 2**53  # whole numbers below it are floats
_MOST_LIMBS = 16  # of sums whose digits are added up as floats of one scale


class Pairs(NamedTuple):
    """Sums as (`high` + `low`) * 2^`exponents`, within `error` * 2^`exponents`, shape (n,); `high` is the sum of both
    as a float. Exponents are multiples of 32."""

    high: Floats
    low: Floats
    exponents: Ints
    error: Floats


class _Leading(NamedTuple):
    """The four digits of each sum from its first that is not zero, as floats; that one is a multiple of
    2^`exponents`; and the sign of what comes after the third."""

    digits: Floats
    exponents: Ints
    rest: Ints


def rounded(totals: Totals) -> tuple[Floats, Ints]:
    """Numbers times 2 to the power of exponents: each sum as the nearest float, of two that are equally near the even
    one (IEEE 754), but for the range of floats."""
    if len(totals.limbs) <= 1:  # the conversion itself rounds so
        high, _, exponents = _single(totals)
        return high, exponents
    pairs = paired(totals)
    found, doubtful = nearest(pairs.high, pairs.low, pairs.error)
    exponents, some = pairs.exponents, np.flatnonzero(doubtful)
    if len(some):
        (first, second, third, _), scales, rest = _leading(totals[some])
        high, low = two_sum(first * 2.0 ** (2 * BITS), second * 2.0**BITS)
        high, low = two_sum(high, low + third)
        # `low` is whole, so that a quarter decides which is nearest exactly where both are equally near.
        found[some], exponents[some] = high + (low + 0.25 * rest), scales - 2 * BITS
    return found, exponents


def nearest(high: Floats, low: Floats, error: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The float nearest to `high` + `low`, and whether another may be nearest to a number within `error` of it."""
    lower, upper = high + (low - error), high + (low + error)
    return lower, lower != upper


def paired(totals: Totals) -> Pairs:
    """Each sum as two floats: close enough for what is made of most."""
    limbs, digits = totals.limbs, totals.digits
    if len(limbs) <= 1:
        high, low, exponents = _single(totals)
        return Pairs(high, low, exponents, np.zeros(len(totals)))
    if limbs[-1] - limbs[0] >= _MOST_LIMBS or max(int(digits.max()), -int(digits.min())) >= _EXACT:
        return _closest(totals)
    high, low = digits[-1].astype(np.float64), np.zeros(len(totals))
    sizes = np.abs(high)
    for limb, digit in zip(limbs[-2::-1].tolist(), digits[-2::-1], strict=True):
        number = digit * 2.0 ** (BITS * (limb - int(limbs[-1])))
        high, more = two_sum(high, number)
        low += more
        sizes += np.abs(number, out=number)
    # Each of at most 16 additions to `low` errs by 2^-53 of it, and it is at most 16 * 2^-53 of all sizes.
    return Pairs(*two_sum(high, low), np.full(len(high), BITS * int(limbs[-1])), sizes * 2.0**-96)


def _closest(totals: Totals) -> Pairs:
    """The same of sums of any digits."""
    (first, second, third, fourth), exponents, _ = _leading(totals)
    high, low = two_sum(first * 2.0 ** (2 * BITS), second * 2.0**BITS)
    high, low = two_sum(high, low + third)
    high, low = two_sum(high, low + fourth * 2.0**-BITS)
    return Pairs(high, low, exponents - 2 * BITS, np.abs(high) * 2.0**-94)


def _single(totals: Totals) -> tuple[Floats, Floats, Ints]:
    """High, low and exponents of sums of one digit or none, which are exact."""
    digits = totals.digits[0] if len(totals.limbs) else np.zeros(len(totals), np.int64)
    limb = int(totals.limbs[0]) if len(totals.limbs) else 0
    high = digits.astype(np.float64)
    low = (digits - high.astype(np.int64)).astype(np.float64)
    return high, low, np.full(len(digits), BITS * limb)


def _leading(totals: Totals) -> _Leading:
    # Digits from -2^31 to 2^31, so that the first that is not zero has the sign, and what follows is below half of it.
    limbs = np.unique(totals.limbs[:, None] + np.arange(-3, 2))
    digits = np.zeros((len(limbs), len(totals)), np.int64)
    digits[np.searchsorted(limbs, totals.limbs)] = totals.digits
    for at in range(len(limbs) - 1):
        if limbs[at] in totals.limbs:
            carried = digits[at] + _HALF >> BITS
            digits[at] -= carried << BITS
            digits[at + 1] += carried
    some = np.flatnonzero(digits.any(axis=1))
    top, rest = np.full(len(totals), some[-1] if len(some) else 3), np.zeros(len(totals), np.int64)
    for at in some.tolist():
        np.copyto(top, at, where=digits[at] != 0)
    for at in some.tolist():
        np.copyto(rest, np.sign(digits[at]), where=(at < top - 2) & (digits[at] != 0))
    queries = np.arange(len(totals))
    leading = np.stack([digits[top - below, queries] for below in range(4)])
    return _Leading(leading.astype(np.float64), BITS * limbs[top], rest)


def two_sum(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """The rounded sum of two floats, and what it lacks (Knuth 1969)."""
    total = one + other
    part = total - one
    return total, (one - (total - part)) + (other - part)


def two_product(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """The rounded product of two floats, and what it lacks (Dekker 1971); neither is beyond 2^900."""
    product = one * other
    (a, b), (c, d) = _halves(one), _halves(other)
    return product, ((a * c - product) + a * d + b * c) + b * d


def _halves(number: Floats) -> tuple[Floats, Floats]:
    large = _SPLIT * number
    upper = large - (large - number)
    return upper, number - upper
