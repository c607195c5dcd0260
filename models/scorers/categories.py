"""Categories as tree libraries use them: each value has a code, its index in the list that training stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Input, Manifest
from models.scorers.base import WillNotLoad
from schemas.columns import ARROW_TYPES, ColumnKind
from schemas.expectations import wants

_EXACT = 2**53
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Categories:
    """The categories of one input; the index of a value in `values` is its code. `values` are of the input's type."""

    name: str
    values: pa.Array

    def codes(self, column: pa.Array) -> npt.NDArray[np.float64]:
        """The code of each value, shape (n,): NaN for a null, -1 for a value that is not a category."""
        if pa.types.is_floating(column.type):
            column = pc.add(column, 0.0)  # -0.0 is 0.0
        found = pc.index_in(column, value_set=self.values, skip_nulls=True).fill_null(-1)
        codes: npt.NDArray[np.float64] = found.to_numpy(zero_copy_only=False).astype(np.float64)
        if column.null_count:
            codes[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
        return codes

    def unseen(self, column: pa.Array) -> int:
        """How many values are not categories; nulls are not counted."""
        return int(np.count_nonzero(self.codes(column) < 0))

    def unknown(self, value: object) -> str:
        """What is wrong with a value that is not a category, in one line."""
        known = [repr(each) for each in self.values.drop_null()[:_SHOWN].to_pylist()]
        more = f" and {len(self.values) - _SHOWN} more" if len(self.values) > _SHOWN else ""
        shown = repr(value) if len(repr(value)) <= 100 else f"{repr(value)[:100]}…"
        return f"input {self.name!r}: {shown} is not a category of the model; allowed: {', '.join(known)}{more}"


def categories_of(manifest: Manifest, name: str, values: Sequence[Any]) -> Categories:
    """The categories `values` (one text, integer, float or boolean for each code) as an input is compared with them.

    Raises:
        WillNotLoad: the input is of a type of which no value can be one of these categories.
    """
    entry = next(each for each in manifest.inputs if each.name == name)
    kind = _kind(values)
    if kind is None:
        raise WillNotLoad(f"{manifest.scorer}: the categories of {name!r} are of several types; expected: one type")
    if values and entry.type not in _READ_AS[kind]:
        raise WillNotLoad(
            f"{manifest.scorer}: input {name!r} is of type {entry.type} and its categories are {_listed(values)}, so "
            f"none can match; {wants(' or '.join(_READ_AS[kind]))}"
        )
    return Categories(name, _array(manifest, entry, values))


def stated_categories(manifest: Manifest) -> Mapping[str, Sequence[Any]]:
    """`parameters.categories`: for a model that does not keep them itself, input → its categories in their order.

    Raises:
        WillNotLoad: it has another form, or names something that is not an input.
    """
    stated = manifest.parameters.get("categories", {})
    allowed = "{input: [category, …]} with the categories in the order of training"
    if not isinstance(stated, Mapping) or not all(isinstance(each, (list, tuple)) and each for each in stated.values()):
        raise WillNotLoad(f"{manifest.scorer}: parameter categories is {stated!r}; {wants(allowed)}")
    for name in stated:
        if name not in {entry.name for entry in manifest.inputs}:
            raise WillNotLoad(f"{manifest.scorer}: parameter categories names {name!r}, no input; {wants(allowed)}")
    return stated


def _array(manifest: Manifest, entry: Input, values: Sequence[Any]) -> pa.Array:
    """The values in the type of the input's prepared column; null where no value of that type can be equal."""
    if entry.type == "number" and any(abs(value) > _EXACT for value in values):
        raise WillNotLoad(
            f"{manifest.scorer}: input {entry.name!r} is a number, which cannot tell its categories beyond 2^53 apart; "
            "expected: integer"
        )
    read = [_READ[entry.type](value) for value in values]
    if len({value for value in read if value is not None}) != len([value for value in read if value is not None]):
        raise WillNotLoad(f"{manifest.scorer}: {entry.name!r} has a category twice; expected: each once")
    return pa.array(read, ARROW_TYPES[entry.type])


def _kind(values: Sequence[Any]) -> str | None:
    types = {type(value) for value in values}
    kinds = {name for name, known in _KINDS.items() if types <= known}
    return min(kinds, key=list(_KINDS).index) if kinds else None


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(repr(value) for value in values[:3]) + (", …" if len(values) > 3 else "")


def _whole(value: float) -> int | None:
    return int(value) if float(value).is_integer() and abs(value) < 2**63 else None


def _positive_zero(value: float) -> float:
    return float(value) + 0.0


_KINDS: Mapping[str, set[type]] = {"texts": {str}, "booleans": {bool}, "integers": {int}, "numbers": {int, float}}
_READ_AS: Mapping[str, tuple[ColumnKind, ...]] = {
    "texts": ("string",),
    "booleans": ("boolean",),
    "integers": ("integer", "number"),
    "numbers": ("number", "integer"),
}
_READ: Mapping[ColumnKind, Any] = {"string": str, "boolean": bool, "number": _positive_zero, "integer": _whole}
