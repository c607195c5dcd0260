"""Weights that halve with every half-life, the same to the bit on every machine.

The weight of a time is 2^(time / half-life): a power of two, which is exact, and 2^f with f in [0, 1), of a table and a
polynomial, since the power functions of C libraries differ in the last digit.
"""

import math

import numpy as np

from transforms.features.tile_tables import Floats, Ints

_STEPS, _DIGITS = 256, 128
_LOG2 = 0.6931471805599453


def _table() -> Floats:
    """2^(i / 256), from square roots in whole numbers of 128 more bits."""
    one = root = 1 << _DIGITS
    root *= 2
    powers = [one]
    for _ in range(8):  # 2^(1/2) lies between those that are there already, and so on
        root = math.isqrt(root << _DIGITS)
        powers = [each for power in powers for each in (power, power * root >> _DIGITS)]
    return np.array([power / one for power in powers])


_TABLE = _table()


def weights(times_us: Ints, half_life_us: int) -> tuple[Floats, Ints]:
    """2^(time / half-life) as numbers in [1, 2] and whole exponents of two, shape (n,) each.

    >>> weights(np.array([0, 30, 60, -60]), 60)
    (array([1.        , 1.41421356, 1.        , 1.        ]), array([ 0,  0,  1, -1]))
    """
    exponents, rest = np.divmod(times_us, half_life_us)
    share = rest / half_life_us * _STEPS
    step = np.minimum(share.astype(np.int64), _STEPS - 1)
    x = (share - step) * (_LOG2 / _STEPS)
    power = 1 + x * (1 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x * (1 / 120)))))
    return _TABLE[step] * power, exponents
