"""Which statistics there are, of which columns each is, and what is measured of counts on a profile's cells."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from models.profiles import distances
from models.profiles.columns import CategoricalColumn, Column, Floats, Ints, NumericColumn
from models.profiles.distances import rows_of, used_cells, widths_of
from models.profiles.reference import Profile

NUMBERS = ("ks", "wasserstein")
SHARES = ("psi", "jensen_shannon", "hellinger", "chi2")
RATES = ("missing_rate", "new_category_rate", "out_of_range_rate")
STATISTICS = (*SHARES, *NUMBERS, *RATES)


class ColumnCells(NamedTuple):
    """Columns' cells: `names`, which cells are theirs among the profile's (`chosen`), their `reference` counts, and
    where
    each column `starts` among the chosen ones. Of numbers also each cell's `values` in standard deviations of the
    reference (in its own unit where that is 0)."""

    names: tuple[str, ...]
    chosen: Ints
    reference: Ints
    starts: Ints
    values: Floats | None = None


class Measured(NamedTuple):
    """One statistic: its columns' `names`; `value`, rows compared and, of shares, the `cells` in use, each of shape
    (groups, columns). `typical`: of Wasserstein, its mean times √n without drift, shape (columns,); of rates the
    reference's count, of one shape with the references."""

    names: tuple[str, ...]
    value: Floats
    n: Ints
    reference_n: Ints
    cells: Ints
    typical: Floats


class Numbers(NamedTuple):
    """The columns of numbers of groups beside what they are compared with: `cells` and their `values`, counts of both
    without nulls, rows of both, and how far the CDFs are `apart` at each cell."""

    cells: ColumnCells
    values: Floats
    reference: Ints
    seen: Ints
    m: Ints
    n: Ints
    apart: Floats


def numbers_of(profile: Profile, observed: Ints, references: Ints | None = None) -> Numbers | None:
    """What several statistics of numbers need; None where no column has any. Arguments as of `measure`."""
    cells = cells_of_numbers(profile)
    if cells is None or cells.values is None:
        return None
    compared = profile.reference if references is None else references
    seen, reference = observed[:, cells.chosen], compared[..., cells.chosen]
    m, n = rows_of(reference, seen, cells.starts)
    apart = distances.cdf_differences(reference, seen, cells.starts)
    return Numbers(cells, cells.values, reference, seen, m, n, apart)


def measure(
    profile: Profile,
    observed: Ints,
    statistic: str,
    references: Ints | None = None,
    numbers: Numbers | None = None,
) -> Measured | None:
    """A statistic of `observed` counts, shape (groups, cells of the profile); None where no column has it.

    `references`: counts of the same shape that each group is compared with, those of the profile where left out;
    `numbers`: their `numbers_of`, where these are known already.
    """
    if statistic in NUMBERS:
        known = numbers_of(profile, observed, references) if numbers is None else numbers
        return None if known is None else _of_numbers(known, statistic)
    return _MEASURING[statistic](profile, observed, statistic, profile.reference if references is None else references)


def cells_of_all(profile: Profile) -> ColumnCells:
    """All columns with all their cells, nulls included."""
    return _cells(profile, profile.columns, without_nulls=False)


def cells_of_numbers(profile: Profile) -> ColumnCells | None:
    """The columns of numbers, without nulls, and with the values of their cells; None where there are none."""
    numbers = [column for column in profile.columns if isinstance(column, NumericColumn)]
    if not numbers:
        return None
    cells = _cells(profile, numbers, without_nulls=True)
    return cells._replace(values=np.concatenate([_values(column) for column in numbers]))


def _cells(profile: Profile, columns: Sequence[Column], *, without_nulls: bool) -> ColumnCells:
    spans = [profile.spans[column.name] for column in columns]
    parts = [np.arange(span.start, span.stop - without_nulls) for span in spans]
    chosen = np.concatenate(parts)
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return ColumnCells(tuple(column.name for column in columns), chosen, profile.reference[chosen], starts)


def _values(column: NumericColumn) -> Floats:
    """Where each bin lies, in standard deviations of the reference: at its lower edge, the first at the least value.

    Exact where each value has a bin of its own; else a value is taken for one less than the width of its bin away.
    """
    if not column.edges:
        return np.zeros(1)
    low = column.edges[0] if column.min is None else min(column.min, column.edges[0])
    values = np.array([low, *column.edges], np.float64)
    shares = np.array(column.counts, np.float64) / max(sum(column.counts), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.sum(shares * values))
        deviation = float(np.sqrt(np.sum(shares * (values - mean) ** 2)))
        scaled = (values - mean) / deviation if deviation > 0 else values - mean
        usable = np.isfinite(scaled).all() and np.isfinite(np.diff(scaled)).all()
    return scaled if usable else np.zeros(len(values))


def _shares(profile: Profile, observed: Ints, statistic: str, references: Ints) -> Measured:
    cells = cells_of_all(profile)
    reference = references[..., cells.chosen]
    seen = observed[:, cells.chosen]
    m, n = rows_of(reference, seen, cells.starts)
    value = _OF_SHARES[statistic](reference, seen, cells.starts)
    used = used_cells(reference, seen, cells.starts)
    return Measured(cells.names, value, n, m, used, np.zeros(len(cells.names)))


def _of_numbers(known: Numbers, statistic: str) -> Measured:
    cells, typical = known.cells, np.zeros(len(known.cells.names))
    if statistic == "ks":
        value = distances.greatest(known.apart, cells.starts, known.m, known.n)
    else:
        value = _areas(known)
        typical = _typical_area(cells, known.values)
    return Measured(cells.names, value, known.n, known.m, np.zeros_like(known.n), typical)


def _areas(known: Numbers) -> Floats:
    return distances.wasserstein(known.apart, known.cells.starts, known.values, known.m, known.n)


def _typical_area(cells: ColumnCells, values: Floats) -> Floats:
    """√n times the mean of the Wasserstein distance without drift: the area of E|B(F)| of a Brownian bridge B (E. del
    Barrio, E. Giné and C. Matrán, Annals of Probability 27, 1999)."""
    below = np.cumsum(cells.reference).astype(np.float64)
    before = np.concatenate([[0.0], below])[cells.starts]
    rows = np.add.reduceat(cells.reference, cells.starts)
    spread = distances.Spread(cells.starts, len(cells.reference))
    share = np.clip((below - spread(before)) / np.maximum(spread(rows), 1), 0.0, 1.0)
    bridge = np.sqrt(2 / np.pi * share * (1 - share))
    area: Floats = np.add.reduceat(bridge * widths_of(cells.starts, values), cells.starts)
    return area


def _rates(profile: Profile, observed: Ints, statistic: str, references: Ints) -> Measured | None:
    """Of the columns that have such cells, the share of rows in them."""
    chosen = [(column, cells) for column in profile.columns if (cells := _RATED[statistic](column))]
    if not chosen:
        return None
    spans = [profile.spans[column.name] for column, _ in chosen]
    nulls = int(statistic != "missing_rate")  # the others are rates of what is not null
    totals = np.cumsum(np.pad(observed, ((0, 0), (1, 0))), axis=1)
    whole = np.cumsum(np.concatenate([np.zeros_like(references[..., :1]), references], axis=-1), axis=-1)
    ends, starts = [span.stop - nulls for span in spans], [span.start for span in spans]
    at = [[span.start + cell for cell in cells] for span, (_, cells) in zip(spans, chosen, strict=True)]
    hits = np.stack([observed[:, cells].sum(axis=1) for cells in at], axis=1)
    known = np.stack([references[..., cells].sum(axis=-1) for cells in at], axis=-1)
    n = totals[:, ends] - totals[:, starts]
    m = np.broadcast_to(whole[..., ends] - whole[..., starts], n.shape)
    value = hits / np.maximum(n, 1)
    some = (hits > 0) | (known > 0)  # where it never happened there is nothing to say
    return Measured(
        tuple(column.name for column, _ in chosen),
        value,
        np.where(some, n, 0),
        m,
        np.zeros_like(n),
        known.astype(np.float64),
    )


def _null_cells(column: Column) -> list[int]:
    return [len(column.cells) - 1]


def _new_cells(column: Column) -> list[int]:
    """The cell of the texts that the profile does not list."""
    listed = isinstance(column, CategoricalColumn) and column.type == "string"
    return [len(column.values)] if isinstance(column, CategoricalColumn) and listed else []


def _outer_cells(column: Column) -> list[int]:
    """The bins below the least and above the greatest value of the reference, where the edges tell them apart."""
    if not isinstance(column, NumericColumn) or not column.edges or column.min is None or column.max is None:
        return []
    low = [0] if column.counts[0] == 0 and column.edges[0] == column.min else []
    above = column.counts[-1] == 0 and column.edges[-1] == np.nextafter(column.max, np.inf)
    return [*low, len(column.counts) - 1] if above else low


_OF_SHARES: Mapping[str, Callable[[Ints, Ints, Ints], Floats]] = {
    "psi": distances.psi,
    "jensen_shannon": distances.jensen_shannon,
    "hellinger": distances.hellinger,
    "chi2": distances.chi2,
}
_RATED: Mapping[str, Callable[[Column], list[int]]] = {
    "missing_rate": _null_cells,
    "new_category_rate": _new_cells,
    "out_of_range_rate": _outer_cells,
}
_Measuring: TypeAlias = Callable[[Profile, Ints, str, Ints], Measured | None]
_MEASURING: Mapping[str, _Measuring] = {
    **dict.fromkeys(SHARES, _shares),
    **dict.fromkeys(RATES, _rates),
}


def effects_of(
    profile: Profile, observed: Ints, references: Ints | None = None, numbers: Numbers | None = None
) -> Floats:
    """How far each column moved, shape (groups, columns of the profile), comparable between columns; `references` and
    `numbers` as of `measure`.

    Of numbers the Wasserstein distance in standard deviations of the reference, negative where the mean fell; where the
    reference has one value only, and of texts, the share of rows that would have to be others (total variation).
    """
    every = cells_of_all(profile)
    compared = profile.reference if references is None else references
    effects = distances.total_variation(compared[..., every.chosen], observed[:, every.chosen], every.starts)
    known = numbers_of(profile, observed, references) if numbers is None else numbers
    if known is None:
        return effects
    cells, values, reference, seen, m, n, _ = known
    spread = distances.Spread(cells.starts, len(cells.chosen))
    moved = (seen / np.maximum(spread(n), 1) - reference / np.maximum(spread(m), 1)) * values
    area = _areas(known)
    signed = np.where(np.add.reduceat(moved, cells.starts, axis=1) < 0, -area, area)
    varied = np.maximum.reduceat(cells.reference, cells.starts) < np.add.reduceat(cells.reference, cells.starts)
    at = [index for index, column in enumerate(profile.columns) if isinstance(column, NumericColumn)]
    effects[:, at] = np.where(varied & (n > 0), signed, effects[:, at])
    return effects
