"""Times and durations as people write them, and as int64 microseconds."""

import re
import time
from datetime import UTC, datetime, timedelta

from schemas.errors import UnusableData
from schemas.expectations import wants

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
INSTANT = "an RFC 3339 time such as 2013-03-01T00:00:00Z, within the years 1 to 9999 in UTC"
"""What `parse_instant_us` allows, for messages."""
_DURATION = re.compile(r"([0-9]+)(us|ms|s|m|h|d)")
MAX_DURATION_US = 36_500 * _UNITS_US["d"]
_MOST_DIGITS = 20  # Python refuses to parse numbers of thousands of digits


def now_us() -> int:
    """The current time in microseconds since the epoch, the default of every `now_us` argument."""
    return time.time_ns() // 1000


class MalformedTime(UnusableData):
    """Text that is not a time or duration; the message shows it and what is allowed."""

    def __init__(self, message: str, allowed: str = "") -> None:
        super().__init__(message)
        self.allowed = allowed


def parse_duration_us(text: str) -> int:
    """`90s`, `5m`, `1h`, `1d`, also `1h30m`, as microseconds.

    Raises:
        MalformedTime: the text is not one or more numbers with a unit of us, ms, s, m, h, d, or is more than 100 years,
            beyond which times of events and clocks cannot be counted with it.

    >>> parse_duration_us("250ms"), parse_duration_us("1h30m")
    (250000, 5400000000)
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        allowed = "a number with us, ms, s, m, h or d, such as 5m"
        raise MalformedTime(f"{text!r} is not a duration; {wants(allowed)}", allowed)
    long = any(len(number) > _MOST_DIGITS for number, _ in parts)
    duration_us = MAX_DURATION_US + 1 if long else sum(int(number) * _UNITS_US[unit] for number, unit in parts)
    if duration_us > MAX_DURATION_US:
        allowed = f"a duration of at most {format_duration_us(MAX_DURATION_US)}"
        raise MalformedTime(f"{text[:80]!r} is too long; {wants(allowed)}", allowed)
    return duration_us


def format_duration_us(duration_us: int) -> str:
    """The duration in its largest units, the inverse of `parse_duration_us`: 5400000000 is `1h30m`.

    >>> format_duration_us(5_400_000_000), format_duration_us(0)
    ('1h30m', '0s')
    """
    rest, text = duration_us, ""
    for unit, size in sorted(_UNITS_US.items(), key=lambda item: -item[1]):
        number, rest = divmod(rest, size)
        text += f"{number}{unit}" if number else ""
    return text or "0s"


def _moment(text: str) -> datetime | None:
    """The moment, with an offset or without; None for a text that is none, or is outside the years 1 to 9999 in UTC.

    An offset can lead out of these years (`9999-12-31T23:59:59-05:00`), and times outside them cannot be formatted.
    """
    try:
        moment = datetime.fromisoformat(text.replace("t", "T").replace("z", "Z"))  # RFC 3339 allows both
    except ValueError:
        return None
    return moment if moment.tzinfo is None or _FIRST <= moment <= _LAST else None


# A date, and a time of day at least to the minute: otherwise digits and dates would be accepted as times.
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*", re.DOTALL)


def parse_event_time(text: str) -> tuple[int, bool]:
    """The RFC 3339 time of an event as microseconds since the epoch, and whether it states its offset: without one it
    is what clocks show somewhere.

    Raises:
        MalformedTime: the text is no such time. A date alone and digits are ambiguous, so they are not times.

    >>> parse_event_time("1970-01-01 00:01"), parse_event_time("1970-01-01t02:00:01.5+02:00")
    ((60000000, False), (1500000, True))
    """
    moment = _moment(text) if _MOMENT.fullmatch(text) else None
    if moment is None:
        raise MalformedTime(f"{text[:80]!r} is not a time; expected: RFC 3339, such as 2013-06-01T00:00:00Z")
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND, moment.tzinfo is not None


def parse_time_us(text: str) -> int:
    """An RFC 3339 time as microseconds since the epoch; a time without offset is UTC.

    Raises:
        MalformedTime: the text is not such a time, or is outside the years 1 to 9999 in UTC.

    >>> parse_time_us("2013-06-01"), parse_time_us("2013-06-01T00:00:00+02:00")
    (1370044800000000, 1370037600000000)
    """
    moment = _moment(text)
    if moment is None:
        raise MalformedTime(f"{text!r} is not a time; expected: RFC 3339, such as 2013-06-01T00:00:00Z")
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def parse_instant_us(text: str) -> int:
    """An RFC 3339 time with its offset, which no machine's zone can change, as microseconds since the epoch.

    Raises:
        MalformedTime: the text is no such time, has no offset, or is outside the years 1 to 9999 in UTC.

    >>> parse_instant_us("1970-01-01T00:00:01.5Z")
    1500000
    >>> parse_instant_us("1970-01-01T00:00:01")
    Traceback (most recent call last):
    schemas.times.MalformedTime: '1970-01-01T00:00:01' is not allowed; expected: an RFC 3339 time such as ...
    """
    moment = _moment(text)
    if moment is None or moment.tzinfo is None:
        raise MalformedTime(f"{text!r} is not allowed; expected: {INSTANT}")
    return (moment - _EPOCH) // _MICROSECOND


def format_time_us(time_us: int) -> str:
    """Microseconds since the epoch as RFC 3339 in UTC, with six decimals only where they are not zero.

    Raises:
        OverflowError: the time is outside the years 1 to 9999.

    >>> format_time_us(1_370_044_800_000_000), format_time_us(1_500_000)
    ('2013-06-01T00:00:00Z', '1970-01-01T00:00:01.500000Z')
    """
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.isoformat().replace("+00:00", "Z")
