"""ONNX: columns by name in each type of tensor, one matrix, labels with and without ZipMap."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.scorers.alone.cases import Case, Model, Record

_NUMBERS: list[dict[str, Any]] = [
    {"name": "delay", "type": "number"},
    {"name": "distance", "type": "integer", "nullable": True, "default": 700},
    {"name": "weekend", "type": "boolean"},
]
_NAMED = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": True, "default": 7},
    {"name": "small", "type": "integer"},
    {"name": "weekend", "type": "boolean"},
    {"name": "carrier", "type": "string", "nullable": True},
]
_SEEN: list[Record] = [
    {"delay": 31.0, "distance": 500, "small": 3, "weekend": True, "carrier": "AA"},
    {"delay": -4.5, "distance": 2400, "small": -90, "weekend": False, "carrier": "DL"},
    {"delay": 0.25, "distance": 100, "small": 7, "weekend": True, "carrier": "UA"},
]
_TENSORS = {"delay": "FLOAT", "distance": "INT64", "small": "INT16", "weekend": "BOOL", "carrier": "STRING"}


def _session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _trained(rows: np.ndarray[Any, Any], labels: list[Any], target: str) -> Any:
    from sklearn.ensemble import IsolationForest, RandomForestClassifier
    from sklearn.linear_model import LinearRegression

    if target == "anomaly":
        return IsolationForest(n_estimators=10, random_state=1).fit(rows)
    if target == "several":
        return LinearRegression().fit(rows, np.column_stack([rows @ [1.0, 0.01, 3.0], rows @ [-2.0, 0.001, 1.0]]))
    classes = np.digitize(rows @ [1.0, 0.01, 5.0], [5.0, 20.0])
    return RandomForestClassifier(8, max_depth=4, random_state=1).fit(rows, np.array(labels)[classes % len(labels)])


def _matrix(
    folder: Path, labels: list[Any], manifest: dict[str, Any], read: Callable[[Any, list[Any]], float],
    target: str = "classes", zipmap: bool | None = False,
) -> Model:  # fmt: skip
    from skl2onnx import to_onnx

    random = np.random.default_rng(2)
    rows = np.column_stack([random.normal(10, 20, 300), random.integers(50, 2500, 300), random.random(300) < 0.4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _trained(rows.astype(np.float32), labels, target)
        options = {id(model): {"zipmap": zipmap}} if target == "classes" else None
        converted = to_onnx(model, rows[:1].astype(np.float32), options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(converted.SerializeToString())
    session, known = _session(folder / "model.onnx"), list(getattr(model, "classes_", ()))

    def truth(record: Record) -> float:
        row = np.array([[float(record[each["name"]]) for each in _NUMBERS]]).astype(np.float32)
        return read(session.run(None, {session.get_inputs()[0].name: row}), known)

    return Model({"inputs": _NUMBERS, **manifest}, truth, _SEEN, tolerance=1e-5)


def _by_name(folder: Path) -> Model:
    from onnx import TensorProto, helper

    names = list(_TENSORS)
    nodes = [helper.make_node("Cast", [name], [f"as {name}"], to=TensorProto.DOUBLE) for name in names[1:4]]
    nodes += [
        helper.make_node("IsNaN", ["delay"], ["null"]),
        helper.make_node("Cast", ["null"], ["as delay"], to=TensorProto.DOUBLE),
        helper.make_node("LabelEncoder", ["carrier"], ["as carrier"], domain="ai.onnx.ml", keys_strings=["AA", "", "x"],
                         values_floats=[1.5, 40.0, 7.0], default_float=-3.0),
        helper.make_node("Cast", ["as carrier"], ["number"], to=TensorProto.DOUBLE),
        helper.make_node("Sum", [*(f"as {name}" for name in names[:4]), "number"], ["score"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "named",
        [helper.make_tensor_value_info(name, getattr(TensorProto, kind), [None]) for name, kind in _TENSORS.items()],
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    session = _session(folder / "model.onnx")

    def truth(record: Record) -> float:
        kinds: dict[str, Any]
        kinds = {"delay": np.float32, "distance": np.int64, "small": np.int16, "weekend": np.bool_, "carrier": object}
        values: dict[str, Any] = {**record, "delay": np.nan if record["delay"] is None else record["delay"]}
        values["carrier"] = values["carrier"] or ""
        feeds = {name: np.array([values[name]]).astype(kind) for name, kind in kinds.items()}
        if feeds["small"][0] != values["small"]:
            raise OverflowError("an int16 cannot hold it")
        return float(session.run(None, feeds)[0][0])

    return Model({"inputs": _NAMED, "output": {"kind": "regression"}}, truth, _SEEN)


def _case(name: str, *words: Any, **more: Any) -> Case:
    labels, manifest, read = words
    return Case("onnx", name, partial(_matrix, labels=labels, manifest=manifest, read=read, **more))


def _probability(label: str) -> dict[str, Any]:
    return {"output": {"kind": "probability", "positive": label}}


_COLUMN = {"output": {"kind": "regression"}, "parameters": {"column": 1}}

CASES = (
    Case("onnx", "by name", _by_name),
    _case("tensor of numbers", [2, 1], _probability("1"), lambda answer, known: float(answer[1][0][known.index(1)])),
    _case("tensor of texts", ["z", "a", "m"], _probability("z"),
          lambda answer, known: float(answer[1][0][known.index("z")])),
    _case("maps of texts", ["z", "a", "m"], _probability("z"), lambda answer, known: float(answer[1][0]["z"]),
          zipmap=True),
    _case("labels", [30, 10, 20], {"output": {"kind": "class"}}, lambda answer, known: float(answer[0][0])),
    _case("labels that are texts", ["z", "a"], {"output": {"kind": "class"}},
          lambda answer, known: float(known.index(answer[0][0]))),
    _case("anomaly", [], {"output": {"kind": "regression"}}, lambda answer, known: float(answer[1][0][0]),
          target="anomaly"),
    _case("several regressions", [], _COLUMN, lambda answer, known: float(answer[0][0][1]), target="several"),
)  # fmt: skip
