"""The functions of numbers. What has no finite answer is null; whole numbers stay whole, and are null beyond int64."""

import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.expressions.functions import (
    COMMON,
    NUMERIC,
    ORDERED,
    Arguments,
    Datum,
    Function,
    Shown,
    Takes,
    between,
    exactly,
    finite,
    of_numbers,
    on_arrays,
    several,
)

_EITHER = Takes(NUMERIC, COMMON)
_NUMBER = Takes(NUMERIC, "number")
_LEAST, _BEYOND = -(2**63), 2**63


def _signed_or_both(count: int) -> tuple[Takes, ...] | None:
    return (_EITHER,) * count if count in (1, 2) else None


def _exact(checked: Callable[..., Datum], plain: Callable[..., Datum], one: Callable[..., int]) -> Callable[..., Datum]:
    """Of whole numbers null where the answer is beyond int64, of others null where it is not finite."""

    @on_arrays
    def by_row(*columns: pa.Array) -> pa.Array:
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        found = [None if None in row else one(*row) for row in rows]
        return pa.array([n if n is not None and _LEAST <= n < _BEYOND else None for n in found], pa.int64())

    def applied(*args: Datum) -> Datum:
        if pa.types.is_floating(args[0].type):
            return finite(plain(*args))
        try:
            return checked(*args)
        except pa.ArrowInvalid:
            return by_row(*args)

    return applied


_plus = _exact(pc.add_checked, pc.add, operator.add)
_minus = _exact(pc.subtract_checked, pc.subtract, operator.sub)
_negative = _exact(pc.negate_checked, pc.negate, operator.neg)


def _difference(*args: Datum) -> Datum:
    return _negative(*args) if len(args) == 1 else _minus(*args)


@on_arrays
def _remainder(left: pa.Array, right: pa.Array) -> pa.Array:
    absent = np.asarray(pc.or_(left.is_null(), right.is_null()))
    values = [column.fill_null(1).to_numpy(zero_copy_only=False) for column in (left, right)]
    zero = values[1] == 0
    with np.errstate(invalid="ignore"):
        found = np.fmod(values[0], np.where(zero, 1, values[1]))
    return pa.array(found, left.type, mask=absent | zero)


def _bucket(values: Datum, width: float) -> Datum:
    """The lower edge of the bucket; whole numbers stay whole where the width is."""
    if pa.types.is_integer(values.type):
        below = _remainder(values, pa.scalar(width, pa.int64()))
        shift = pc.if_else(pc.less(below, 0), pa.scalar(width, pa.int64()), pa.scalar(0, pa.int64()))
        return _minus(values, pc.add(below, shift))
    wide = pa.scalar(float(width))
    return finite(pc.multiply(pc.floor(pc.divide(values, wide)), wide))


@on_arrays
def _edges_below(values: pa.Array, edges: list[float]) -> pa.Array:
    numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
    return pa.array(np.searchsorted(edges, numbers, side="right"), pa.int64(), mask=np.asarray(values.is_null()))


def _rounded(values: Datum, digits: int = 0) -> Datum:
    return finite(pc.round(values, digits, round_mode="half_towards_infinity"))


def _whole_or(function: Callable[[Datum], Datum]) -> Callable[[Datum], Datum]:
    """Whole numbers as they are."""
    return lambda values: values if pa.types.is_integer(values.type) else function(values)


def _width(value: Any) -> str | None:
    return None if value > 0 else "a width above 0"


def _digits(value: Any) -> str | None:
    return None if -15 <= value <= 15 else "digits from -15 to 15"


def _ascending(values: list[Any]) -> str | None:
    rising = all(low < high for low, high in pairwise(values))
    return None if rising else "edges in ascending order"


_TWO: Arguments = exactly(_EITHER, _EITHER)
_ONE: Arguments = exactly(_NUMBER)


def _of_one(form: str, says: str, function: Callable[..., Datum], *examples: Shown) -> Function:
    return Function(form, says, _ONE, "number", of_numbers(function), examples)


ARITHMETIC = {
    "+": Function("x + y", "the sum", _TWO, COMMON, _plus, (Shown("seats + 1", 181), Shown("dep_delay + 1", 23.5))),
    "-": Function(
        "x - y, -x", "the difference; the negative", _signed_or_both, COMMON, _difference,
        (Shown("dep_delay - 2", 20.5), Shown("-seats", -180)),
    ),
    "*": Function(
        "x * y", "the product", _TWO, COMMON, _exact(pc.multiply_checked, pc.multiply, operator.mul),
        (Shown("seats * 2", 360), Shown("9223372036854775807 * seats", None)),
    ),
    "/": Function(
        "x / y", "the quotient, always a number; null where `y` is 0", exactly(_NUMBER, _NUMBER), "number",
        of_numbers(pc.divide), (Shown("seats / 8", 22.5), Shown("seats / 0", None)),
    ),
    "%": Function(
        "x % y", "the remainder, with the sign of `x`; null where `y` is 0", _TWO, COMMON, _remainder,
        (Shown("seats % 7", 5), Shown("-7 % 4", -3), Shown("seats % 0", None)),
    ),
    "abs": Function(
        "abs(x)", "without its sign", exactly(_EITHER), COMMON, _exact(pc.abs_checked, pc.abs, abs),
        (Shown("abs(-3)", 3),),
    ),
    "sign": Function(
        "sign(x)", "-1, 0 or 1", exactly(_EITHER), COMMON, lambda x: pc.sign(x).cast(x.type),
        (Shown("sign(-2.5)", -1.0),),
    ),
    "floor": Function(
        "floor(x)", "the greatest whole number that is not above", exactly(_EITHER), COMMON, _whole_or(pc.floor),
        (Shown("floor(dep_delay)", 22.0),),
    ),
    "ceil": Function(
        "ceil(x)", "the least whole number that is not below", exactly(_EITHER), COMMON, _whole_or(pc.ceil),
        (Shown("ceil(dep_delay)", 23.0),),
    ),
    "round": Function(
        "round(x), round(x, digits)", "to so many digits after the point (0), halves away from zero",
        between(1, _NUMBER, Takes(("integer",), constant=_digits)), "number", _rounded,
        (Shown("round(dep_delay)", 23.0), Shown("round(1234.56, -2)", 1200.0)),
    ),
    "sqrt": _of_one("sqrt(x)", "the square root; null below 0", pc.sqrt, Shown("sqrt(9)", 3.0),
                     Shown("sqrt(-9)", None)),
    "exp": _of_one("exp(x)", "e to the power of `x`", pc.exp, Shown("exp(0)", 1.0), Shown("exp(1000)", None)),
    "log": _of_one("log(x)", "the natural logarithm; null unless `x` is above 0", pc.ln, Shown("log(1)", 0.0),
                   Shown("log(0)", None)),
    "log10": _of_one("log10(x)", "the logarithm to base 10", pc.log10, Shown("log10(1000)", 3.0)),
    "log1p": _of_one("log1p(x)", "the natural logarithm of 1 + `x`", pc.log1p, Shown("log1p(0)", 0.0)),
    "power": Function(
        "power(x, y)", "`x` to the power of `y`", exactly(_NUMBER, _NUMBER), "number", of_numbers(pc.power),
        (Shown("power(2, 10)", 1024.0), Shown("power(-8, 0.5)", None)),
    ),
    "least": Function(
        "least(x, y, …)", "the least that is not null", several(1, Takes(ORDERED, COMMON)), COMMON,
        pc.min_element_wise, (Shown("least(seats, 200, 150)", 150), Shown("least(seats, taxi_out)", 180.0)),
    ),
    "greatest": Function(
        "greatest(x, y, …)", "the greatest that is not null", several(1, Takes(ORDERED, COMMON)), COMMON,
        pc.max_element_wise, (Shown("greatest('a', 'b')", "b"),),
    ),
    "bucket": Function(
        "bucket(x, width)", "the lower edge of the bucket of that width, from 0 up and down",
        exactly(_EITHER, Takes(NUMERIC, COMMON, constant=_width)), COMMON, _bucket,
        (Shown("bucket(seats, 50)", 150), Shown("bucket(-7.5, 5)", -10.0)),
    ),
    "width_bucket": Function(
        "width_bucket(x, [a, b, …])", "how many of the edges are not above `x`: 0 below the first of them",
        exactly(_NUMBER, Takes(NUMERIC, constant=_ascending, items=True)), "integer", _edges_below,
        (Shown("width_bucket(dep_delay, [0, 15, 60])", 2), Shown("width_bucket(-5, [0, 15, 60])", 0)),
    ),
}  # fmt: skip
"""By name."""
