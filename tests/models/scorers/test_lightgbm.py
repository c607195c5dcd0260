"""Kind lightgbm: the contract, and what it computes and refuses beyond it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.models.bundle_folders import INPUTS, NUMBERS, document
from tests.models.scorers.samples import delays, frame, late, prepared, sample


def train(path: Path, rows: Any, **parameters: Any) -> Any:
    import lightgbm

    classes = np.arange(300) % 3 if "num_class" in parameters else late()
    settings = {"num_threads": 1, "num_leaves": 7, "verbosity": -1, **parameters}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, classes), 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    booster.save_model(path)
    return booster


def categories(folder: Path) -> dict[str, Any]:
    train(folder / "model.txt", frame(), objective="binary")
    return document("lightgbm", inputs=INPUTS[::-1])


def matrix(folder: Path) -> dict[str, Any]:
    train(folder / "model.lgb", frame(strings=False).to_numpy(), objective="regression")
    return document("lightgbm", inputs=NUMBERS, output={"kind": "regression"})


def answering_nan(folder: Path) -> Sample:
    """A booster whose leaves were all edited to NaN; the sizes of its trees stay true."""
    import lightgbm

    folder.mkdir(parents=True)
    rows = np.linspace(0.0, 3.0, 60).reshape(-1, 1)
    settings = {"num_threads": 1, "num_leaves": 2, "verbosity": -1, "objective": "regression"}
    text = lightgbm.train(settings, lightgbm.Dataset(rows, rows[:, 0]), 1).model_to_string()
    values = re.search(r"leaf_value=(.*)", text)
    assert values
    edited = " ".join("nan".ljust(len(value)) for value in values[1].split(" "))
    (folder / "model.txt").write_text(text.replace(values[1], edited))
    return delays("regression", 0.0, 3.0)


test_categories = contract_tests("lightgbm", sample(categories), label="lightgbm-categories", make_nan=answering_nan)
test_matrix = contract_tests("lightgbm", sample(matrix), label="lightgbm-matrix")


def loaded(folder: Path, inputs: Any = NUMBERS, **changes: Any) -> Scorer:
    manifest = write_bundle("lightgbm", folder, document("lightgbm", inputs=inputs, **changes))
    return load_scorer("lightgbm", folder, manifest)


def test_scores_equal_the_library(tmp_path: Path) -> None:
    booster = train(tmp_path / "model.txt", frame(), objective="binary")
    found = loaded(tmp_path, INPUTS).score(prepared(INPUTS, 30))
    np.testing.assert_array_equal(found, booster.predict(frame(30)))


def test_unknown_category_is_missing(tmp_path: Path) -> None:
    booster = train(tmp_path / "model.txt", frame(), objective="binary")
    scorer = loaded(tmp_path, INPUTS)
    rows = prepared(INPUTS, 2)
    strange = rows.set_column(3, "carrier", pa.array(["ZZ", "YY"]))
    missing = frame(2)
    missing["carrier"] = missing.carrier.cat.set_categories(["none"])
    np.testing.assert_array_equal(scorer.score(strange), booster.predict(missing))


def test_class_is_the_most_probable(tmp_path: Path) -> None:
    booster = train(tmp_path / "model.txt", frame(strings=False), objective="multiclass", num_class=3)
    expected = booster.predict(frame(40, strings=False)).argmax(axis=1)
    found = loaded(tmp_path, output={"kind": "class"}).score(prepared(NUMBERS, 40))
    np.testing.assert_array_equal(found, expected)
    assert len(set(found)) > 1


def test_binary_class_is_the_likelier(tmp_path: Path) -> None:
    train(tmp_path / "model.txt", frame(strings=False), objective="binary")
    rows = prepared(NUMBERS, 40)
    probabilities = loaded(tmp_path).score(rows)
    np.testing.assert_array_equal(loaded(tmp_path, output={"kind": "class"}).score(rows), probabilities > 0.5)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_file_that_is_cut_off_is_refused_and_the_process_lives(tmp_path: Path, share: float) -> None:
    path = tmp_path / "model.txt"
    train(path, frame(), objective="binary")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(whole.index(b"end of trees") * share)])
    with pytest.raises(WillNotLoad, match="lightgbm: "):
        loaded(tmp_path, INPUTS)


def test_tree_that_lost_a_line_is_refused_and_the_process_lives(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    train(path, frame(), objective="binary")
    text = path.read_text()
    line = re.search(r"\nsplit_feature=.*", text)
    assert line
    path.write_text(text.replace(line[0], "\n" + "#" * (len(line[0]) - 1), 1))
    with pytest.raises(WillNotLoad, match="split_feature"):
        loaded(tmp_path, INPUTS)


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        ("regression", {}, "objective 'regression'; allowed for a probability: binary"),
        ("regression", {"output": {"kind": "class"}}, "objective 'regression'; allowed for a class: binary"),
        ("poisson", {"output": {"kind": "class"}}, "objective 'poisson'; allowed for a class: binary"),
        ("binary", {"inputs": NUMBERS[:2]}, "inputs delay, distance; expected: the trained delay, distance, weekend"),
        ("binary", {"parameters": {"threads": 1}}, "parameter 'threads' is unknown; allowed: classes"),
        (
            "binary",
            {"inputs": [*NUMBERS[:2], {"name": "weekend", "type": "string"}]},
            "'weekend' is a string; expected: numbers, or a",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, objective: str, changes: dict[str, Any], message: str) -> None:
    train(tmp_path / "model.txt", frame(strings=False), objective=objective)
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path, **changes)


def of_categories(folder: Path, columns: dict[str, Any], **options: Any) -> tuple[Any, Any]:
    """A booster trained on these columns, which depends on the index of each row's categories; and its answers."""
    import lightgbm

    rows = pd.DataFrame(columns)
    target = sum((index + 2) * (code * 7 % 5) for index, code in enumerate(codes(rows)))
    settings = {"num_threads": 1, "verbosity": -1, "min_data_per_group": 1, "cat_smooth": 0.1}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, target, **options), 20)
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.txt")
    return rows, booster.predict(rows)


def codes(rows: pd.DataFrame) -> list[Any]:
    """Of each column the codes of its categories, or its integers."""
    return [rows[name].cat.codes if rows[name].dtype.name == "category" else rows[name] for name in rows]


def drawn(values: list[Any], seed: int, ordered: bool = False) -> Any:
    """300 of these categories."""
    picked = np.random.default_rng(seed).integers(0, len(values), 300)
    return pd.Categorical([values[code] for code in picked], categories=values, ordered=ordered)


def regression(folder: Path, types: dict[str, str], **parameters: Any) -> Scorer:
    inputs = [{"name": name, "type": kind, "nullable": True} for name, kind in types.items()]
    return loaded(folder, inputs, output={"kind": "regression"}, parameters=parameters)


def batch(rows: pd.DataFrame) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: rows[name].tolist() for name in rows})


@pytest.mark.parametrize(
    ("columns", "types", "options"),
    [
        ({"floor": drawn([10, 20, 30], 1)}, {"floor": "integer"}, {}),
        ({"floor": drawn([2**53, 2**53 + 1, -7], 1)}, {"floor": "integer"}, {}),
        ({"floor": drawn([1.5, 0.0, 2.5], 1)}, {"floor": "number"}, {}),
        ({"on": drawn([True, False], 1)}, {"on": "boolean"}, {}),
        ({"floor": drawn([10, 20], 1), "town": drawn(["x", "y", "z"], 2)}, {"town": "string", "floor": "integer"}, {}),
        ({"a": drawn(["lo", "hi"], 1, True), "b": drawn(["x", "y"], 2)}, {"a": "string", "b": "string"}, {}),
        ({"a": drawn(["k"], 1), "b": drawn(["x", "y"], 2)}, {"a": "string", "b": "string"}, {}),
        (
            {"kids": np.arange(300) % 4, "town": drawn(["x", "y", "z"], 2)},
            {"town": "string", "kids": "integer"},
            {"categorical_feature": ["kids", "town"]},
        ),
    ],
)
def test_categories_are_those_of_training(tmp_path: Path, columns: Any, types: Any, options: Any) -> None:
    rows, expected = of_categories(tmp_path, columns, **options)
    np.testing.assert_array_equal(regression(tmp_path, types).score(batch(rows)), expected)


@pytest.mark.parametrize(
    ("columns", "types", "message"),
    [
        ({"floor": drawn([10, 20, 30], 1)}, {"floor": "string"}, "type string and its categories are 10, 20, 30, so"),
        ({"town": drawn(["10", "20"], 1)}, {"town": "integer"}, "type integer and its categories are '10', '20', so"),
        ({"floor": drawn([10, 20, 30], 1)}, {"floor": "boolean"}, "type boolean and its categories are 10, 20, 30"),
    ],
)
def test_input_that_can_match_no_category_is_refused(tmp_path: Path, columns: Any, types: Any, message: str) -> None:
    of_categories(tmp_path, columns)
    with pytest.raises(WillNotLoad, match=message):
        regression(tmp_path, types)


def test_lists_that_could_be_of_several_columns_need_to_be_stated(tmp_path: Path) -> None:
    columns = {
        "a": drawn([1, 2], 1, True),
        "b": drawn([5, 6], 2, True),
        "c": drawn([0, 9], 3),
        "kids": np.arange(300) % 2,
    }
    rows, expected = of_categories(tmp_path, columns)
    types = dict.fromkeys(rows, "integer")
    with pytest.raises(WillNotLoad, match="of the 4 features 3 have categories of pandas, and neither the text"):
        regression(tmp_path, types)
    stated = regression(tmp_path, types, categories={"a": [1, 2], "b": [5, 6], "c": [0, 9]})
    np.testing.assert_array_equal(stated.score(batch(rows)), expected)


def test_sample_without_any_known_category_is_doubted(tmp_path: Path) -> None:
    rows, _ = of_categories(tmp_path, {"town": drawn(["10", "20"], 1)})
    scorer = regression(tmp_path, {"town": "string"})
    assert scorer.doubts(batch(rows)) == ""
    strange = pa.RecordBatch.from_pydict({"town": ["10.0", None, "20.0"]})
    assert scorer.doubts(strange) == "input 'town': '10.0' is not a category of the model; allowed: '10', '20'"
