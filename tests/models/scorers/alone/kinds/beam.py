"""Beam: its handlers of scikit-learn, of arrays and of DataFrames."""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.models.scorers.alone.cases import Case, Model, Record

_SKLEARN = "apache_beam.ml.inference.sklearn_inference"
_NUMBERS: list[dict[str, Any]] = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": True},
    {"name": "weekend", "type": "boolean", "nullable": True},
]
_CARRIER: dict[str, Any] = {"name": "carrier", "type": "string"}
_SEEN: list[Record] = [
    {"delay": 31.0, "distance": 500, "weekend": True, "carrier": "AA"},
    {"delay": -4.5, "distance": 2400, "weekend": False, "carrier": "DL"},
    {"delay": 0.25, "distance": 100, "weekend": True, "carrier": "UA"},
]


def _flights() -> pd.DataFrame:
    random = np.random.default_rng(4)
    frame = pd.DataFrame({"delay": random.normal(10, 20, 300), "distance": random.integers(50, 2500, 300)})
    frame["weekend"] = random.random(300) < 0.4
    frame["carrier"] = random.choice(["AA", "DL", "UA"], 300)
    return frame


def whole_numbers_are_odd(rows: pd.DataFrame) -> pd.DataFrame:
    """A step that minds the type of a column, as encoders of categories do."""
    return rows.assign(distance=rows.distance + (100 if rows.distance.dtype.kind == "i" else 900))


def _estimator(frames: bool) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    rows = _flights()
    target = rows.delay + rows.distance / 100 + 9 * (rows.carrier == "DL")
    model = HistGradientBoostingRegressor(max_iter=15, max_depth=3, random_state=0)
    if not frames:
        return model.fit(rows.drop(columns="carrier").to_numpy(dtype=float), target)
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier"]), remainder="passthrough"
    )
    steps = (FunctionTransformer(whole_numbers_are_odd), encoder, model)
    return make_pipeline(*steps).fit(rows.astype({"carrier": object}), target)


def _make(folder: Path, frames: bool) -> Model:
    estimator = _estimator(frames)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(estimator))
    inputs = [*_NUMBERS, _CARRIER] if frames else _NUMBERS
    handler = f"{_SKLEARN}:SklearnModelHandler{'Pandas' if frames else 'Numpy'}"
    parameters = {"handler": handler, "arguments": {"model_uri": "bundle:model.pkl"}}

    def truth(record: Record) -> float:
        values = {each["name"]: np.nan if record[each["name"]] is None else record[each["name"]] for each in inputs}
        row = pd.DataFrame([values]) if frames else np.array([list(values.values())], dtype=float)
        return float(estimator.predict(row)[0])

    return Model({"inputs": inputs, "output": {"kind": "regression"}, "parameters": parameters}, truth, _SEEN)


CASES = (
    Case("beam", "arrays", partial(_make, frames=False), allow_pickle=True),
    Case("beam", "frames", partial(_make, frames=True), allow_pickle=True),
)
