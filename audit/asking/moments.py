"""Times of records that others wrote, as texts."""

from schemas.times import format_time_us


def time_text(at_us: int) -> str:
    """RFC 3339 in UTC of microseconds since 1970; a time that no calendar has is shown as its number.

    >>> time_text(1_500_000), time_text(2**62)
    ('1970-01-01T00:00:01.500000Z', '4611686018427387904 µs since 1970')
    """
    try:
        return format_time_us(at_us)
    except OverflowError:
        return f"{at_us} µs since 1970"
