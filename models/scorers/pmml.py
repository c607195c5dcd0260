"""PMML documents, evaluated by PMML4S on a Java virtual machine of their own."""

import json
import os
import shutil
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.manifest import Input, Manifest
from models.scorers.base import Scorer, UnknownScorer, WillNotLoad, only_file, settings

_FLOATS = ("double", "float", "real")
_FITTING = {
    "number": _FLOATS,
    "integer": (*_FLOATS, "integer"),
    "boolean": (*_FLOATS, "integer", "boolean"),
    "string": ("string",),
}


class PmmlScorer(Scorer):
    """One `.pmml` file. All models of a process share one virtual machine, which starts with the first.

    Fields are fed by name; a null is a missing value. Output `probability` is the output field with the
    probability of `output.positive`; `regression` is the predicted value; `class` the place of the predicted
    value among the target's values (or `parameters.classes`). `parameters.output` names another field. What
    the evaluator does not answer (a missing value it has no rule for, an invalid one) is NaN, never a score.
    """

    kind = "pmml"
    requires = ("pypmml", "py4j")

    def __init__(self, model: Any, manifest: Manifest) -> None:
        given = settings(manifest, "output", "classes")
        self._model = model
        self._numeric = _numeric_booleans(model, manifest)
        self._output = _output_field(model, manifest, given.get("output"))
        classes = given.get("classes", model.classes) if manifest.output.kind == "class" else []
        self._classes = {str(label): float(place) for place, label in enumerate(classes)}

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "PmmlScorer":
        """Load the document unless it declares a document type, whose entities could name files to read."""
        path = folder / only_file(manifest, [".pmml"])
        _refuse_document_type(path)
        if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
            raise UnknownScorer("scorer 'pmml' needs Java; allowed: java on the PATH, or JAVA_HOME")
        from pypmml import Model
        from pypmml.base import PMMLContext

        PMMLContext.getOrCreate(java_opts=["-XX:+UseSerialGC"])
        return cls(Model.fromFile(str(path)), manifest)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score in one call for all rows; an empty batch does not reach the evaluator."""
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        columns = [
            (column.cast(pa.int64()) if name in self._numeric else column).to_pylist()
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        rows = {"columns": batch.schema.names, "data": list(zip(*columns, strict=True))}
        answer = json.loads(self._model.call("predict", json.dumps(rows)))
        place = answer["columns"].index(self._output)
        return np.array([self._score(row[place]) for row in answer["data"]], dtype=np.float64)

    def close(self) -> None:
        """Let the virtual machine have the model's memory back."""
        self._model = None

    def _score(self, value: Any) -> float:
        if value is None:
            return float("nan")
        if self._classes:
            return self._classes[str(value)]
        return float(value)


def _refuse_document_type(path: Path) -> None:
    """Also says first, and in a line, where a file is no XML at all."""

    def refuse(*_: object) -> None:
        raise WillNotLoad("pmml: the file declares a document type; allowed: PMML without one")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    with path.open("rb") as file:
        try:
            parser.ParseFile(file)
        except expat.ExpatError as error:
            raise WillNotLoad(f"pmml: no XML: {error}; allowed: a PMML document") from None


def _numeric_booleans(model: Any, manifest: Manifest) -> frozenset[str]:
    """Checks every input against the model's field; returns the booleans that it takes as 0 and 1."""
    fields = {field.name: str(field.dataType) for field in model.inputFields}
    names = [entry.name for entry in manifest.inputs]
    if sorted(names) != sorted(fields):
        raise WillNotLoad(f"pmml: inputs {', '.join(names)}; allowed: the fields {', '.join(fields)}")
    for entry in manifest.inputs:
        _check_type(entry, fields[entry.name])
    booleans = (entry.name for entry in manifest.inputs if entry.type == "boolean")
    return frozenset(name for name in booleans if fields[name] != "boolean")


def _check_type(entry: Input, field: str) -> None:
    if field not in _FITTING[entry.type]:
        allowed = ", ".join(_FITTING[entry.type])
        raise WillNotLoad(f"pmml: input {entry.name!r} is a {entry.type} for a field of {field}; allowed: {allowed}")


def _output_field(model: Any, manifest: Manifest, named: object) -> str:
    output, fields = manifest.output, list(model.outputFields)
    listed = ", ".join(field.name for field in fields) or "none"
    if named is not None:
        if named not in [field.name for field in fields]:
            raise WillNotLoad(f"pmml: parameters.output {named!r}; allowed: {listed}")
        return str(named)
    if output.kind == "probability" and str(model.functionName) != "regression":
        if output.positive is None:
            classes = ", ".join(str(label) for label in model.classes)
            raise WillNotLoad(f"pmml: output.positive is null; allowed: {classes}")
        found = [f.name for f in fields if f.feature == "probability" and str(f.value) == output.positive]
        wanted = f"one with the probability of {output.positive!r}"
    else:
        found = [f.name for f in fields if f.feature == "predictedValue"]
        wanted = "one with the predicted value"
    if len(found) != 1:
        raise WillNotLoad(f"pmml: output fields {listed}; allowed: {wanted}, or parameters.output")
    return str(found[0])
