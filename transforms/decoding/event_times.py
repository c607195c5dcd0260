"""The times of events from columns of any type: moments, local times, numbers, texts in the spec's format."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.formats.times.time_formats import EPOCH, read_times
from schemas.formats.times.time_zones import moments_of
from schemas.job import EventsSpec
from schemas.times import MalformedTime, parse_event_time
from transforms.decoding.readings import Mask, by_branch, mask_of

_UNIT_US = {"days": 86_400_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}
_NS = "ns"
# Beyond the years 1677 to 2262 a number makes no sense as a time, and int64 arithmetic on it would overflow: it becomes
# a time that no range contains, so that it is reported as out of range.
_ABSURD_US = 9.2e15
_FAR_FUTURE_US = 2**62
_NUMBER = r"^-?([0-9]{1,18}|[1-8][0-9]{18})(\.[0-9]{1,9})?$"
_NAIVE = pa.timestamp("us")
_WITH_MINUTES = len("2013-01-01 00:00")
_RFC_3339 = "RFC 3339 text with date and time of day, such as 2013-06-01T00:00:00Z"


class EventMoments(NamedTuple):
    """Times (timestamp[us, UTC], null where unreadable), and the rows whose local time is refused since it occurs twice
    or never."""

    times: pa.Array
    refused: Mask


def expected_times(spec: EventsSpec) -> str:
    """How a job's event times must be written, for messages."""
    if spec.time_format is None:
        return f"{_RFC_3339}, or a number (no text) of {spec.time_unit} since 1970"
    if spec.time_format == EPOCH:
        return f"a number of {spec.time_unit} since 1970, also as a text"
    return f"a time in the form {spec.time_format!r} (events.time_format)"


def expected_once(spec: EventsSpec) -> str:
    """What a local time must be that is neither taken for the earlier nor for the later of two, for messages."""
    return (
        f"a time that clocks in {spec.time_zone} show once, not twice or never;"
        f" next: --set events.time_ambiguous=earlier, or later"
    )


def event_times(values: pa.Array, spec: EventsSpec) -> EventMoments:
    """The times of a column; each branch of a union by its own type."""
    reader = _Reader(spec, len(values))
    return EventMoments(by_branch(values, batches.TIME_TYPE, reader.read), reader.refused)


class _Reader:
    """Reads columns as times, and collects the rows that are refused."""

    def __init__(self, spec: EventsSpec, rows: int) -> None:
        self._spec = spec
        self.refused = np.zeros(rows, np.bool_)

    def read(self, values: pa.Array) -> pa.Array:
        found, unit, form = values.type, self._spec.time_unit, self._spec.time_format
        if pa.types.is_string(found):
            return self._texts(values)
        if pa.types.is_integer(found) and form not in (None, EPOCH):
            return self._formatted(values.cast(pa.string()), form)
        if pa.types.is_timestamp(found):
            return self._timestamps(values)
        if pa.types.is_date32(found) or pa.types.is_date64(found):
            numbers = values.cast(pa.int32() if pa.types.is_date32(found) else pa.int64())
            return self._local(_micros(numbers, "days" if pa.types.is_date32(found) else "ms"))
        if form not in (None, EPOCH):
            return pa.nulls(len(values), batches.TIME_TYPE)
        if pa.types.is_integer(found) or pa.types.is_floating(found):
            return _micros(values, unit).cast(batches.TIME_TYPE)
        if pa.types.is_decimal(found):
            return _micros(values.cast(pa.string()).cast(pa.float64()), unit).cast(batches.TIME_TYPE)
        return pa.nulls(len(values), batches.TIME_TYPE)

    def _timestamps(self, values: pa.Array) -> pa.Array:
        unit, zone = values.type.unit, values.type.tz
        if unit in ("us", _NS):
            micros = values.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
        else:  # coarser units could overflow
            micros = _micros(values.cast(pa.int64()), unit)
        return self._local(micros) if zone is None else micros.cast(batches.TIME_TYPE)

    def _local(self, micros: pa.Array) -> pa.Array:
        """Local times in microseconds, as the spec says."""
        found = moments_of(micros, self._spec.time_zone, self._spec.time_ambiguous)
        if found.refused is not None:
            self.refused |= found.refused
        return found.times

    def _texts(self, values: pa.Array) -> pa.Array:
        form = self._spec.time_format
        if form == EPOCH:
            trimmed = pc.utf8_trim_whitespace(values)
            fits = pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False)
            return _micros(_numbers(trimmed, fits), self._spec.time_unit).cast(batches.TIME_TYPE)
        return self._rfc_3339(values) if form is None else self._formatted(values, form)

    def _formatted(self, texts: pa.Array, form: str | None) -> pa.Array:
        found = read_times(texts, form or "")
        return found.micros.cast(batches.TIME_TYPE) if found.in_utc else self._local(found.micros)

    def _rfc_3339(self, values: pa.Array) -> pa.Array:
        try:
            return values.cast(batches.TIME_TYPE)  # one pass when all have an offset
        except pa.ArrowInvalid:
            pass
        if (pc.min(pc.utf8_length(values)).as_py() or 0) >= _WITH_MINUTES:
            try:
                return self._local(values.cast(_NAIVE).cast(pa.int64()))  # or none
            except pa.ArrowInvalid:
                pass
        found = [_text_as_time(text) for text in values.to_pylist()]
        micros = pa.array([time_us for time_us, _ in found], pa.int64())
        aware = pa.array([is_aware for _, is_aware in found], pa.bool_())
        local = self._local(pc.if_else(aware, pa.scalar(None, pa.int64()), micros))
        return pc.if_else(aware, micros.cast(batches.TIME_TYPE), local)


def with_numbers(texts: pa.Array) -> pa.Array:
    """The texts of a CSV column; those that are digits as numbers, as they are in other formats: then a union."""
    digits = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), False)
    if not pc.any(digits).as_py():
        return texts
    return pa.UnionArray.from_sparse(digits.cast(pa.int8()), [texts, _numbers(texts, digits)])


def _numbers(texts: pa.Array, fits: pa.Array) -> pa.Array:
    """The numbers of the texts that are some (`_NUMBER`): whole ones unless one has a fraction."""
    written = pc.if_else(fits, texts, pa.scalar(None, pa.string()))
    return written.cast(pa.float64() if pc.any(pc.match_substring(written, ".")).as_py() else pa.int64())


def _micros(values: pa.Array, unit: str) -> pa.Array:
    """Numbers of a unit as microseconds (int64): null where they are not finite."""
    approximate = values.cast(pa.float64(), safe=False)
    scale = _UNIT_US.get(unit, 1)
    sane = mask_of(pc.less(pc.abs(approximate), _ABSURD_US * 1_000 if unit == _NS else _ABSURD_US / scale))
    if pa.types.is_floating(values.type):
        known = np.where(sane, np.nan_to_num(approximate.to_numpy(zero_copy_only=False), posinf=0.0, neginf=0.0), 0)
        micros = np.round(known * scale).astype(np.int64) if unit != _NS else known.astype(np.int64) // 1_000
    else:
        raw = np.where(sane, pc.fill_null(values.cast(pa.int64(), safe=False), 0).to_numpy(zero_copy_only=False), 0)
        micros = raw // 1_000 if unit == _NS else raw * scale
    finite = mask_of(pc.is_finite(approximate))
    return pa.array(np.where(finite & ~sane, _FAR_FUTURE_US, micros).astype(np.int64), mask=~finite)


def _text_as_time(text: str | None) -> tuple[int | None, bool]:
    """One text that the cast of the whole batch rejected: its microseconds, and whether it states its offset."""
    try:
        return (None, False) if text is None else parse_event_time(text.strip())
    except MalformedTime:
        return None, False
