"""Values of one kind as values of another: null where they cannot be."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.columns import ARROW_TYPES, VALUES
from schemas.expressions.functions import Function, Shown, Takes, exactly, finite, null_of, on_arrays

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TRUTHS = {"true": True, "false": False}


def _by_value(values: pa.Array, one: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """A function of one text, applied once to each different one."""
    encoded = values.dictionary_encode()
    found = pa.array([one(text) for text in encoded.dictionary.to_pylist()], kind)
    return found.take(encoded.indices)


def _whole_of(text: str) -> int | None:
    number = int(text) if _WHOLE.fullmatch(text) else 2**63
    return number if -(2**63) <= number < 2**63 else None


def _number_of(text: str) -> float | None:
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _to_number(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return _by_value(values, _number_of, pa.float64())
    return finite(values.cast(pa.float64(), safe=False))


def _to_integer(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return _by_value(values, _whole_of, pa.int64())
    if not pa.types.is_floating(values.type):
        return values.cast(pa.int64())
    whole = pc.trunc(values)
    fits = pc.and_(pc.greater_equal(whole, -(2.0**63)), pc.less(whole, 2.0**63))
    return pc.if_else(fits, whole, null_of(whole)).cast(pa.int64())


def _to_boolean(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return _by_value(values, lambda text: _TRUTHS.get(text.lower()), pa.bool_())
    return values if pa.types.is_boolean(values.type) else pc.not_equal(values, 0)


_TO: dict[str, Callable[[pa.Array], pa.Array]] = {
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "string": batches.as_texts,
}


@on_arrays
def _cast(values: pa.Array, kind: str) -> pa.Array:
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), ARROW_TYPES[kind])
    return _TO[kind](values)


_LISTED = ", ".join(VALUES)


def _kind(value: Any) -> str | None:
    return None if value in VALUES else _LISTED


def _given(constants: Sequence[Any]) -> str:
    return str(constants[0])


CASTS = {
    "cast": Function(
        "cast(x AS kind)", f"as one of the kinds {_LISTED}: a number becomes an integer without its fraction, "
        "a text is read, a boolean is 1 or 0; null where it cannot be",
        exactly(Takes(VALUES), Takes(("string",), constant=_kind)), _given, _cast,
        (Shown("cast('12.5' AS number)", 12.5), Shown("cast('late' AS number)", None),
         Shown("cast(-2.7 AS integer)", -2), Shown("cast(dep_delay > 15 AS integer)", 1),
         Shown("cast(7.0 AS string)", "7")),
    ),
}  # fmt: skip
"""By name."""
