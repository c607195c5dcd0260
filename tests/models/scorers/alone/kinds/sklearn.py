"""scikit-learn: frames of numbers, integers, booleans and texts, matrices of numbers and of integers; every output."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from tests.models.scorers.alone.cases import Case, Model, Record

_ROWS = 300
_KEYS = [7, 2**53, 2**53 + 1, 2**60 + 1]
_DTYPES = {"number": "float64", "integer": "int64", "boolean": "bool", "string": "str"}
_NULLABLE = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "key", "type": "integer", "nullable": True},
    {"name": "weekend", "type": "boolean", "nullable": True},
    {"name": "carrier", "type": "string", "nullable": True},
]
_MATRIX = [{**entry, "nullable": False} for entry in _NULLABLE[:3]]
_KEY: list[dict[str, Any]] = [
    {"name": "key", "type": "integer"},
    {"name": "floor", "type": "integer", "nullable": True},
]
Answer = Callable[[Any, Any], float]


def flights() -> pd.DataFrame:
    """Flights; the integers `key` differ beyond what a float holds."""
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "delay": random.normal(10, 20, _ROWS),
            "key": random.choice(_KEYS, _ROWS),
            "weekend": random.random(_ROWS) < 0.4,
            "carrier": random.choice(["AA", "DL", "UA"], _ROWS),
            "floor": random.choice([1, 2, 3], _ROWS),
        }
    )


def strain(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """What the models learn."""
    hard = 30 * (rows.key == 2**53 + 1) - 20 * (rows.key == 2**53) + 15 * (rows.carrier == "DL") + 9 * rows.weekend
    return np.asarray(rows.delay + hard + rows.floor, dtype=np.float64)


def encoder(*names: str) -> Any:
    """Keys and texts as categories of their own, all else as numbers without holes."""
    hot = OneHotEncoder(handle_unknown="ignore")
    numbers = [name for name in names if name in ("delay", "weekend")]
    return make_column_transformer((hot, [name for name in names if name not in numbers]), (SimpleImputer(), numbers))


def framed(record: Record, inputs: list[dict[str, Any]]) -> pd.DataFrame:
    """The record alone as pandas has it: a null is NaN, in a text too."""
    columns = {}
    for entry in inputs:
        value = record[entry["name"]]
        kind = "float64" if value is None and entry["type"] != "string" else _DTYPES[entry["type"]]
        columns[entry["name"]] = pd.Series([value], dtype=kind)
    return pd.DataFrame(columns)


def listed(record: Record, inputs: list[dict[str, Any]]) -> npt.NDArray[Any]:
    """The record alone as NumPy has it."""
    return np.array([[np.nan if record[each["name"]] is None else record[each["name"]] for each in inputs]])


def make(
    folder: Path, model: Any, inputs: list[dict[str, Any]], manifest: Mapping[str, Any], truth: Answer, frame: bool
) -> Model:
    """The fitted model in the folder, and its own answer for a record alone."""
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    alone = framed if frame else listed
    rows = flights().head(6).to_dict("records")
    seen = [{each["name"]: row[each["name"]] for each in inputs} for row in rows]
    return Model(
        {"inputs": inputs, **manifest},
        lambda record: float(truth(model, alone(record, inputs))),
        seen,
        {"key": _KEYS, "floor": [1, 2, 9], "carrier": ["AA", "aa"]},
    )


def probability(folder: Path) -> Model:
    rows = flights()
    model = make_pipeline(encoder("delay", "key", "weekend", "carrier"), LogisticRegression(max_iter=500))
    model.fit(rows[["delay", "key", "weekend", "carrier"]], np.where(strain(rows) > 20, "late", "fair"))
    manifest = {"output": {"kind": "probability", "positive": "fair"}}
    return make(folder, model, _NULLABLE, manifest, lambda fitted, row: fitted.predict_proba(row)[0, 0], frame=True)


def labelled(folder: Path) -> Model:
    rows = flights()
    model = make_pipeline(encoder("delay", "key", "weekend", "carrier"), DecisionTreeClassifier(max_depth=6))
    model.fit(rows[["delay", "key", "weekend", "carrier"]], pd.cut(strain(rows), 3, labels=["a", "b", "c"]).astype(str))
    index = {"a": 0, "b": 1, "c": 2}
    manifest = {"output": {"kind": "class"}}
    return make(folder, model, _NULLABLE, manifest, lambda fitted, row: index[fitted.predict(row)[0]], frame=True)


def matrix(folder: Path) -> Model:
    rows = flights()
    model = RandomForestClassifier(10, max_depth=4).fit(rows[["delay", "key", "weekend"]].to_numpy(), strain(rows) > 20)
    manifest = {"output": {"kind": "probability"}}
    return make(folder, model, _MATRIX, manifest, lambda fitted, row: fitted.predict_proba(row)[0, 1], frame=False)


def keys(folder: Path) -> Model:
    rows = flights()
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge())
    model.fit(rows[["key", "floor"]].to_numpy(), np.c_[rows.delay, strain(rows)])
    manifest = {"output": {"kind": "regression"}, "parameters": {"column": 1}}
    return make(folder, model, _KEY, manifest, lambda fitted, row: fitted.predict(row)[0, 1], frame=False)


def anomaly(folder: Path) -> Model:
    inputs: list[dict[str, Any]] = [{"name": "delay", "type": "number"}, {"name": "floor", "type": "integer"}]
    model = IsolationForest(n_estimators=20, random_state=0).fit(flights()[["delay", "floor"]])
    manifest = {"output": {"kind": "regression"}, "parameters": {"method": "score_samples"}}
    return make(folder, model, inputs, manifest, lambda fitted, row: fitted.score_samples(row)[0], frame=True)


CASES = [
    Case("sklearn", each.__name__, partial(each)) for each in (probability, labelled, matrix, keys, anomaly)
]
