"""Where the records of CSV begin and end: by quotes and line ends, whole blocks at a time where the quoting is regular.

Quoting is regular where each quote begins a field, ends one, or is one of two within one. Anything else is looked at
record by record, by what RFC 4180 allows: a record with a quote that never ends costs its own line only.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""The most bytes of a record; a longer one is a dead letter."""
Offsets = npt.NDArray[np.int64]
_LF, _CR = 10, 13
_NUL = "a NUL byte in the line"
_UNENDED = "a quoted field that does not end"
_BEHIND = "a quoted field that does not end before a delimiter or the line's end"


class BadLine(NamedTuple):
    """A stretch of the data that is not a record, and why."""

    start: int
    end: int
    why: str


class Records(NamedTuple):
    """Records without their line ends as offsets `[starts, ends)` in the data, in order and without empty lines; what
    is none; and where the first record begins that the data do not hold whole."""

    starts: Offsets
    ends: Offsets
    bad: tuple[BadLine, ...]
    rest: int


def find_records(data: bytes, delimiter: str, quote: str, final: bool) -> Records:
    """The records of data that begin with one. `final`: nothing follows the data, so the last line may lack its end."""
    if b"\0" not in data and (found := _regular(data, delimiter, quote, final)) is not None:
        return found
    return scanned(data, delimiter, quote, final)


def _regular(data: bytes, delimiter: str, quote: str, final: bool) -> Records | None:
    """The records by their line ends outside of quotes; None where that would be a guess."""
    signs = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(signs == _LF)
    if quote and quote.encode() in data:
        quotes = np.flatnonzero(signs == ord(quote))
        if not _quotes_fields(signs, quotes, delimiter):
            return None
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        if final and len(quotes) % 2:
            return None
    stops = newlines
    if final and len(data) and data[-1] != _LF:
        stops = np.append(newlines, len(data))
    starts = np.concatenate([np.zeros(min(1, len(stops)), np.int64), stops[:-1] + 1])
    ends = stops
    if b"\r" in data:
        if data.count(b"\r") != data.count(b"\r\n"):  # it ends a line by itself
            return None
        ends = stops - ((stops > starts) & (signs[np.maximum(stops - 1, 0)] == _CR))
    if len(stops) and int((ends - starts).max()) > MAX_RECORD_BYTES:
        return None
    full = ends > starts
    rest = int(newlines[-1]) + 1 if len(newlines) else 0
    return Records(starts[full], ends[full], (), len(data) if final else rest)


def _quotes_fields(signs: npt.NDArray[np.uint8], quotes: Offsets, delimiter: str) -> bool:
    """Whether the quotes begin and end fields in turn, or are two that stand for one."""
    outside = np.zeros(256, np.bool_)
    outside[[ord(delimiter), _LF, _CR]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    begins = np.where(opening > 0, outside[signs[np.maximum(opening - 1, 0)]], True)
    doubled = np.zeros(len(opening), np.bool_)
    doubled[1:] = opening[1:] == closing[: len(opening) - 1] + 1
    last = len(signs) - 1
    ends = np.where(closing < last, outside[signs[np.minimum(closing + 1, last)]], True)
    ends[: len(opening) - 1] |= doubled[1:]
    return bool((begins | doubled).all() and ends.all())


@lru_cache(maxsize=32)
def _patterns(delimiter: str, quote: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes] | None]:
    """A whole record with its line end; and one that ends within a quoted field."""
    mark = re.escape(delimiter.encode())
    if not quote:
        return re.compile(rb"([^\r\n]*+)(\r\n|\n|\r|\Z)"), None
    sign = re.escape(quote.encode())
    quoted = rb"%s[^%s]*+(?:%s%s[^%s]*+)*+" % (sign, sign, sign, sign, sign)
    field = rb"(?:%s%s|[^%s%s\r\n][^%s\r\n]*+|)" % (quoted, sign, sign, mark, mark)
    record = re.compile(rb"(%s(?:%s%s)*+)(\r\n|\n|\r|\Z)" % (field, mark, field))
    # A quote at the data's very end may be the first of two.
    return record, re.compile(rb"(?:%s%s)*+%s%s?\Z" % (field, mark, quoted, sign))


def scanned(data: bytes, delimiter: str, quote: str, final: bool) -> Records:
    """As `find_records`, one record after the other."""
    record, unended = _patterns(delimiter, quote)
    starts, ends, bad, at = list[int](), list[int](), list[BadLine](), 0
    while at < len(data):
        found = record.match(data, at)
        if not final and _goes_on(data, at, found, unended):
            break
        if found is None or found.end(1) - at > MAX_RECORD_BYTES:
            end = data.find(b"\n", at)
            if end < 0 and not final:
                break
            end = len(data) if end < 0 else end
            is_open = unended is not None and unended.match(data, at) is not None
            why = f"a line of {end - at} bytes" if end - at > MAX_RECORD_BYTES else _UNENDED if is_open else _BEHIND
            bad.append(BadLine(at, end, why))
            at = end + 1
            continue
        if b"\0" in found[1]:
            bad.append(BadLine(at, found.end(1), _NUL))
        elif found[1]:
            starts.append(at)
            ends.append(found.end(1))
        at = found.end()
    return Records(np.array(starts, np.int64), np.array(ends, np.int64), tuple(bad), min(at, len(data)))


def _goes_on(data: bytes, at: int, found: re.Match[bytes] | None, unended: re.Pattern[bytes] | None) -> bool:
    """Whether what follows the data may belong to the record at `at`."""
    if len(data) - at > MAX_RECORD_BYTES:
        return False
    if found is not None:
        return found.end() == len(data) and found[2] != b"\n" and found[2] != b"\r\n"
    return unended is not None and unended.match(data, at) is not None
