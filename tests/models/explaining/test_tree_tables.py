"""Contributions from tables are those of the library, to rounding, whatever the trees and the rows are."""

import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.scorers import load_scorer, tree_tables
from models.scorers.lightgbm import tables
from models.scorers.lightgbm.scorer import LightgbmScorer
from models.scorers.lightgbm.tables import LightgbmTables
from models.scorers.tree_tables import Leaf, Split, table_of
from models.scorers.xgboost import XgboostScorer
from models.scorers.xgboost_tables import XgboostTables
from models.testing.subject import write_bundle
from tests.models.bundle_folders import INPUTS, NUMBERS, document
from tests.models.scorers.samples import frame, late, prepared

Floats = np.ndarray


def rows_of(count: int) -> Floats:
    """Five columns with nulls, zeros, values near zero, and a code of a category."""
    random = np.random.default_rng(3)
    rows = random.normal(size=(count, 5))
    rows[random.random(rows.shape) < 0.1] = np.nan
    rows[random.random(rows.shape) < 0.1] = 0.0
    rows[:, 3] = random.integers(0, 9, count)
    return rows


def trained(settings: dict[str, Any]) -> Any:
    import lightgbm

    rows = rows_of(1500)
    score = np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1] * rows[:, 2]) + (rows[:, 3] % 3)
    target = np.digitize(score, [0.5, 1.5]) if "num_class" in settings else score > 1
    chosen = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 1, **settings}
    return lightgbm.train(chosen, lightgbm.Dataset(rows, target, categorical_feature=[3]), 12)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"objective": "multiclass", "num_class": 3},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"boosting": "dart"},
        {"objective": "regression", "num_leaves": 2},
        {"min_data_in_leaf": 1000},
    ],
)
def test_tables_give_what_the_library_gives(settings: dict[str, Any]) -> None:
    booster, rows = trained(settings), rows_of(400)
    rows[:9] = np.array([0.0, 1e-36, -1e-36, np.nan, 99, -3, -0.5, 1e300, -1e300])[:, np.newaxis]
    made = LightgbmTables.of_booster(booster)
    assert made is not None
    expected = booster.predict(rows, pred_contrib=True, num_threads=1)
    np.testing.assert_allclose(made.contributions(rows).reshape(expected.shape), expected, rtol=0, atol=1e-9)


def test_prepared_scorer_has_the_same_contributions(tmp_path: Path) -> None:
    import lightgbm

    settings = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1}
    lightgbm.train(settings, lightgbm.Dataset(frame(), late()), 8).save_model(tmp_path / "model.txt")
    scorer = load_scorer("lightgbm", tmp_path, write_bundle("lightgbm", tmp_path, document("lightgbm")))
    assert isinstance(scorer, LightgbmScorer)
    batch = prepared(INPUTS, 100)
    before = scorer.contributions(batch)
    scorer.prepare_contributions()
    assert scorer._tables is not None
    after = scorer.contributions(batch)
    np.testing.assert_allclose(after.values, before.values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(after.base, before.base, rtol=0, atol=1e-10)
    few = scorer.contributions(batch.slice(0, 3))
    np.testing.assert_allclose(few.values, before.values[:3], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "output"),
    [
        ({"objective": "binary:logistic"}, {"kind": "probability"}),
        ({"objective": "multi:softprob", "num_class": 3}, {"kind": "probability", "positive": "2"}),
        ({"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.6}, {"kind": "regression"}),
        ({"objective": "binary:logistic", "early": True}, {"kind": "probability"}),
    ],
)
def test_prepared_xgboost_has_the_same_contributions_in_doubles(
    tmp_path: Path, settings: dict[str, Any], output: dict[str, Any]
) -> None:
    import xgboost

    target = np.arange(300) % 3 if "num_class" in settings else late().astype(int)
    matrix = xgboost.DMatrix(frame(strings=False), target)
    early = settings.pop("early", False)
    given = {"evals": [(xgboost.DMatrix(frame(strings=False), 1 - target), "e")], "early_stopping_rounds": 3}
    booster = xgboost.train(
        {"nthread": 1, "max_depth": 4, **settings}, matrix, 8, verbose_eval=False, **(given if early else {})
    )
    booster.save_model(tmp_path / "model.ubj")
    made = document("xgboost", inputs=NUMBERS, output=output)
    scorer = load_scorer("xgboost", tmp_path, write_bundle("xgboost", tmp_path, made))
    assert isinstance(scorer, XgboostScorer)
    batch = prepared(NUMBERS, 100)
    before = scorer.contributions(batch)
    scorer.prepare_contributions()
    assert scorer._tables is not None
    after = scorer.contributions(batch)
    np.testing.assert_allclose(after.values, before.values, rtol=0, atol=1e-5)
    np.testing.assert_allclose(after.base, before.base, rtol=0, atol=1e-5)
    assert after.off().max() < 1e-5


def test_xgboost_with_categories_or_dart_has_no_tables() -> None:
    import xgboost

    matrix = xgboost.DMatrix(frame(), late(), enable_categorical=True)
    one_hot = {"max_cat_to_onehot": 1, "nthread": 1, "objective": "binary:logistic"}
    assert XgboostTables.of_booster(xgboost.train(one_hot, matrix, 5), 0) is None
    numbers = xgboost.DMatrix(frame(strings=False), late())
    assert XgboostTables.of_booster(xgboost.train({"booster": "dart", "nthread": 1}, numbers, 3), 0) is None


def test_a_tree_by_hand_has_the_shapley_values_of_every_ordering() -> None:
    """Features 0 and 1 of two cells each, 0 above 1 above 0 again: worth is averaged where a feature is unknown."""
    left = np.array([True, False])
    inner = Split(0, np.array([False, True]), 0.25, Leaf(4.0), Leaf(-1.0))
    tree = Split(0, left, 0.4, Split(1, left, 0.5, inner, Leaf(2.0)), Leaf(7.0))
    table = table_of(tree)
    assert table is not None

    def worth(node: Split | Leaf, row: tuple[int, int], known: set[int]) -> float:
        if isinstance(node, Leaf):
            return node.value
        if node.feature in known:
            return worth(node.left if node.goes_left[row[node.feature]] else node.right, row, known)
        return node.share * worth(node.left, row, known) + (1 - node.share) * worth(node.right, row, known)

    assert table.base == pytest.approx(worth(tree, (0, 0), set()))
    for row in ((0, 0), (0, 1), (1, 0), (1, 1)):
        expected = np.zeros(2)
        for order in permutations((0, 1)):
            for known, feature in enumerate(order):
                before, after = set(order[:known]), set(order[: known + 1])
                expected[feature] += worth(tree, row, after) - worth(tree, row, before)
        found = np.zeros((1, 2))
        table.add([np.array([cell]) for cell in row], found)
        np.testing.assert_allclose(found[0], expected / math.factorial(2), atol=1e-12)


def test_what_would_be_too_large_or_is_linear_has_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    import lightgbm

    rows = np.nan_to_num(rows_of(500))
    linear = lightgbm.train(
        {"linear_tree": True, "verbosity": -1, "num_threads": 1}, lightgbm.Dataset(rows, rows[:, 0] * rows[:, 1]), 3
    )
    assert LightgbmTables.of_booster(linear) is None
    monkeypatch.setattr(tables, "MOST_BYTES", 20_000)
    assert LightgbmTables.of_booster(trained({})) is None
    deep: Split | Leaf = Leaf(1.0)
    for feature in range(tree_tables._MOST_FEATURES + 1):
        deep = Split(feature, np.array([True, False]), 0.5, deep, Leaf(0.0))
    assert table_of(deep) is None
