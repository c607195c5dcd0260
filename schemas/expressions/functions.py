"""What an entry of the table of functions is, and the parts that entries are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.columns import ARROW_TYPES
from schemas.expressions.nodes import NULL, TIMESTAMP, Value

Datum: TypeAlias = Any
"""An Arrow array of one value for each event, or an Arrow scalar."""
COMMON = "common"
"""As the kind of a result: that which the arguments have in common."""
NUMERIC = ("number", "integer")
ORDERED = (*NUMERIC, "string", TIMESTAMP)
ANY = (*ORDERED, "boolean")
ARROW_KINDS = {**ARROW_TYPES, TIMESTAMP: batches.TIME_TYPE, NULL: pa.null()}


class Takes(NamedTuple):
    """One argument: its `kinds`; `to`: the kind that it becomes, `COMMON` for that of all such arguments.

    `constant` checks the value of an argument that must be a constant, and says what is expected where it is wrong;
    then the function gets the value itself. `items`: it is a list of constants in brackets. `no_null`: `NULL` written
    there would make the answer null for every event.
    """

    kinds: tuple[str, ...]
    to: str | None = None
    constant: Callable[[Any], str | None] | None = None
    items: bool = False
    no_null: bool = False


Arguments: TypeAlias = Callable[[int], Sequence[Takes] | None]


class Shown(NamedTuple):
    """An expression over the event of the examples (`table.EXAMPLE`), and what it is there."""

    text: str
    answer: Value


@dataclass(frozen=True, slots=True)
class Function:
    """One function or operator.

    `form` is how it is written; `arguments` gives what it takes for a number of arguments, None where it takes not so
    many; `gives` is the kind of its answer, or makes it of the constants; `apply` works on whole columns.
    """

    form: str
    says: str
    arguments: Arguments
    gives: str | Callable[[Sequence[Any]], str]
    apply: Callable[..., Datum]
    examples: tuple[Shown, ...]


def exactly(*takes: Takes) -> Arguments:
    """Takes these arguments."""
    return lambda count: takes if count == len(takes) else None


def between(least: int, *takes: Takes) -> Arguments:
    """Takes these arguments, of which those after the first `least` may be left out."""
    return lambda count: takes[:count] if least <= count <= len(takes) else None


def several(least: int, each: Takes) -> Arguments:
    """Takes any number of such arguments, `least` or more."""
    return lambda count: [each] * count if count >= least else None


def finite(values: Datum) -> Datum:
    """Numbers, null where one is infinite or none at all."""
    known = pc.is_finite(values)
    if isinstance(values, pa.Scalar):
        return values if known.as_py() is not False else pa.scalar(None, values.type)
    return values if pc.all(known).as_py() is not False else pc.if_else(known, values, pa.scalar(None, values.type))


def of_numbers(function: Callable[..., Datum]) -> Callable[..., Datum]:
    """A function of floats whose answer is null where it would be no finite number."""
    return wraps(function)(lambda *args: finite(function(*args)))


def on_arrays(function: Callable[..., pa.Array]) -> Callable[..., Datum]:
    """A function of arrays of one length, applied to arrays and scalars."""

    @wraps(function)
    def applied(*args: Any) -> Datum:
        count = next((len(arg) for arg in args if isinstance(arg, pa.Array)), None)
        rows = 1 if count is None else count
        found = function(*(pa.repeat(arg, rows) if isinstance(arg, pa.Scalar) else arg for arg in args))
        return found if count is not None else found[0]

    return applied


def null_of(values: Datum) -> pa.Scalar:
    """Null of the type of these values."""
    return pa.scalar(None, values.type)
