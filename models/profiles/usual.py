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


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a tail, the windows whose values fell, or those whose values rose: `beyond` of them are above it, by `excess`
    in all."""

    excess: Annotated[float, msgspec.Meta(gt=0)]
    beyond: Annotated[int, msgspec.Meta(ge=1)]

    def share_beyond(self, further: Floats, windows: int) -> Floats:
        """How likely one more of `windows` windows is on this side and `further` above: (1 + further / sum of
        excesses)^(−beyond), predicted from few windows, instead of exp(−further / mean)."""
        share: Floats = self.beyond / windows * np.exp(-self.beyond * np.log1p(further / self.excess))
        return share


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the distances of `windows` windows from the whole are spread above `above`: `beyond` of them are, by `excess`
    in all. `other`: where windows that fell are spread otherwise than those that rose, the smaller side; `excess` and
    `beyond` are then of the greater one."""

    above: Distance
    excess: Annotated[float, msgspec.Meta(gt=0)]
    beyond: Annotated[int, msgspec.Meta(ge=1)]
    windows: Annotated[int, msgspec.Meta(ge=1)]
    other: Side | None = None

    @property
    def sides(self) -> tuple[Side, ...]:
        """Both, or all windows as one."""
        one = Side(self.excess, self.beyond)
        return (one,) if self.other is None else (one, self.other)

    def p_values(self, distances: Floats) -> Floats:
        """How likely one more such window is as far: an exponential tail above a threshold (J. Pickands, Annals of
        Statistics 3, 1975), or one of each side. A further window is not part of the whole, as these were: its distance
        is taken for less by √((windows − 1) / (windows + 1)).

        >>> tail = Tail(above=1.0, excess=6.0, beyond=12, windows=48)
        >>> tail.p_values(np.array([0.5, 1.5, 2.9])).round(4).tolist()
        [1.0, 0.1013, 0.0101]
        >>> skewed = Tail(above=1.0, excess=5.8, beyond=6, windows=48, other=Side(excess=0.2, beyond=6))
        >>> skewed.p_values(np.array([0.5, 1.5, 2.9])).round(4).tolist()
        [1.0, 0.0785, 0.0239]
        """
        comparable = distances * np.sqrt((self.windows - 1) / (self.windows + 1))
        further = np.maximum(comparable - self.above, 0.0)
        likely = sum(side.share_beyond(further, self.windows) for side in self.sides)
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
