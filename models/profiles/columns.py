"""The reference distribution of one column, and the cell that each of its values falls into.

A column has a fixed number of cells: its bins or values, for texts one cell for all other values, and one for
nulls.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import TAKES, kind_of
from schemas.errors import UnusableData
from schemas.expectations import wants

MAX_BINS = 64
_MANY_NUMBERS = 4_096
SCORE = "score"  # the name under which a profile holds the distribution of the model's own scores
_MOST = 2**53  # the largest count that every JSON reader holds exactly

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class UnsupportedColumn(UnusableData):
    """A column that cannot be profiled: the table lacks it, or its type is not allowed."""


class NumericColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="numeric"):
    """Counts of a column of numbers, per bin.

    `edges` are finite and strictly increasing; bin i holds `edges[i-1] <= value < edges[i]`, the first and
    last are open, so there are `len(edges) + 1`. Nulls, NaN and infinities are `nulls`; `n` counts all rows.
    `min`, `max` and `mean` are of the other values, None where there are none.
    """

    name: Name
    edges: Annotated[tuple[float, ...], msgspec.Meta(max_length=MAX_BINS + 1)]
    counts: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MAX_BINS + 2)]
    nulls: Count
    n: Count
    min: float | None
    max: float | None
    mean: float | None

    @property
    def cells(self) -> tuple[int, ...]:
        """Reference counts per cell: the bins, then nulls."""
        return (*self.counts, self.nulls)

    def fits(self, kind: pa.DataType) -> bool:
        """Whether a column of this Arrow type holds numbers."""
        return _is_numeric(kind)

    def cells_of(self, values: pa.Array) -> Ints:
        """The cell of each value, shape (n,)."""
        numbers = as_floats(values)
        found = _not_above(np.array(self.edges, np.float64), numbers)
        found[~np.isfinite(numbers)] = len(self.counts)
        return found


def _not_above(edges: Floats, numbers: Floats) -> Ints:
    """How many of the sorted edges are not above each number. Of many numbers it is quicker to compare all of them with
    each edge than to search for each: processors guess the steps of a search wrong."""
    if len(numbers) < _MANY_NUMBERS:
        return np.searchsorted(edges, numbers, side="right").astype(np.int64)
    found = np.zeros(len(numbers), np.int8)
    for edge in edges.tolist():
        found += numbers >= edge
    return found.astype(np.int64)


class CategoricalColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="categorical"):
    """Counts of a column of texts or booleans, per value.

    `values` are its most frequent ones (booleans as `false` and `true`), `other` counts all the rest, `n` all
    rows.
    """

    name: Name
    type: Literal["string", "boolean"]
    values: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_BINS)]
    counts: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MAX_BINS)]
    other: Count
    nulls: Count
    n: Count

    @property
    def cells(self) -> tuple[int, ...]:
        """Reference counts per cell: the values, then other values, then nulls."""
        return (*self.counts, self.other, self.nulls)

    def fits(self, kind: pa.DataType) -> bool:
        """Whether a column of this Arrow type holds what was profiled: texts, or booleans."""
        return bool(pa.types.is_boolean(kind)) if self.type == "boolean" else _is_text(kind)

    def cells_of(self, values: pa.Array) -> Ints:
        """The cell of each value, shape (n,)."""
        found = pc.index_in(values.cast(pa.string()), value_set=pa.array(self.values, pa.string()))
        cells: Ints = pc.fill_null(found, len(self.values)).to_numpy(zero_copy_only=False).astype(np.int64)
        if values.null_count:
            cells[values.is_null().to_numpy(zero_copy_only=False)] = len(self.values) + 1
        return cells


Column: TypeAlias = NumericColumn | CategoricalColumn


def _is_numeric(kind: pa.DataType) -> bool:
    """Integers and floats of any width."""
    return not pa.types.is_dictionary(kind) and kind_of(kind) in TAKES["number"]


def _is_text(kind: pa.DataType) -> bool:
    """Strings, also dictionary-encoded ones."""
    return kind_of(kind) == "string"


def as_floats(values: pa.Array) -> Floats:
    """Numbers as float64 with NaN for null; integers beyond 2**53 are rounded."""
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def describe_column(name: str, values: pa.Array) -> Column:
    """The reference of one column of numbers, texts or booleans; the order of `values` does not matter.

    Raises:
        UnsupportedColumn: the column is of another type.

    >>> column = describe_column("seats", pa.array([55, 55, 189, None]))
    >>> column.counts, column.nulls, round(column.mean, 2)  # bins: below 55, 55, from there to 188, 189 and above
    ((0, 2, 1, 0), 1, 99.67)
    """
    if _is_numeric(values.type):
        return _describe_numbers(name, as_floats(values))
    if pa.types.is_boolean(values.type) or _is_text(values.type):
        return _describe_categories(name, values)
    allowed = "integers, floats, strings, booleans"
    raise UnsupportedColumn(f"column {name!r} has type {values.type}; {wants(allowed)}")


def _describe_numbers(name: str, numbers: Floats) -> NumericColumn:
    known = np.sort(numbers[np.isfinite(numbers)])
    nulls = len(numbers) - len(known)
    if len(known) == 0:
        return NumericColumn(name, (), (0,), nulls, len(numbers), None, None, None)
    edges = _edges(known)
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    low, high = float(known[0]), float(known[-1])
    # Divided before the sum, which could overflow; clipped, because rounding could take it past the extremes.
    mean = min(max(float(np.sum(known / len(known))), low), high)
    return NumericColumn(name, tuple(edges.tolist()), tuple(counts.tolist()), nulls, len(numbers), low, high, mean)


def _edges(ordered: Floats) -> Floats:
    """At most `MAX_BINS + 1` edges between the bins of sorted finite values.

    Up to `MAX_BINS` distinct values get a bin each, with an empty bin below the least and one above the
    greatest, so that a constant that changes is seen. Otherwise the edges are the 1/64 quantiles; a value
    that is several of them at once gets a bin of its own, and what is out of the range has two more.
    """
    distinct = np.unique(ordered)
    if len(distinct) <= MAX_BINS:
        return np.append(distinct, _next(distinct[-1:]))
    ranks = np.arange(1, MAX_BINS) / MAX_BINS
    quantiles = np.quantile(ordered, ranks, method="inverted_cdf")
    values, times = np.unique(quantiles, return_counts=True)
    outer = np.append(distinct[:1], _next(distinct[-1:]))
    return np.union1d(np.union1d(values, _next(values[times > 1])), outer)


def _next(values: Floats) -> Floats:
    """The next greater floats, none for the greatest."""
    return np.nextafter(values[values < np.finfo(np.float64).max], np.inf)


def _describe_categories(name: str, values: pa.Array) -> CategoricalColumn:
    kind: Literal["string", "boolean"] = "boolean" if pa.types.is_boolean(values.type) else "string"
    known = values.cast(pa.string()).drop_null()
    tallied = pc.value_counts(known)
    table = pa.table({"value": tallied.field("values"), "count": tallied.field("counts")})
    top = table.sort_by([("count", "descending"), ("value", "ascending")]).slice(0, MAX_BINS)
    counts: Sequence[int] = top["count"].to_pylist()
    return CategoricalColumn(
        name=name,
        type=kind,
        values=tuple(top["value"].to_pylist()),
        counts=tuple(counts),
        other=len(known) - sum(counts),
        nulls=values.null_count,
        n=len(values),
    )
