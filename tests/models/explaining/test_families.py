"""Each family's own contributions: they add up to the margin, and the margin is the score's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.scorers import Scorer, load_scorer
from models.scorers.contributions import Contributions, margins_of
from models.testing.subject import write_bundle
from tests.models.bundle_folders import INPUTS, NUMBERS, document, flights
from tests.models.scorers.samples import frame, late, prepared

PROBABILITY, CLASS, REGRESSION = {"kind": "probability"}, {"kind": "class"}, {"kind": "regression"}
THIRDS = np.arange(300) % 3
MINUTES = np.abs(frame(strings=False).delay.to_numpy()) + 1


def own(scorer: Scorer, inputs: list[dict[str, Any]], rows: int = 40) -> Contributions:
    """The contributions by the kind's method, which make up the margin of each score."""
    batch = prepared(inputs, rows)
    found = scorer.contributions(batch)
    assert found is not None
    assert found.off().max() < 1e-6
    wanted = margins_of(scorer.score(batch), found.scale)
    if wanted is not None:
        known = np.isfinite(wanted)
        np.testing.assert_allclose(found.margins[known], wanted[known], rtol=1e-3, atol=1e-3)
    return found


def loaded(kind: str, folder: Path, inputs: list[dict[str, Any]], output: dict[str, Any]) -> Scorer:
    return load_scorer(kind, folder, write_bundle(kind, folder, document(kind, inputs=inputs, output=output)))


@pytest.mark.parametrize(
    ("output", "target", "scale", "settings"),
    [
        (PROBABILITY, late(), "log_odds", {"objective": "binary"}),
        (PROBABILITY, late(), "log_odds", {"objective": "binary", "sigmoid": 2}),
        (PROBABILITY | {"positive": "0"}, late(), "log_odds", {"objective": "binary"}),
        (PROBABILITY, late() * 0.5, "log_odds", {"objective": "cross_entropy"}),
        (PROBABILITY, late(), "log_odds", {"objective": "binary", "boosting": "rf", "bagging_freq": 1,
                                           "bagging_fraction": 0.6}),
        (PROBABILITY | {"positive": "1"}, THIRDS, "margin", {"objective": "multiclass", "num_class": 3}),
        (CLASS, THIRDS, "margin", {"objective": "multiclassova", "num_class": 3}),
        (CLASS, late(), "margin", {"objective": "binary"}),
        (REGRESSION, MINUTES, "score", {"objective": "regression"}),
        (REGRESSION, MINUTES, "log", {"objective": "poisson"}),
        (REGRESSION, MINUTES, "margin", {"objective": "regression", "reg_sqrt": True}),
    ],
)  # fmt: skip
def test_lightgbm(tmp_path: Path, output: Any, target: Any, scale: str, settings: Any) -> None:
    import lightgbm

    parameters = {"num_threads": 1, "num_leaves": 7, "verbosity": -1, **settings}
    lightgbm.train(parameters, lightgbm.Dataset(frame(), target), 5).save_model(tmp_path / "model.txt")
    assert own(loaded("lightgbm", tmp_path, INPUTS, output), INPUTS).scale == scale


@pytest.mark.parametrize(
    ("output", "target", "scale", "settings"),
    [
        (PROBABILITY, late(), "log_odds", {"objective": "binary:logistic"}),
        (PROBABILITY | {"positive": "0"}, late(), "log_odds", {"objective": "binary:logistic"}),
        (PROBABILITY | {"positive": "2"}, THIRDS, "margin", {"objective": "multi:softprob", "num_class": 3}),
        (CLASS, THIRDS, "margin", {"objective": "multi:softmax", "num_class": 3}),
        (CLASS, late(), "margin", {"objective": "binary:logistic"}),
        (REGRESSION, MINUTES, "score", {"objective": "reg:squarederror"}),
        (REGRESSION, MINUTES, "log", {"objective": "reg:gamma"}),
        (PROBABILITY, late(), "log_odds", {"objective": "binary:logistic", "booster": "gblinear"}),
    ],
)  # fmt: skip
def test_xgboost(tmp_path: Path, output: Any, target: Any, scale: str, settings: Any) -> None:
    import xgboost

    linear = "booster" in settings
    rows, inputs = (frame(strings=False), NUMBERS) if linear else (frame(), INPUTS)
    matrix = xgboost.DMatrix(rows, target, enable_categorical=True)
    xgboost.train({"nthread": 1, "max_depth": 3, **settings}, matrix, 5).save_model(tmp_path / "model.ubj")
    assert own(loaded("xgboost", tmp_path, inputs, output), inputs).scale == scale


def estimators() -> dict[str, tuple[Any, Any, dict[str, Any], str]]:
    from sklearn import ensemble, linear_model, tree

    return {
        "forest": (ensemble.RandomForestClassifier(5, random_state=0), late(), PROBABILITY, "score"),
        "tree": (tree.DecisionTreeRegressor(max_depth=4), MINUTES, REGRESSION, "score"),
        "boosted": (ensemble.GradientBoostingClassifier(n_estimators=5), late(), PROBABILITY, "log_odds"),
        "histograms": (ensemble.HistGradientBoostingClassifier(max_iter=5), THIRDS, CLASS, "margin"),
        "poisson": (ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=5), MINUTES, REGRESSION, "log"),
        "logistic": (linear_model.LogisticRegression(), late(), PROBABILITY, "log_odds"),
        "ridge": (linear_model.Ridge(), MINUTES, REGRESSION, "score"),
    }


@pytest.mark.parametrize("piped", [False, True], ids=["alone", "piped"])
@pytest.mark.parametrize("name", ["forest", "tree", "boosted", "histograms", "poisson", "logistic", "ridge"])
def test_sklearn(tmp_path: Path, name: str, piped: bool) -> None:
    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    estimator, target, output, scale = estimators()[name]
    rows, inputs = frame(strings=False), NUMBERS
    if piped:
        numbers = make_pipeline(SimpleImputer(), StandardScaler())
        carriers = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = ColumnTransformer([("carrier", carriers, ["carrier"]), ("numbers", numbers, list(rows.columns))])
        estimator, rows, inputs = make_pipeline(columns, estimator), flights(300).to_pandas(), INPUTS
    skops.io.dump(estimator.fit(rows, target), tmp_path / "model.skops")
    found = own(loaded("sklearn", tmp_path, inputs, output), inputs)
    assert found.scale == scale
    assert found.separate == (name in ("logistic", "ridge"))
    assert np.abs(found.values[:, 0]).max() > 0
