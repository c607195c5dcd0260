"""What a SavedModel's signature says of its inputs; the graph is not loaded."""

from pathlib import Path
from typing import Any

from models.publishing.description import CannotPublish, Description, FoundInput
from models.scorers.base import WillNotLoad
from models.scorers.tensorflow.importing import tensorflow
from models.scorers.tensorflow.scorer import chosen_signature, kind_of_tensor
from schemas.columns import ColumnKind

SETTINGS = ("signature",)
"""Settings of the kind that select a part of the model."""


def describe(path: Path, allow_pickle: bool, signature: object = None) -> Description:
    """Inputs with one value per row are named columns; a single input with several is a matrix of unnamed ones."""
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
    found = (FoundInput(name, _type(name, dtypes.as_dtype(inputs[name].dtype))) for name in sorted(inputs))
    return Description(inputs=tuple(found))


def _type(name: str, dtype: Any) -> ColumnKind:
    kind = kind_of_tensor(dtype)
    if kind is not None:
        return kind
    raise CannotPublish(f"input {name!r} is a tensor of {dtype.name}; allowed: floats, integers, booleans, strings")


def _columns(shape: Any) -> int | None:
    if shape.unknown_rank or len(shape.dim) < 2:
        return 1
    return int(shape.dim[1].size) if shape.dim[1].size > 0 else None
