"""Comparisons and choices, in three-valued logic: what compares with null is neither true nor false, but null."""

from collections.abc import Callable, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from schemas.expressions.functions import (
    ANY,
    COMMON,
    ORDERED,
    Arguments,
    Datum,
    Function,
    Shown,
    Takes,
    exactly,
    null_of,
    on_arrays,
    several,
)

_TRUTH = Takes(("boolean",), "boolean")
_ORDERED = Takes(ORDERED, COMMON, no_null=True)
_KNOWN = Takes(ANY, COMMON, no_null=True)
_VALUE = Takes(ANY, COMMON)


def _branches(count: int) -> Sequence[Takes] | None:
    return [*[_TRUTH, _VALUE] * (count // 2), _VALUE] if count >= 3 and count % 2 else None


def _two_or_more(count: int) -> Sequence[Takes] | None:
    return [_KNOWN] * count if count >= 2 else None


def _comparison(sign: str, says: str, each: Takes, function: Callable[..., Datum], *examples: Shown) -> Function:
    return Function(f"x {sign} y", says, exactly(each, each), "boolean", function, examples)


def _is_in(values: Datum, *others: Datum) -> Datum:
    if isinstance(values, pa.Array) and all(isinstance(other, pa.Scalar) for other in others):
        if pa.types.is_floating(values.type):
            values = pc.add(values, 0.0)  # -0.0 becomes 0.0, which has a hash of its own
        among = pc.is_in(values, value_set=pa.array([other.as_py() for other in others], values.type))
        return pc.if_else(values.is_valid(), among, null_of(among))
    return reduce(pc.or_kleene, (pc.equal(values, other) for other in others))


def _is_between(values: Datum, low: Datum, high: Datum) -> Datum:
    return pc.and_kleene(pc.greater_equal(values, low), pc.less_equal(values, high))


@on_arrays
def _chosen(*args: pa.Array) -> pa.Array:
    *branches, otherwise = args
    conditions = pa.StructArray.from_arrays(branches[::2], [str(index) for index in range(len(branches) // 2)])
    return pc.case_when(conditions, *branches[1::2], otherwise)


def _null_if(values: Datum, other: Datum) -> Datum:
    same = pc.coalesce(pc.equal(values, other), pa.scalar(False))
    return pc.if_else(same, null_of(values), values)


_TWO_TRUTHS: Arguments = exactly(_TRUTH, _TRUTH)
CONDITIONS = {
    "=": _comparison("=", "whether they are equal", _KNOWN, pc.equal, Shown("carrier = 'UA'", True),
                     Shown("taxi_out = 3", None)),
    "<>": _comparison("<>", "whether they differ; also `!=`", _KNOWN, pc.not_equal, Shown("carrier <> 'UA'", False)),
    "<": _comparison("<", "whether `x` is less; texts by their code points", _ORDERED, pc.less,
                     Shown("dep_delay < 22.5", False)),
    "<=": _comparison("<=", "whether `x` is not greater", _ORDERED, pc.less_equal, Shown("dep_delay <= 22.5", True)),
    ">": _comparison(">", "whether `x` is greater", _ORDERED, pc.greater, Shown("seats > 100", True)),
    ">=": _comparison(">=", "whether `x` is not less", _ORDERED, pc.greater_equal, Shown("'b' >= 'a'", True)),
    "between": Function(
        "x BETWEEN a AND b", "whether `x` is neither below `a` nor above `b`; also `NOT BETWEEN`",
        exactly(_ORDERED, _ORDERED, _ORDERED), "boolean", _is_between, (Shown("seats BETWEEN 100 AND 180", True),),
    ),
    "in": Function(
        "x IN (a, b, …)", "whether `x` is one of them; also `NOT IN`", _two_or_more, "boolean", _is_in,
        (Shown("carrier IN ('UA', 'AA')", True), Shown("taxi_out IN (1, 2)", None)),
    ),
    "is null": Function(
        "x IS NULL", "whether it is null, never null itself; also `IS NOT NULL`", exactly(Takes(ANY)), "boolean",
        lambda values: pc.is_null(values), (Shown("taxi_out IS NULL", True),),
    ),
    "and": Function(
        "a AND b", "false where one of them is false, else null where one is null, else true", _TWO_TRUTHS, "boolean",
        pc.and_kleene, (Shown("taxi_out > 3 AND seats > 500", False), Shown("taxi_out > 3 AND seats > 5", None)),
    ),
    "or": Function(
        "a OR b", "true where one of them is true, else null where one is null, else false", _TWO_TRUTHS, "boolean",
        pc.or_kleene, (Shown("taxi_out > 3 OR seats > 5", True),),
    ),
    "not": Function("NOT a", "true where it is false, null where it is null", exactly(_TRUTH), "boolean", pc.invert,
                    (Shown("NOT carrier = 'UA'", False), Shown("NOT taxi_out > 3", None))),
    "case": Function(
        "CASE WHEN a THEN x … ELSE y END", "the value of the first condition that is true; without `ELSE` null. "
        "`CASE z WHEN 1 THEN x … END` compares `z`", _branches, COMMON, _chosen,
        (Shown("CASE WHEN dep_delay > 15 THEN 'late' ELSE 'on time' END", "late"),
         Shown("CASE carrier WHEN 'AA' THEN 1 END", None)),
    ),
    "coalesce": Function(
        "coalesce(x, y, …)", "the first that is not null", several(1, _VALUE), COMMON, pc.coalesce,
        (Shown("coalesce(taxi_out, 0)", 0.0),),
    ),
    "nullif": Function(
        "nullif(x, y)", "null where they are equal, else `x`", exactly(_KNOWN, _KNOWN), COMMON, _null_if,
        (Shown("nullif(seats, 180)", None), Shown("nullif(seats, 0)", 180)),
    ),
}  # fmt: skip
"""By name."""
