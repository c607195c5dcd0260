"""TensorFlow SavedModels, scored through one of their signatures."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import as_floats, as_matrix, filled, of_filled, width_of
from models.bundles.manifest import Input, Manifest
from models.scorers.base import A_DEFAULT, Scorer, WillNotLoad, settings
from models.scorers.outputs import reading_of, try_once
from models.scorers.shapes import fitting, row_shape
from models.scorers.tensorflow.graph import check_graph, graph_file
from models.scorers.tensorflow.importing import tensorflow
from schemas.columns import WRITTEN_AS, ColumnKind
from schemas.expectations import wants
from schemas.vectors import rows_of, vector_of

SIGNATURE = "serving_default"


class TensorflowScorer(Scorer):
    """A SavedModel folder anywhere in the bundle, if its graph only computes in memory.

    The signature is `serving_default`, the only one, or the one that `parameters.signature` names. Where its
    inputs have the manifest's names each column is fed by name, as (n,) or (n, 1) in the signature's type
    (`tf.string` for strings, a null as ""), a vector in the signature's shape (n, …); else a single input gets one
    float matrix of shape (n, inputs), in which a vector fills as many columns as it is long.
    Of several outputs `parameters.output` names one. How its numbers or labels are read: `outputs.Reading`.
    """

    kind = "tensorflow"
    takes_vectors = True
    requires = ("tensorflow",)

    def __init__(self, model: Any, manifest: Manifest, to_tensor: Callable[[Any, Any], Any]) -> None:
        given = settings(manifest, "signature", "output", "classes", "column")
        signature = model.signatures[chosen_signature(model.signatures, given.get("signature"))]
        self._model = model  # its variables live as long as this reference
        self._signature = signature
        self._to_tensor = to_tensor
        self._specs: Mapping[str, Any] = signature.structured_input_signature[1]
        self._matrix = _matrix_input(self._specs, manifest)
        self._output = _output(signature.structured_outputs, given.get("output"))
        spec = signature.structured_outputs[self._output]
        self._reading = reading_of(manifest, None, _width(spec), spec.dtype.name == "string")
        if _width(spec) is None:
            try_once(self, manifest)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "TensorflowScorer":
        """Load the SavedModel once its graph is known to be harmless."""
        path = graph_file(folder, manifest)
        tf = tensorflow()
        check_graph(folder, path, manifest)
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
            feeds = {
                name: self._tensor(name, _column(batch.column(name), name, spec)) for name, spec in self._specs.items()
            }
        answer = self._signature(**feeds)[self._output].numpy()
        return of_filled(self._reading.scores(np.asarray(answer)), rows)

    def labels(self) -> Mapping[float, str]:
        """The labels that `parameters.classes` gives the class indexes."""
        return self._reading.labels

    def _tensor(self, name: str, values: npt.NDArray[Any]) -> Any:
        spec = self._specs[name]
        if spec.shape.rank == 2 and values.ndim == 1:
            values = values[:, np.newaxis]
        if values.ndim == 2:
            values = values.reshape(len(values), *(shape_of_row(spec.shape, values.shape[1]) or values.shape[1:]))
        if values.dtype != object:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, as in TensorFlow
                values = values.astype(spec.dtype.as_numpy_dtype, copy=False)
        return self._to_tensor(values, spec.dtype)


def chosen_signature(names: Collection[str], stated: object) -> str:
    """The signature to score through: the stated one, `serving_default`, or the only one.

    Raises:
        WillNotLoad: there is none of that name, or several of which none is stated.
    """
    offered = [name for name in names if not name.startswith("__")]  # TensorFlow lists its own initialiser too
    found = stated if stated is not None else SIGNATURE if SIGNATURE in offered or len(offered) != 1 else offered[0]
    if found not in offered:
        asked = f", {found!r} asked for" if stated is not None else ""
        raise WillNotLoad(f"tensorflow: signatures {_listed(offered)}{asked}; expected: --setting signature=NAME")
    return str(found)


def _column(column: pa.Array, name: str, spec: Any) -> npt.NDArray[Any]:
    """The values for a tensor. Raises where one does not fit a tensor of integers."""
    values: npt.NDArray[Any]
    if pa.types.is_fixed_size_list(column.type):
        values = rows_of(column)
    elif pa.types.is_string(column.type):
        values = column.fill_null("").cast(pa.binary()).to_numpy(zero_copy_only=False)
    elif spec.dtype.is_integer:
        values = column.cast(pa.from_numpy_dtype(spec.dtype.as_numpy_dtype)).to_numpy(zero_copy_only=False)
    else:
        # Always by way of doubles: a null in a neighbouring row must not change how an integer is rounded.
        values = as_floats(column, name)
    return values


def _matrix_input(specs: Mapping[str, Any], manifest: Manifest) -> str | None:
    """The name of the input that takes a float matrix; None where the columns are fed by name."""
    names = [entry.name for entry in manifest.inputs]
    if sorted(names) == sorted(specs):
        for entry in manifest.inputs:
            _check_type(entry, specs[entry.name])
        return None
    if len(specs) != 1:
        raise WillNotLoad(f"tensorflow: inputs {', '.join(names)}; expected: {_listed(specs)}, or one float matrix")
    (name, spec) = next(iter(specs.items()))
    strings = [entry.name for entry in manifest.inputs if entry.type == "string"]
    if strings or not spec.dtype.is_floating:
        raise WillNotLoad(f"tensorflow: inputs {', '.join(names)}; expected: numbers only, or inputs by name")
    shape = shape_of_row(spec.shape, width_of(manifest.inputs))
    if shape is None or (len(shape) != 1 and len(names) > 1):
        vectors = any(vector_of(entry.type) is not None for entry in manifest.inputs)
        listed = ", ".join(f"{entry.name} {entry.type}" for entry in manifest.inputs)
        found = f"inputs {listed}" if vectors else f"{len(names)} inputs"
        raise WillNotLoad(f"tensorflow: {found}; allowed by the signature's {name!r}: {spec.shape}")
    return str(name)


def shape_of_row(shape: Any, width: int) -> tuple[int, ...] | None:
    """The shape of a row of so many numbers in a tensor of a TensorShape; None if it does not fit, or takes one value
    for each row."""
    return None if shape.rank in (None, 0, 1) else row_shape(shape.as_list()[1:], width)


def kind_of_tensor(dtype: Any) -> ColumnKind | None:
    """The column kind of a TensorFlow type; None for a type that no column can have."""
    kinds: tuple[tuple[bool, ColumnKind], ...] = (
        (dtype.is_floating, "number"),
        (dtype.is_bool, "boolean"),
        (dtype.is_integer, "integer"),
        (dtype.name == "string", "string"),
    )
    return next((kind for fits, kind in kinds if fits), None)


def _kinds_for(dtype: Any) -> list[str]:
    """The types of inputs that a tensor of this type takes without loss."""
    return [name for name, kinds in WRITTEN_AS.items() if kind_of_tensor(dtype) in kinds]


def _check_type(entry: Input, spec: Any) -> None:
    """Refuse what would be cut off silently, such as fractions in an integer tensor."""
    kind, vector = spec.dtype, vector_of(entry.type)
    if vector is not None and shape_of_row(spec.shape, vector.length) is None:
        raise WillNotLoad(
            f"tensorflow: input {entry.name!r} is a {entry.type}, its tensor has the shape {spec.shape}; "
            f"{wants(fitting(spec.shape.as_list()[1:] if spec.shape.rank else []))}"
        )
    if kind_of_tensor(kind) not in WRITTEN_AS[entry.type]:
        wanted = ", ".join(_kinds_for(kind)) or "a model without this input"
        raise WillNotLoad(
            f"tensorflow: input {entry.name!r} is a {entry.type} for a tensor of {kind.name}; {wants(wanted)}"
        )
    if entry.nullable and entry.default is None and not (kind.is_floating or kind.name == "string"):
        lacks = f"a tensor of {kind.name} has no null"
        raise WillNotLoad(f"tensorflow: input {entry.name!r} may be null, and {lacks}; {wants(A_DEFAULT)}")


def _output(outputs: Mapping[str, Any], named: object) -> str:
    """The output to read: the one that is named, or the only one."""
    if (named is None and len(outputs) != 1) or (named is not None and named not in outputs):
        asked = "" if named is None else f", {named!r} asked for"
        raise WillNotLoad(f"tensorflow: outputs {_listed(outputs)}{asked}; expected: one, or --setting output=NAME")
    return next(iter(outputs)) if named is None else str(named)


def _width(spec: Any) -> int | None:
    """How many values an output has for each row; None where the graph leaves it open.

    Raises:
        WillNotLoad: it does not have one row for each record, or has more than a row of numbers.
    """
    if spec.shape.rank not in (None, 1, 2):
        raise WillNotLoad(f"tensorflow: an output of shape {spec.shape}; expected: (n,) or (n, columns)")
    if spec.shape.rank == 1:
        return 1
    return spec.shape[1] if spec.shape.rank == 2 else None


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
