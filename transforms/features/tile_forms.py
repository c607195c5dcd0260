"""Tiles and grains as plain bytes: numbers little-endian, Arrow arrays as one Arrow stream.

The Arrow arrays of all tables are the lists of one row, since they differ in length: a stream for each would cost more
than everything else.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from transforms.features.feature_state import Grains, Layout
from transforms.features.sums.totals import Totals
from transforms.features.tile_tables import ColumnTiles, TileTables, ValueCounts
from transforms.flow.coders import batch_of, stream_of
from transforms.flow.state import Plain

TILES_VERSION, GRAINS_VERSION = 5, 3
_ARROW, _TOTALS = "", "totals"  # stand for a number's type
_TILE_TYPES = ("<i8", "<i8", "<i8", _TOTALS, _TOTALS, "<f8", "<f8", _ARROW, "<i8", _ARROW)
_NUMBERS = {_TOTALS: "<i8"}
_VALUE_TYPES = ("<i8", "<i8", _ARROW, "<i8", "<f8")

_Table: TypeAlias = tuple[str, tuple[bytes, ...]]  # a column's name, and the numbers kept of it
_Tables: TypeAlias = tuple[tuple[_Table, ...], tuple[_Table, ...], bytes]  # tiles, values, the Arrow stream


class TilesForm:
    """The state of a shard: its layout, the watermark in microseconds, and its closed tiles or None."""

    _plain = Plain(tuple[Layout, int, _Tables | None])

    def encode(self, value: tuple[Layout, int, TileTables | None]) -> bytes:
        layout, watermark_us, tables = value
        return self._plain.encode((layout, watermark_us, None if tables is None else _packed(tables)))

    def decode(self, encoded: bytes) -> tuple[Layout, int, TileTables | None]:
        layout, watermark_us, tables = self._plain.decode(encoded)
        return layout, watermark_us, None if tables is None else _unpacked(*tables)


class GrainsForm:
    """Grains of open tiles."""

    _plain = Plain(tuple[int, _Tables])

    def encode(self, value: Grains) -> bytes:
        return self._plain.encode((value.level, _packed(value.tables)))

    def decode(self, encoded: bytes) -> Grains:
        level, tables = self._plain.decode(encoded)
        return Grains(level, _unpacked(*tables))


def _packed(tables: TileTables) -> tuple[list[Any], list[Any], memoryview]:
    arrays = [tables.keys]
    tiles = [(name, _numbers(table, _TILE_TYPES, arrays)) for name, table in tables.tiles.items()]
    values = [(name, _numbers(table, _VALUE_TYPES, arrays)) for name, table in tables.values.items()]
    lists = [pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array) for array in arrays]
    return tiles, values, memoryview(stream_of(pa.RecordBatch.from_arrays(lists, [""] * len(lists))))


def _numbers(table: Iterable[Any], types: tuple[str, ...], arrays: list[pa.Array]) -> list[bytes]:
    """The numbers of a table as bytes; its arrays of Arrow are appended to `arrays`."""
    found = []
    for column, kind in zip(table, types, strict=True):
        if kind is _ARROW:
            arrays.append(column)
            continue
        own = (column.limbs, column.digits) if kind is _TOTALS else (column,)
        found += [each.astype(_NUMBERS.get(kind, kind), copy=False).tobytes() for each in own]
    return found


def _unpacked(tiles: tuple[_Table, ...], values: tuple[_Table, ...], stream: bytes) -> TileTables:
    arrays = iter([column.values for column in batch_of(stream).columns])
    keys = _next(arrays)
    return TileTables(
        keys,
        {name: ColumnTiles(*_columns(numbers, _TILE_TYPES, arrays)) for name, numbers in tiles},
        {name: ValueCounts(*_columns(numbers, _VALUE_TYPES, arrays)) for name, numbers in values},
    )


def _columns(numbers: tuple[bytes, ...], types: tuple[str, ...], arrays: Iterator[pa.Array]) -> list[Any]:
    """A table's columns. Raises `ValueError` where some are missing or of another length."""
    own, columns = iter(numbers), list[Any]()
    for kind in types:
        column = _next(arrays) if kind is _ARROW else np.frombuffer(_next(own), _NUMBERS.get(kind, kind))
        if kind is _TOTALS:
            column = Totals(column, np.frombuffer(_next(own), "<i8").reshape(len(column), len(columns[0])))
        columns.append(column)
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"a table with columns of {', '.join(str(len(column)) for column in columns)} rows")
    return columns


def _next(columns: Iterator[Any]) -> Any:
    for column in columns:
        return column
    raise ValueError("a table that lacks columns")
