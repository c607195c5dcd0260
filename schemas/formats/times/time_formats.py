"""Times in a format that a spec states by `strptime` directives, read by column.

Arrow's own `strptime` is the C library's: it knows no fractions, takes the 30th of February for the 1st of March, and
what its names of months mean depends on the machine's language. Here a format becomes a regular expression, and what it
finds is calculated with.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

DATE = "date"
"""Stands for `%Y-%m-%d`."""
EPOCH = "epoch"
"""Stands for numbers since 1970 that are texts; not read here."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
                "november", "december")  # fmt: skip
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMED = "|".join((*_LONG_MONTHS, *_MONTHS))
_SHORT_FOR: Mapping[str, str] = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y"}
_FORMS: Mapping[str, str] = {
    "Y": r"(?P<Y>[0-9]{4})",
    "y": r"(?P<y>[0-9]{2})",
    "m": r"(?P<m>1[0-2]|0?[1-9])",
    "b": rf"(?P<b>{_NAMED})",
    "d": r"(?P<d>3[01]|[12][0-9]|0?[1-9]| [1-9])",
    "j": r"(?P<j>[0-9]{1,3})",
    "H": r"(?P<H>2[0-3]|[01]?[0-9])",
    "I": r"(?P<I>1[0-2]|0?[1-9])",
    "p": r"(?P<p>[AP]M)",
    "M": r"(?P<M>[0-5]?[0-9])",
    "S": r"(?P<S>[0-5]?[0-9])",
    "f": r"(?P<f>[0-9]{1,9})",
    "z": r"(?P<z>Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])",
    "Z": r"(?P<Z>UTC|GMT|Z)",
    "a": f"(?P<a>{'|'.join((*_LONG_DAYS, *_DAYS))})",
    "%": "%",
}
_SAME = {"B": "b", "h": "b", "A": "a", "e": "d"}
DIRECTIVES = " ".join(f"%{name}" for name in (*_FORMS, *_SAME, *_SHORT_FOR))
"""The directives that a format may have."""
_DAY_US, _HOUR_US, _MINUTE_US, _SECOND_US = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000
_OFFSET = r"(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})"
_CENTURY = 69  # as POSIX: 69 is 1969, 68 is 2068
_Numbers = npt.NDArray[np.int64]


class FormattedTimes(NamedTuple):
    """Microseconds since 1970 (int64; null where a text has another form): in UTC if `in_utc`, else as clocks show."""

    micros: pa.Array
    in_utc: bool


class _Form(NamedTuple):
    """The regular expression of a format, the directives in it, and what is wrong with it."""

    pattern: str
    names: frozenset[str]
    fault: str


@lru_cache(maxsize=16)
def _form(text: str) -> _Form:
    written = "%Y-%m-%d" if text == DATE else text
    whole = re.sub(r"%(.)", lambda found: _SHORT_FOR.get(found[1], found[0]), written)
    names, pieces, unknown = list[str](), list[str](), ""
    for directive, plain in re.findall(r"%(.)|([^%]+|%\Z)", whole, re.DOTALL):
        if plain:
            pieces.append(re.sub(r"(?:\\\s|\s)+", r"\\s+", re.escape(plain)))
            continue
        name = _SAME.get(directive, directive)
        unknown = unknown or (directive if name not in _FORMS else "")
        names += [name] if name != "%" else []
        pieces.append(_FORMS.get(name, ""))
    fault = f"%{unknown} is none of them" if unknown else _fault(names)
    return _Form(f"(?i)^{''.join(pieces)}$", frozenset(names), fault)


def _fault(names: list[str]) -> str:
    known = set(names)
    if len(known) < len(names):
        return "it has a directive twice"
    if not known & {"Y", "y"} or not ("j" in known or ("d" in known and known & {"m", "b"})):
        return "it does not say year, month and day"
    return "%I and %p belong together" if ("I" in known) != ("p" in known) else ""


def fault_of(text: str) -> str:
    """Why a text is no format of times; empty where it is one.

    >>> fault_of("%Y-%m-%d"), fault_of("%H:%M"), fault_of("%Y-%j %Q")
    ('', 'it does not say year, month and day', '%Q is none of them')
    """
    return _form(text).fault


def read_times(texts: pa.Array, text: str) -> FormattedTimes:
    """The times that texts (string) give in a format in which nothing is wrong (`fault_of`).

    >>> found = read_times(pa.array(["31.01.2024 10:30", "31.02.2024 10:30"]), "%d.%m.%Y %H:%M")
    >>> found.micros.to_pylist(), found.in_utc
    ([1706697000000000, None], False)
    """
    pattern, names, _ = _form(text)
    found = pc.extract_regex(pc.utf8_trim_whitespace(texts), pattern)
    ok = found.is_valid().to_numpy(zero_copy_only=False)
    parts = {name: pc.fill_null(found.field(index), "") for index, name in enumerate(_fields(found))}
    days, valid = _days(parts)
    micros = days * _DAY_US + _of_day(parts)
    if "z" in names:
        micros -= _offsets(parts["z"])
    return FormattedTimes(pa.array(micros, mask=~(ok & valid)), bool(names & {"z", "Z"}))


def _fields(found: pa.StructArray) -> list[str]:
    return [found.type.field(index).name for index in range(found.type.num_fields)]


def _numbers(parts: Mapping[str, pa.Array], name: str, default: int) -> _Numbers:
    if name not in parts:
        return np.full(len(next(iter(parts.values()))), default, np.int64)
    digits = pc.utf8_trim_whitespace(parts[name])
    whole = pc.if_else(pc.equal(digits, ""), pa.scalar(str(default)), digits)
    numbers: _Numbers = whole.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _days(parts: Mapping[str, pa.Array]) -> tuple[_Numbers, npt.NDArray[np.bool_]]:
    """Days since 1970, and whether there is such a day."""
    if "Y" in parts:
        year = _numbers(parts, "Y", 1970)
    else:
        short = _numbers(parts, "y", 70)
        year = short + np.where(short < _CENTURY, 2000, 1900)
    first = (year - 1970).astype("datetime64[Y]")
    if "j" in parts:
        day = _numbers(parts, "j", 1)
        start, after = first.astype("datetime64[D]"), (first + 1).astype("datetime64[D]")
    else:
        month = _month(parts) if "b" in parts else _numbers(parts, "m", 1)
        months = first.astype("datetime64[M]") + (month - 1)
        day = _numbers(parts, "d", 1)
        start, after = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
    length = (after - start).astype(np.int64)
    return start.astype(np.int64) + day - 1, (day >= 1) & (day <= length) & (year >= 1)


def _month(parts: Mapping[str, pa.Array]) -> _Numbers:
    short = pc.utf8_slice_codeunits(pc.utf8_lower(parts["b"]), 0, 3)
    found: _Numbers = pc.fill_null(pc.index_in(short, pa.array(_MONTHS)), 0).cast(pa.int64()).to_numpy()
    return found + 1


def _of_day(parts: Mapping[str, pa.Array]) -> _Numbers:
    hours = _numbers(parts, "H", 0)
    if "I" in parts:
        is_late = pc.equal(pc.utf8_lower(parts["p"]), "pm").to_numpy(zero_copy_only=False)
        hours = _numbers(parts, "I", 12) % 12 + 12 * is_late
    micros = hours * _HOUR_US + _numbers(parts, "M", 0) * _MINUTE_US + _numbers(parts, "S", 0) * _SECOND_US
    if "f" in parts:
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["f"], 6, "0"), 0, 6)
        micros += _numbers({"f": digits}, "f", 0)
    return micros


def _offsets(texts: pa.Array) -> _Numbers:
    found = pc.extract_regex(texts, _OFFSET)
    parts = {name: pc.fill_null(found.field(index), "") for index, name in enumerate(_fields(found))}
    size = _numbers(parts, "hours", 0) * _HOUR_US + _numbers(parts, "minutes", 0) * _MINUTE_US
    return np.where(pc.equal(parts["sign"], "-").to_numpy(zero_copy_only=False), -size, size)
