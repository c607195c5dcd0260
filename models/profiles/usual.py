"""What is usual: how far windows of the training data were from the whole of it."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
import numpy as np

from models.profiles.columns import Floats, Ints, Name

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
LENGTHS: Mapping[str, int] = {"1h": _HOUR_US, "1d": _DAY_US, "7d": 7 * _DAY_US}
KINDS: Mapping[str | None, int] = {None: 1, "hour": 24, "weekday": 7}

Distance = Annotated[float, msgspec.Meta(ge=0)]
Usual: TypeAlias = dict[Name, dict[str, tuple[Distance, ...]]]


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the distances of `windows` windows from the whole are spread above `above`: `beyond` of them are, by `excess`
    in all."""

    above: Distance
    excess: Annotated[float, msgspec.Meta(gt=0)]
    beyond: Annotated[int, msgspec.Meta(ge=1)]
    windows: Annotated[int, msgspec.Meta(ge=1)]

    def p_values(self, distances: Floats) -> Floats:
        """How likely one more such window is as far: an exponential tail above a threshold (J. Pickands, Annals of
        Statistics 3, 1975), predicted from few windows: (1 + excess / sum of excesses)^(−beyond) instead of
        exp(−excess / mean). A further window is not part of the whole, as these were: its distance is taken for less by
        √((windows − 1) / (windows + 1)).

        >>> tail = Tail(above=1.0, excess=6.0, beyond=12, windows=48)
        >>> tail.p_values(np.array([0.5, 1.5, 2.9])).round(4).tolist()
        [1.0, 0.1013, 0.0101]
        """
        comparable = distances * np.sqrt((self.windows - 1) / (self.windows + 1))
        further = np.maximum(comparable - self.above, 0.0)
        likely = self.beyond / self.windows * np.exp(-self.beyond * np.log1p(further / self.excess))
        found: Floats = np.where(comparable > self.above, likely, 1.0)
        return found


class TrainingWindows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Windows of one `length`: `usual[column][statistic]` is the distance from the whole that 99 of 100 stayed below;
    of
    each hour of day or weekday (UTC, from Monday) where that explains how far they were (`by`).
    `inflation`: of each column, below which that of three windows of four was (`models.profiles.dependence`).
    `tails`: of the score's Wasserstein distance, of as many kinds."""

    length: Literal["1h", "1d", "7d"]
    windows: Annotated[int, msgspec.Meta(ge=1)]
    by: Literal["hour", "weekday"] | None
    usual: Usual
    inflation: dict[Name, Annotated[float, msgspec.Meta(ge=1)]]
    tails: tuple[Tail, ...] = ()

    @property
    def name(self) -> str:
        """As it is in records: `1h`, `1d by weekday`."""
        return f"{self.length} by {self.by}" if self.by else self.length

    def p_values(self, distances: Floats, kinds: Ints) -> Floats:
        """How likely the score of windows of such kinds is as far from the whole, shape (n,)."""
        each = np.stack([tail.p_values(distances) for tail in self.tails])
        found: Floats = np.take_along_axis(each, kinds[np.newaxis], axis=0)[0]
        return found

    def kinds_of(self, starts_us: Ints) -> Ints:
        """The kind of windows by their starts, shape (n,)."""
        return kinds_of_windows(self.by, starts_us)


def kinds_of_windows(by: str | None, starts_us: Ints) -> Ints:
    """Whole numbers below `KINDS[by]`."""
    if by == "hour":
        return starts_us // _HOUR_US % 24
    return (starts_us // _DAY_US + 3) % 7 if by == "weekday" else np.zeros_like(starts_us)


def windows_for(windows: tuple[TrainingWindows, ...], window_us: int) -> TrainingWindows | None:
    """The longest that are not longer than a job's windows; None where there are none."""
    fitting = [each for each in windows if LENGTHS[each.length] <= window_us]
    return max(fitting, key=lambda each: LENGTHS[each.length]) if fitting else None
