"""Metrics equal scikit-learn's, intervals those of resampled events, and AUC in bins is within what it says."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as oracle

from tests.transforms.quality.worlds import CHAMPION, NUMBERS
from transforms.quality.answers import ScoredBy
from transforms.quality.measuring.intervals import of_share
from transforms.quality.measuring.measures import measures_of
from transforms.quality.measuring.quality_records import selective_labels
from transforms.quality.sums.exact_sums import GroupTerms, added
from transforms.quality.sums.group_sums import Beside, sums_of
from transforms.quality.sums.score_tables import auc_of, merged, score_keys, score_table
from transforms.quality.sums.sums_coder import added_any, decode_sums, encode_sums

WINDOW = 1_000_000


def beside(scores: Any, labels: Any, times: Any = None) -> Beside:
    given = np.zeros(len(scores), np.int64) if times is None else times
    return Beside(given, np.asarray(scores, np.float64), pa.array(labels), {})


def measured(by: ScoredBy, scores: Any, labels: Any, times: Any = None) -> dict[str, tuple[float, float, float]]:
    found = measures_of(sums_of(beside(scores, labels, times), by, WINDOW), by)
    return {name: (float(m.value[0]), float(m.interval.low[0]), float(m.interval.high[0])) for name, m in found.items()}


@pytest.fixture(scope="module")
def probabilities() -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    p = np.round(rng.beta(2, 3, 900), 2)
    return p, rng.random(900) < p**1.3


def test_metrics_of_probabilities_are_those_of_scikit_learn(probabilities: tuple[Any, Any]) -> None:
    p, y = probabilities
    found = {name: value for name, (value, _, _) in measured(CHAMPION, p, y).items()}
    decided = p >= 0.5
    wanted = {
        "auc": oracle.roc_auc_score(y, p), "log_loss": oracle.log_loss(y, p), "brier": oracle.brier_score_loss(y, p),
        "accuracy": oracle.accuracy_score(y, decided), "precision": oracle.precision_score(y, decided),
        "recall": oracle.recall_score(y, decided), "f1": oracle.f1_score(y, decided),
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-12)


def test_metrics_of_numbers_are_those_of_scikit_learn_also_far_from_zero() -> None:
    rng = np.random.default_rng(4)
    truth = 1e6 + rng.normal(size=700)
    guess = truth + rng.normal(scale=0.5, size=700)
    found = {name: value for name, (value, _, _) in measured(NUMBERS, guess, truth).items()}
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(truth, guess), rel=1e-12)
    assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(truth, guess), rel=1e-12)
    assert found["r2"] == pytest.approx(oracle.r2_score(truth, guess), rel=1e-3)


@pytest.mark.parametrize("name", ["auc", "log_loss", "brier", "accuracy", "precision", "recall", "f1"])
def test_intervals_are_those_of_resampled_events(probabilities: tuple[Any, Any], name: str) -> None:
    p, y = probabilities
    rng, drawn = np.random.default_rng(5), []
    for _ in range(300):
        rows = rng.integers(0, len(p), len(p))
        drawn.append(measured(CHAMPION, p[rows], y[rows])[name][0])
    _, low, high = measured(CHAMPION, p, y)[name]
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.15 * (high - low))


def test_intervals_are_wider_where_events_near_in_time_are_alike() -> None:
    rng = np.random.default_rng(6)
    times = np.sort(rng.integers(0, WINDOW, 2_400))
    hard = rng.random(24)[times * 24 // WINDOW] < 0.5  # in half of the window's parts answers are guesses
    y = rng.random(2_400) < 0.5
    p = np.where(hard, 0.5 + rng.normal(scale=0.1, size=2_400).clip(-0.4, 0.4), np.where(y, 0.9, 0.1))
    _, low, high = measured(CHAMPION, p, y, times)["log_loss"]
    _, low_apart, high_apart = measured(CHAMPION, p, y, rng.permutation(times))["log_loss"]
    assert high - low > 2 * (high_apart - low_apart)


def test_auc_of_more_scores_than_are_kept_is_within_what_it_says() -> None:
    rng = np.random.default_rng(7)
    p, group = rng.random(4_000), np.zeros(4_000, np.int64)
    y = rng.random(4_000) < p
    table = score_table(group, score_keys(p), y, 1, limit=200)
    halves = [score_table(group[rows], score_keys(p[rows]), y[rows], 1, limit=200)
              for rows in (np.arange(0, 4_000, 2), np.arange(1, 4_000, 2))]  # fmt: skip
    both = merged([(half, np.array([0])) for half in halves], 1, limit=200)
    assert all((one == other).all() for one, other in zip(table, both, strict=True))
    found = auc_of(table)
    assert 0 < abs(found.value[0] - oracle.roc_auc_score(y, p)) <= found.off_by[0] < 0.01


def test_perfect_answers_and_single_classes_have_a_defined_result() -> None:
    assert measured(CHAMPION, [0.9, 0.8, 0.1], [True, True, False])["auc"][0] == 1.0
    one = measured(CHAMPION, [0.9, 0.8], [True, True])
    assert np.isnan(one["auc"][0])
    assert one["recall"][0] == 1.0
    assert np.isnan(measured(NUMBERS, [1.0, 2.0], [5.0, 5.0])["r2"][0])
    assert 0.6 < float(of_share(np.array([1.0]), np.array([10.0])).low[0]) < 1


def test_sums_do_not_depend_on_order_or_grouping_and_keep_small_terms() -> None:
    values = np.array([1e16, 1.0, -1e16, 1e-30, 3.0, -7e-12])
    whole = GroupTerms([values]).sums(np.zeros(6, np.int64), 1)
    parts = [GroupTerms([values[rows]]).sums(np.zeros(3, np.int64), 1) for rows in ([5, 0, 3], [4, 2, 1])]
    both = added([(part, np.array([0])) for part in parts], 1, 1)
    assert whole.floats(0).tolist() == both.floats(0).tolist() == pytest.approx([4.0 - 7e-12], rel=1e-15)


def test_sums_survive_their_encoding_and_another_format_is_refused() -> None:
    sums = sums_of(beside([0.1, 0.9], [False, True]), CHAMPION, WINDOW)
    again = decode_sums(encode_sums(sums))
    assert encode_sums(added_any([again])) == encode_sums(sums)
    with pytest.raises(ValueError, match="expected: format 1"):
        decode_sums(encode_sums(sums).replace(b"\x99\x01", b"\x99\x07", 1))


def test_labels_of_one_decision_alone_are_named_with_their_share() -> None:
    p = np.array([0.9] * 60 + [0.1] * 40)
    accepted = sums_of(beside(p, [True] * 30 + [False] * 30 + [None] * 40), CHAMPION, WINDOW)
    assert "'positive' have labels, 60 % of the events" in (selective_labels(accepted, CHAMPION)[0] or "")
    chance = sums_of(beside(p, [True] + [None] * 99), CHAMPION, WINDOW)
    assert selective_labels(chance, CHAMPION) == [None]
