"""The values of a column read as text, number, whole number or boolean; each branch of a union by its own rule.

Pure functions on whole columns: the values read, and which of the values present could not be read.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.columns import ARROW_TYPES, TAKES, kind_of

Mask: TypeAlias = npt.NDArray[np.bool_]
# Converts a column of one type (null where a value cannot be read); None where the type itself does not fit. The flag
# says that the column is a branch of a union.
Reading: TypeAlias = Callable[[pa.Array, bool], pa.Array | None]


class Read(NamedTuple):
    """Values in the wanted type, and the rows whose value is present but cannot be read."""

    values: pa.Array
    unread: Mask


def mask_of(values: pa.Array) -> Mask:
    """A boolean array as a mask; null counts as False."""
    mask: Mask = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return mask


def branches(values: pa.Array) -> Iterator[tuple[Mask, pa.Array]]:
    """The branches of a sparse union, each with the rows whose value is in it."""
    codes = values.type_codes.to_numpy(zero_copy_only=False)
    for index in range(values.type.num_fields):
        yield codes == index, values.field(index)


def nulls_of(values: pa.Array) -> Mask:
    """The rows without a value: Arrow's own unions have no nulls, but their branches do."""
    if not pa.types.is_union(values.type):
        return mask_of(values.is_null())
    missing = np.zeros(len(values), np.bool_)
    for rows, branch in branches(values):
        missing |= rows & mask_of(branch.is_null())
    return missing


def by_branch(values: pa.Array, wanted: pa.DataType, of_one: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`of_one` of each branch of a union, for the rows that are in it; of any other column as a whole."""
    if not pa.types.is_union(values.type):
        return of_one(values)
    whole = pa.nulls(len(values), wanted)
    for rows, branch in branches(values):
        if rows.any():
            # In its other rows a branch holds fill values, which are not values of the column.
            only = branch if rows.all() else pc.if_else(pa.array(rows), branch, pa.scalar(None, branch.type))
            whole = pc.if_else(pa.array(rows), of_one(only), whole)
    return whole


def read(values: pa.Array, kind: str) -> Read:
    """The values of a column as a job's type: number, integer, boolean or string."""
    return _read(values, _READINGS[kind], ARROW_TYPES[kind])


def read_texts(values: pa.Array) -> Read:
    """The values of a column as an id or a subject: texts, whole numbers, decimals and bytes."""
    return _read(values, _text, pa.string())


def _read(values: pa.Array, reading: Reading, wanted: pa.DataType) -> Read:
    is_union = pa.types.is_union(values.type)

    def of_one(one: pa.Array) -> pa.Array:
        found = reading(one, is_union)
        return pa.nulls(len(one), wanted) if found is None else found

    found = by_branch(values, wanted, of_one)
    if not is_union and found.null_count == values.null_count:
        return Read(found, np.zeros(len(values), np.bool_))
    return Read(found, mask_of(found.is_null()) & ~nulls_of(values))


def _text(values: pa.Array, in_union: bool) -> pa.Array | None:
    found = values.type
    if pa.types.is_integer(found):
        return values.cast(pa.string())
    if pa.types.is_floating(found):
        return batches.whole_numbers(values).cast(pa.string())
    return _string(values, False)


def _string(values: pa.Array, in_union: bool) -> pa.Array | None:
    found = values.type
    if pa.types.is_string(found):
        return values
    if pa.types.is_null(found):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_decimal(found):
        return pa.array([None if value is None else f"{value:f}" for value in values.to_pylist()], pa.string())
    if pa.types.is_binary(found):
        return _bytes_as_text(values)
    # In a union with text a number is read as its text too; a column of numbers alone is not text.
    return batches.as_texts(values) if in_union and kind_of(found) in TAKES["number"] else None


def _bytes_as_text(values: pa.Array) -> pa.Array:
    """Bytes as Avro's JSON encoding and defaults write them: each byte is the character with its code."""
    plain = [None if value is None else value.decode("latin-1") for value in values.to_pylist()]
    return pa.array(plain, pa.string())


def _number(values: pa.Array, in_union: bool) -> pa.Array | None:
    found = values.type
    if kind_of(found) in TAKES["number"] or pa.types.is_null(found):
        return values.cast(pa.float64(), safe=False)
    if pa.types.is_decimal(found):
        return values.cast(pa.string()).cast(pa.float64())  # by its digits: Arrow's own cast gets the last one wrong
    return None


def _integer(values: pa.Array, in_union: bool) -> pa.Array | None:
    found = values.type
    if pa.types.is_integer(found) or pa.types.is_null(found):
        return values.cast(pa.int64())
    if pa.types.is_decimal(found):
        return pa.array([_whole(value) for value in values.to_pylist()], pa.int64())
    return batches.whole_numbers(values) if in_union and pa.types.is_floating(found) else None


def _whole(value: object) -> int | None:
    """A decimal as a 64-bit integer; None where it is not one."""
    if not isinstance(value, Decimal) or not -(2**63) <= value < 2**63 or value != int(value):
        return None
    return int(value)


def _boolean(values: pa.Array, in_union: bool) -> pa.Array | None:
    fits = pa.types.is_boolean(values.type) or pa.types.is_null(values.type)
    return values.cast(pa.bool_()) if fits else None


def _timestamp(values: pa.Array, in_union: bool) -> pa.Array | None:
    """Times of Arrow's own types; those without a zone are in UTC."""
    found = values.type
    if not (pa.types.is_timestamp(found) or pa.types.is_date(found) or pa.types.is_null(found)):
        return None
    return values.cast(pa.timestamp("us"), safe=False).cast(batches.TIME_TYPE)


_READINGS: dict[str, Reading] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "string": _string,
    "timestamp": _timestamp,
}
