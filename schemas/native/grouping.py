"""Rows grouped: texts as whole numbers, sums of floats per group, and the order of whole numbers.

Each is done in compiled code where that was built, and else with Arrow and NumPy, with the same result.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.native import compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def codes_of(columns: Sequence[pa.Array]) -> list[Ints]:
    """Of each column of texts without nulls, those of all columns as whole numbers, from 0 on in the order in which
    they come first; equal ones are equal texts.

    >>> [each.tolist() for each in codes_of([pa.array(["b", "a"]), pa.array(["a", "c", "b"])])]
    [[0, 1], [1, 2, 0]]
    """
    code_each, rows = _compiled("code_each"), sum(map(len, columns))
    if code_each is None or rows >= 2**31 - 1:
        encoded = pa.chunked_array(columns, pa.string()).dictionary_encode()
        numbers = [each.indices.to_numpy(zero_copy_only=False).astype(np.int64) for each in encoded.chunks]
        whole = np.concatenate([np.zeros(0, np.int64), *numbers])
    else:
        whole = np.frombuffer(code_each(tuple(_data_and_ends(column) for column in columns)), np.int64)
    return np.split(whole, np.cumsum([len(column) for column in columns])[:-1]) if columns else []


def sums_of_limbs(terms: Floats, of_term: Ints, groups: int) -> tuple[int, Ints] | None:
    """The exact sums of the terms of each group as `transforms.quality.sums.exact_sums` has them: the first limb, and
    the digits of shape (limbs, quantities, groups). None where it is not compiled, where a term is not finite, or where
    terms are so far apart that doing it with floats would round.

    Args:
        terms: shape (quantities, n), contiguous.
        of_term: the group of each, below `groups`, shape (n,).
    """
    sum_each = _compiled("sum_each")
    found = None if sum_each is None else sum_each(terms, np.ascontiguousarray(of_term, np.int64), groups)
    if found is None:
        return None
    low, limbs, digits = found
    return low, np.frombuffer(digits, np.int64).reshape(limbs, len(terms), groups)


def order_of(numbers: Ints) -> Ints:
    """The order of whole numbers, ascending, of equal ones as they are.

    >>> order_of(np.array([3, -1, 3, 2])).tolist()
    [1, 3, 0, 2]
    """
    order_each = _compiled("order_each")
    if order_each is None:
        return np.argsort(numbers, kind="stable")
    return np.frombuffer(order_each(np.ascontiguousarray(numbers, np.int64)), np.int64)


def _compiled(name: str) -> Any:
    """A function of the compiled module; None where that is not there, or was built before it had the function."""
    return getattr(compiled.EACH, name, None)


def _data_and_ends(column: pa.Array) -> tuple[Any, Any]:
    _, ends, data = column.buffers()
    if ends is None or not len(column):
        return b"", np.zeros(1, np.int32)
    return b"" if data is None else data, np.frombuffer(ends, np.int32, len(column) + 1, 4 * column.offset)
