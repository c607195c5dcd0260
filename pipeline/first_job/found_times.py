"""Which columns are times, how they are written, and what moments they are."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.first_job.names import TIME, hints_at
from pipeline.spec.job import events_spec
from schemas.formats.times.time_formats import DATE, read_times
from schemas.times import MalformedTime, parse_event_time, parse_time_us
from transforms.decoding.event_times import event_times

_DAYS_FIRST = ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%y", "%d/%m/%y")
_OTHERS = (DATE, "%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y", "%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%b %d, %Y", "%Y%m%d")
_CLOCKS = (" %H:%M:%S", " %H:%M", " %H:%M:%S.%f", ", %H:%M", ", %H:%M:%S", "T%H:%M:%S", "T%H:%M", " %I:%M %p",
           " %I:%M:%S %p", " %H:%M Uhr")  # fmt: skip
_RESTS = (":%S%z", ":%S", ":%S.%f%z", ":%S.%f", "")
_LIKE_RFC_3339 = tuple(f"%Y-%m-%d{mark}%H:%M{rest}" for mark in "T " for rest in _RESTS)
_SAMPLE = 500
_MOST_BAD = 0.02
_FIRST_US, _END_US = parse_time_us("1971-01-01T00:00:00Z"), parse_time_us("2061-01-01T00:00:00Z")
_UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_FINE_UNITS = tuple(_UNITS_US.items())[1:]  # numbers so great are hardly anything but times, whatever their name
_NOT_A_TIME = -(2**63)


class TimeForm(NamedTuple):
    """How times are written: `time_format` (None: RFC 3339, or no text) and `time_unit` of a spec; `local`: they state
    no offset; `clock`: they have a time of day; `or_else`: another form that they have as well."""

    time_format: str | None = None
    time_unit: str = "us"
    local: bool = False
    clock: bool = True
    or_else: str = ""


def form_of_times(name: str, values: pa.ChunkedArray) -> TimeForm | None:
    """How a column's times are written; None where it has none.

    >>> form_of_times("Datum", pa.chunked_array([["31.01.2024 10:30", "01.02.2024 09:00"]]))
    TimeForm(time_format='%d.%m.%Y %H:%M', time_unit='us', local=True, clock=True, or_else='')
    >>> form_of_times("sent", pa.chunked_array([["2024-01-31T10:30:00Z"]]))
    TimeForm(time_format=None, time_unit='us', local=False, clock=True, or_else='')
    """
    kind, known = values.type, values.drop_null()
    if not len(known):
        return None
    if pa.types.is_timestamp(kind):
        return TimeForm(local=kind.tz is None)
    if pa.types.is_date(kind):
        return TimeForm(local=True, clock=False)
    if pa.types.is_string(kind):
        return _of_texts(_spread(known))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _of_numbers(name, known)
    return None


def moments(values: pa.ChunkedArray, form: TimeForm, zone: str) -> npt.NDArray[np.int64]:
    """The times in microseconds since 1970; the least int64 where there is none."""
    stated = {"uri": "-", "format": "parquet", "event_id": "-", "event_time": "-", "time_unit": form.time_unit,
              "time_zone": zone, "time_ambiguous": "earlier"}  # fmt: skip
    stated |= {"time_format": form.time_format} if form.time_format else {}
    spec = events_spec(stated, {})
    if form.time_format and pa.types.is_floating(values.type):  # the numbers of a CSV file
        values = values.cast(pa.int64())
    found = [event_times(chunk, spec).times.cast(pa.int64()) for chunk in values.chunks]
    times: npt.NDArray[np.int64] = pc.fill_null(pa.chunked_array(found, pa.int64()), _NOT_A_TIME).to_numpy()
    return times


def known(times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of `moments` are times."""
    found: npt.NDArray[np.bool_] = times != _NOT_A_TIME
    return found


def explicit_form(values: pa.ChunkedArray) -> str | None:
    """Directives for texts in RFC 3339, where a spec has to say what the default is; None where none fits."""
    texts = _spread(values.drop_null())
    return next((form for form in _LIKE_RFC_3339 if not read_times(texts, form).micros.null_count), None)


def _spread(values: pa.ChunkedArray) -> pa.Array:
    """Values from all over the column: the first days of a month alone could be read in two forms."""
    step = max(1, len(values) // _SAMPLE)
    whole = values.take(pa.array(range(0, len(values), step))).combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def _of_texts(texts: pa.Array) -> TimeForm | None:
    if pc.mean(pc.match_substring_regex(texts, r"[0-9].*[0-9]").cast(pa.int8())).as_py() < 1 - _MOST_BAD:
        return None
    parsed = [found for text in texts.to_pylist() if (found := _rfc_3339(text)) is not None]
    if len(parsed) >= (1 - _MOST_BAD) * len(texts):
        return TimeForm(local=not all(parsed))
    fitting = list(_fitting(texts))
    if not fitting:
        return None
    first, *others = fitting
    clock = "H" in first or "I" in first
    return TimeForm(first, local=True, clock=clock, or_else=next(iter(others), ""))


def _rfc_3339(text: str) -> bool | None:
    """Whether a text of RFC 3339 has an offset; None where it is no such text."""
    try:
        return parse_event_time(text.strip())[1]
    except (MalformedTime, ValueError):
        return None


def _fitting(texts: pa.Array) -> Iterator[str]:
    """The forms that nearly all texts have, days before months first."""
    for date in (*_DAYS_FIRST, *_OTHERS):
        for form in (date, *(("%Y-%m-%d" if date == DATE else date) + clock for clock in _CLOCKS)):
            if read_times(texts, form).micros.null_count <= _MOST_BAD * len(texts):
                yield form


def _of_numbers(name: str, values: pa.ChunkedArray) -> TimeForm | None:
    numbers = values.cast(pa.float64()).to_numpy()
    if (numbers != np.floor(numbers)).any():
        return None
    is_named = hints_at(name, TIME)
    for unit, scale in _UNITS_US.items() if is_named else _FINE_UNITS:
        if np.mean((numbers * scale >= _FIRST_US) & (numbers * scale < _END_US)) >= 1 - _MOST_BAD:
            return TimeForm(time_unit=unit)
    if not is_named:
        return None
    texts = pa.array([f"{number:.0f}" for number in numbers[:_SAMPLE]])
    is_date = read_times(texts, "%Y%m%d").micros.null_count <= _MOST_BAD * len(texts)
    return TimeForm("%Y%m%d", local=True, clock=False) if is_date else None
