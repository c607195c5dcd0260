"""The functions of times, in the local time of a zone: none of them reads a clock."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.expressions.functions import Datum, Function, Shown, Takes, between, exactly
from schemas.expressions.nodes import TIMESTAMP
from schemas.formats.times.time_zones import meant_zone
from schemas.times import INSTANT, MalformedTime, parse_time_us

UTC = "UTC"
_TIME = Takes((TIMESTAMP,), TIMESTAMP)


def _zone(name: Any) -> str | None:
    try:
        _local(pa.scalar(0, batches.TIME_TYPE), name)
    except pa.ArrowInvalid:
        return f"a time zone such as 'Europe/Berlin', of the list of IANA{meant_zone(name)}"
    return None


def _local(times: Datum, zone: str) -> Datum:
    """The times as those of a zone's clocks; Arrow looks the zone up where it needs its rules."""
    local = times.cast(pa.timestamp("us", tz=zone))
    pc.hour(local if isinstance(local, pa.Scalar) else local.slice(0, 1))
    return local


def _part(function: Callable[..., Datum]) -> Callable[..., Datum]:
    def applied(times: Datum, zone: str = UTC) -> Datum:
        return function(times.cast(pa.timestamp("us", tz=zone))).cast(pa.int64())

    return applied


def _of_time(name: str, says: str, function: Callable[..., Datum], *examples: Shown) -> Function:
    takes = between(1, _TIME, Takes(("string",), constant=_zone))
    return Function(f"{name}(t), {name}(t, 'zone')", says, takes, "integer", _part(function), examples)


def _weekday(times: Datum) -> Datum:
    return pc.day_of_week(times, count_from_zero=False, week_start=1)


def _instant(text: Any) -> str | None:
    try:
        parse_time_us(text)
    except MalformedTime:
        return INSTANT
    return None


def _seconds(times: Datum) -> Datum:
    return pc.divide(times.cast(pa.int64()).cast(pa.float64(), safe=False), 1e6)


MOMENTS = {
    "hour": _of_time("hour", "the hour, 0 to 23", lambda t: pc.hour(t), Shown("hour(event_time)", 22),
                     Shown("hour(event_time, 'Europe/Berlin')", 0)),
    "minute": _of_time("minute", "the minute, 0 to 59", lambda t: pc.minute(t), Shown("minute(event_time)", 30)),
    "day_of_week": _of_time("day_of_week", "the day of the week: 1 is Monday, 7 is Sunday", _weekday,
                            Shown("day_of_week(event_time)", 6),
                            Shown("day_of_week(event_time, 'Europe/Berlin')", 7)),
    "day_of_month": _of_time("day_of_month", "the day of the month, 1 to 31", lambda t: pc.day(t),
                             Shown("day_of_month(event_time)", 1)),
    "month": _of_time("month", "the month, 1 to 12", lambda t: pc.month(t), Shown("month(event_time)", 6)),
    "year": _of_time("year", "the year", lambda t: pc.year(t), Shown("year(event_time)", 2013)),
    "timestamp": Function(
        "timestamp('2013-06-01T00:00:00Z')", "that time, to compare others with",
        exactly(Takes(("string",), constant=_instant)), TIMESTAMP,
        lambda text: pa.scalar(parse_time_us(text), batches.TIME_TYPE),
        (Shown("event_time < timestamp('2014-01-01T00:00:00Z')", True),),
    ),
    "unix_seconds": Function(
        "unix_seconds(t)", "the seconds since 1970-01-01T00:00:00Z", exactly(_TIME), "number", _seconds,
        (Shown("unix_seconds(event_time)", 1370125800.0),
         Shown("unix_seconds(event_time) - unix_seconds(timestamp('2013-06-01T22:00:00Z'))", 1800.0)),
    ),
}  # fmt: skip
"""By name."""
