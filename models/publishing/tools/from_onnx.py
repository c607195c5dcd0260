"""What an ONNX graph says of its inputs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.publishing.description import CannotPublish, Description, FoundInput
from models.scorers.onnx.labels import labels_of
from models.scorers.onnx.scorer import LABEL_TENSORS, TENSORS
from schemas.columns import VALUES, ColumnKind
from schemas.vectors import MAX_LENGTH, Vector

_TYPES: dict[str, ColumnKind] = {tensor: kind for kind in VALUES for tensor in TENSORS[kind]}


def describe(path: Path, allow_pickle: bool) -> Description:
    """Inputs with one value per row are named columns; of several inputs those with more values are named vectors, and
    a single one is a matrix of unnamed columns, or one vector."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    ordered = sorted(outputs, key=lambda output: output.type not in LABEL_TENSORS)  # labels tell the most
    labels = labels_of(path, [output.name for output in ordered]) or ()
    if len(inputs) == 1 and _columns(inputs[0].shape) != 1:
        return Description(width=_columns(inputs[0].shape), labels=labels)
    return Description(inputs=tuple(FoundInput(each.name, _type(each)) for each in inputs), labels=labels)


def _type(found: Any) -> ColumnKind:
    if found.type not in _TYPES:
        raise CannotPublish(f"input {found.name!r} is a {found.type}; allowed: {', '.join(_TYPES)}")
    values = _columns(found.shape)
    if _TYPES[found.type] != "number" or values is None or not 1 < values <= MAX_LENGTH:
        return _TYPES[found.type]
    return Vector(values, "float64" if found.type == "tensor(double)" else "float32").kind


def _columns(shape: Sequence[object]) -> int | None:
    """Values per row; None where the graph leaves it open."""
    sizes = [size for size in shape[1:] if isinstance(size, int)]
    return math.prod(sizes) if len(sizes) == len(shape[1:]) else None
