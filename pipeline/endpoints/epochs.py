"""Times that are numbers in another unit than the spec states: they would be scored as times in January 1970."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.endpoints.sample import stretches
from schemas.formats.raw import RawBlock
from schemas.times import format_time_us, parse_time_us
from schemas.validation import SpecError

_UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
_YEAR_US = 365 * 86_400_000_000
# Times that are plausible as event times.
_FIRST_US, _END_US = (parse_time_us(text) for text in ("1990-01-01T00:00:00Z", "2100-01-01T00:00:00Z"))
_STRETCHES = 3


def check_time_unit(blocks: Iterable[RawBlock], events: Mapping[str, Any]) -> None:
    """Looks at the first times of the input of a valid spec's `events`.

    Raises:
        SpecError: most of those that are numbers are in 1970 by `events.time_unit`, but in the present by another unit,
            and `events.time_range` is not stated or does not contain 1970.
    """
    name, unit = events["event_time"], events.get("time_unit", "us")
    if "time_range" in events and parse_time_us(events["time_range"][0]) < _YEAR_US:
        return
    for _, rows in islice(stretches(blocks, events["format"], [name]), _STRETCHES):
        if name in rows.schema.names and pa.types.is_timestamp(rows.schema.field(name).type):
            return  # Avro's own type, which states its unit: no more of the input needs to be read
        numbers = _numbers(rows, name)
        for other in _UNITS_US:
            mistaken = _within(numbers, unit, 1, _YEAR_US) & _within(numbers, other, _FIRST_US, _END_US)
            if mistaken.sum() * 2 > len(numbers):
                raise _error(name, numbers[mistaken][0], unit, other)


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


def _error(name: str, number: float, unit: str, other: str) -> SpecError:
    meant, mistaken = (format_time_us(int(number * _UNITS_US[each])) for each in (other, unit))
    shown = int(number) if number.is_integer() else number
    return SpecError(
        "events.time_unit",
        unit,
        f"{other}, by which {name} {shown} is {meant} and not {mistaken}; next: --set events.time_unit={other}"
        " (if 1970 is meant, say so: --set 'events.time_range=[1970-01-01, 1971-01-01]')",
    )
