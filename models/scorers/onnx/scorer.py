"""ONNX models on onnxruntime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import as_floats, filled, of_filled, width_of
from models.bundles.manifest import Input, Manifest
from models.scorers.answers import Answers
from models.scorers.base import A_DEFAULT, Scorer, WillNotLoad, only_file, settings
from models.scorers.onnx.labels import labels_of
from models.scorers.outputs import Reading, reading_of, try_once
from models.scorers.shapes import fitting, row_shape
from schemas.columns import without_loss
from schemas.expectations import wants
from schemas.vectors import rows_of, vector_of

_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
_INTEGERS = {
    f"tensor({name})": pa.from_numpy_dtype(name)
    for name in ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")
}
_STRINGS, _BOOLEANS = "tensor(string)", "tensor(bool)"
LABEL_TENSORS = (*_INTEGERS, _STRINGS)
TENSORS = {"number": (*_FLOATS,), "integer": (*_INTEGERS,), "boolean": (_BOOLEANS,), "string": (_STRINGS,)}


@dataclass(frozen=True, slots=True)
class _Feed:
    """A tensor and the columns that fill it: one, or as a matrix all of them. `shape`: of each row."""

    name: str
    tensor: str
    columns: tuple[str, ...]
    shape: tuple[int, ...]

    def values(self, batch: pa.RecordBatch) -> npt.NDArray[Any]:
        columns = [self._column(batch.column(name), name) for name in self.columns]
        values = columns[0] if len(columns) == 1 else np.column_stack(columns)
        return values.reshape(batch.num_rows, *self.shape)

    def _column(self, column: pa.Array, name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any]
        if pa.types.is_fixed_size_list(column.type):
            with np.errstate(over="ignore"):
                return rows_of(column).astype(_FLOATS[self.tensor], copy=False)
        if self.tensor == _STRINGS:
            values = column.fill_null("").to_numpy(zero_copy_only=False)
        elif self.tensor in _INTEGERS:
            # Raises for what does not fit 32 bits.
            values = column.cast(_INTEGERS[self.tensor]).to_numpy(zero_copy_only=False)
        elif self.tensor == _BOOLEANS:
            values = column.to_numpy(zero_copy_only=False)
        else:
            with np.errstate(over="ignore"):  # what the tensor's floats cannot hold becomes infinite
                values = as_floats(column, name).astype(_FLOATS[self.tensor])
        return values


class OnnxScorer(Scorer):
    """One `.onnx` file, with its external data beside it in the bundle.

    Where the model's inputs have the manifest's names each column is fed by name, as (n,) or (n, 1) in the
    tensor's type (a null as NaN, a null string as ""), a vector in the tensor's shape (n, …): a view of the column
    where both have the same floats and nothing is null. Else a single input gets one matrix of shape (n, inputs), in
    which a vector fills as many columns as it is long. A fixed batch dimension is filled with copies of the last row,
    whose answers are dropped.
    `parameters.output` names the output where there are several that could be meant: for a probability or regression a
    float tensor or a list of maps from class to probability, for a class the labels or else the most probable. The
    classes are the labels that the graph holds; where it holds none, `parameters.classes`, or else indexes. How numbers
    and labels are read: `outputs.Reading`.
    """

    kind = "onnx"
    takes_vectors = True
    requires = ("onnxruntime",)

    def __init__(self, session: Any, run_options: Any, manifest: Manifest, path: Path) -> None:
        named = settings(manifest, "output", "classes", "column").get("output")
        self._session, self._run_options = session, run_options
        self._feeds = _feeds(session.get_inputs(), manifest)
        self._rows = _fixed_rows(session.get_inputs())
        output = _output(session.get_outputs(), manifest, named)
        self._output: str = output.name
        labels = _labels(session.get_outputs(), output, manifest, path)
        width = _width(output) if labels is None or output.type in LABEL_TENSORS else len(labels)
        self._reading = reading_of(manifest, labels, width, output.type == _STRINGS)
        self._labels = _by_score(self._reading, output, labels)
        if width is None:
            try_once(self, manifest)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "OnnxScorer":
        """Load the model, to be run in the calling thread: the job's worker has threads of its own."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # errors are raised; without this they would be printed too
        path = folder / only_file(manifest, [".onnx"])
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        run_options = onnxruntime.RunOptions()
        run_options.log_severity_level = options.log_severity_level
        return cls(session, run_options, manifest, path)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the model; an empty batch does not reach it."""
        rows = batch.num_rows
        if rows == 0:
            return np.empty(0, dtype=np.float64)
        if self._rows is None:
            whole = filled(batch)
            return of_filled(self._run({feed.name: feed.values(whole) for feed in self._feeds}), rows)
        feeds = {feed.name: feed.values(batch) for feed in self._feeds}
        parts = []
        for start in range(0, rows, self._rows):
            indexes = np.minimum(np.arange(start, start + self._rows), rows - 1)
            parts.append(self._run({name: values[indexes] for name, values in feeds.items()}))
        return np.concatenate(parts)[:rows]

    def labels(self) -> Mapping[float, str]:
        """The labels that the graph holds, or `parameters.classes`."""
        return self._labels

    def interrupt(self) -> None:
        """Ends a run between two nodes, even in an endless loop."""
        self._run_options.terminate = True

    def _run(self, feeds: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        [answer] = self._session.run([self._output], feeds, self._run_options)
        return _of_maps(answer, self._reading.answers) if isinstance(answer, list) else self._reading.scores(answer)


def _labels(outputs: Sequence[Any], output: Any, manifest: Manifest, path: Path) -> tuple[str, ...] | None:
    """The classes that the graph holds, where the score is of one of them."""
    if manifest.output.kind == "regression":
        return None
    ordered = [one.name for one in outputs if one.type in LABEL_TENSORS] + [output.name]
    labels = labels_of(path, ordered)
    stated = manifest.parameters.get("classes") if manifest.output.kind == "probability" else None
    if labels and isinstance(stated, list) and stated != list(labels) and sorted(map(str, stated)) == sorted(labels):
        raise WillNotLoad(f"onnx: classes {stated}; expected: in the model's order, {', '.join(labels)}")
    return labels


def _by_score(reading: Reading, output: Any, labels: Sequence[str] | None) -> dict[float, str]:
    """The label of each score that a class may have."""
    numbers = labels is not None and all(label.lstrip("-").isdecimal() for label in labels)
    if output.type in _INTEGERS and labels is not None:  # the model answers with the labels themselves
        return {float(label): label for label in labels} if numbers else {}
    found = reading.labels
    if output.type.startswith("seq("):  # `_of_maps` takes them in the order of their keys
        ordered = sorted(found.values(), key=(lambda label: int(label)) if numbers else str)
        return dict(enumerate(ordered))
    return found


def _width(output: Any) -> int | None:
    """How many values the output has for each row; None where the graph leaves it open, or has maps.

    Raises:
        WillNotLoad: it has more than a row of numbers for each record.
    """
    if output.type.startswith("seq("):
        return None
    if len(output.shape) > 2:
        raise WillNotLoad(f"onnx: output {output.name!r} of shape {output.shape}; expected: (n,) or (n, columns)")
    if len(output.shape) == 1:
        return 1
    return output.shape[1] if len(output.shape) == 2 and isinstance(output.shape[1], int) else None


def _of_maps(maps: list[dict[Any, float]], answers: Answers) -> npt.NDArray[np.float64]:
    """Scores from one {class: probability} for each row."""
    classes = sorted(maps[0])
    matrix = np.array([[row[name] for name in classes] for row in maps], dtype=np.float64)
    return replace(answers, classes=tuple(str(name) for name in classes)).scores(matrix)


def _feeds(inputs: Sequence[Any], manifest: Manifest) -> list[_Feed]:
    names = [entry.name for entry in manifest.inputs]
    if sorted(names) == sorted(given.name for given in inputs):
        tensors = {given.name: given for given in inputs}
        return [_column_feed(entry, tensors[entry.name]) for entry in manifest.inputs]
    listed = ", ".join(f"{given.name} {given.type} {given.shape}" for given in inputs)
    if len(inputs) != 1:
        raise WillNotLoad(f"onnx: inputs {', '.join(names)}; expected: {listed}, by name")
    [matrix] = inputs
    shape = row_shape(matrix.shape[1:], width_of(manifest.inputs))
    if shape is None or (len(shape) != 1 and len(names) > 1):
        raise WillNotLoad(f"onnx: {_said(manifest.inputs)}; {wants(listed)}")
    for entry in manifest.inputs:
        _check_type(entry, matrix)
    return [_Feed(matrix.name, matrix.type, tuple(names), shape)]


def _said(inputs: Sequence[Input]) -> str:
    if all(vector_of(entry.type) is None for entry in inputs):
        return f"{len(inputs)} inputs"
    return f"inputs {', '.join(f'{entry.name} {entry.type}' for entry in inputs)}"


def _column_feed(entry: Input, tensor: Any) -> _Feed:
    _check_type(entry, tensor)
    vector = vector_of(entry.type)
    shape = row_shape(tensor.shape[1:], 1 if vector is None else vector.length)
    if vector is not None and shape is None:
        found = f"input {entry.name!r} is a {entry.type}, its tensor has the shape {tensor.shape}"
        raise WillNotLoad(f"onnx: {found}; {wants(fitting(tensor.shape[1:]))}")
    if vector is None and len(tensor.shape) != 1 and (shape is None or len(shape) > 1):
        raise WillNotLoad(f"onnx: input {entry.name!r} takes {tensor.shape}; {wants(fitting(tensor.shape[1:]))}")
    return _Feed(entry.name, tensor.type, (entry.name,), shape or ())


def _check_type(entry: Input, tensor: Any) -> None:
    """Refuse what would be cut off silently, such as fractions in an integer tensor."""
    allowed = without_loss(entry.type, TENSORS)
    if tensor.type not in allowed:
        listed = wants(", ".join(allowed))
        raise WillNotLoad(f"onnx: input {entry.name!r} is a {entry.type} for {tensor.type}; {listed}")
    if entry.nullable and entry.default is None and tensor.type not in (*_FLOATS, _STRINGS):
        raise WillNotLoad(f"onnx: input {entry.name!r} may be null, and {tensor.type} has no null; {wants(A_DEFAULT)}")


def _fixed_rows(inputs: Sequence[Any]) -> int | None:
    """How many rows the model takes at a time; None for any number."""
    fixed = {given.shape[0] for given in inputs if isinstance(given.shape[0], int)}
    if len(fixed) > 1 or any(rows < 1 for rows in fixed):
        raise WillNotLoad(f"onnx: batch dimensions {sorted(fixed)}; expected: one and the same, 1 or more")
    return fixed.pop() if fixed else None


def _output(outputs: Sequence[Any], manifest: Manifest, named: object) -> Any:
    kind = manifest.output.kind
    numbers = [one for one in outputs if one.type in _FLOATS or one.type.startswith("seq(map(")]
    labels = [one for one in outputs if one.type in LABEL_TENSORS]
    fitting = (labels or numbers) if kind == "class" else numbers
    if named is not None:
        fitting = [one for one in (*numbers, *(labels if kind == "class" else ())) if one.name == named]
    if len(fitting) != 1:
        listed = ", ".join(f"{one.name} {one.type}" for one in outputs)
        wanted = "labels or numbers" if kind == "class" else "floats or maps"
        chosen = "" if named is None else f", {named!r} asked for"
        allowed = f"allowed for a {kind}: one of {wanted}, or parameters.output"
        raise WillNotLoad(f"onnx: outputs {listed}{chosen}; {allowed}")
    return fitting[0]
