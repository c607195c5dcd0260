"""Whatever JSON an answer holds, it becomes one score per record or says what is wrong with it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.bundles.manifest import Output, OutputKind
from models.scorers.remote.failures import AnswerMalformed
from models.scorers.remote.tensors import array_of, scores_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
ANSWERS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner))


def read(answer: Any, kind: OutputKind, column: int | None) -> tuple[npt.NDArray[np.float64] | None, str]:
    """The scores, or what is wrong; any other error fails the test."""
    try:
        return scores_of(array_of(answer, "answer"), 3, Output(kind), column), ""
    except AnswerMalformed as failure:
        return None, str(failure)


@given(ANSWERS, st.sampled_from(["probability", "regression", "class"]), st.none() | st.integers(0, 3))
@example([[0.1], [0.2], [[0.3]]], "regression", None)
@example([10**400, 0, 0], "regression", None)
@example([[[1]], [[1]], [[1]]], "class", None)
@example([[[], [1]], [1], 2], "regression", 0)
@example([[], [], []], "class", None)
def test_any_answer_gives_scores_or_a_reason(answer: Any, kind: OutputKind, column: int | None) -> None:
    scores, said = read(answer, kind, column)
    assert "\n" not in said
    assert len(said) < 300
    assert (scores is None) == bool(said)
    if scores is not None:
        assert scores.shape == (3,)
        assert scores.dtype == np.float64


@pytest.mark.parametrize(
    ("answer", "kind", "column", "scores"),
    [
        ([0.1, 0.2, 0.3], "probability", None, [0.1, 0.2, 0.3]),
        ([[0.1], [0.2], [0.3]], "regression", None, [0.1, 0.2, 0.3]),
        ([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], "probability", None, [0.1, 0.2, 0.3]),
        ([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], "probability", 0, [0.9, 0.8, 0.7]),
        ([[1, 5, 2], [9, 5, 2], [1, 1, 2]], "class", None, [1, 0, 2]),
        ([[1, None, 2], [9, 5, 2], [1, 1, 2]], "class", None, [np.nan, 0, 2]),
        ([True, False, None], "regression", None, [1, 0, np.nan]),
    ],
)
def test_one_value_of_each_record_is_the_score(
    answer: Any, kind: OutputKind, column: int | None, scores: list[float]
) -> None:
    np.testing.assert_array_equal(scores_of(array_of(answer, "answer"), 3, Output(kind), column), scores)
