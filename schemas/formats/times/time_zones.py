"""Local times: what the clocks of a zone show, as moments.

By Arrow's kernels, with the time zone database of the machine (`/usr/share/zoneinfo` on Linux).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.expectations import QUOTE, did_you_mean

UTC = "UTC"
REFUSE = "refuse"
_LOCAL = pa.timestamp("us")
_MOMENT = pa.timestamp("us", UTC)
_OF_THE_MACHINE = ("localtime",)


class Moments(NamedTuple):
    """Times in UTC (timestamp[us, UTC]), and the rows whose local time occurs twice or never, where these are refused:
    shape (n,); None: there are none."""

    times: pa.Array
    refused: npt.NDArray[np.bool_] | None = None


def meant_zone(name: str) -> str:
    """The end of a message about a name that is no zone's: the nearest that is."""
    import zoneinfo

    return did_you_mean(name, sorted(zoneinfo.available_timezones()), QUOTE)


def is_zone(name: str) -> bool:
    """Whether Arrow finds rules for a zone of this name.

    >>> is_zone("Europe/Berlin"), is_zone("Mars/Olympus"), is_zone("localtime")
    (True, False, False)
    """
    try:
        pc.assume_timezone(pa.array([0], _LOCAL), name)
    except pa.ArrowInvalid:
        return False
    return name not in _OF_THE_MACHINE


def moments_of(micros: pa.Array, zone: str, rule: str) -> Moments:
    """The moments at which the clocks of a zone show times.

    Args:
        micros: local times in microseconds since 1970 (int64), as if they were of UTC.
        zone: a name for which `is_zone` holds.
        rule: `earlier`, `later` or `refuse`, for times that occur twice, where clocks are put back, or never, where
            they are put forward. The latter are the last microsecond before (`earlier`) or the first after (`later`).

    >>> twice = pa.array(["2024-11-03 01:30:00", "2024-11-03 03:00:00"]).cast(pa.timestamp("us")).cast(pa.int64())
    >>> for rule in ("earlier", "later", "refuse"):
    ...     found = moments_of(twice, "America/New_York", rule)
    ...     print([None if time is None else f"{time:%H:%M}" for time in found.times.to_pylist()], found.refused)
    ['05:30', '08:00'] None
    ['06:30', '08:00'] None
    [None, '08:00'] [ True False]
    """
    local = micros.cast(_LOCAL)
    if zone == UTC:
        return Moments(micros.cast(_MOMENT))
    try:
        return Moments(pc.assume_timezone(local, zone).cast(_MOMENT))
    except pa.ArrowInvalid:
        pass  # some occur twice or never
    either = {
        name: pc.assume_timezone(local, zone, ambiguous=side, nonexistent=side).cast(_MOMENT)
        for name, side in {"earlier": "earliest", "later": "latest"}.items()
    }
    if rule != REFUSE:
        return Moments(either[rule])
    once = pc.fill_null(pc.equal(either["earlier"], either["later"]), True)
    sure = pc.if_else(once, either["earlier"], pa.scalar(None, _MOMENT))
    return Moments(sure, ~once.to_numpy(zero_copy_only=False))
