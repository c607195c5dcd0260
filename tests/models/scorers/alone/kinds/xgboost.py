"""XGBoost: numbers, booleans, categories that are integers, texts or both; every output."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.models.scorers.alone.cases import Case, Model, Record

_ROWS = 400
_FLOORS, _CARRIERS = [10, 20, 30, 40, 50], ["AA", "DL", "UA", "WN"]
_INPUTS: Mapping[str, dict[str, Any]] = {
    "delay": {"name": "delay", "type": "number", "nullable": True},
    "distance": {"name": "distance", "type": "integer", "nullable": True},
    "weekend": {"name": "weekend", "type": "boolean", "nullable": True},
    "floor": {"name": "floor", "type": "integer", "nullable": True},
    "carrier": {"name": "carrier", "type": "string", "nullable": True},
}
_CATEGORIES: Mapping[str, list[Any]] = {"floor": _FLOORS, "carrier": _CARRIERS}
_UNSEEN: Mapping[str, list[Any]] = {"floor": [1, 2, 15, 60, 10], "carrier": ["A", "AB", "DM", "ZZ", "aa"]}


def flights() -> pd.DataFrame:
    """Flights with a column for each of `_INPUTS`, on all of which `score_of` depends."""
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "delay": random.normal(10, 20, _ROWS),
            "distance": random.integers(100, 2500, _ROWS),
            "weekend": random.random(_ROWS) < 0.4,
            "floor": random.choice(_FLOORS, _ROWS),
            "carrier": random.choice(_CARRIERS, _ROWS),
        }
    )


def strain(rows: pd.DataFrame) -> Any:
    """What the models learn: about -60 to 100, neither rising nor falling with the codes of the categories."""
    hard = 30 * (rows.floor == 30) - 20 * (rows.floor == 10) + 15 * (rows.carrier == "DL") - 25 * (rows.carrier == "UA")
    return rows.delay + rows.distance / 100 + 10 * rows.weekend + hard


def as_trained(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The columns as the library reads them: categories are those of training, whatever the rows hold."""
    frame = pd.DataFrame(index=rows.index)
    for name in names:
        if name in _CATEGORIES:
            frame[name] = pd.Categorical(rows[name], categories=_CATEGORIES[name])
        else:
            frame[name] = rows[name].astype(float if rows[name].dtype == object else rows[name].dtype)
    return frame


def known(record: Record, names: list[str]) -> None:
    """Raise for a category that training never saw: docs/scorers.md promises a dead letter."""
    for name in set(names) & set(_CATEGORIES):
        if record[name] is not None and record[name] not in _CATEGORIES[name]:
            raise ValueError(f"{name} {record[name]!r} is not a category")


def _make(folder: Path, names: list[str], objective: str, output: str, changes: Mapping[str, Any]) -> Model:
    import xgboost

    rows = flights()
    target = strain(rows)
    settings = {"objective": objective, "max_depth": 4, "nthread": 1, **changes.get("train", {})}
    labels: Any = target if objective.startswith("reg") else pd.qcut(target, settings.get("num_class", 2), labels=False)
    if changes.get("both"):
        labels = np.column_stack([labels, np.where(rows.weekend, labels, labels.max() - labels)])
    data = xgboost.DMatrix(as_trained(rows, names), labels, enable_categorical=True)
    if objective.startswith("rank"):
        data.set_group([_ROWS // 8] * 8)
    booster = xgboost.train(settings, data, 12)
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / changes.get("file", "model.ubj"))
    answer: Callable[[Any], float] = changes.get("answer", float)

    def truth(record: Record) -> float:
        known(record, names)
        frame = as_trained(pd.DataFrame([dict(record)], columns=names), names)
        if settings.get("booster") == "gblinear":
            return answer(booster.predict(xgboost.DMatrix(frame))[0])
        return answer(booster.inplace_predict(frame)[0])  # as XGBClassifier does

    manifest = {
        "inputs": [_INPUTS[name] for name in reversed(names)],
        "output": {"kind": output, **changes.get("output", {})},
        "parameters": changes.get("parameters", {}),
    }
    seen = [{name: row[name] for name in names} for row in rows.head(6).to_dict("records")]
    return Model(manifest, truth, seen, _UNSEEN)


_NUMBERS, _ALL = ["delay", "distance", "weekend"], list(_INPUTS)
_LABELLED: dict[str, Any] = {
    "train": {"num_class": 3},
    "parameters": {"classes": ["early", "on time", "late"]},
    "output": {"positive": "late"},
    "answer": lambda row: float(row[2]),
}

_SECOND: dict[str, Any] = {"parameters": {"column": 1}, "answer": lambda row: float(row[1])}
_VECTORS = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
_QUANTILES = {"quantile_alpha": [0.1, 0.5, 0.9]}
_OTHER = {"output": {"positive": "0"}, "answer": lambda row: 1 - float(row[1])}

CASES = tuple(
    Case("xgboost", name, partial(_make, names=names, objective=objective, output=output, changes=changes))
    for name, names, objective, output, changes in (
        ("numbers-regression", _NUMBERS, "reg:squarederror", "regression", {}),
        ("integer-categories", ["floor", "delay"], "binary:logistic", "probability", {"file": "model.json"}),
        ("all-binary", _ALL, "binary:logistic", "probability", {}),
        ("all-binary-class", _ALL, "binary:logistic", "class", {"answer": lambda row: float(row > 0.5)}),
        ("text-categories-labelled", ["carrier", "delay"], "multi:softprob", "probability", _LABELLED),
        ("all-ranking", _ALL, "rank:pairwise", "regression", {}),
        ("all-hinge", _ALL, "binary:hinge", "class", {}),
        ("linear", _NUMBERS, "binary:logistic", "probability", {"train": {"booster": "gblinear"}}),
        ("all-two-targets", _ALL, "reg:squarederror", "regression", {**_SECOND, "both": True}),
        ("two-targets-in-a-leaf", _NUMBERS, "reg:squarederror", "regression",
         {**_SECOND, "both": True, "train": _VECTORS}),
        ("all-quantiles", _ALL, "reg:quantileerror", "regression", {**_SECOND, "train": _QUANTILES}),
        ("two-labels", _NUMBERS, "binary:logistic", "probability", {**_SECOND, "both": True, **_OTHER}),
        ("all-three-classes", _ALL, "multi:softmax", "class", {"train": {"num_class": 3}}),
    )
)  # fmt: skip
