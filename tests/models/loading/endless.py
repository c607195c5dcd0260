"""ONNX models with a loop that never ends, or ends at once."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.models.bundle_folders import document

GOLDEN = '{"inputs": {"delay": 1.0}, "score": 2.0}'


def looping_bundle(folder: Path, turns: int | None) -> dict[str, Any]:
    """A model of one number that adds 1 so many times, None for ever; a golden record says 2. Gives its document."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_looping(turns), folder / "model.onnx")
    (folder / "golden.jsonl").write_text(GOLDEN)
    inputs = [{"name": "delay", "type": "number"}]
    golden = {"file": "golden.jsonl", "tolerance": 1e-6}
    return document("onnx", inputs=inputs, output={"kind": "regression"}, golden=golden)


def _looping(turns: int | None) -> onnx.ModelProto:
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    number, truth = TensorProto.FLOAT, TensorProto.BOOL
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["sum", "one"], ["more"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", truth, []),
            helper.make_tensor_value_info("sum", number, None),
        ],
        [helper.make_tensor_value_info("on", truth, []), helper.make_tensor_value_info("more", number, None)],
        [one],
    )
    constants = [helper.make_tensor("true", truth, [], [True])]
    if turns is not None:
        constants.append(helper.make_tensor("turns", TensorProto.INT64, [], [turns]))
    loop = helper.make_node("Loop", ["" if turns is None else "turns", "true", "delay"], ["score"], body=body)
    graph = helper.make_graph(
        [loop],
        "graph",
        [helper.make_tensor_value_info("delay", number, [None, 1])],
        [helper.make_tensor_value_info("score", number, [None, 1])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
