"""Any `ModelHandler` of Apache Beam, scored as RunInference would.

Beam is imported by name and only for loading, like the library of every kind: `models` does not depend on Beam.
"""

import enum
import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import as_matrix
from models.bundles.manifest import Manifest
from models.scorers.answers import answers_of
from models.scorers.base import Scorer, WillNotLoad, payload_files, settings
from models.scorers.outputs import picked, stated_column, try_row
from schemas.expectations import wants

_INFERENCE = "apache_beam.ml.inference"
_FILE, _OBJECT = "bundle:", "import:"


class BeamScorer(Scorer):
    """The handler that `parameters.handler` names as `module:Class`, made with `parameters.arguments`.

    An argument `bundle:PATH` becomes the path of that file or folder of the bundle, `import:module:name` that
    object, and a text for an argument that is an enum its member of that name. A handler of numpy arrays gets
    one float64 row for each record, one of pandas a DataFrame of one row. Its answers have one value for each
    row, or one for each class, or several of which `parameters.column` is the index of one.

    The kind is for jobs with --allow_pickle only. Handlers that ignore `update_model_path` (in Beam 2.77 those of ONNX,
    XGBoost, TensorRT, vLLM and of remote models) are refused before they are made: under RunInference they would keep
    the model they were made with.
    """

    kind = "beam"
    requires = ("apache_beam",)

    def __init__(self, handler: Any, manifest: Manifest) -> None:
        self._handler = handler
        self._rows = _row_maker(handler)
        self._answers, self._column = answers_of(manifest), stated_column(manifest)
        self._model = handler.load_model()

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "BeamScorer":
        """Refuse: only a handler's author knows which code it runs on what it loads."""
        name, _ = _named(manifest)
        danger = f"beam: handler {name} may run code of the model it loads"
        raise WillNotLoad(f"{danger}; expected: a job with --allow_pickle")

    @classmethod
    def load_trusting_pickles(cls, folder: Path, manifest: Manifest) -> "BeamScorer":
        """Make the handler and let it load its model."""
        scorer = cls(_handler(folder, manifest), manifest)
        try_row(scorer, manifest)
        return scorer

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score as one batch of the handler; as several where a DataFrame would mix types; never as an empty one."""
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        groups = _alike(batch) if self._rows is _frames else [np.arange(batch.num_rows)]
        if len(groups) == 1:
            return self._scored(batch)
        scores = np.empty(batch.num_rows, dtype=np.float64)
        for rows in groups:
            scores[rows] = self._scored(batch.take(pa.array(rows)))
        return scores

    def labels(self) -> Mapping[float, str]:
        """The labels that the trainer, or `parameters.classes`, gave the class indexes."""
        return self._answers.labels

    def _scored(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        results = list(self._handler.run_inference(self._rows(batch), self._model))
        answer = picked("beam", np.asarray([np.asarray(_inference(result)) for result in results]), self._column)
        if answer.ndim == 2 and answer.shape[1] > 1 and self._answers.kind == "regression":
            allowed = f"one, by --setting column=0 to {answer.shape[1] - 1}"
            raise WillNotLoad(f"beam: the model answers each row with {answer.shape[1]} numbers; {wants(allowed)}")
        return self._answers.scores(answer)


def _inference(result: Any) -> Any:
    """The answer in a PredictionResult; a handler may also return the bare answer."""
    return getattr(result, "inference", result)


def _named(manifest: Manifest) -> tuple[str, Mapping[str, Any]]:
    given = settings(manifest, "handler", "arguments", "classes", "column")
    name, arguments = given.get("handler"), given.get("arguments", {})
    if not isinstance(name, str) or name.count(":") != 1 or not isinstance(arguments, dict):
        raise WillNotLoad(f"beam: handler {name!r}; expected: parameters {{handler: 'module:Class', arguments: {{…}}}}")
    return name, arguments


def _handler(folder: Path, manifest: Manifest) -> Any:
    """The handler; it is made only once it is known to be a handler that follows a new model path."""
    name, arguments = _named(manifest)
    base = importlib.import_module(f"{_INFERENCE}.base").ModelHandler
    try:
        found = _imported(name)
    except (ImportError, AttributeError) as error:
        raise WillNotLoad(f"beam: handler {name} cannot be imported: {error}; expected: module:Class") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise WillNotLoad(f"beam: handler {name} is not a ModelHandler; expected: a subclass of {base.__module__}'s")
    if getattr(found, "update_model_path", None) is base.update_model_path:
        raise WillNotLoad(f"beam: handler {name} cannot follow a release; expected: one with an update_model_path")
    types = _annotations(found)
    made = {key: _argument(value, types.get(key), folder, manifest) for key, value in arguments.items()}
    return found(**made)


def _argument(value: Any, kind: Any, folder: Path, manifest: Manifest) -> Any:
    if not isinstance(value, str):
        return value
    if value.startswith(_FILE):
        path = value.removeprefix(_FILE)
        if not any(f"{listed}/".startswith(f"{path}/") for listed in payload_files(manifest)):
            raise WillNotLoad(f"beam: {value} is not in the bundle; allowed: {', '.join(payload_files(manifest))}")
        return str(folder / path)
    if value.startswith(_OBJECT):
        return _imported(value.removeprefix(_OBJECT))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind[value]
    return value


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _annotations(handler: type) -> Mapping[str, Any]:
    """The types of the arguments, as far as they are annotated."""
    return {key: one.annotation for key, one in inspect.signature(handler).parameters.items()}


def _row_maker(handler: Any) -> Callable[[pa.RecordBatch], Any]:
    """How a batch becomes the examples the handler is declared for: `ModelHandler[ExampleT, …]`."""
    bases = [base for each in type(handler).__mro__ for base in getattr(each, "__orig_bases__", ())]
    examples = [typing.get_args(base)[0] for base in bases if typing.get_args(base)]
    name = ""
    if examples and isinstance(examples[0], type):
        name = f"{examples[0].__module__.partition('.')[0]}.{examples[0].__name__}"
    if name not in _ROWS:
        raise WillNotLoad(f"beam: {type(handler).__name__} takes {name or 'any'} examples; allowed: {', '.join(_ROWS)}")
    return _ROWS[name]


def _arrays(batch: pa.RecordBatch) -> list[npt.NDArray[np.float64]]:
    return list(as_matrix(batch))


def _frames(batch: pa.RecordBatch) -> list[Any]:
    frame = batch.to_pandas()
    return [frame.iloc[row : row + 1] for row in range(batch.num_rows)]


def _alike(batch: pa.RecordBatch) -> list[npt.NDArray[np.int64]]:
    """The rows, grouped by which of the columns that are not floats hold a null.

    In a DataFrame a null changes the type of a whole column, so that of its neighbours too; and a handler concatenates
    the DataFrames that it gets.
    """
    nulls = [column.is_null() for column in batch.columns if not pa.types.is_floating(column.type)]
    if not any(mask.true_count for mask in nulls):
        return [np.arange(batch.num_rows)]
    masks = np.column_stack([mask.to_numpy(zero_copy_only=False) for mask in nulls])
    _, kinds = np.unique(masks, axis=0, return_inverse=True)
    return [np.flatnonzero(kinds.ravel() == kind) for kind in range(kinds.max() + 1)]


_ROWS: Mapping[str, Callable[[pa.RecordBatch], Any]] = {
    "numpy.ndarray": _arrays,
    "pandas.DataFrame": _frames,
}
