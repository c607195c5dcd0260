"""TensorFlow SavedModels, scored through the signature `serving_default`."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.inputs import as_floats, as_matrix, filled, of_filled
from models.manifest import Input, Manifest, Output
from models.scorers.base import Scorer, WillNotLoad, only_file, settings

_SIGNATURE = "serving_default"
# A graph is a program. These operations read or write files by path or call back into Python; no scoring
# graph needs them. SavedModel's own saver uses others (SaveV2, RestoreV2), which the signature never runs.
REFUSED_OPERATIONS = frozenset(
    {
        "EagerPyFunc",
        "MatchingFiles",
        "PyFunc",
        "PyFuncStateless",
        "ReadFile",
        "WriteFile",
        "FileSystemSetConfiguration",
    }
)


class TensorflowScorer(Scorer):
    """A SavedModel folder anywhere in the bundle.

    Where the signature's inputs have the manifest's names each column is fed by name, as (n,) or (n, 1) in
    the signature's type (`tf.string` for strings, a null as ""); else a single input gets one float matrix of
    shape (n, inputs). The single output has one value per row, or two per row for a probability (the second
    counts), or one per class for output `class` (the position of the greatest).
    """

    kind = "tensorflow"
    requires = ("tensorflow",)

    def __init__(self, model: Any, manifest: Manifest, to_tensor: Callable[[Any, Any], Any]) -> None:
        settings(manifest)
        signature = model.signatures.get(_SIGNATURE)
        if signature is None:
            raise WillNotLoad(f"tensorflow: signatures {_listed(model.signatures)}; allowed: {_SIGNATURE}")
        self._model = model  # its variables live as long as it is held
        self._signature = signature
        self._to_tensor = to_tensor
        self._specs: Mapping[str, Any] = signature.structured_input_signature[1]
        self._matrix = _matrix_input(self._specs, manifest)
        self._output = _only_output(signature.structured_outputs)
        self._meaning = manifest.output

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "TensorflowScorer":
        """Load the SavedModel unless its graph holds an operation of `REFUSED_OPERATIONS`."""
        path = folder / only_file(manifest, ["saved_model.pb"])
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        _refuse_operations(path)
        return cls(tf.saved_model.load(str(path.parent)), manifest, tf.constant)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the signature; an empty batch does not reach it."""
        rows = batch.num_rows
        if rows == 0:
            return np.empty(0, dtype=np.float64)
        batch = filled(batch)
        if self._matrix is not None:
            feeds = {self._matrix: self._tensor(self._matrix, as_matrix(batch))}
        else:
            feeds = {name: self._tensor(name, _column(batch.column(name), name)) for name in self._specs}
        answer = self._signature(**feeds)[self._output].numpy()
        return of_filled(_flat(np.asarray(answer, dtype=np.float64), self._meaning), rows)

    def _tensor(self, name: str, values: npt.NDArray[Any]) -> Any:
        spec = self._specs[name]
        if spec.shape.rank == 2 and values.ndim == 1:
            values = values[:, np.newaxis]
        if values.dtype != object:
            values = values.astype(spec.dtype.as_numpy_dtype)
        return self._to_tensor(values, spec.dtype)


def _column(column: pa.Array, name: str) -> npt.NDArray[Any]:
    if pa.types.is_string(column.type):
        texts: npt.NDArray[Any] = column.fill_null("").cast(pa.binary()).to_numpy(zero_copy_only=False)
        return texts
    if pa.types.is_integer(column.type) and not column.null_count:
        whole: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return whole
    return as_floats(column, name)


def _flat(answer: npt.NDArray[np.float64], output: Output) -> npt.NDArray[np.float64]:
    """One value per row; an answer of any other shape goes out as it is and is refused as a score."""
    if answer.ndim == 2 and answer.shape[1] == 1:
        return answer[:, 0]
    if answer.ndim == 2 and output.kind == "probability" and answer.shape[1] == 2:
        return answer[:, 1]
    if answer.ndim == 2 and output.kind == "class":
        return np.asarray(np.argmax(answer, axis=1), dtype=np.float64)
    return answer


def _matrix_input(specs: Mapping[str, Any], manifest: Manifest) -> str | None:
    """The name of the input that takes a float matrix; None where the columns are fed by name."""
    names = [entry.name for entry in manifest.inputs]
    if sorted(names) == sorted(specs):
        for entry in manifest.inputs:
            _check_type(entry, specs[entry.name])
        return None
    if len(specs) != 1:
        raise WillNotLoad(f"tensorflow: inputs {', '.join(names)}; allowed: {_listed(specs)}, or one float matrix")
    (name, spec) = next(iter(specs.items()))
    strings = [entry.name for entry in manifest.inputs if entry.type == "string"]
    if strings or not spec.dtype.is_floating:
        raise WillNotLoad(f"tensorflow: inputs {', '.join(names)}; allowed: numbers only, or inputs by name")
    if spec.shape.rank != 2 or spec.shape[1] not in (None, len(names)):
        raise WillNotLoad(f"tensorflow: {len(names)} inputs; allowed by the signature's {name!r}: {spec.shape}")
    return str(name)


def _check_type(entry: Input, spec: Any) -> None:
    """Refuse what would be cut off without a word, such as fractions in an integer tensor."""
    kind = spec.dtype
    fitting = {
        "number": kind.is_floating,
        "integer": kind.is_floating or kind.is_integer,
        "boolean": kind.is_floating or kind.is_integer or kind.is_bool,
        "string": kind.name == "string",
    }
    if not fitting[entry.type]:
        raise WillNotLoad(f"tensorflow: input {entry.name!r} is a {entry.type}; its tensor takes {kind.name}")
    if entry.nullable and entry.default is None and not (kind.is_floating or kind.name == "string"):
        raise WillNotLoad(f"tensorflow: input {entry.name!r} may be null; a tensor of {kind.name} has no null")


def _only_output(outputs: Mapping[str, Any]) -> str:
    if len(outputs) != 1:
        raise WillNotLoad(f"tensorflow: outputs {_listed(outputs)}; allowed: exactly one in {_SIGNATURE}")
    return str(next(iter(outputs)))


def _refuse_operations(path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    operations: set[str] = set()
    for meta in graph.meta_graphs:
        operations.update(node.op for node in meta.graph_def.node)
        for function in meta.graph_def.library.function:
            operations.update(node.op for node in function.node_def)
    refused = sorted(operations & REFUSED_OPERATIONS)
    if refused:
        raise WillNotLoad(f"tensorflow: operations {', '.join(refused)}; allowed: none that touch files or Python")


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
