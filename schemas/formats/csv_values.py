"""The texts of a CSV column as values of a kind: what is written there, without a guess at what was meant.

Pure functions on whole columns; the second look, with regular expressions, is only for columns with a value that
Arrow's own reading of the kind refuses.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NULLS = (
    "", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null", "None", "none", "NaN", "nan", "-NaN", "-nan", "NaT",
    "\\N", "-1.#IND", "1.#QNAN",
)  # fmt: skip
"""How programs write a missing number, truth value or time, unless a spec states the spellings."""

EXPECTED: Mapping[str, str] = {
    "number": "a number",
    "integer": "a 64-bit whole number",
    "boolean": "true or false",
    "string": "a text",
}
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|(?i)^[+-]?(inf|infinity|nan)$"
_INTEGER = r"^[+-]?[0-9]+(\.0*)?$"
_TRUTH = r"(?i)^(true|false|0|1)$"
_MOST_DIGITS = 1_000  # Python refuses to parse numbers of thousands of digits


class ReadTexts(NamedTuple):
    """Values in the type of their kind, and the rows whose text is none of them (shape (n,); None: there are none)."""

    values: pa.Array
    unread: npt.NDArray[np.bool_] | None = None


def read_column(texts: pa.Array, kind: str, decimal: str, nulls: Collection[str] | None) -> ReadTexts:
    """The values of a column of texts (string) as `number`, `integer`, `boolean` or `string`.

    Args:
        decimal: the sign before a number's fraction, a point or a comma; another sign makes it no number.
        nulls: the spellings of a missing value; None for `NULLS`. Texts are never null here: their reader decided it.
    """
    if kind == "string":
        return ReadTexts(texts)
    try:
        return ReadTexts(_QUICK[kind](texts, decimal))
    except (pa.ArrowInvalid, _Unsure):
        return _carefully(texts, kind, decimal, NULLS if nulls is None else nulls)


class _Unsure(Exception):
    """Arrow's own reading would take more than what is a value here."""


def _quick_number(texts: pa.Array, decimal: str) -> pa.Array:
    found = _with_point(texts, decimal).cast(pa.float64())
    if pc.any(pc.is_nan(found)).as_py():  # perhaps the spelling of a null
        raise _Unsure
    return found


def _quick_integer(texts: pa.Array, decimal: str) -> pa.Array:
    if pc.any(pc.match_substring(texts, "x", ignore_case=True)).as_py():  # Arrow reads hexadecimal digits
        raise _Unsure
    return texts.cast(pa.int64())


def _quick_boolean(texts: pa.Array, decimal: str) -> pa.Array:
    return texts.cast(pa.bool_())


_QUICK: Mapping[str, Callable[[pa.Array, str], pa.Array]] = {
    "number": _quick_number,
    "integer": _quick_integer,
    "boolean": _quick_boolean,
}


def _with_point(texts: pa.Array, decimal: str) -> pa.Array:
    """Numbers with a point for their decimal sign. Raises `_Unsure` where there is a point already."""
    if decimal == ".":
        return texts
    if pc.any(pc.match_substring(texts, ".")).as_py():
        raise _Unsure
    return pc.replace_substring(texts, decimal, ".")


def _carefully(texts: pa.Array, kind: str, decimal: str, nulls: Collection[str]) -> ReadTexts:
    trimmed = pc.utf8_trim(texts, " \t\u00a0")
    missing = pc.or_kleene(pc.is_null(texts), pc.is_in(trimmed, value_set=pa.array(list(nulls), pa.string())))
    if decimal != ".":
        turned = pc.replace_substring(pc.replace_substring(trimmed, ".", "?"), decimal, ".")
        trimmed = pc.if_else(pc.match_substring(trimmed, "?"), trimmed, turned)
    fits = pc.fill_null(pc.match_substring_regex(trimmed, _FORMS[kind]), False)
    good = pc.if_else(pc.and_not(fits, missing), trimmed, pa.scalar(None, pa.string()))
    found = _CAREFUL[kind](good)
    unread = pc.invert(pc.or_(missing, pc.is_valid(found))).to_numpy(zero_copy_only=False)
    return ReadTexts(found, unread if unread.any() else None)


def _whole(texts: pa.Array) -> pa.Array:
    digits = pc.replace_substring_regex(texts, r"^\+|\.0*$", "")
    try:
        return digits.cast(pa.int64())
    except pa.ArrowInvalid:  # more than 64 bits
        return pa.array([_int64(text) for text in digits.to_pylist()], pa.int64())


def _int64(digits: str | None) -> int | None:
    if digits is None or len(digits) > _MOST_DIGITS:
        return None
    value = int(digits)
    return value if -(2**63) <= value < 2**63 else None


_FORMS = {"number": _NUMBER, "integer": _INTEGER, "boolean": _TRUTH}
_CAREFUL: Mapping[str, Callable[[pa.Array], pa.Array]] = {
    "number": lambda texts: pc.replace_substring_regex(texts, r"^\+", "").cast(pa.float64()),
    "integer": _whole,
    "boolean": lambda texts: pc.utf8_lower(texts).cast(pa.bool_()),
}
_LEADING_ZERO = r"^[+-]?0[0-9]+$"
_MOST = 0.5


def kind_of_texts(texts: pa.Array, decimal: str, nulls: Collection[str] | None) -> str | None:
    """The kind of a column whose type nobody stated: `number` or `boolean` where more than half of its values are (the
    others become dead letters), else `string`; None where it has no value. Digits behind a zero (`007`) are codes,
    whose zeros a number would lose.

    >>> kind_of_texts(pa.array(["1,5", "", "2"]), ",", None), kind_of_texts(pa.array(["007", "12"]), ".", None)
    ('number', 'string')
    """
    spelled = pa.array(list(NULLS if nulls is None else nulls), pa.string())
    trimmed = pc.utf8_trim(texts, " ")
    values = texts.filter(pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(trimmed, value_set=spelled))))
    if not len(values):
        return None
    if pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py():
        return "string"
    for kind in ("number", "boolean"):
        read = read_column(values, kind, decimal, nulls)
        if read.unread is None or read.unread.mean() < _MOST:
            return kind
    return "string"


_PRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def shown(text: str, most: int = 80) -> str:
    """A value as a message shows it."""
    cut = text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"
    return repr(_PRINTABLE.sub("\N{REPLACEMENT CHARACTER}", cut))
