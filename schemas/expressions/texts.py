"""The functions of texts. Characters are Unicode's code points."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.expressions.functions import Datum, Function, Shown, Takes, between, exactly, null_of, several

MOST_BYTES = 65_536
"""A text that is put together of others may have so many bytes; a longer one is null."""
_TEXT = Takes(("string",), "string")


def _joined(*texts: Datum) -> Datum:
    size = pc.binary_length(texts[0]).cast(pa.int64())
    for text in texts[1:]:
        size = pc.add(size, pc.binary_length(text).cast(pa.int64()))
    fits = pc.less_equal(size, MOST_BYTES)
    kept = [pc.if_else(fits, text, null_of(text)) for text in texts]
    return pc.binary_join_element_wise(*kept, pa.scalar(""), null_handling="emit_null")


def _piece(texts: Datum, start: int, length: int | None = None) -> Datum:
    stop = None if length is None else start - 1 + length
    return pc.utf8_slice_codeunits(texts, start=start - 1, stop=stop)


def _length(texts: Datum) -> Datum:
    return pc.utf8_length(texts).cast(pa.int64())


def _first(value: Any) -> str | None:
    return None if 1 <= value <= 2**31 else "a number from 1, which is the first character"


def _count(value: Any) -> str | None:
    return None if 0 <= value <= 2**31 else "a number of characters, 0 or more"


def _readable(pattern: Any) -> str | None:
    try:
        pc.match_like(pa.array(["a"]), pattern)
    except pa.ArrowInvalid:
        return "a shorter pattern"
    return None


def _any(value: Any) -> None:
    return None


def _of_piece(name: str, says: str, function: Callable[..., Datum], *examples: Shown) -> Function:
    takes = exactly(_TEXT, Takes(("string",), constant=_any))
    return Function(f"{name}(s, 'piece')", says, takes, "boolean", function, examples)


TEXTS = {
    "like": Function(
        "s LIKE 'pattern'", "whether all of it fits: `%` is any characters, `_` is one, `\\` before one of them stands "
        "for the sign itself; also `NOT LIKE`", exactly(_TEXT, Takes(("string",), constant=_readable)), "boolean",
        lambda texts, pattern: pc.match_like(texts, pattern), (Shown("carrier LIKE 'U_'", True),),
    ),
    "starts_with": _of_piece(
        "starts_with", "whether it begins so", lambda texts, piece: pc.starts_with(texts, piece),
        Shown("starts_with(carrier, 'U')", True),
    ),
    "ends_with": _of_piece(
        "ends_with", "whether it ends so", lambda texts, piece: pc.ends_with(texts, piece),
        Shown("ends_with(carrier, 'U')", False),
    ),
    "contains": _of_piece(
        "contains", "whether it is in it", lambda texts, piece: pc.match_substring(texts, piece),
        Shown("contains('a%b', '%')", True),
    ),
    "lower": Function(
        "lower(s)", "in small letters", exactly(_TEXT), "string", lambda texts: pc.utf8_lower(texts),
        (Shown("lower('ÄB')", "äb"),),
    ),
    "upper": Function(
        "upper(s)", "in capitals", exactly(_TEXT), "string", lambda texts: pc.utf8_upper(texts),
        (Shown("upper('äb')", "ÄB"),),
    ),
    "trim": Function(
        "trim(s)", "without spaces at its ends", exactly(_TEXT), "string",
        lambda texts: pc.utf8_trim_whitespace(texts), (Shown("trim(' UA ')", "UA"),),
    ),
    "length": Function(
        "length(s)", "how many characters it has", exactly(_TEXT), "integer", _length, (Shown("length('äb')", 2),)
    ),
    "substring": Function(
        "substring(s, start), substring(s, start, length)", "the characters from number `start` on; the first is 1",
        between(2, _TEXT, Takes(("integer",), constant=_first), Takes(("integer",), constant=_count)), "string",
        _piece, (Shown("substring('N14228', 2, 3)", "142"), Shown("substring('N14228', 6)", "8")),
    ),
    "concat": Function(
        "concat(s, t, …)", f"joined end to end; null where one is null or all have more than {MOST_BYTES:,} bytes",
        several(1, _TEXT), "string", _joined, (Shown("concat(carrier, '-', cast(seats AS string))", "UA-180"),),
    ),
}  # fmt: skip
"""By name."""
