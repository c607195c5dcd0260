"""For a model with several outputs one is chosen when it is published; without a choice it is refused with a
message."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from tests.pipeline.commands.commands import Models, Ran

RANDOM = np.random.default_rng(3)
ROWS = pd.DataFrame(RANDOM.normal(size=(200, 2)), columns=["a", "b"])
BOTH = np.column_stack([2 * ROWS.a - ROWS.b, ROWS.a + 3 * ROWS.b])
SIGNS = (BOTH > 0).astype(int)
REGRESSION, PROBABILITY, CLASS = (("--output", kind) for kind in ("regression", "probability", "class"))


class Trained(NamedTuple):
    """A model in a file, what `publish` must be told of it, and all that it answers for a table, (n, outputs)."""

    path: Path
    words: tuple[str, ...]
    answers: Callable[[pd.DataFrame], Any]


def boosted(folder: Path, labels: Any, **settings: Any) -> Trained:
    import xgboost

    booster = xgboost.train({"max_depth": 3, "nthread": 1, **settings}, xgboost.DMatrix(ROWS, labels), 6)
    booster.save_model(folder / "m.ubj")
    return Trained(folder / "m.ubj", (), lambda rows: booster.predict(xgboost.DMatrix(rows)))


def targets(folder: Path) -> Trained:
    return boosted(folder, BOTH)


def vector_leaves(folder: Path) -> Trained:
    return boosted(folder, BOTH, multi_strategy="multi_output_tree", tree_method="hist")


def linear(folder: Path) -> Trained:
    return boosted(folder, BOTH, booster="gblinear")


def quantiles(folder: Path) -> Trained:
    return boosted(folder, BOTH[:, 0], objective="reg:quantileerror", quantile_alpha=[0.1, 0.9])


def labels(folder: Path) -> Trained:
    return boosted(folder, SIGNS, objective="binary:logistic")


def own_objective(folder: Path) -> Trained:
    import lightgbm

    def towards(found: Any, data: Any) -> tuple[Any, Any]:
        return found - BOTH, np.ones_like(found)

    data, settings = lightgbm.Dataset(ROWS, BOTH[:, 0]), {"objective": towards, "num_class": 2, "verbosity": -1}
    booster = lightgbm.train(settings, data, 6)
    booster.save_model(folder / "m.txt")
    return Trained(folder / "m.txt", (), booster.predict)


def pyfunc(folder: Path) -> Trained:
    """Answers with an array, whose columns have no names."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature
    from mlflow.pyfunc.model import PythonModel

    class Pair(PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return model_input.to_numpy() * [2.0, -1.0]

    mlflow.pyfunc.save_model(
        str(folder / "m"), python_model=Pair(), signature=infer_signature(ROWS), pip_requirements=["none"]
    )
    return Trained(folder / "m", ("--allow_pickle",), lambda rows: rows.to_numpy() * [2.0, -1.0])


def handler(folder: Path) -> Trained:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(ROWS.to_numpy(), BOTH)
    (folder / "m.pkl").write_bytes(pickle.dumps(model))
    named = "handler=apache_beam.ml.inference.sklearn_inference:SklearnModelHandlerNumpy"
    stored = 'arguments={"model_uri": "bundle:model/m.pkl"}'
    words = ("--scorer", "beam", "--allow_pickle", "--setting", named, "--setting", stored)
    return Trained(folder / "m.pkl", words, lambda rows: model.predict(rows.to_numpy()))


def publish(models: Models, made: Trained, *words: str) -> Ran:
    """With the rows as the sample, whose golden records hold the model's own scores."""
    folder = made.path.parent
    ROWS.head(20).to_csv(folder / "rows.csv", index=False)
    given = ("--version", "n1", "--sample", folder / "rows.csv", *made.words, *words)
    return models("publish", made.path, "--json", *given)


MODELS = [targets, vector_leaves, linear, quantiles, labels, own_objective, pyfunc, handler]
EACH = pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)


@EACH
@pytest.mark.parametrize("column", [0, 1])
def test_chosen_column_is_scored(make: Callable[[Path], Trained], column: int, models: Models, tmp_path: Path) -> None:
    made = make(tmp_path)
    ran = publish(models, made, *REGRESSION, "--setting", f"column={column}")
    assert ran.code == 0, ran
    lines = models.store.read_file(models.store.read_manifest("n1"), "golden.jsonl", 2**20).splitlines()
    records = [json.loads(line) for line in lines]
    assert len({record["score"] for record in records}) > 2
    for record in records:
        truth = np.asarray(made.answers(pd.DataFrame([record["inputs"]])[["a", "b"]]))
        assert record["score"] == pytest.approx(truth[0, column], rel=1e-5)


@EACH
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "by --setting column=0 to 1"),
        (("--setting", "column=2"), "column 2; allowed: 0 to 1"),
        (("--setting", "column=-1"), "column -1; expected: an index, counted from 0"),
        (("--setting", "column=true"), "column True; expected: an index, counted from 0"),
    ],
)
def test_column_that_is_none_is_refused_in_words(
    make: Callable[[Path], Trained], words: tuple[str, ...], says: str, models: Models, tmp_path: Path
) -> None:
    ran = publish(models, make(tmp_path), *REGRESSION, *words)
    assert (ran.code, ran.json["reason"]) == (1, "will_not_load"), ran
    assert says in ran.json["detail"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (PROBABILITY, lambda found: found[0, 1]),
        ((*PROBABILITY, "--positive", "0"), lambda found: 1 - found[0, 1]),
        (CLASS, lambda found: float(found[0, 1] > 0.5)),
    ],
)
def test_chosen_label_of_several_has_its_own_classes(
    words: tuple[str, ...], answer: Callable[[Any], float], models: Models, tmp_path: Path
) -> None:
    made = labels(tmp_path)
    ran = publish(models, made, *words, "--setting", "column=1")
    assert ran.code == 0, ran
    for line in models.store.read_file(models.store.read_manifest("n1"), "golden.jsonl", 2**20).splitlines():
        record = json.loads(line)
        found = made.answers(pd.DataFrame([record["inputs"]])[["a", "b"]])
        assert record["score"] == pytest.approx(answer(found), rel=1e-5)


@pytest.mark.parametrize(("labelled", "output"), [(BOTH[:, 0], REGRESSION), (SIGNS[:, 0], PROBABILITY)])
def test_column_of_a_model_of_one_output_is_refused(
    labelled: Any, output: tuple[str, ...], models: Models, tmp_path: Path
) -> None:
    objective = "reg:squarederror" if output == REGRESSION else "binary:logistic"
    made = boosted(tmp_path, labelled, objective=objective)
    ran = publish(models, made, *output, "--setting", "column=0")
    assert (ran.code, ran.json["reason"]) == (1, "will_not_load"), ran
    assert "column 0; expected: none, the model has one output" in ran.json["detail"]
