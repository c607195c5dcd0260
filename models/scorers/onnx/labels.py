"""The labels of an ONNX classifier, which its graph holds although its outputs do not name them."""

from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.scorers.remote.messages import Table, made_of

# The part of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto that says where labels are.
_ONNX: Table = {
    "Tensor": {
        1: "repeated int64 dims",
        2: "int32 data_type",
        5: "repeated int32 int32_data",
        6: "repeated bytes string_data",
        7: "repeated int64 int64_data",
        8: "string name",
        9: "bytes raw_data",
    },
    "Attribute": {1: "string name", 5: "Tensor t", 8: "repeated int64 ints", 9: "repeated bytes strings"},
    "Node": {
        1: "repeated string input",
        2: "repeated string output",
        4: "string op_type",
        5: "repeated Attribute attribute",
    },
    "Graph": {1: "repeated Node node", 5: "repeated Tensor initializer"},
    "Model": {7: "Graph graph"},
}
_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
# Operators that pick one of the values in their first input.
_PICKS = ("ArrayFeatureExtractor", "Gather")
_RAW = {6: "i4", 7: "i8"}


def labels_of(path: Path, outputs: Iterable[str]) -> tuple[str, ...] | None:
    """The labels in the order of their probabilities; None where the graph holds none, so that classes are indexes.

    Args:
        path: a model in ONNX.
        outputs: the outputs to search upstream of, the most informative first.
    """
    graph = made_of("onnx", _ONNX)["Model"].FromString(path.read_bytes()).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    values |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    makers = {output: node for node in graph.node for output in node.output}
    found = (_behind(output, makers, values) for output in outputs)
    return next((labels for labels in found if labels), None)


def _behind(output: str, makers: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The labels of the nearest node that has any, upstream of an output."""
    waiting, seen = deque([output]), set[str]()
    while waiting:
        name = waiting.popleft()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        labels = _labels(node, values)
        if labels:
            return labels
        if node.op_type != "ArgMax":  # whose answer is an index
            waiting.extend(node.input)
    return None


def _labels(node: Any, values: Mapping[str, Any]) -> tuple[str, ...] | None:
    for attribute in node.attribute:
        if attribute.name in _LABELS and (attribute.strings or attribute.ints):
            return tuple(text.decode("utf-8") for text in attribute.strings) or tuple(map(str, attribute.ints))
    if node.op_type in _PICKS and node.input and node.input[0] in values:
        return _texts(values[node.input[0]])
    return None


def _texts(tensor: Any) -> tuple[str, ...] | None:
    """The values of a tensor of texts or integers, as text; None for any other."""
    if tensor.string_data:
        return tuple(text.decode("utf-8") for text in tensor.string_data)
    if tensor.data_type not in _RAW:
        return None
    if tensor.raw_data:
        return tuple(map(str, np.frombuffer(tensor.raw_data, dtype=f"<{_RAW[tensor.data_type]}").tolist()))
    return tuple(map(str, tensor.int64_data or tensor.int32_data)) or None
