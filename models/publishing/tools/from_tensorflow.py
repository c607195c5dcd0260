"""What a SavedModel's signature says of its inputs; the graph is not loaded."""

import math
from pathlib import Path
from typing import Any

from models.publishing.description import CannotPublish, Description, FoundInput
from models.scorers.base import WillNotLoad
from models.scorers.tensorflow.importing import tensorflow
from models.scorers.tensorflow.scorer import chosen_signature, kind_of_tensor
from schemas.columns import ColumnKind
from schemas.vectors import MAX_LENGTH, Vector

SETTINGS = ("signature",)
"""Settings of the kind that select a part of the model."""


def describe(path: Path, allow_pickle: bool, signature: object = None) -> Description:
    """Inputs with one value per row are named columns; of several inputs those with more values are named vectors, and
    a single one is a matrix of unnamed columns, or one vector."""
    dtypes = tensorflow().dtypes
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signatures = {name: each for meta in graph.meta_graphs for name, each in meta.signature_def.items()}
    try:
        inputs = signatures[chosen_signature(signatures, signature)].inputs
    except WillNotLoad as error:
        raise CannotPublish(str(error)) from None
    if len(inputs) == 1:
        (only,) = inputs.values()
        width = _columns(only.tensor_shape)
        if width != 1:
            return Description(width=width)
    # Protocol buffers keep no order of their maps.
    return Description(inputs=tuple(FoundInput(name, _type(name, inputs[name], dtypes)) for name in sorted(inputs)))


def _type(name: str, given: Any, dtypes: Any) -> ColumnKind:
    dtype = dtypes.as_dtype(given.dtype)
    kind, values = kind_of_tensor(dtype), _columns(given.tensor_shape)
    if kind == "number" and values is not None and 1 < values <= MAX_LENGTH:
        return Vector(values, "float64" if dtype.name == "float64" else "float32").kind
    if kind is not None:
        return kind
    raise CannotPublish(f"input {name!r} is a tensor of {dtype.name}; allowed: floats, integers, booleans, strings")


def _columns(shape: Any) -> int | None:
    if shape.unknown_rank or len(shape.dim) < 2:
        return 1
    sizes = [int(dim.size) for dim in shape.dim[1:]]
    return math.prod(sizes) if min(sizes) > 0 else None
