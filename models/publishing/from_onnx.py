"""What an ONNX graph says of its inputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.manifest import InputType
from models.publishing.description import CannotPublish, Description, FoundInput

_TYPES: dict[str, InputType] = {
    "tensor(float)": "number",
    "tensor(double)": "number",
    "tensor(float16)": "number",
    "tensor(int64)": "integer",
    "tensor(int32)": "integer",
    "tensor(int16)": "integer",
    "tensor(int8)": "integer",
    "tensor(uint64)": "integer",
    "tensor(uint32)": "integer",
    "tensor(uint16)": "integer",
    "tensor(uint8)": "integer",
    "tensor(bool)": "boolean",
    "tensor(string)": "string",
}


def describe(path: Path, allow_pickle: bool) -> Description:
    """Inputs with one value per row are named columns; a single input with several is a matrix of unnamed ones."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) == 1 and _columns(inputs[0].shape) != 1:
        return Description(width=_columns(inputs[0].shape))
    return Description(inputs=tuple(FoundInput(each.name, _type(each)) for each in inputs))


def _type(found: Any) -> InputType:
    if found.type not in _TYPES:
        raise CannotPublish(f"input {found.name!r} is a {found.type}; allowed: {', '.join(_TYPES)}")
    return _TYPES[found.type]


def _columns(shape: Sequence[object]) -> int | None:
    """Values per row; None where the graph leaves it open."""
    if len(shape) < 2:
        return 1
    return shape[1] if isinstance(shape[1], int) else None
