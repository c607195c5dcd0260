"""Times as microseconds since 1970-01-01T00:00:00Z, and their RFC 3339 form."""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now_us() -> int:
    """The current time in microseconds since 1970, the default of every `now_us` argument."""
    return time.time_ns() // 1000


def format_time(time_us: int) -> str:
    """RFC 3339 in UTC, with six decimals only where they are not zero: `2013-03-01T00:00:00Z`.

    Raises:
        OverflowError: the time lies outside the years 1 to 9999.
    """
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def parse_time(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time with any offset.

    Raises:
        ValueError: the text is no such time, or has no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is not allowed; allowed: an RFC 3339 time such as 2013-03-01T00:00:00Z")
    return (moment - _EPOCH) // _MICROSECOND
