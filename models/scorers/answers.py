"""From a model's answer, one number or one for each class, to one score for each row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundles.manifest import Manifest, OutputKind
from models.scorers.base import WillNotLoad
from schemas.expectations import wants

_PLAIN = (("0", "1"), ("false", "true"))
_SAME = {"true": "1", "false": "0"}


@dataclass(frozen=True, slots=True)
class Answers:
    """What the manifest says of the output.

    `classes` are the names of the columns in their order: `parameters.classes`, or what the model itself
    says, or else 0, 1, …
    """

    scorer: str
    kind: OutputKind
    positive: str | None
    classes: tuple[str, ...] | None

    @property
    def labels(self) -> dict[float, str]:
        """The label of each class index; empty where nobody names the classes."""
        return {float(index): name for index, name in enumerate(self.classes or ())}

    def column(self, columns: int) -> int:
        """The column of the positive class among a number of columns; the second of two where `positive` is null.

        Raises:
            WillNotLoad: there is no such class, or not so many columns as classes.
        """
        classes = self.classes or tuple(str(index) for index in range(columns))
        if len(classes) != columns:
            raise WillNotLoad(f"{self.scorer}: {columns} probabilities; expected: {len(classes)}, one for each class")
        if self.positive is None and columns == 2:
            return 1
        if self.positive not in classes:
            allowed = ", ".join(classes)
            raise WillNotLoad(f"{self.scorer}: output.positive {self.positive!r}; {wants(allowed)}")
        return classes.index(self.positive)

    def scores(self, answer: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """One score for each row, from an answer of shape (n,), (n, 1) or (n, classes).

        One number for a row is the score; for a probability, that of the second of two classes. Of several numbers, a
        probability is the positive class's, a class the index of the greatest. An answer of any other shape is returned
        unchanged and is refused as a score.
        """
        numbers = np.asarray(answer, dtype=np.float64)
        if numbers.ndim == 2 and numbers.shape[1] == 1:
            numbers = numbers[:, 0]
        if numbers.ndim == 1:
            return 1.0 - numbers if self.kind == "probability" and self.column(2) == 0 else numbers
        if numbers.ndim == 2 and self.kind == "probability":
            return np.ascontiguousarray(numbers[:, self.column(numbers.shape[1])])
        if numbers.ndim == 2 and self.kind == "class":
            # argmax prefers NaN, which must not become a class.
            indexes = np.argmax(numbers, axis=1).astype(np.float64)
            return np.where(np.isnan(numbers).any(axis=1), np.nan, indexes)
        return numbers


def chosen_margin(
    answers: Answers, raw: npt.NDArray[np.float64], column: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Which of the margins of each row, shape (n, outputs), belongs to the score, and its sign: of two classes there is
    one number, which is the second's. Of a class the margin is that of the class which answered."""
    rows = len(raw)
    if column is not None or answers.kind == "regression":
        return np.full(rows, column or 0), np.ones(rows)
    if answers.kind == "class":
        second = np.where(raw[:, 0] > 0, 1.0, -1.0)
        return (np.argmax(raw, axis=1), np.ones(rows)) if raw.shape[1] > 1 else (np.zeros(rows, np.int64), second)
    if raw.shape[1] > 1:
        return np.full(rows, answers.column(raw.shape[1])), np.ones(rows)
    return np.zeros(rows, np.int64), np.full(rows, -1.0 if answers.column(2) == 0 else 1.0)


def plain_name(label: str) -> str:
    """The label; one of 0 and 1 or False and True, in any spelling, as 0 or 1.

    >>> [plain_name(label) for label in ("False", "1", "late")]
    ['0', '1', 'late']
    """
    plain = label.lower().removesuffix(".0")
    found = _SAME.get(plain, plain)
    return found if found in _PLAIN[0] else label


def plain_second(labels: Sequence[str]) -> str | None:
    """The second of two labels that need no name, 0 and 1 or False and True in this order; None for all others.

    >>> plain_second(("0", "1")), plain_second(("1", "0")), plain_second(("ham", "spam"))
    ('1', None, None)
    """
    return labels[1] if tuple(label.lower().removesuffix(".0") for label in labels) in _PLAIN else None


def answers_of(manifest: Manifest, classes: Sequence[str] | None = None) -> Answers:
    """How to read the output of a bundle's model; `classes` are those that the model itself states.

    Raises:
        WillNotLoad: `parameters.classes` is not a list of different strings.
    """
    named = manifest.parameters.get("classes", classes)
    output = manifest.output
    if named is not None:
        strings = isinstance(named, (list, tuple)) and all(isinstance(name, str) for name in named)
        if not strings or len(set(named)) != len(named) or len(named) < 2:
            raise WillNotLoad(f"{manifest.scorer}: classes {named!r}; expected: a list of 2 different strings or more")
    return Answers(manifest.scorer, output.kind, output.positive, None if named is None else tuple(named))
