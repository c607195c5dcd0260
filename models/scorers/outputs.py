"""From a model's output tensor, of any type and width, to one score for each row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.errors import BundleRefused
from models.scorers.answers import Answers, answers_of
from models.scorers.base import Scorer, WillNotLoad
from schemas.columns import ZEROS, read_type
from schemas.expectations import wants


@dataclass(frozen=True, slots=True)
class Reading:
    """How a tensor is read; made and checked when the model is loaded.

    `column` is the one of several numbers that `parameters.column` names.
    """

    answers: Answers
    column: int | None

    @property
    def labels(self) -> dict[float, str]:
        """The label of each class index; empty where a column is read, or nobody names the classes."""
        return {} if self.column is not None else self.answers.labels

    def scores(self, answer: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """One score for each row, from an answer of shape (n,), (n, 1) or (n, columns).

        For a class, texts are labels and their index in `classes` is the score; whole numbers in an integer
        tensor are the model's own labels; a single float is the probability of the second of two classes.
        NaN where a float is none. All else is as `Answers.scores` says.

        Raises:
            ValueError: a label that is none of the classes.
            WillNotLoad: not as many columns as there must be.
        """
        one = answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer
        if self.answers.kind != "class" or one.ndim != 1:
            return self._numbers(answer)
        if one.dtype.kind in "OSU":
            return self._indexes(one)
        return likelier(one) if one.dtype.kind == "f" else one.astype(np.float64)

    def _numbers(self, answer: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        numbers = np.asarray(answer, dtype=np.float64)
        if self.column is None or numbers.ndim != 2:
            return self.answers.scores(numbers)
        check_column(self.answers.scorer, self.column, numbers.shape[1])
        return np.ascontiguousarray(numbers[:, self.column])

    def _indexes(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        classes = self.answers.classes or ()
        indexes = {name: float(index) for index, name in enumerate(classes)}
        found = [label.decode("utf-8") if isinstance(label, bytes) else str(label) for label in labels.tolist()]
        for label in found:
            if label not in indexes:
                raise ValueError(f"the model answered class {label!r}; allowed: {', '.join(classes)}")
        return np.array([indexes[label] for label in found], dtype=np.float64)


def reading_of(manifest: Manifest, classes: Sequence[str] | None, width: int | None, labels: bool = False) -> Reading:
    """How to read the answers of a bundle's model.

    Args:
        manifest: its manifest.
        classes: the classes that the model itself states.
        width: how many numbers it answers for each row; None where that is not known before it answers.
        labels: whether it answers with texts.

    Raises:
        WillNotLoad: `positive`, `classes` or `column` do not fit the model or each other.
    """
    answers, column = answers_of(manifest, classes), stated_column(manifest)
    if column is not None:
        _check_stated(manifest, column)
        if width is not None:
            check_column(manifest.scorer, column, width)
    if labels:
        if manifest.output.kind != "class" or answers.classes is None:
            allowed = "for output class, with parameters.classes"
            raise WillNotLoad(f"{manifest.scorer}: the answers are texts; {wants(allowed)}")
    elif width is not None and column is None:
        _check_width(answers, width)
    return Reading(answers, column)


def try_once(scorer: Scorer, manifest: Manifest) -> None:
    """Have a row of zeros scored, where a model's width is not known before it answers.

    A model may fail on such a row; only a wrong width matters, and only if a class or column is stated: golden records
    prove the rest.

    Raises:
        WillNotLoad: the answer does not fit the manifest.
    """
    if manifest.output.positive is not None or {"classes", "column"} & set(manifest.parameters):
        try_row(scorer, manifest)


def try_row(scorer: Scorer, manifest: Manifest) -> None:
    """As `try_once`, whatever is stated.

    Raises:
        BundleRefused: the answer does not fit the manifest.
    """
    columns = [
        pa.array([ZEROS[entry.type] if entry.default is None else entry.default], read_type(entry.type))
        for entry in manifest.inputs
    ]
    try:
        scorer.score(pa.RecordBatch.from_arrays(columns, names=[entry.name for entry in manifest.inputs]))
    except BundleRefused:
        raise
    except Exception:
        return


def check_column(scorer: str, column: int, width: int) -> None:
    """Refuse a column that does not exist. Raises `WillNotLoad`."""
    if not 0 <= column < width:
        raise WillNotLoad(f"{scorer}: parameters.column {column}; allowed: 0 to {width - 1}")


def chosen_output(manifest: Manifest, width: int) -> int | None:
    """The one of `width` outputs (targets, quantiles) that `parameters.column` chooses; None where there is only one.

    Raises: WillNotLoad: of several none is chosen, or one that does not exist.
    """
    column = stated_column(manifest)
    if width == 1:
        if column is not None:
            said = f"{manifest.scorer}: parameters.column {column}"
            raise WillNotLoad(f"{said}; expected: none, the model has one output")
        return None
    if column is None:
        allowed = f"one, by --setting column=0 to {width - 1}"
        raise WillNotLoad(f"{manifest.scorer}: the model has {width} outputs for each row; {wants(allowed)}")
    check_column(manifest.scorer, column, width)
    return column


def stated_column(manifest: Manifest) -> int | None:
    """`parameters.column`, which may not exist in the model. Raises `WillNotLoad` where it is not an index."""
    column = manifest.parameters.get("column")
    if column is not None and (type(column) is not int or column < 0):
        raise WillNotLoad(f"{manifest.scorer}: parameters.column {column!r}; expected: an index, counted from 0")
    return column


def picked(scorer: str, answer: npt.NDArray[Any], column: int | None) -> npt.NDArray[Any]:
    """The column of an answer of shape (n, columns); all of the answer where `column` is null.

    Raises:
        WillNotLoad: there is no such column.
    """
    if column is None:
        return answer
    if answer.ndim != 2:
        raise WillNotLoad(f"{scorer}: parameters.column {column}; expected: none, the model has one output")
    check_column(scorer, column, answer.shape[1])
    return np.ascontiguousarray(answer[:, column])


def _check_stated(manifest: Manifest, column: int) -> None:
    if manifest.output.kind == "class" or manifest.output.positive is not None:
        said = "a class" if manifest.output.kind == "class" else f"class {manifest.output.positive!r}"
        raise WillNotLoad(f"{manifest.scorer}: parameters.column {column} for {said}; expected: no such parameter")


def _check_width(answers: Answers, width: int) -> None:
    """An error that every row would have is raised once, before any row."""
    if answers.kind == "probability":
        answers.column(max(width, 2))
    elif answers.kind == "regression" and width > 1:
        raise WillNotLoad(f"{answers.scorer}: {width} numbers for each row; allowed: one, or parameters.column")
    elif answers.kind == "class" and width > 1 and answers.classes and len(answers.classes) != width:
        allowed = f"{len(answers.classes)}, one for each class"
        raise WillNotLoad(f"{answers.scorer}: {width} numbers for each row; {wants(allowed)}")


def likelier(numbers: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The likelier of two classes by the second's probability; a whole number is itself a class. Other numbers are NaN.

    >>> likelier(np.array([0.4, 0.6, 1.0, 3.0, -0.5])).tolist()
    [0.0, 1.0, 1.0, 3.0, nan]
    """
    floats = numbers.astype(np.float64)
    indexes = (floats > 0.5).astype(np.float64)
    whole = (floats >= 0) & (floats == np.floor(floats))
    known = (floats >= 0) & (floats <= 1)
    return np.where(whole, floats, np.where(known, indexes, np.nan))
