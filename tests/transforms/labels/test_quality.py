"""Metrics are scikit-learn's, and do not depend on the order of the scores."""

import numpy as np
import pytest
from sklearn import metrics

from transforms.labels.quality import NOTHING, quality_of_numbers, quality_of_probabilities


@pytest.mark.parametrize(("count", "digits"), [(2, 2), (50, 1), (500, 2), (3_000, 16)])
def test_metrics_of_probabilities_are_those_of_scikit_learn(count: int, digits: int) -> None:
    rng = np.random.default_rng(count)
    truths = np.arange(count) % 2 == 0
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * truths, 0.3), 0, 1), digits)
    found = quality_of_probabilities(scores, truths, 0.5).values
    assert found == pytest.approx({
        "auc": metrics.roc_auc_score(truths, scores),
        "log_loss": metrics.log_loss(truths, scores),
        "brier": metrics.brier_score_loss(truths, scores),
        "accuracy": metrics.accuracy_score(truths, scores >= 0.5),
    }, rel=1e-12)  # fmt: skip
    order = rng.permutation(count)
    assert quality_of_probabilities(scores[order], truths[order], 0.5).values == found


def test_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores, truths = rng.normal(5, 3, 400), rng.normal(5, 3, 400)
    rmse = metrics.root_mean_squared_error(truths, scores)
    wanted = {"mae": metrics.mean_absolute_error(truths, scores), "rmse": rmse}
    assert quality_of_numbers(scores, truths).values == pytest.approx(wanted, rel=1e-12)


def test_nothing_has_no_metric_and_says_so() -> None:
    found = quality_of_probabilities(np.zeros(0), np.zeros(0, np.bool_), 0.5)
    assert found.values == dict.fromkeys(("auc", "log_loss", "brier", "accuracy"))
    assert set(found.why.values()) == {NOTHING}
