"""MLflow: pyfuncs of every signature, which tell the types they are given, and flavours that scorers of ours read."""

import os
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.models.scorers.alone.cases import Case, Model, Record
from tests.models.scorers.alone.kinds.xgboost import flights, strain

_NAMES = {"f": "number", "i": "integer", "b": "boolean", "U": "string", "M": "string"}
_MODEL = {"pyfunc": "python_model", "lightgbm": "lgb_model", "xgboost": "xgb_model"}
_TEXTS = ["AA", "DL", "größt"]


def saved(flavour: str, model: Any, folder: Path, **options: Any) -> None:
    """What `mlflow.<flavour>.save_model` leaves, in the folder `model` of a bundle."""
    import importlib

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    folder.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(f"mlflow.{flavour}")
    named = {_MODEL[flavour]: model}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.save_model(path=str(folder / "model"), pip_requirements=["none"], **named, **options)


def witness() -> Any:
    """A pyfunc whose answer depends on every value, and on the types of the columns that it is given."""
    from mlflow.pyfunc.model import PythonModel

    class Witness(PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            import numpy as np
            import pandas as pd

            columns = (
                {name: model_input[name] for name in model_input.columns}
                if isinstance(model_input, pd.DataFrame)
                else {str(index): pd.Series(model_input[:, index]) for index in range(model_input.shape[1])}
                if not isinstance(model_input, dict)
                else {name: pd.Series(np.ravel(values)) for name, values in model_input.items()}
            )
            total = np.zeros(len(next(iter(columns.values()))))
            for index, (_, column) in enumerate(sorted(columns.items())):
                kind = str(column.dtype)
                total += (index + 1) * (sum(map(ord, kind)) % 97)
                if kind in ("str", "object"):
                    total += [0.0 if pd.isna(value) else len(str(value)) % 89 / 7 for value in column]
                elif kind.startswith("datetime"):
                    total += np.where(column.isna(), 0.5, column.dt.hour.fillna(0) / 3)
                else:
                    total += np.arctan(column.fillna(0.25).to_numpy(float) / 50)
            return total

    return Witness()


def alone(record: Record, types: Mapping[str, str], changes: Mapping[str, Any]) -> pd.DataFrame:
    """One record as a caller of MLflow makes it: in the signature's types, or not at all."""
    columns = {}
    for name, kind in types.items():
        whole = np.dtype(kind).kind == "i" and record[name] is None
        if whole and "layout" in changes:  # without a signature pandas makes it a float
            columns[name] = pd.Series([np.nan])
        elif not (whole and name in changes.get("optional", ())):
            columns[name] = _value(record[name], np.dtype(kind))
    return pd.DataFrame(columns)


def _value(value: Any, kind: np.dtype[Any]) -> "pd.Series[Any]":
    if kind.kind == "M":
        return pd.Series([_moment(value)], dtype="datetime64[ns]")
    if kind.kind == "U":
        return pd.Series([value], dtype="str")
    if value is None:
        return pd.Series([None], dtype=object) if kind.kind == "b" else pd.Series([np.nan], dtype=kind)
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            found = kind.type(value)
        if np.isinf(found) or (isinstance(value, int) and int(found) != value):
            raise ValueError(f"{value} is no {kind}")
        return pd.Series([found])
    if int(value) != value or not (kind.kind == "b" or np.iinfo(kind).min <= value <= np.iinfo(kind).max):
        raise ValueError(f"{value} is no {kind}")
    return pd.Series([kind.type(value)])


def _moment(text: str | None) -> Any:
    if text is None:
        return pd.NaT
    moment: Any = pd.Timestamp(text)
    if len(text) < 20 or moment.tzinfo is None:
        raise ValueError(f"{text!r} is not a time with its offset")
    return moment.tz_convert(None)


def _row(index: int, types: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, Any]:
    values = {
        "f": 1.5 * index if index % 2 else 3.0 - index,
        "i": 7 * index - 11,
        "b": index % 2 == 0,
        "U": _TEXTS[index % 3],
        "M": f"2024-02-0{index + 1}T{2 * index:02d}:30:00+02:00",
    }
    found = {name: values[np.dtype(kind).kind] for name, kind in types.items()}
    read = {"number": float, "integer": int}
    return {name: read.get(inputs[name], lambda value: value)(value) for name, value in found.items()}


def _pyfunc(folder: Path, types: Mapping[str, str], changes: Mapping[str, Any]) -> Model:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    nullable, reads = changes.get("nullable", ()), changes.get("inputs", {})
    inputs = {name: reads.get(name, _NAMES[np.dtype(kind).kind]) for name, kind in types.items()}
    layout = changes.get("layout", "columns")
    by_numpy = {each.to_numpy(): each for each in DataType if each.name not in ("string", "binary")}
    layouts: Mapping[str, Callable[[], list[Any]]] = {
        "columns": lambda: [
            ColSpec(by_numpy.get(np.dtype(kind), DataType.string), name, name not in changes.get("optional", ()))
            for name, kind in types.items()
        ],
        "matrix": lambda: [TensorSpec(np.dtype(next(iter(types.values()))), (-1, len(types)))],
        "tensors": lambda: [TensorSpec(np.dtype(kind), (-1,), name) for name, kind in types.items()],
        "none": list,
    }
    specs = layouts[layout]()
    schema = Schema(specs) if specs else None
    saved("pyfunc", witness(), folder, signature=schema and ModelSignature(schema))
    library = mlflow.pyfunc.load_model(str(folder / "model"))
    feed: Mapping[str, Callable[[pd.DataFrame], Any]] = {
        "matrix": lambda row: row.to_numpy(),
        "tensors": lambda row: {name: row[name].to_numpy() for name in row},
    }

    def truth(record: Record) -> float:
        row = alone(record, types, changes)
        return float(library.predict(feed[layout](row) if layout in feed else row)[0])

    manifest = {
        "inputs": [{"name": name, "type": kind, "nullable": name in nullable} for name, kind in inputs.items()],
        "output": {"kind": "regression"},
    }
    times = {"2024-02-29T23:59:59.123456Z", "2024-02-30T00:00:00Z", "2024-02-03", "1677-01-01T00:00:00Z"}
    unseen = {name: sorted(times) for name, kind in types.items() if np.dtype(kind).kind == "M"}
    return Model(manifest, truth, [_row(index, types, inputs) for index in range(5)], unseen)


def _estimator(folder: Path, name: str, output: str, options: Mapping[str, Any], answer: Callable[..., Any]) -> Model:
    """An estimator of LightGBM or XGBoost as MLflow saves it; trained on numbers and, for LightGBM, a category."""
    import importlib

    flavour = name.partition(".")[0]
    rows = flights()[["delay", "distance"]]
    target = pd.Series(pd.qcut(strain(flights()), 3, labels=["early", "on time", "late"]).astype(str))
    numbers: Any = pd.Series(pd.qcut(strain(flights()), 2, labels=False))
    estimator = getattr(importlib.import_module(flavour), name.partition(".")[2])(n_estimators=10, n_jobs=1)
    estimator.fit(rows, strain(flights()) if output == "regression" else target if "positive" in options else numbers)
    saved(flavour, estimator, folder, **options.get("save", {}))

    def truth(record: Record) -> float:
        return float(answer(estimator, pd.DataFrame([dict(record)]).astype(float)))

    manifest = {
        "inputs": [
            {"name": "delay", "type": "number", "nullable": True},
            {"name": "distance", "type": "integer", "nullable": True},
        ],
        "output": {"kind": output, **({"positive": options["positive"]} if "positive" in options else {})},
    }
    return Model(
        manifest,
        truth,
        [{"delay": delay, "distance": distance} for delay, distance in rows.head(5).itertuples(index=False)],
    )


_PYFUNCS: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {
    "float32": ({"a": "float32", "b": "float32"}, {"nullable": ("a",), "inputs": {"b": "integer"}}),
    "int32": ({"a": "int32", "b": "int32"}, {"inputs": {"b": "number"}}),
    "long": ({"a": "int64", "b": "int64"}, {"inputs": {"b": "number"}}),
    "double": ({"a": "float64", "b": "float64"}, {"nullable": ("a", "b"), "inputs": {"b": "integer"}}),
    "mixed": (
        {"f": "float32", "i": "int64", "on": "bool", "text": "U", "at": "datetime64[ns]"},
        {"nullable": ("f", "on", "text", "at")},
    ),
    "optional": (
        {"a": "float64", "i": "int32", "on": "bool", "text": "U"},
        {"nullable": ("i", "on", "text"), "optional": ("i", "on", "text")},
    ),
    "unsigned": (
        {"a": "float64", "i": "int64", "on": "bool", "text": "U"},
        {"nullable": ("a", "i", "on", "text"), "layout": "none"},
    ),
    "matrix-float32": ({"a": "float32", "b": "float32"}, {"layout": "matrix", "nullable": ("a",)}),
    "matrix-int64": ({"a": "int64", "b": "int64"}, {"layout": "matrix"}),
    "tensors": ({"a": "float32", "b": "int32"}, {"layout": "tensors", "nullable": ("a",)}),
}


def _first(estimator: Any, row: pd.DataFrame) -> Any:
    return estimator.predict_proba(row)[0][1]


def _late(estimator: Any, row: pd.DataFrame) -> Any:
    return estimator.predict_proba(row)[0][list(estimator.classes_).index("late")]


def _value_of(estimator: Any, row: pd.DataFrame) -> Any:
    return estimator.predict(row)[0]


CASES = (
    *(
        Case("mlflow", f"pyfunc-{name}", partial(_pyfunc, types=types, changes=changes), allow_pickle=True)
        for name, (types, changes) in _PYFUNCS.items()
    ),
    *(
        Case(
            "mlflow",
            label,
            partial(_estimator, name=name, output=output, options=options, answer=answer),
            allow_pickle="save" in options,
        )
        for label, name, output, options, answer in (
            ("lightgbm-classifier", "lightgbm.LGBMClassifier", "probability", {}, _first),
            ("lightgbm-labelled", "lightgbm.LGBMClassifier", "probability", {"positive": "late"}, _late),
            ("lightgbm-regressor", "lightgbm.LGBMRegressor", "regression", {}, _value_of),
            (
                "lightgbm-pickle",
                "lightgbm.LGBMClassifier",
                "probability",
                {"save": {"serialization_format": "cloudpickle"}},
                _first,
            ),
            ("xgboost-classifier", "xgboost.XGBClassifier", "probability", {}, _first),
            ("xgboost-regressor", "xgboost.XGBRegressor", "regression", {}, _value_of),
        )
    ),
)
