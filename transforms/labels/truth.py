"""What a label is: the value of a column as it is, or whether it fulfils a comparison such as `> 15`."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import UnusableData
from schemas.expectations import wants

_COMPARISON = re.compile(r"(>=|<=|==|!=|>|<) ?(.*)", re.DOTALL)
_OPERATORS: Mapping[str, Callable[[pa.Array, pa.Scalar], pa.Array]] = {
    ">": pc.greater,
    ">=": pc.greater_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    "==": pc.equal,
    "!=": pc.not_equal,
}
_TRUTHS = {"true": True, "false": False}
_QUOTES = ("'", '"')


class UnfitComparison(UnusableData):
    """A comparison that the values of a label's column cannot fulfil or fail; `allowed` says what fits them."""

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message, allowed)
        self.allowed = allowed

    def __str__(self) -> str:
        return str(self.args[0])


def truth_of(values: pa.Array, kind: str, positive: str | None) -> pa.Array:
    """The labels of a column's values: themselves, or with a comparison true and false; null stays null.

    Args:
        values: of the column, in the Arrow type of `kind`.
        kind: number, integer, boolean or string.
        positive: `labels.positive` of a valid spec.

    Raises:
        UnfitComparison: the comparison's value is not of the column's kind.

    >>> truth_of(pa.array([3.0, None, 20.0]), "number", "> 15").to_pylist()
    [False, None, True]
    >>> truth_of(pa.array(["paid", "unpaid"]), "string", "== 'unpaid'").to_pylist()
    [False, True]
    """
    if positive is None:
        return values
    found = _COMPARISON.fullmatch(positive)
    assert found is not None, "the schema allows nothing else"
    return _OPERATORS[found[1]](values, pa.scalar(_operand(found[2].strip(), kind), values.type))


def _operand(text: str, kind: str) -> Any:
    if kind == "string":
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES
        return text[1:-1] if quoted else text
    if kind == "boolean" and text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    try:
        if kind != "boolean":
            return int(text) if kind == "integer" else float(text)
    except ValueError:
        pass
    fitting = {"boolean": "true or false", "integer": "a whole number", "number": "a number"}[kind]
    allowed = f"a comparison with {fitting}, since the column is of type {kind}"
    raise UnfitComparison(f"{text!r} is not allowed; {wants(allowed)}", allowed)


def truths_by_class(labels: pa.Array, positive: str | None) -> npt.NDArray[np.float64]:
    """Which labels are of the positive class (1) and which are not (0), shape (n,); NaN where that cannot be told.

    True and 1 are positive, False and 0 are not; of texts the manifest's positive class is.

    >>> truths_by_class(pa.array([1, 0, 7]), None).tolist()
    [1.0, 0.0, nan]
    >>> truths_by_class(pa.array(["paid", "late"]), "late").tolist()
    [0.0, 1.0]
    """
    if pa.types.is_string(labels.type):
        known = pa.nulls(len(labels), pa.float64()) if positive is None else pc.equal(labels, positive)
    else:
        known = labels
    numbers: npt.NDArray[np.float64] = known.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(labels.type) and not labels.null_count:
        return numbers
    return np.where(np.isin(numbers, (0.0, 1.0)), numbers, np.nan)
