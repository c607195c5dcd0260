"""Kind xgboost: the contract, and what it computes and refuses beyond it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.scorers import PartlyScored, Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.models.bundle_folders import INPUTS, NUMBERS, document, flights
from tests.models.scorers.samples import delays, frame, late, prepared, sample


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
    with pytest.raises(WillNotLoad, match="positive None; expected: early, late, on time"):
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
        ("binary:logitraw", {"output": {"kind": "class"}}, "objective 'binary:logitraw'; allowed for a class: binary"),
        (
            "reg:squarederror",
            {"output": {"kind": "class"}},
            "objective 'reg:squarederror'; allowed for a class: binary",
        ),
        ("binary:logistic", {"inputs": INPUTS}, "inputs delay, distance, weekend, carrier; expected: the trained"),
        ("binary:logistic", {"parameters": {"treshold": 1}}, "parameter .treshold. is unknown; allowed: classes"),
        ("binary:logistic", {"parameters": {"classes": ["late"]}}, "expected: a list of 2 different strings"),
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
    with pytest.raises(WillNotLoad, match="'delay' is a string; expected: numbers, or a categorical feature"):
        loaded(tmp_path, inputs)


def categorical(folder: Path, values: list[Any], **options: Any) -> Any:
    """A booster that depends on `floor`, whose values in training were these, and on `delay`; and its frame."""
    import xgboost

    random = np.random.default_rng(2)
    codes = random.integers(0, len(values), 300)
    frame = pd.DataFrame(
        {
            "floor": pd.Categorical([values[code] for code in codes], categories=values),
            "delay": random.normal(0, 0.1, 300),
        }
    )
    data = xgboost.DMatrix(frame, (codes * 7) % len(values) + frame.delay, enable_categorical=True)
    booster = xgboost.train({"max_depth": 4, "nthread": 1, "max_cat_to_onehot": 1, **options}, data, 20)
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.json")
    return frame, booster.inplace_predict(frame)


def of_floors(kind: str, folder: Path, **changes: Any) -> Scorer:
    inputs = [{"name": "floor", "type": kind, "nullable": True}, {"name": "delay", "type": "number"}]
    return loaded(folder, inputs, **{"output": {"kind": "regression"}, **changes})


@pytest.mark.parametrize(
    ("values", "kind", "arrow"),
    [
        ([10, 20, 30, 40, 50], "integer", pa.int64()),
        ([10, 20, 30, 40, 50], "number", pa.float64()),
        ([-7, 0, 2**40, 2**53 + 1], "integer", pa.int64()),
        (["d", "a", "c", "10"], "string", pa.string()),
    ],
)
def test_categories_are_those_of_training(tmp_path: Path, values: list[Any], kind: str, arrow: pa.DataType) -> None:
    frame, expected = categorical(tmp_path, values)
    rows = pa.RecordBatch.from_pydict({"floor": pa.array(frame.floor.tolist(), arrow), "delay": frame.delay.tolist()})
    np.testing.assert_array_equal(of_floors(kind, tmp_path).score(rows), expected)


def test_texts_beyond_ascii_need_their_categories_stated(tmp_path: Path) -> None:
    values = ["éa", "öb", "zz", "über", "ab"]
    frame, expected = categorical(tmp_path, values)
    rows = pa.RecordBatch.from_pydict({"floor": frame.floor.tolist(), "delay": frame.delay.tolist()})
    with pytest.raises(WillNotLoad, match="'floor' has categories beyond ASCII, which xgboost keeps cut off"):
        of_floors("string", tmp_path)
    stated = of_floors("string", tmp_path, parameters={"categories": {"floor": values}})
    np.testing.assert_array_equal(stated.score(rows), expected)


def test_row_with_an_unseen_category_has_no_score_and_its_neighbours_have(tmp_path: Path) -> None:
    frame, expected = categorical(tmp_path, ["b", "d", "f"])
    floors = pa.array([frame.floor[0], "c", None, "a", frame.floor[1]])
    delays = pa.array([frame.delay[0], 0.0, 0.0, 0.0, frame.delay[1]])
    with pytest.raises(PartlyScored) as caught:
        of_floors("string", tmp_path).score(pa.RecordBatch.from_pydict({"floor": floors, "delay": delays}))
    assert sorted(caught.value.failures) == [1, 3]
    assert caught.value.failures[1] == (
        "UnknownCategory",
        "input 'floor': 'c' is not a category of the model; allowed: 'b', 'd', 'f'",
    )
    np.testing.assert_array_equal(caught.value.scores[[0, 4]], expected[:2])
    assert np.isfinite(caught.value.scores[2])


def test_model_that_keeps_no_categories_is_refused_unless_they_are_stated(tmp_path: Path) -> None:
    frame, expected = categorical(tmp_path, [10, 20, 30])
    model = json.loads((tmp_path / "model.json").read_text())
    del model["learner"]["gradient_booster"]["model"]["cats"]  # as xgboost before 3.1 leaves it
    (tmp_path / "model.json").write_text(json.dumps(model))
    rows = pa.RecordBatch.from_pydict({"floor": frame.floor.tolist(), "delay": frame.delay.tolist()})
    with pytest.raises(WillNotLoad, match="'floor' is categorical, and the file does not keep its categories; exp"):
        of_floors("integer", tmp_path)
    stated = of_floors("integer", tmp_path, parameters={"categories": {"floor": [10, 20, 30]}})
    np.testing.assert_array_equal(stated.score(rows), expected)


@pytest.mark.parametrize(
    ("values", "kind", "changes", "message"),
    [
        ([10, 20], "string", {}, "'floor' is of type string and its categories are 10, 20, so none can match"),
        (["10", "20"], "integer", {}, "'floor' is of type integer and its categories are '10', '20', so none can"),
        ([10, 20], "boolean", {}, "'floor' is of type boolean"),
        ([1, 2**53 + 1], "number", {}, "cannot tell its categories beyond 2.53 apart; expected: integer"),
        ([10, 20], "integer", {"categories": {"floor": [10]}}, "stated for 'floor' are not the 2 that the file"),
        ([10, 20], "integer", {"categories": {"floor": [20, 10]}}, "stated for 'floor' are not the 2 that the file"),
        (
            ["ä", "ö"],
            "string",
            {"categories": {"floor": ["ä", "xy"]}},
            "stated for 'floor' are not the 2 that the file",
        ),
        (["é", "ab"], "string", {"categories": {"floor": ["ab", "é"]}}, "stated for 'floor' are not the 2 that the"),
        ([10, 20], "integer", {"categories": {"delay": [10]}}, "names 'delay'; expected: a categorical feature"),
        ([10, 20], "integer", {"categories": {"flor": [10]}}, "names 'flor', no input"),
        ([10, 20], "integer", {"categories": [10]}, r"parameter categories is \[10\]"),
    ],
)
def test_categories_that_do_not_fit_are_refused(
    tmp_path: Path, values: list[Any], kind: str, changes: dict[str, Any], message: str
) -> None:
    categorical(tmp_path, values)
    with pytest.raises(WillNotLoad, match=message):
        of_floors(kind, tmp_path, parameters=changes)


def test_several_targets_are_refused(tmp_path: Path) -> None:
    import xgboost

    rows = frame(50, strings=False)
    xgboost.train({}, xgboost.DMatrix(rows, rows[["delay", "distance"]]), 2).save_model(tmp_path / "model.ubj")
    with pytest.raises(WillNotLoad, match="2 outputs for each row; expected: one, by --setting column=0 to 1"):
        loaded(tmp_path, output={"kind": "regression"})
