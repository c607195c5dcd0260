"""LightGBM: numbers, booleans, categories of every type, ordered ones, and integers named as categories."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.models.scorers.alone.cases import Case, Model, Record
from tests.models.scorers.alone.kinds.xgboost import flights, strain

_CATEGORIES: Mapping[str, pd.CategoricalDtype] = {
    "floor": pd.CategoricalDtype([10, 20, 30, 40, 50]),
    "carrier": pd.CategoricalDtype(["AA", "DL", "UA", "WN"]),
    "level": pd.CategoricalDtype([-1.5, 0.0, 2.5]),
    "weekend": pd.CategoricalDtype([False, True]),
    "size": pd.CategoricalDtype(["small", "mid", "größt"], ordered=True),
}
_INPUTS: Mapping[str, dict[str, Any]] = {
    "size": {"name": "size", "type": "string", "nullable": True},
    "carrier": {"name": "carrier", "type": "string", "nullable": True},
    "delay": {"name": "delay", "type": "number", "nullable": True},
    "distance": {"name": "distance", "type": "integer", "nullable": True},
    "floor": {"name": "floor", "type": "integer", "nullable": True},
    "weekend": {"name": "weekend", "type": "boolean", "nullable": True},
    "level": {"name": "level", "type": "number", "nullable": True},
}
_UNSEEN: Mapping[str, list[Any]] = {"floor": [0, 2, 15, 60], "carrier": ["A", "DM", "ZZ"], "level": [2, 2.4999999]}


def _flights() -> pd.DataFrame:
    rows, random = flights(), np.random.default_rng(8)
    rows["level"] = random.choice([-1.5, 0.0, 2.5], len(rows))
    rows["size"] = random.choice(["small", "mid", "größt"], len(rows))
    return rows


def _as_trained(rows: pd.DataFrame, dtypes: Mapping[str, pd.CategoricalDtype]) -> pd.DataFrame:
    """The columns as the library is trained on them."""
    frame = pd.DataFrame(index=rows.index)
    for name in map(str, rows.columns):
        column, kind = rows[name], dtypes.get(name)
        frame[name] = column.astype(float) if kind is None else column.where(column.isin(kind.categories)).astype(kind)
    return frame


def _alone(record: Record, names: list[str], dtypes: Mapping[str, pd.CategoricalDtype]) -> pd.DataFrame:
    """One record as a caller of the library makes it: a column of categories holds what the record has."""
    return pd.DataFrame(
        {
            name: pd.Categorical([record[name]]) if name in dtypes else pd.Series([record[name]], dtype=float)
            for name in names
        }
    )


def _make(folder: Path, names: list[str], objective: str, output: str, changes: Mapping[str, Any]) -> Model:
    import lightgbm

    rows, dtypes = _flights(), {name: kind for name, kind in _CATEGORIES.items() if name in names}
    dtypes = {name: kind for name, kind in dtypes.items() if name not in changes.get("plain", ())}
    target = strain(rows) + 10 * rows.level * rows.weekend + 8 * (rows["size"] == "mid")
    labels: Any = target if objective == "regression" else pd.qcut(target, changes.get("classes", 2), labels=False)
    settings: dict[str, Any] = {"objective": objective, "num_threads": 1, "verbosity": -1, "min_data_per_group": 5}
    settings |= {"num_class": changes["classes"]} if "classes" in changes else {}
    frame = _as_trained(rows[names], dtypes)
    group = [len(rows) // 8] * 8 if objective == "lambdarank" else None
    data = lightgbm.Dataset(frame, labels, group=group, categorical_feature=changes.get("plain", "auto"))
    booster = lightgbm.train(settings, data, 12)
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.txt")
    answer: Callable[[Any], float] = changes.get("answer", float)

    def truth(record: Record) -> float:
        return answer(np.asarray(booster.predict(_alone(record, names, dtypes), num_threads=1))[0])

    inputs = [{**_INPUTS[name], **changes.get("inputs", {}).get(name, {})} for name in reversed(names)]
    manifest = {
        "inputs": inputs,
        "output": {"kind": output, **changes.get("output", {})},
        "parameters": changes.get("parameters", {}),
    }
    seen = [{name: row[name] for name in names} for row in rows.head(6).to_dict("records")]
    return Model(manifest, truth, seen, _UNSEEN)


_ALL = list(_INPUTS)
_LABELLED: dict[str, Any] = {
    "classes": 3,
    "parameters": {"classes": ["early", "on time", "late"]},
    "output": {"positive": "late"},
    "answer": lambda row: float(row[2]),
}
_FLOATS: dict[str, Any] = {"inputs": {"floor": {"type": "number"}}}

CASES = tuple(
    Case("lightgbm", name, partial(_make, names=names, objective=objective, output=output, changes=changes))
    for name, names, objective, output, changes in (
        ("numbers-regression", ["delay", "distance"], "regression", "regression", {}),
        ("integer-categories", ["floor", "delay"], "binary", "probability", {}),
        ("integer-categories-as-numbers", ["floor", "delay"], "binary", "probability", _FLOATS),
        ("integers-named-as-categories", ["floor", "delay"], "regression", "regression", {"plain": ["floor"]}),
        ("all-binary", _ALL, "binary", "probability", {}),
        ("all-binary-class", _ALL, "binary", "class", {"answer": lambda row: float(row > 0.5)}),
        ("all-entropy-class", _ALL, "cross_entropy", "class", {"answer": lambda row: float(row > 0.5)}),
        ("all-ranking", _ALL, "lambdarank", "regression", {}),
        ("all-labelled", _ALL, "multiclass", "probability", _LABELLED),
        ("all-three-classes", _ALL, "multiclass", "class", {"classes": 3, "answer": lambda row: float(row.argmax())}),
    )
)
