"""Models that only MLflow itself can load: any code behind `predict`, for a job that trusts it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Input, Manifest
from models.errors import one_line
from models.scorers.answers import Answers, answers_of
from models.scorers.base import PartlyScored, Scorer, WillNotLoad, settings
from models.scorers.mlflow.signature import SignedInputs
from models.scorers.outputs import check_column, picked, stated_column
from schemas.columns import ARROW_TYPES, ZEROS

_TRIAL_TIME = "1970-01-01T00:00:00Z"


class PyfuncScorer(Scorer):
    """A pyfunc: a DataFrame with the manifest's names, or tensors, in the signature's types.

    Its answer is one column, the one that `parameters.output` names or whose index is `parameters.column`, or one
    column for each class. A value that the signature's type cannot hold without loss is an error of its record;
    rounding to the nearest float counts as no loss.
    """

    kind = "mlflow"

    def __init__(self, model: Any, manifest: Manifest) -> None:
        given = settings(manifest, "output", "classes", "column")
        self._output = given.get("output")
        self._column = stated_column(manifest)
        self._model = model
        self._answers: Answers = answers_of(manifest)
        signature = model.metadata.signature
        self._schema = None if signature is None else signature.inputs
        self._inputs = SignedInputs(self._schema, manifest)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "PyfuncScorer":
        """Load the model in this folder, and try it on a row: an empty batch would prove nothing.

        Raises:
            WillNotLoad: MLflow refuses a row of the manifest's inputs, the model fails on its own input example, or
                answers with anything but one number for each row or class.
        """
        import mlflow.pyfunc

        scorer = cls(mlflow.pyfunc.load_model(str(folder)), manifest)
        scorer._try_example(folder)
        scorer._try_row(manifest)
        return scorer

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the pyfunc; an empty batch does not reach it."""
        casts, failures = self._inputs.cast(batch)
        scores = np.full(batch.num_rows, np.nan)
        good = np.setdiff1d(np.arange(batch.num_rows), np.array(sorted(failures), np.int64))
        for rows, fed in self._inputs.parts(casts, good):
            scores[rows] = self._answer(fed, len(rows))
        if failures:
            raise PartlyScored(scores, failures, unavailable=False)
        return scores

    def labels(self) -> Mapping[float, str]:
        """The labels that the trainer, or `parameters.classes`, gave the class indexes."""
        return self._answers.labels

    def _answer(self, fed: Any, rows: int) -> npt.NDArray[np.float64]:
        found = self._chosen(self._model.predict(fed))
        if found.dtype.kind in "OUST" and self._answers.classes is not None:
            found = _indexes(found, self._answers.classes)
        scores = self._answers.scores(found)
        if scores.shape != (rows,):
            raise ValueError(
                f"the model answers {rows} rows with shape {found.shape}; expected: one number for each row"
            )
        return scores

    def _chosen(self, answer: Any) -> npt.NDArray[Any]:
        """The one output of several, by name or index."""
        if self._output is not None:
            answer = answer[self._output]
        if self._column is not None and hasattr(answer, "columns"):  # each column of a DataFrame keeps its type
            check_column("mlflow", self._column, len(answer.columns))
            return np.asarray(answer.iloc[:, self._column])
        return picked("mlflow", np.asarray(answer), self._column)

    def _try_example(self, folder: Path) -> None:
        """Score the input example that was saved with the model, if there is one."""
        try:
            example = self._model.metadata.load_input_example(str(folder))
        except Exception:
            return  # an example that cannot be read says nothing about the model
        if example is None:
            return
        try:
            self._model.predict(example)
        except Exception as error:  # it may raise anything, but must not on its own example
            raise WillNotLoad(f"mlflow: the model fails on its own input example: {one_line(error)}") from error

    def _try_row(self, manifest: Manifest) -> None:
        """Have MLflow check one row of the manifest's inputs, and check the shape of the answer to it.

        The values are invented, so the model may fail on them without being at fault.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.models import validate_schema

        times = {column.entry.name for column in self._inputs.columns if column.dtype.kind == "M"}
        columns = [pa.array([_trial_value(each, times)], ARROW_TYPES[each.type]) for each in manifest.inputs]
        row = pa.RecordBatch.from_arrays(columns, names=[each.name for each in manifest.inputs])
        casts, failures = self._inputs.cast(row)
        if failures:
            raise WillNotLoad(f"mlflow: the default of {failures[0][1]}")
        ((_, fed),) = self._inputs.parts(casts, np.arange(1))
        try:
            if self._schema is not None:
                validate_schema(fed, self._schema)
        except MlflowException as error:
            raise WillNotLoad(f"mlflow: the inputs do not fit the signature: {one_line(error)}") from error
        self._check_answer(fed)

    def _check_answer(self, fed: Any) -> None:
        try:
            answer = self._model.predict(fed)
        except Exception:
            return  # invented values prove nothing; golden records do
        if self._output is not None and not _has_column(answer, self._output):
            raise WillNotLoad(f"mlflow: the answer has no column {self._output!r}; expected: {_columns_of(answer)}")
        found = self._chosen(answer)
        if found.dtype.kind in "OUST" and self._answers.classes is None:
            labels = f"{_columns_of(answer)} of texts or mixed types"
            raise WillNotLoad(f"mlflow: the model answers {labels}; expected: numbers, or parameters.classes")
        if self._answers.kind == "regression" and found.ndim == 2 and found.shape[1] > 1:
            raise WillNotLoad(
                f"mlflow: the model answers each row with {found.shape[1]} numbers; allowed for a regression: one, by "
                f"--setting column=0 to {found.shape[1] - 1}, or --setting output=NAME, one of {_columns_of(answer)}"
            )
        if self._answers.kind == "probability" and found.ndim == 2 and found.shape[1] > 1:
            self._answers.column(found.shape[1])


def _trial_value(entry: Input, times: set[str]) -> Any:
    if entry.default is not None:
        return entry.default
    return _TRIAL_TIME if entry.name in times else ZEROS[entry.type]


def _has_column(answer: Any, name: Any) -> bool:
    return name in getattr(answer, "columns", ()) or (isinstance(answer, dict) and name in answer)


def _columns_of(answer: Any) -> str:
    names = getattr(answer, "columns", None)
    return "no columns with names" if names is None else f"columns {', '.join(str(name) for name in names)}"


def _indexes(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """The index of each label among the classes, in the shape of the labels."""
    known = {name: float(index) for index, name in enumerate(classes)}
    unknown = sorted({str(label) for label in labels.ravel()} - set(known))
    if unknown:
        raise ValueError(f"the model answers {unknown[0]!r}; allowed: {', '.join(classes)}")
    return np.array([known[str(label)] for label in labels.ravel()]).reshape(labels.shape)
