"""The tables that hold tiles: a row for each tile of a key, and a row for each value that a tile counts."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.features.sums.totals import Floats as Floats
from transforms.features.sums.totals import Ints as Ints
from transforms.features.sums.totals import Totals
from transforms.flow.sharding import hash_values

FIRST, SUMS, LASTING = "\tfirst", "\tsums", "\tall"
"""What the names of tables end with whose last events are the earliest, and of tables of exact sums."""


class Ranges(NamedTuple):
    """Row ranges [`low`, `high`) of a sorted table, one per query; windows of tiles of `tile_us` end at `end_us`."""

    low: Ints
    high: Ints
    end_us: Ints
    tile_us: int


class ColumnTiles(NamedTuple):
    """Tiles of one column, sorted by (code, tile): one entry each, arrays of equal length.

    `code` indexes the keys of the tables, `tile` is the tile's index in time, `n` counts non-null values, `total` and
    `squares` are the exact sums of the values and of their squares (nothing where no answer needs them), `low`, `high`
    are NaN-free numbers (zero for texts), `last` is the value of the greatest (`last_us`, `last_id`).
    """

    code: Ints
    tile: Ints
    n: Ints
    total: Totals
    squares: Totals
    low: Floats
    high: Floats
    last: pa.Array
    last_us: Ints
    last_id: pa.Array


class ValueCounts(NamedTuple):
    """How many `times` each value occurs in each tile, sorted by (code, tile, value).

    A tile with more distinct values than the limit keeps those with the smallest hashes: `kept` is the fraction of
    the hash space that it still covers (1 when nothing was left out), as in a theta sketch. The values and `kept`
    depend on the tile's set of values alone: `kept` is below 1 in exactly the tiles that have too many.
    """

    code: Ints
    tile: Ints
    value: pa.Array
    times: Ints
    kept: Floats


class TileTables(NamedTuple):
    """All tiles of one key column in one shard: `keys` (distinct, sorted) and per column its tiles and values."""

    keys: pa.Array
    tiles: dict[str, ColumnTiles]
    values: dict[str, ValueCounts]


def hash_fraction(values: pa.Array) -> Floats:
    """Each value's hash as a number in [0, 1), from the 53 bits that a float holds, so that none is rounded to 1.

    >>> hash_fraction(pa.array(["a", "b", None])).round(4).tolist()
    [0.7563, 0.6878, 0.0]
    """
    return (hash_values(values) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def is_sums(name: str) -> bool:
    """Whether a table of that name has exact sums.

    >>> is_sums("delay"), is_sums("delay\\tsums"), is_sums("delay\\tsums 3600000000")
    (False, True, True)
    """
    _, tab, last = name.rpartition("\t")
    word, _, decay = last.partition(" ")
    return tab + word == SUMS and (not decay or decay.isdigit())


def group_starts(*sorted_columns: Ints) -> Ints:
    """Where a new group begins in columns that are sorted together."""
    if len(sorted_columns[0]) == 0:
        return np.zeros(0, np.int64)
    changed = np.zeros(len(sorted_columns[0]) - 1, np.bool_)
    for column in sorted_columns:
        changed |= np.diff(column) != 0
    return np.concatenate(([0], np.flatnonzero(changed) + 1))
