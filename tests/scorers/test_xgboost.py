"""Kind xgboost: the contract, and what it computes and refuses beyond it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.scorers.samples import delays, frame, late, prepared, sample
from tests.unit.models.bundles import INPUTS, NUMBERS, document, flights


def train(path: Path, strings: bool, **parameters: Any) -> Any:
    import xgboost

    rows = frame(strings=strings)
    classes = np.arange(300) % 3 if "num_class" in parameters else late()
    data = xgboost.DMatrix(rows, classes, enable_categorical=strings)
    booster = xgboost.train({"max_depth": 3, "nthread": 1, **parameters}, data, 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    booster.save_model(path)
    return booster


def categories(folder: Path) -> dict[str, Any]:
    train(folder / "model.ubj", True, objective="binary:logistic")
    return document("xgboost", inputs=INPUTS[::-1])


def numbers(folder: Path) -> dict[str, Any]:
    train(folder / "model.json", False, objective="reg:squarederror")
    return document("xgboost", inputs=NUMBERS, output={"kind": "regression"})


def answering_nan(folder: Path) -> Sample:
    """A booster whose leaves were all edited to NaN."""
    import xgboost

    folder.mkdir(parents=True)
    rows = np.array([[0.0], [1.0], [2.0], [3.0]])
    booster = xgboost.train({"max_depth": 1}, xgboost.DMatrix(rows, rows[:, 0]), 1)
    model = json.loads(booster.save_raw("json"))
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [float("nan")] * len(tree["split_conditions"])
        tree["base_weights"] = tree["split_conditions"]
    (folder / "model.json").write_text(json.dumps(model))
    return delays("regression", 0.0, 3.0)


test_categories = contract_tests("xgboost", sample(categories), label="xgboost-categories", make_nan=answering_nan)
test_numbers = contract_tests("xgboost", sample(numbers), label="xgboost-numbers")


def loaded(folder: Path, inputs: Any = NUMBERS, **changes: Any) -> Scorer:
    manifest = write_bundle("xgboost", folder, document("xgboost", inputs=inputs, **changes))
    return load_scorer("xgboost", folder, manifest)


def test_scores_equal_the_library(tmp_path: Path) -> None:
    import xgboost

    booster = train(tmp_path / "model.ubj", True, objective="binary:logistic")
    expected = booster.predict(xgboost.DMatrix(frame(30), enable_categorical=True))
    np.testing.assert_allclose(loaded(tmp_path, INPUTS).score(flights(30)), expected, atol=1e-7)


def test_columns_are_fed_by_name(tmp_path: Path) -> None:
    train(tmp_path / "model.ubj", False, objective="binary:logistic")
    forth = loaded(tmp_path, NUMBERS).score(prepared(NUMBERS, 20))
    back = loaded(tmp_path, NUMBERS[::-1]).score(prepared(NUMBERS[::-1], 20))
    np.testing.assert_array_equal(forth, back)


def test_null_is_missing(tmp_path: Path) -> None:
    import xgboost

    booster = train(tmp_path / "model.ubj", False, objective="binary:logistic")
    nullable = [{"name": "delay", "type": "number", "nullable": True}, *NUMBERS[1:]]
    scorer = loaded(tmp_path, nullable)
    rows = flights(3).select(["delay", "distance", "weekend"]).set_column(0, "delay", pa.nulls(3, pa.float64()))
    missing = frame(3, strings=False).assign(delay=np.nan)
    np.testing.assert_allclose(scorer.score(rows), booster.predict(xgboost.DMatrix(missing)), atol=1e-7)


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_class_is_the_most_probable(tmp_path: Path, objective: str) -> None:
    import xgboost

    booster = train(tmp_path / "model.ubj", False, objective=objective, num_class=3)
    answer = booster.predict(xgboost.DMatrix(frame(40, strings=False)))
    expected = answer if answer.ndim == 1 else answer.argmax(axis=1)
    found = loaded(tmp_path, output={"kind": "class"}).score(prepared(NUMBERS, 40))
    np.testing.assert_array_equal(found, expected)
    assert len(set(found)) > 1


def test_positive_class_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    train(tmp_path / "model.ubj", False, objective="multi:softprob", num_class=3)
    rows = prepared(NUMBERS, 20)
    named = {"parameters": {"classes": ["early", "late", "on time"]}}
    each = [
        loaded(tmp_path, output={"kind": "probability", "positive": name}, **named).score(rows)
        for name in ("early", "late", "on time")
    ]
    np.testing.assert_allclose(np.sum(each, axis=0), 1.0, atol=1e-6)
    with pytest.raises(WillNotLoad, match="positive None; allowed: early, late, on time"):
        loaded(tmp_path, **named)


def test_probability_of_the_first_class_is_the_rest(tmp_path: Path) -> None:
    train(tmp_path / "model.ubj", False, objective="binary:logistic")
    rows = prepared(NUMBERS, 20)
    first = loaded(tmp_path, output={"kind": "probability", "positive": "0"}).score(rows)
    np.testing.assert_allclose(first + loaded(tmp_path).score(rows), 1.0)


def test_best_iteration_answers(tmp_path: Path) -> None:
    import xgboost

    booster = train(tmp_path / "model.ubj", False, objective="binary:logistic")
    booster.set_attr(best_iteration="2")
    booster.save_model(tmp_path / "model.ubj")
    expected = booster.predict(xgboost.DMatrix(frame(9, strings=False)), iteration_range=(0, 3))
    found = loaded(tmp_path).score(prepared(NUMBERS, 9))
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_linear_booster_scores(tmp_path: Path) -> None:
    import xgboost

    booster = train(tmp_path / "model.ubj", False, booster="gblinear", objective="binary:logistic")
    expected = booster.predict(xgboost.DMatrix(frame(9, strings=False)))
    found = loaded(tmp_path).score(prepared(NUMBERS, 9))
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        ("reg:squarederror", {}, "objective 'reg:squarederror'; allowed for a probability"),
        ("binary:logistic", {"inputs": INPUTS}, "inputs delay, distance, weekend, carrier; allowed: the trained"),
        ("binary:logistic", {"parameters": {"treshold": 1}}, "parameter 'treshold' is unknown; allowed: classes"),
        ("binary:logistic", {"parameters": {"classes": ["late"]}}, "allowed: a list of 2 different strings"),
        ("binary:logistic", {"output": {"kind": "probability", "positive": "yes"}}, "'yes'; allowed: 0, 1"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, objective: str, changes: dict[str, Any], message: str) -> None:
    train(tmp_path / "model.ubj", False, objective=objective)
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path, **changes)


def test_string_without_categories_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "model.ubj", False, objective="binary:logistic")
    inputs = [{"name": "delay", "type": "string"}, *NUMBERS[1:]]
    with pytest.raises(WillNotLoad, match="'delay' is a string; allowed: numbers, or a categorical feature"):
        loaded(tmp_path, inputs)
