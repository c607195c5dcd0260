"""Kind lightgbm: the contract, and what it computes and refuses beyond it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.scorers.samples import delays, frame, late, prepared, sample
from tests.unit.models.bundles import INPUTS, NUMBERS, document


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
        ("binary", {"inputs": NUMBERS[:2]}, "inputs delay, distance; allowed: the trained delay, distance, weekend"),
        ("binary", {"parameters": {"threads": 1}}, "parameter 'threads' is unknown; allowed: classes"),
        ("binary", {"inputs": [*NUMBERS[:2], {"name": "weekend", "type": "string"}]}, "1 string inputs; allowed: 0"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, objective: str, changes: dict[str, Any], message: str) -> None:
    train(tmp_path / "model.txt", frame(strings=False), objective=objective)
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path, **changes)
