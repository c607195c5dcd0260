"""TensorFlow: columns by name in each type of tensor, one matrix, and every output."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.scorers.alone.cases import Case, Model, Record

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_INPUTS = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": True, "default": 7},
    {"name": "small", "type": "integer", "nullable": True, "default": -1},
    {"name": "weekend", "type": "boolean"},
    {"name": "carrier", "type": "string", "nullable": True},
]
_NUMBERS: list[dict[str, Any]] = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": True},
    {"name": "weekend", "type": "boolean", "nullable": True},
]
_SEEN: list[Record] = [
    {"delay": 31.0, "distance": 500, "small": 3, "weekend": True, "carrier": "AA"},
    {"delay": -4.5, "distance": 2400, "small": -90, "weekend": False, "carrier": "DL"},
    {"delay": 0.25, "distance": 100, "small": 7, "weekend": True, "carrier": "UA"},
]


def _by_name(tf: Any) -> tuple[Any, list[Any]]:
    """Nulls of the float tensor are answered; the integers' last digits count."""

    def score(delay: Any, distance: Any, small: Any, weekend: Any, carrier: Any) -> Any:
        known = tf.cast(tf.math.is_nan(delay), tf.float64) * 5 + tf.cast(tf.strings.length(carrier) % 7, tf.float64)
        whole = tf.cast(distance % 1000, tf.float64) / 100 + tf.cast(small % 13, tf.float64)
        return {"y": tf.cast(tf.where(tf.math.is_nan(delay), 0.0, delay), tf.float64) + known + whole
                + tf.cast(weekend, tf.float64)}  # fmt: skip

    kinds = {"delay": tf.float32, "distance": tf.int64, "small": tf.int32, "weekend": tf.bool, "carrier": tf.string}
    return score, [tf.TensorSpec([None], kind, name=name) for name, kind in kinds.items()]


def _matrix(tf: Any, columns: int, end: str) -> tuple[Any, list[Any]]:
    weights = np.random.default_rng(3).normal(size=(3, columns)).astype(np.float32) / [[20], [1000], [1]]
    ends = {"softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid, "linear": tf.identity}

    def score(x: Any) -> Any:
        return {"y": ends[end](tf.matmul(x, tf.constant(weights, tf.float32)))}

    return score, [tf.TensorSpec([None, 3], tf.float32, name="x")]


def _make(folder: Path, network: Callable[[Any], Any], manifest: dict[str, Any], read: Callable[[Any], float]) -> Model:
    import tensorflow as tf

    score, specs = network(tf)
    model = tf.Module()
    model.score = tf.function(score).get_concrete_function(*specs)
    tf.saved_model.save(model, str(folder), signatures=model.score)

    def truth(record: Record) -> float:
        if len(specs) == 1:
            row = [np.nan if record[each["name"]] is None else record[each["name"]] for each in _NUMBERS]
            return read(model.score(tf.constant([row], tf.float32))["y"].numpy()[0])
        values = dict(record)
        if not -(2**31) <= values["small"] < 2**31:
            raise OverflowError("an int32 cannot hold it")  # TensorFlow would take another number
        values["delay"] = np.nan if values["delay"] is None else values["delay"]
        values["carrier"] = values["carrier"] or ""
        tensors = {spec.name: tf.constant(np.array([values[spec.name]]), spec.dtype) for spec in specs}
        return read(model.score(**tensors)["y"].numpy()[0])

    return Model({"inputs": _NUMBERS if len(specs) == 1 else _INPUTS, **manifest}, truth, _SEEN, tolerance=1e-5)


def _case(name: str, columns: int, end: str, manifest: dict[str, Any], read: Callable[[Any], float]) -> Case:
    network = partial(_matrix, columns=columns, end=end)
    return Case("tensorflow", name, partial(_make, network=network, manifest=manifest, read=read))


_NAMED = {"output": {"kind": "probability", "positive": "b"}, "parameters": {"classes": ["a", "b", "c"]}}
_COLUMN = {"output": {"kind": "regression"}, "parameters": {"column": 1}}

_PLAIN = {"output": {"kind": "regression"}}

CASES = (
    Case("tensorflow", "by name", partial(_make, network=_by_name, manifest=_PLAIN, read=float)),
    _case("one", 1, "sigmoid", {"output": {"kind": "probability", "positive": "0"}}, lambda row: 1 - float(row[0])),
    _case("two", 2, "softmax", {"output": {"kind": "probability", "positive": "0"}}, lambda row: float(row[0])),
    _case("three, named", 3, "softmax", _NAMED, lambda row: float(row[1])),
    _case("class", 3, "softmax", {"output": {"kind": "class"}},
          lambda row: float(np.nan if np.isnan(row).any() else row.argmax())),
    _case("several regressions", 3, "linear", _COLUMN, lambda row: float(row[1])),
)  # fmt: skip
