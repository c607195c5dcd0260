"""Times of event-time timers: most runners keep them in whole milliseconds, and round what is finer down.

A timer that is rounded down fires before its time: if it is set again for the same time it fires for ever, and if it is
not, its work is never done.
"""

from apache_beam.utils.timestamp import Timestamp

_MILLISECOND_US = 1_000


def last_whole_ms(time_us: int) -> int:
    """The last whole millisecond that is not after a time, in microseconds.

    >>> last_whole_ms(1_999), last_whole_ms(-1)
    (1000, -1000)
    """
    return time_us // _MILLISECOND_US * _MILLISECOND_US


def at_or_after(time_us: int) -> Timestamp:
    """The first moment, at or after a time, that every runner keeps exactly.

    >>> at_or_after(1_001).micros, at_or_after(2_000).micros
    (2000, 2000)
    """
    return Timestamp(micros=-(-time_us // _MILLISECOND_US) * _MILLISECOND_US)


def just_before(time_us: int) -> Timestamp:
    """A microsecond before `at_or_after`.

    Flink's timers fire when the watermark has passed their time, not when it reaches it, and the watermark never goes
    past the last event of a silent topic.

    >>> just_before(1_001).micros
    1999
    """
    return Timestamp(micros=int(at_or_after(time_us).micros) - 1)
