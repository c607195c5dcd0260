"""Confidence sequences by betting: for means of bounded values, exact at every n and as narrow as the values allow.

Source: I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting (Journal of the Royal
Statistical Society B, 2024): the hedged capital process of section 4.4 with predictable plug-in bets.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from schemas.errors import UnusableData

Floats = npt.NDArray[np.float64]
_MOST_STAKED = 0.5
"""Of what could be lost at once: the bets' truncation."""
_HALVINGS = 40


class OutOfBounds(UnusableData):
    """Values outside of the bounds that a policy states."""


def plug_in_bets(values: Floats, error_rate: float) -> Floats:
    """The stake of each round, from the values before it (section 4.2): float64 of the shape of `values`, (n,)."""
    rounds = np.arange(1, len(values) + 1)
    means = (0.5 + np.cumsum(values)) / (rounds + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (rounds + 1)
    before = np.concatenate(([0.25], variances[:-1]))
    stakes: Floats = np.sqrt(2 * math.log(2 / error_rate) / (before * rounds * np.log1p(rounds)))
    return stakes


def betting_interval(
    values: Sequence[float], error_rate: float, low: float = 0.0, high: float = 1.0
) -> tuple[float, float]:
    """The confidence sequence of the mean after the last of these values, within those after the earlier ones.

    A gambler who bets that the mean is above (or below) m cannot be expected to gain if it is m; so an m against which
    half of the money has become 1 / `error_rate` is ruled out (Ville's inequality), whenever one looks.

    Args:
        values: in the order in which they came, each of the same mean given those before it.
        error_rate: between 0 and 1.
        low, high: the bounds of every value.

    Raises:
        OutOfBounds: a value is outside the bounds.

    >>> betting_interval([], 0.05)
    (0.0, 1.0)
    >>> [round(bound, 3) for bound in betting_interval([0.4, 0.5, 0.6] * 20, 0.05)]
    [0.441, 0.559]
    """
    scaled = (np.asarray(values, np.float64) - low) / (high - low)
    if len(scaled) and not (scaled.min() >= 0 and scaled.max() <= 1):
        raise OutOfBounds(f"values from {min(values)} to {max(values)}; allowed: {low} to {high}")
    stakes, most = plug_in_bets(scaled, error_rate), math.log(2 / error_rate)

    def above(m: float) -> bool:
        """Whether the bet that the mean is above m has won."""
        stake = np.minimum(stakes, _MOST_STAKED / m)
        return bool(np.max(np.cumsum(np.log1p(stake * (scaled - m))), initial=0.0) >= most)

    def below(m: float) -> bool:
        stake = np.minimum(stakes, _MOST_STAKED / (1 - m))
        return bool(np.max(np.cumsum(np.log1p(-stake * (scaled - m))), initial=0.0) >= most)

    first, last = _last_true(above), 1 - _last_true(lambda m: below(1 - m))
    return low + first * (high - low), low + last * (high - low)


def _last_true(ruled_out: Callable[[float], bool]) -> float:
    """The end of the values from 0 on that are ruled out; 0 where none is."""
    begin, end = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (begin + end) / 2
        begin, end = (middle, end) if ruled_out(middle) else (begin, middle)
    return begin
