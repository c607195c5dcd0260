"""Values of Python as columns: each type as Arrow infers it, several types as a union."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from schemas.formats.arrow_columns import plain

_NOT_ARROW = (pa.ArrowException, TypeError, ValueError, OverflowError)
_UNREAD = pa.struct([])


def column_of(values: Any, missing: Callable[[Any], bool] | None = None) -> pa.Array:
    """A list of values, or a column of NumPy or pandas, as an Arrow array in a type that decoding knows. Values of
    several types become a sparse union with a branch for each; what Arrow has no type for becomes a value that no kind
    of column reads. `missing`: which values beside None are null; without it NaN stays NaN.

    >>> column_of([1, 2.5, None]).to_pylist(), column_of([1, "x", 2**70]).to_pylist()
    ([1.0, 2.5, None], [Decimal('1'), 'x', Decimal('1180591620717411303424')])
    """
    try:
        found = pa.array(values, from_pandas=missing is not None)
    except _NOT_ARROW:
        found = _of_several_types(list(values), missing)
    return plain(found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found)


def _of_several_types(values: list[Any], missing: Callable[[Any], bool] | None) -> pa.Array:
    absent = [value is None or (missing is not None and missing(value)) for value in values]
    types = [type(None) if gone else type(value) for value, gone in zip(values, absent, strict=True)]
    codes = {own: index for index, own in enumerate(dict.fromkeys(types))}
    branches = [
        _of_one_type([value if one is own and not gone else None
                      for value, one, gone in zip(values, types, absent, strict=True)])
        for own in codes
    ]  # fmt: skip
    return pa.UnionArray.from_sparse(pa.array([codes[one] for one in types], pa.int8()), branches)


def _of_one_type(values: list[Any]) -> pa.Array:
    wide = [Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in values]
    for candidates in (values, wide):
        try:
            return plain(pa.array(candidates))
        except _NOT_ARROW:
            continue
    return pa.array([None if value is None else {} for value in values], _UNREAD)
