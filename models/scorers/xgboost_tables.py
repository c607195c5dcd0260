"""XGBoost's contributions from tables: the numbers of `pred_contribs`, in doubles, many rows at a time."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from models.scorers.tree_tables import MOST_BYTES, Floats, Leaf, Split, TreeTable, table_of

Bounds: TypeAlias = npt.NDArray[np.float32]
LEAST_ROWS = 32
"""Fewer rows are explained faster by the library."""
_NUMBERS_BELOW = 0  # the type of a split of numbers


class XgboostTables:
    """The tables of a booster of trees. `bounds`: between the cells of each feature; `groups`: which of a row's margins
    each tree adds to; `base`: their base values."""

    def __init__(self, bounds: Sequence[Bounds], tables: Sequence[TreeTable], groups: Sequence[int], base: Floats):
        self._bounds, self._tables, self._groups, self._base = bounds, tables, groups, base

    @classmethod
    def of_booster(cls, booster: Any, iterations: int) -> "XgboostTables | None":
        """Of the first `iterations`, 0 for all; None for other boosters than `gbtree`, categories, trees of several
        targets, and where the tables would be too large."""
        model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
        if model["name"] != "gbtree":
            return None
        ends = model["model"].get("iteration_indptr") or []
        count = int(ends[iterations]) if iterations else len(model["model"]["trees"])
        trees, groups = model["model"]["trees"][:count], model["model"]["tree_info"][:count]
        if any(_is_odd(tree) for tree in trees):
            return None
        bounds = _bounds(trees, booster.num_features())
        tables, left = [], MOST_BYTES
        for tree in trees:
            table = table_of(_node(tree, 0, bounds), left)
            if table is None:
                return None
            tables.append(table)
            left -= table.nbytes
        return cls(bounds, tables, groups, _base(booster, iterations))

    def contributions(self, rows: npt.NDArray[np.float32]) -> Floats:
        """As `pred_contribs` of n rows: shape (n, outputs, features + 1), base values last."""
        found = np.zeros((len(rows), len(self._base), len(self._bounds) + 1))
        found[:, :, -1] = self._base
        cells = [_cells(rows[:, feature], bounds) for feature, bounds in enumerate(self._bounds)]
        for group, table in zip(self._groups, self._tables, strict=True):
            if table.features:
                table.add(cells, found[:, group])
        return found


def _base(booster: Any, iterations: int) -> Floats:
    """The base values of the library, which are the same for every row."""
    import xgboost

    named = {"feature_names": booster.feature_names, "feature_types": booster.feature_types}
    one = xgboost.DMatrix(np.zeros((1, booster.num_features()), np.float32), **named)
    parts = booster.predict(one, pred_contribs=True, iteration_range=(0, iterations))
    base: Floats = parts.astype(np.float64).reshape(-1, booster.num_features() + 1)[:, -1]
    return base


def _is_odd(tree: Mapping[str, Any]) -> bool:
    several = int(tree["tree_param"].get("size_leaf_vector", "1")) > 1
    return several or any(each != _NUMBERS_BELOW for each in tree["split_type"])


def _bounds(trees: Sequence[Mapping[str, Any]], features: int) -> list[Bounds]:
    found: list[set[float]] = [set() for _ in range(features)]
    for tree in trees:
        for node, left in enumerate(tree["left_children"]):
            if left >= 0:
                found[tree["split_indices"][node]].add(tree["split_conditions"][node])
    return [np.unique(np.array(sorted(each), np.float32)) for each in found]


def _cells(column: npt.NDArray[np.float32], bounds: Bounds) -> npt.NDArray[np.int64]:
    """The cell of each value: how many bounds it is not below; the last is that of missing values."""
    return np.where(np.isnan(column), len(bounds) + 1, np.searchsorted(bounds, column, side="right"))


def _node(tree: Mapping[str, Any], node: int, bounds: Sequence[Bounds]) -> Split | Leaf:
    left, right = tree["left_children"][node], tree["right_children"][node]
    condition = np.float32(tree["split_conditions"][node])
    if left < 0:
        return Leaf(float(condition))
    feature = tree["split_indices"][node]
    below = np.arange(len(bounds[feature]) + 2) <= np.searchsorted(bounds[feature], condition)
    below[-1] = bool(tree["default_left"][node])
    share = tree["sum_hessian"][left] / tree["sum_hessian"][node]
    return Split(feature, below, share, _node(tree, left, bounds), _node(tree, right, bounds))
