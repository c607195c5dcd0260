"""Times that are numbers in another unit than the spec states: they would be scored as times in January 1970.

Refused are inputs whose first times are mostly in the present by another unit; those that mix units; and those that
count days. Data of 1970 itself is recognised by its other times before 1990, or stated (`events.time_range`).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.endpoints.sample import stretches
from schemas.formats.raw import RawBlock
from schemas.formats.times.time_formats import EPOCH
from schemas.times import format_time_us, parse_time_us
from schemas.validation import SpecError

_DAYS = "days"
_UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}
_YEAR_US = 365 * 86_400_000_000
# Times that are plausible as event times.
_FIRST_US, _END_US = (parse_time_us(text) for text in ("1990-01-01T00:00:00Z", "2100-01-01T00:00:00Z"))
_LAST_DAY_US = parse_time_us("2060-01-01T00:00:00Z")  # where the ranges of day numbers do not meet
_STRETCHES = 3
# Of times that are otherwise in the present, more than this part in another unit is not a single broken record.
_FEW = 0.1
_MOST = 0.9
# What a day number is the number of days since; its days since 1970.
_SINCE_1970 = "1970"
_DAY_COUNTS = {"1899-12-30, as spreadsheets have them": 25_569, _SINCE_1970: 0}
_DAY_US = 86_400_000_000


def check_time_unit(blocks: Iterable[RawBlock], events: Mapping[str, Any]) -> str:
    """Looks at the first times of the input of a valid spec's `events`.

    Returns:
        A remark on a few of them in another unit, which may be single broken records; empty where there are none.

    Raises:
        SpecError: by `events.time_unit` most of those that are numbers are in 1970, but in the present by another unit;
            or some are, and all others in the present; or nearly all are numbers of days. Not where `events.time_range`
            is stated and contains 1970; mixed units not where it is stated at all, since then they are dead letters.
    """
    name, unit = events["event_time"], events.get("time_unit", "us")
    if unit == _DAYS or events.get("time_format", EPOCH) != EPOCH:
        return ""  # numbers of a unit are stated to be days, or there are none
    if "time_range" in events and parse_time_us(events["time_range"][0]) < _YEAR_US:
        return ""
    seen = []
    for _, rows in islice(stretches(blocks, events["format"], [name]), _STRETCHES):
        if name in rows.schema.names and pa.types.is_timestamp(rows.schema.field(name).type):
            return ""  # Avro's own type, which states its unit: no more of the input needs to be read
        seen.append(_numbers(rows, name))
        _check_most(seen[-1], name, unit)
    numbers = np.concatenate([np.zeros(0), *seen])
    _check_days(numbers, name, unit)
    return "" if "time_range" in events else _check_mixed(numbers, name, unit)


def _mistaken(numbers: npt.NDArray[np.float64], unit: str) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Which numbers are in 1970 by the unit, and in the present by each other unit."""
    for other in _UNITS_US:
        yield other, _within(numbers, unit, 0, _YEAR_US) & _within(numbers, other, _FIRST_US, _END_US)


def _check_most(numbers: npt.NDArray[np.float64], name: str, unit: str) -> None:
    for other, mistaken in _mistaken(numbers, unit):
        if mistaken.sum() * 2 > len(numbers):
            raise _error(name, numbers[mistaken][0], unit, other)


def _check_mixed(numbers: npt.NDArray[np.float64], name: str, unit: str) -> str:
    """Some in the present by another unit, and all others by the stated one: no data reaches from 1970 to the present
    without a time between. Many of them are refused, of few the remark is returned."""
    present = _within(numbers, unit, _FIRST_US, _END_US)
    for other, mistaken in _mistaken(numbers, unit):
        if mistaken.any() and present.any() and (present | mistaken).all():
            share = f"{mistaken.sum():,} of {len(numbers):,}"
            said = f"{share} in the first records are {other}, {_unlike(name, numbers[mistaken][0], unit, other)}"
            if mistaken.mean() > _FEW:
                raise SpecError("events.time_unit", unit, f"one unit for all times: {said}; {_OUT_OF_MIXED}")
            return f"events.time_unit: {unit!r} does not fit all times: {said}; {_OUT_OF_MIXED}"
    return ""


def _check_days(numbers: npt.NDArray[np.float64], name: str, unit: str) -> None:
    """Numbers of days since some day: as epochs of any unit they are in the first day of 1970."""
    for since, offset in _DAY_COUNTS.items():
        days = (numbers - offset) * _DAY_US
        plausible = (days >= _FIRST_US) & (days < _LAST_DAY_US)
        if len(numbers) and plausible.mean() > _MOST:
            number = numbers[plausible][0]
            raise _days_error(name, number, unit, since, int(days[plausible][0]))


def _within(numbers: npt.NDArray[np.float64], unit: str, first_us: int, end_us: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (numbers >= first_us / _UNITS_US[unit]) & (numbers < end_us / _UNITS_US[unit])
    return found


def _numbers(rows: pa.RecordBatch, name: str) -> npt.NDArray[np.float64]:
    """The values of a column of plain numbers; Avro's timestamps state their unit themselves."""
    index = rows.schema.get_field_index(name)
    kind = None if index < 0 else rows.schema.field(index).type
    if kind is None or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return np.zeros(0)
    return np.asarray(rows.column(index).drop_null().cast(pa.float64(), safe=False), np.float64)


_MEANT = "(if 1970 is meant, say so: --set 'events.time_range=[1970-01-01, 1971-01-01]')"


_OUT_OF_MIXED = (
    "next: write them in one unit, or make dead letters of those that do not fit:"
    " --set 'events.time_range=[1990-01-01, 2100-01-01]'"
)


def _error(name: str, number: float, unit: str, other: str) -> SpecError:
    found = _unlike(name, number, unit, other)
    return SpecError("events.time_unit", unit, f"{other}, {found}; next: --set events.time_unit={other} {_MEANT}")


def _unlike(name: str, number: float, unit: str, other: str) -> str:
    meant, mistaken = (_time(number, each) for each in (other, unit))
    return f"by which {name} {_digits(number)} is {meant} and not {mistaken}"


def in_1970(counts: Mapping[str, int], examples: Mapping[tuple[str, ...], str]) -> str:
    """A remark on events of 1970 among others, which another unit, or a time of 0 for none, makes of them; empty where
    there are none, or no others."""
    from transforms.flow import metrics  # Beam takes seconds to import

    found, all_events = counts.get(metrics.EVENTS_IN_1970, 0), counts.get(metrics.EVENTS_DECODED, 0)
    if not 0 < found < all_events:
        return ""
    example = examples.get((metrics.EVENTS_IN_1970,))
    such = f", such as {example}" if example else ""
    return f"note: {found:,} of {all_events:,} events are of 1970{such}; {_OUT_OF_1970}"


_OUT_OF_1970 = (
    "next: mend their times, or make dead letters of them: --set 'events.time_range=[1990-01-01, 2100-01-01]'"
    " (if 1970 is meant, say so: --set 'events.time_range=[1970-01-01, 2100-01-01]')"
)


def _days_error(name: str, number: float, unit: str, since: str, time_us: int) -> SpecError:
    advice = f"--set events.time_unit={_DAYS}" if since == _SINCE_1970 else "convert it"
    return SpecError(
        "events.event_time",
        name,
        f"a column of RFC 3339 texts or of {unit} since 1970; its {_digits(number)} looks like a number of days since"
        f" {since} ({format_time_us(time_us)}), and would be {_time(number, unit)}; next: {advice} {_MEANT}",
    )


def _time(number: float, unit: str) -> str:
    return format_time_us(int(number * _UNITS_US[unit]))


def _digits(number: float) -> float:
    return int(number) if number.is_integer() else number
