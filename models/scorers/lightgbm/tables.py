"""LightGBM's contributions from tables: the same numbers as `pred_contrib`, to rounding, many rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.scorers.tree_tables import MOST_BYTES, Bools, Floats, Leaf, Split, TreeTable, table_of

LEAST_ROWS = 32
"""Fewer rows are explained faster by the library."""
_ZERO = 1e-35  # LightGBM's kZeroThreshold: nearer to 0 is 0


class Cells(NamedTuple):
    """How a feature's values fall into cells, and a value of each.

    `bounds` between the cells of numbers, with cells for 0 and NaN besides; or, of categories, the greatest code, with
    cells for all others and NaN.
    """

    bounds: Floats
    greatest: int | None
    values: Floats

    def of(self, column: Floats) -> npt.NDArray[np.int64]:
        """The cell of each value, shape (n,)."""
        missing, last = np.isnan(column), len(self.values) - 1
        if self.greatest is not None:
            codes = np.where(missing, 0.0, np.clip(column, -1.0, self.greatest + 1.0)).astype(np.int64)
            return np.where(missing, last, np.where(codes < 0, self.greatest + 1, codes))
        found = np.searchsorted(self.bounds, column, side="left")
        return np.where(missing, last, np.where(np.abs(column) <= _ZERO, last - 1, found))


class LightgbmTables:
    """The tables of a booster. `outputs`: how many raw scores it has for a row."""

    def __init__(self, cells: Sequence[Cells], tables: Sequence[TreeTable], outputs: int) -> None:
        self._cells, self._tables, self._outputs = cells, tables, outputs
        self.nbytes = sum(table.nbytes for table in tables)

    @classmethod
    def of_booster(cls, booster: Any) -> "LightgbmTables | None":
        """Made in about a second of 100 trees of 31 leaves; None for linear trees, and for too large tables."""
        best = booster.best_iteration if booster.best_iteration > 0 else None
        dumped = booster.dump_model(num_iteration=best)
        roots = [tree["tree_structure"] for tree in dumped["tree_info"]]
        cells = _cells_of(roots, booster.num_feature())
        if cells is None:
            return None
        tables, left = [], MOST_BYTES
        for root in roots:
            table = table_of(_tree(root, cells), left)
            if table is None:
                return None
            tables.append(table)
            left -= table.nbytes
        return cls(cells, tables, int(dumped["num_tree_per_iteration"]))

    def contributions(self, rows: Floats) -> Floats:
        """As `pred_contrib` of n rows: shape (n, outputs, features + 1), base values last."""
        found = np.zeros((len(rows), self._outputs, len(self._cells) + 1))
        cells = [each.of(rows[:, feature]) for feature, each in enumerate(self._cells)]
        for number, table in enumerate(self._tables):
            output = found[:, number % self._outputs]
            output[:, -1] += table.base
            if table.features:
                table.add(cells, output)
        return found


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    if "split_index" in node:
        yield from _nodes(node["left_child"])
        yield from _nodes(node["right_child"])


def _cells_of(roots: Sequence[Mapping[str, Any]], features: int) -> list[Cells] | None:
    """The cells of each feature over all trees; None for linear trees."""
    bounds: list[set[float]] = [set() for _ in range(features)]
    codes: list[set[int]] = [set() for _ in range(features)]
    for node in (node for root in roots for node in _nodes(root)):
        if "leaf_coeff" in node:
            return None
        if "split_index" not in node:
            continue
        if node["decision_type"] == "==":
            codes[node["split_feature"]] |= _codes(node)
        else:
            bounds[node["split_feature"]].add(node["threshold"])
    return [_cells(np.array(sorted(numbers)), listed) for numbers, listed in zip(bounds, codes, strict=True)]


def _cells(bounds: Floats, codes: set[int]) -> Cells:
    if codes:
        return Cells(bounds, max(codes), np.append(np.arange(max(codes) + 2.0), np.nan))
    return Cells(bounds, None, np.concatenate([bounds, [np.inf, 0.0, np.nan]]))


def _codes(node: Mapping[str, Any]) -> set[int]:
    return {int(code) for code in str(node["threshold"]).split("||")}


def _tree(node: Mapping[str, Any], cells: Sequence[Cells]) -> Split | Leaf:
    if "split_index" not in node:
        return Leaf(float(node["leaf_value"]))
    left = node["left_child"]
    count = left.get("internal_count", left.get("leaf_count"))
    goes_left = _goes_left(node, cells[node["split_feature"]].values)
    share = count / node["internal_count"]
    return Split(node["split_feature"], goes_left, share, _tree(left, cells), _tree(node["right_child"], cells))


def _goes_left(node: Mapping[str, Any], values: Floats) -> Bools:
    """Which values go left, as LightGBM decides: NaN is 0 where training saw none, and no category."""
    missing = np.isnan(values)
    filled = np.where(missing, 0.0, values)
    if node["decision_type"] == "==":
        return np.isin(filled.astype(np.int64), list(_codes(node))) & ~missing
    apart = {"NaN": missing, "Zero": np.abs(filled) <= _ZERO}.get(node["missing_type"])
    below: Bools = filled <= node["threshold"]
    return below if apart is None else np.where(apart, node["default_left"], below)
