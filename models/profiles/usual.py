"""What is usual: how far windows of the training data were from the whole of it."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
import numpy as np

from models.profiles.columns import Ints, Name

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
LENGTHS: Mapping[str, int] = {"1h": _HOUR_US, "1d": _DAY_US, "7d": 7 * _DAY_US}
KINDS: Mapping[str | None, int] = {None: 1, "hour": 24, "weekday": 7}

Distance = Annotated[float, msgspec.Meta(ge=0)]
Usual: TypeAlias = dict[Name, dict[str, tuple[Distance, ...]]]


class TrainingWindows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Windows of one `length`: `usual[column][statistic]` is the distance from the whole that 99 of 100 stayed below;
    of
    each hour of day or weekday (UTC, from Monday) where that explains how far they were (`by`).
    `inflation`: of each column, below which that of three windows of four was (`models.profiles.dependence`)."""

    length: Literal["1h", "1d", "7d"]
    windows: Annotated[int, msgspec.Meta(ge=1)]
    by: Literal["hour", "weekday"] | None
    usual: Usual
    inflation: dict[Name, Annotated[float, msgspec.Meta(ge=1)]]

    @property
    def name(self) -> str:
        """As it is in records: `1h`, `1d by weekday`."""
        return f"{self.length} by {self.by}" if self.by else self.length

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
