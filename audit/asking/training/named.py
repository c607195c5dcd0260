"""Where in columns one of some values stands: no column is looked through whose kind cannot hold any of them."""

import re
from collections.abc import Collection
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.asking.training.texts import texts_in

Flags = npt.NDArray[np.bool_]
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_TIME = re.compile(r"-?\d+-\d\d-\d\d( .*)?|-?\d+ days?, .*|\d+:\d\d:\d\d.*")


class Sought:
    """Ids and subjects that are looked for as whole values: of columns, by what is text, a number or a time of them.

    >>> sought = Sought({"4711", "ann"})
    >>> sought.rows_in(pa.RecordBatch.from_pydict({"id": [4711, 1, 2], "name": ["bob", "bob", "ann"]}))
    2
    """

    def __init__(self, values: Collection[str]) -> None:
        self.values = frozenset(values)

    @cached_property
    def _texts(self) -> pa.Array:
        return pa.array(sorted(self.values), pa.large_string())

    @cached_property
    def _wholes(self) -> list[int]:
        return [int(each) for each in self.values if len(each) < 32 and _WHOLE.fullmatch(each)]

    @cached_property
    def _numbers(self) -> list[float]:
        return [number for each in self.values if (number := number_of(each)) is not None and str(number) == each]

    @cached_property
    def _times(self) -> bool:
        return any(_TIME.fullmatch(each) for each in self.values)

    @cached_property
    def _any_number(self) -> bool:
        return any(number_of(each) is not None for each in self.values)

    @cached_property
    def only_texts(self) -> bool:
        """Whether no value could be written in another way by a number, a truth value or a time."""
        return not (self._times or self.values & {"True", "False"} or self._any_number)

    def may_be_in(self, kind: pa.DataType) -> bool:
        """Whether a column of this type can hold one of the values.

        >>> Sought({"ann"}).may_be_in(pa.float64()), Sought({"1.5"}).may_be_in(pa.list_(pa.float32()))
        (False, True)
        """
        if pa.types.is_dictionary(kind):
            return self.may_be_in(kind.value_type)
        if kind.num_fields:
            return any(self.may_be_in(kind.field(index).type) for index in range(kind.num_fields))
        for is_kind, held in (
            (pa.types.is_integer, bool(self._wholes)),
            (pa.types.is_floating, bool(self._numbers)),
            (pa.types.is_boolean, bool(self.values & {"True", "False"})),
            (pa.types.is_temporal, self._times),
            (pa.types.is_decimal, self._any_number),
            (pa.types.is_null, False),
        ):
            if is_kind(kind):
                return held
        return True

    def rows_in(self, batch: pa.RecordBatch) -> int:
        """How many rows have one of the values in a column of theirs."""
        named = np.zeros(batch.num_rows, np.bool_)
        for column in batch.columns:
            if self.may_be_in(column.type):
                named |= self.named(column)
        return int(named.sum())

    def named(self, column: pa.Array) -> Flags:
        """For each row whether it has one of the values, also within lists, structs and maps (their values)."""
        kind = column.type
        if pa.types.is_dictionary(kind):
            return _true(pa.array(self.named(column.dictionary)).take(column.indices))
        if pa.types.is_struct(kind):
            fields: Flags = np.any([np.zeros(len(column), np.bool_), *map(self.named, column.flatten())], axis=0)
            return fields
        if pa.types.is_map(kind):
            column = pa.ListArray.from_arrays(column.offsets, column.items)
        if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
            parents = pc.list_parent_indices(column).to_numpy()
            flags = np.zeros(len(column), np.bool_)
            flags[parents[self.named(pc.list_flatten(column))]] = True
            return flags
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return _true(pc.is_in(column, pa.array([each.encode() for each in sorted(self.values)], kind)))
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _true(pc.is_in(column, self._texts.cast(kind)))
        if pa.types.is_integer(kind):
            return self._whole(column)
        if pa.types.is_floating(kind):
            return _true(pc.is_in(column.cast(pa.float64()), pa.array(self._numbers, pa.float64())))
        return np.array(
            [any(text in self.values for text in texts_in([each])) for each in column.to_pylist()], np.bool_
        )

    def _whole(self, column: pa.Array) -> Flags:
        bits = column.type.bit_width
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if pa.types.is_signed_integer(column.type) else (0, 2**bits)
        held = [each for each in self._wholes if least <= each < most]
        return _true(pc.is_in(column, pa.array(held, column.type)))


def _true(mask: pa.Array) -> Flags:
    found: Flags = mask.fill_null(False).to_numpy(zero_copy_only=False)
    return found


def number_of(text: str) -> float | None:
    """The number that a text is for Python; None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None
