"""Converts columns to the tensors that a server reads, and a server's tensor to scores. No part of an answer is
trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import as_floats, as_matrix
from models.bundles.manifest import Input, Manifest, Output
from models.errors import one_line
from models.scorers.base import A_DEFAULT, WillNotLoad
from models.scorers.outputs import likelier
from models.scorers.remote.failures import AnswerMalformed, RecordsRefused
from models.scorers.remote.parameters import Parameters
from schemas.columns import without_loss
from schemas.expectations import wants
from schemas.reasons import shortened
from schemas.vectors import rows_of, vector_of

NUMPY_TYPES: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP32": np.float32,
    "FP64": np.float64,
}
_USUAL = {"number": "FP32", "integer": "INT64", "boolean": "BOOL", "string": "BYTES", "timestamp": "INT64"}
_FLOATS = ("FP32", "FP64")
_TYPES = {"number": _FLOATS, "integer": ("INT32", "INT64"), "boolean": ("BOOL",), "string": ("BYTES",)}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: `values` of a numpy type, or Python strings in an object array for BYTES."""

    name: str
    datatype: str
    values: npt.NDArray[Any]


class Feed:
    """Makes a batch into tensors: one matrix of shape (n, inputs), in which a vector fills as many columns as it is
    long, or one tensor per column, of a vector of shape (n, length).

    Args:
        manifest: whose inputs are fed.
        parameters: `feed`, `input`, `rank` and `datatypes`.
        declared: the server's own datatypes of its inputs by name; may be empty.

    Raises:
        WillNotLoad: the server's signature does not have an input, or its datatype would cut values off silently.
    """

    def __init__(self, manifest: Manifest, parameters: Parameters, declared: Mapping[str, str]) -> None:
        self._rank = parameters.rank
        self._matrix = _matrix_name(manifest, parameters, declared) if parameters.feed == "matrix" else None
        given = {**declared, **parameters.datatypes}
        if self._matrix is not None:
            self._datatypes = {self._matrix: given.get(self._matrix, "FP32")}
            if self._datatypes[self._matrix] not in _FLOATS:
                raise WillNotLoad(
                    f"tensor {self._matrix!r} takes {self._datatypes[self._matrix]}; "
                    f"allowed for a matrix: {', '.join(_FLOATS)}"
                )
            return
        missing = [entry.name for entry in manifest.inputs if declared and entry.name not in declared]
        if missing:
            raise WillNotLoad(f"inputs {', '.join(missing)}; expected: the server's {', '.join(sorted(declared))}")
        self._datatypes = {entry.name: given.get(entry.name, _usual(entry.type)) for entry in manifest.inputs}
        for entry in manifest.inputs:
            _check_datatype(entry, self._datatypes[entry.name])

    def tensors(self, batch: pa.RecordBatch) -> list[Tensor]:
        """The tensors of a batch of prepared inputs.

        Raises:
            RecordsRefused: a whole number does not fit the tensor's type.
        """
        if self._matrix is not None:
            datatype = self._datatypes[self._matrix]
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, as in TensorFlow
                return [Tensor(self._matrix, datatype, as_matrix(batch).astype(NUMPY_TYPES[datatype], copy=False))]
        return [self._column(name, batch.column(name)) for name in batch.schema.names]

    def _column(self, name: str, column: pa.Array) -> Tensor:
        datatype = self._datatypes[name]
        values = _values(name, column, datatype)
        return Tensor(name, datatype, values[:, np.newaxis] if self._rank == 2 and values.ndim == 1 else values)


def _usual(kind: str) -> str:
    """The datatype of an input where nobody states one."""
    vector = vector_of(kind)
    return _USUAL[kind] if vector is None else "FP32" if vector.element == "float32" else "FP64"


def _values(name: str, column: pa.Array, datatype: str) -> npt.NDArray[Any]:
    if pa.types.is_fixed_size_list(column.type):
        with np.errstate(over="ignore"):
            return rows_of(column).astype(NUMPY_TYPES[datatype], copy=False)
    if datatype == "BYTES":
        texts: npt.NDArray[Any] = column.fill_null("").to_numpy(zero_copy_only=False)
        return texts
    if datatype in _FLOATS:
        with np.errstate(over="ignore"):
            return as_floats(column, name).astype(NUMPY_TYPES[datatype])
    whole: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    if datatype == "INT32" and len(whole) and (whole.min() < -(2**31) or whole.max() >= 2**31):
        raise RecordsRefused(f"input {name!r} has a value beyond INT32; expected: one that the server takes")
    return whole.astype(NUMPY_TYPES[datatype])


def _matrix_name(manifest: Manifest, parameters: Parameters, declared: Mapping[str, str]) -> str:
    if parameters.input:
        if declared and parameters.input not in declared:
            raise WillNotLoad(f"input {parameters.input!r}; expected: the server's {', '.join(sorted(declared))}")
        return parameters.input
    if len(declared) == 1:
        return next(iter(declared))
    listed = ", ".join(sorted(declared)) or "none that it tells"
    raise WillNotLoad(f"parameters.input is missing; expected: the server's {listed}")


def _check_datatype(entry: Input, datatype: str) -> None:
    if datatype not in without_loss(entry.type, _TYPES):
        raise WillNotLoad(
            f"input {entry.name!r} is a {entry.type}, its tensor takes {datatype}; "
            f"allowed: {', '.join(without_loss(entry.type, _TYPES))}"
        )
    if entry.nullable and entry.default is None and datatype not in (*_FLOATS, "BYTES"):
        raise WillNotLoad(f"input {entry.name!r} may be null, and {datatype} has no null; {wants(A_DEFAULT)}")


def array_of(values: object, what: str) -> npt.NDArray[np.float64]:
    """Nested lists of numbers, as JSON gives them, as float64; null becomes NaN.

    Raises:
        AnswerMalformed: ragged, or not all numbers.
    """
    if not isinstance(values, list):
        raise AnswerMalformed(f"{what} is {_shown(values)}; expected: a list of numbers")
    flat = values
    while isinstance(flat, list) and flat and isinstance(flat[0], list):
        flat = [item for row in flat for item in (row if isinstance(row, list) else [row])]
    wrong = next((item for item in flat if not _is_number(item)), None)
    if wrong is not None:
        raise AnswerMalformed(f"{what} holds {_shown(wrong)}; expected: numbers")
    try:
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise AnswerMalformed(f"{what} is not an array of numbers: {shortened(one_line(error), 100)}") from None


def scores_of(
    values: npt.NDArray[Any], rows: int, output: Output, column: int | None, positive_index: int | None = None
) -> npt.NDArray[np.float64]:
    """One score per row, float64 of shape (rows,), from an answer of shape (rows,) or (rows, k).

    Of several values per row `column` is taken, or for a probability the one at `positive_index`; without them the
    second of two for a probability and the index of the greatest for a class. One value is the probability of the
    second of two classes; for a class it gives the likelier of the two, unless it is a whole number, which is a label.

    Raises:
        AnswerMalformed: any other shape, or no numbers.
    """
    if values.dtype.kind not in "biuf":
        raise AnswerMalformed(f"the answer holds {values.dtype}; expected: numbers")
    if values.ndim not in (1, 2) or values.shape[0] != rows:
        raise AnswerMalformed(f"the answer has shape {values.shape}; expected: ({rows},) or ({rows}, k)")
    answer = values.astype(np.float64)
    if column is None and (answer.ndim == 1 or answer.shape[1] == 1):
        return _of_one(answer.reshape(rows), output, positive_index)
    if answer.ndim == 1:
        answer = answer[:, np.newaxis]
    width = answer.shape[1]
    if column is None and output.kind == "class" and width:
        best: npt.NDArray[np.float64] = np.argmax(answer, axis=1).astype(np.float64)
        best[np.isnan(answer).any(axis=1)] = np.nan
        return best
    usual = 1 if output.kind == "probability" and width == 2 else -1
    chosen = positive_index if column is None else column
    taken = usual if chosen is None else chosen
    if not 0 <= taken < width:
        one = "one, or a positive class" if output.kind == "probability" else "one"
        wanted = f"a column {chosen}" if chosen is not None else f"{one}, or parameters.column"
        raise AnswerMalformed(f"the answer has {width} values per record; {wants(wanted)}")
    return answer[:, taken]


def _of_one(answer: npt.NDArray[np.float64], output: Output, positive_index: int | None) -> npt.NDArray[np.float64]:
    if output.kind == "class":
        return likelier(answer)
    if positive_index is not None and positive_index > 1:
        raise AnswerMalformed(f"the answer has 1 value per record; expected: a column {positive_index}")
    return 1.0 - answer if positive_index == 0 else answer


def only(outputs: Mapping[str, Any], wanted: str) -> Any:
    """The output with the wanted name, or the only one.

    Raises:
        AnswerMalformed: it is not there, or there are several and none is named.
    """
    if wanted in outputs:
        return outputs[wanted]
    if not wanted and len(outputs) == 1:
        return next(iter(outputs.values()))
    allowed = wanted or "exactly one, or the one that parameters.output names"
    raise AnswerMalformed(f"the answer has outputs {_listed(outputs)}; {wants(allowed)}")


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(sorted(str(name)[:60] for name in list(names)[:10])) or "none"


def _is_number(value: object) -> bool:
    # A list here is a ragged row, which numpy refuses with its own message.
    return value is None or isinstance(value, (bool, int, float, list))


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:59] + "…"
