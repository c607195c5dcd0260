"""PMML documents, evaluated by PMML4S on a Java virtual machine of their own."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Input, Manifest
from models.scorers.answers import plain_second
from models.scorers.base import Scorer, WillNotLoad, only_file, settings
from models.scorers.pmml.machine import start_machine
from schemas.columns import without_loss
from schemas.expectations import wants

_FLOATS = ("double", "float", "real")
_TYPES = {"number": _FLOATS, "integer": ("integer",), "boolean": ("boolean",), "string": ("string",)}


class PmmlScorer(Scorer):
    """One `.pmml` file. All models of a process share one virtual machine, which starts with the first.

    Fields are fed by name, record by record; a null is left out, which is a missing value to the evaluator.
    Output `probability` is the output field with the probability of `output.positive`; `regression` is the
    predicted value; `class` the index of the predicted value among the target's values (or
    `parameters.classes`), or with `parameters.most_probable` that of the greatest probability. For a classifier that
    declares no such output fields the evaluator's own are used. `parameters.output` names another field. Where the
    evaluator gives no answer (a missing value without a rule, an invalid value) the score is NaN.
    """

    kind = "pmml"
    requires = ("pypmml", "py4j")

    def __init__(self, model: Any, manifest: Manifest) -> None:
        settings(manifest, "output", "classes", "most_probable")
        self._model = model
        self._encoders = _encoders(model, manifest)
        self._answer = _answer(model, manifest)
        self._classes = _classes(model, manifest)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "PmmlScorer":
        """Load the document unless it declares a document type, whose entities could make the parser read files."""
        path = folder / only_file(manifest, [".pmml"])
        _refuse_document_type(path)
        start_machine()
        from pypmml import Model

        return cls(Model.fromFile(str(path)), manifest)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score in one call for all rows; an empty batch does not reach the evaluator."""
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        columns = [encode(batch.column(name)) for name, encode in self._encoders.items()]
        rows = ("{" + ",".join(filter(None, row)) + "}" for row in zip(*columns, strict=True))
        answers = json.loads(self._model.call("predict", f"[{','.join(rows)}]"))
        return np.array([self._answer(answer) for answer in answers], dtype=np.float64)

    def labels(self) -> Mapping[float, str]:
        """The target's values, or `parameters.classes`."""
        return {float(index): label for index, label in enumerate(self._classes)}

    def close(self) -> None:
        """Let the virtual machine free the model's memory."""
        self._model = None


def _refuse_document_type(path: Path) -> None:
    """Also reports, first and in one line, a file that is not XML at all."""

    def refuse(*_: object) -> None:
        raise WillNotLoad("pmml: the file declares a document type; expected: PMML without one")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    with path.open("rb") as file:
        try:
            parser.ParseFile(file)
        except expat.ExpatError as error:
            raise WillNotLoad(f"pmml: the file is not XML: {error}; expected: a PMML document") from None


def _encoders(model: Any, manifest: Manifest) -> dict[str, Callable[[pa.Array], list[str]]]:
    """Checks every input against the model's field; returns how its column is written, by name."""
    fields = {field.name: str(field.dataType) for field in model.inputFields}
    names = [entry.name for entry in manifest.inputs]
    if sorted(names) != sorted(fields):
        raise WillNotLoad(f"pmml: inputs {', '.join(names)}; expected: the fields {', '.join(fields)}")
    return {entry.name: _encoder(entry, fields[entry.name]) for entry in manifest.inputs}


def _encoder(entry: Input, field: str) -> Callable[[pa.Array], list[str]]:
    """A column as members of JSON objects; "" for a null, since the evaluator reads an explicit null as 0."""
    allowed = without_loss(entry.type, _TYPES)
    if field not in allowed:
        said = f"input {entry.name!r} is a {entry.type} for a field of {field}; {wants(', '.join(allowed))}"
        raise WillNotLoad(f"pmml: {said}")
    key = f"{json.dumps(entry.name)}:"
    as_number = entry.type == "boolean" and field != "boolean"
    written = _number if entry.type == "number" else json.dumps

    def encode(column: pa.Array) -> list[str]:
        values = (column.cast(pa.int64()) if as_number else column).to_pylist()
        return ["" if value is None else key + written(value) for value in values]

    return encode


def _number(value: float) -> str:
    """The shortest text that reads as the same double; JSON has no infinity, but numbers beyond all doubles."""
    return repr(value).replace("inf", "1e999")


def _answer(model: Any, manifest: Manifest) -> Callable[[Mapping[str, Any]], float]:
    """How the score is read from the output fields of one record; the evaluator may leave some out."""
    classes = _classes(model, manifest)
    named, most_probable = manifest.parameters.get("output"), manifest.parameters.get("most_probable", False)
    if named is not None:
        fields = [field.name for field in model.outputFields]
        if named not in fields:
            raise WillNotLoad(f"pmml: parameters.output {named!r}; allowed: {', '.join(fields) or 'none'}")
        return _number_or_index(str(named), classes if manifest.output.kind == "class" else [])
    if most_probable:
        return _index_of_greatest(model, manifest, classes)
    if manifest.output.kind == "probability" and str(model.functionName) != "regression":
        return _number_or_index(_probability_field(model, manifest, classes), [])
    found = _fields(model, "predictedValue", classifies=manifest.output.kind == "class")
    if len(found) != 1:
        raise WillNotLoad(f"pmml: output fields {_listed(model)}; expected: {_one('the predicted value')}")
    return _number_or_index(found[0].name, classes if manifest.output.kind == "class" else [])


def _classes(model: Any, manifest: Manifest) -> list[str]:
    return [_label(each) for each in manifest.parameters.get("classes", model.classes)]


def _number_or_index(field: str, classes: list[str]) -> Callable[[Mapping[str, Any]], float]:
    """The number in a field; where there are `classes`, the index of the one in the field."""
    indexes = {label: float(index) for index, label in enumerate(classes)}

    def read(answer: Mapping[str, Any]) -> float:
        value = answer.get(field)
        if value is None:
            return float("nan")
        if not indexes:
            return float(value)
        if _label(value) not in indexes:
            raise ValueError(f"the model answered class {_label(value)!r}; allowed: {', '.join(indexes)}")
        return indexes[_label(value)]

    return read


def _index_of_greatest(model: Any, manifest: Manifest, classes: list[str]) -> Callable[[Mapping[str, Any]], float]:
    """The index of the class with the greatest probability, the first of equals; NaN unless all are given."""
    if manifest.parameters["most_probable"] is not True or manifest.output.kind != "class":
        given = manifest.parameters["most_probable"]
        raise WillNotLoad(f"pmml: parameters.most_probable {given!r}; expected: true, for output class")
    fields = {_label(field.value): field.name for field in _fields(model, "probability", True) if _of_class(field)}
    if not classes or set(classes) - set(fields):
        wanted = ", ".join(classes) or "classes that the document names"
        raise WillNotLoad(f"pmml: output fields {_listed(model)}; expected: probabilities of {wanted}")

    def read(answer: Mapping[str, Any]) -> float:
        found = [answer.get(fields[label]) for label in classes]
        if any(value is None for value in found):
            return float("nan")
        return float(np.argmax(np.array(found, dtype=np.float64)))

    return read


def _probability_field(model: Any, manifest: Manifest, classes: list[str]) -> str:
    positive = manifest.output.positive or plain_second(classes)
    if positive is None:
        raise WillNotLoad(f"pmml: output.positive is null; allowed: {', '.join(classes)}")
    fields = _fields(model, "probability", True, lambda field: _of_class(field) and _label(field.value) == positive)
    if len(fields) != 1:
        allowed = _one(f"the probability of {positive!r}")
        raise WillNotLoad(f"pmml: output fields {_listed(model)}; {wants(allowed)}")
    return str(fields[0].name)


def _fields(
    model: Any, feature: str, classifies: bool, wanted: Callable[[Any], bool] = lambda field: True
) -> list[Any]:
    """The output fields of a feature; for a classifier that declares none, the evaluator's own."""
    found = _matching(model.outputFields, feature, wanted)
    if not found and classifies:
        model.setSupplementOutput(True)
        found = _matching(model.outputFields, feature, wanted)
    return found


def _matching(fields: Iterable[Any], feature: str, wanted: Callable[[Any], bool]) -> list[Any]:
    return [field for field in fields if field.feature == feature and wanted(field)]


def _of_class(field: Any) -> bool:
    """Excludes the probability of whichever class was predicted."""
    return field.value is not None


def _label(value: object) -> str:
    """A class as the document writes it: true and false, whole numbers without a fraction."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _one(what: str) -> str:
    return f"one with {what}, or parameters.output"


def _listed(model: Any) -> str:
    return ", ".join(field.name for field in model.outputFields) or "none"
