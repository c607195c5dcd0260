"""Events of few subjects are worth few, in whatever order and over however many shards they are counted."""

import numpy as np
import pyarrow as pa
import pytest

from gates.records import _of_model
from schemas import batches
from tests.transforms.quality.worlds import CHAMPION, SECOND, SHADOW, labels, origin, put_together
from transforms.labels.label_join import labels_table
from transforms.quality.answers import ScoredBy, answers_of, stamped_with
from transforms.quality.clusters import subject_parts
from transforms.quality.held import sums_by
from transforms.quality.joining import LabelledAnswers, by_version, labelled_answers
from transforms.quality.merge_panes import counted_records
from transforms.quality.pairing import pairs_of
from transforms.quality.sums.pair_sums import added_pairs, sums_of_pairs
from transforms.quality.sums.sums_coder import decode_sums, encode_sums

WINDOW_US = 100 * SECOND
EVENTS, EACH = 600, 10


def answered(by: ScoredBy, subjects: list[str | None], scores: np.ndarray, rows: slice = slice(None)) -> pa.RecordBatch:
    times = (np.arange(EVENTS) * (WINDOW_US // EVENTS)).astype(np.int64)
    own = pa.RecordBatch.from_pydict(
        {
            batches.EVENT_ID: pa.array([f"e{number}" for number in range(EVENTS)]),
            batches.EVENT_TIME: pa.array(times).cast(batches.TIME_TYPE),
            batches.SCORE: pa.array(scores),
            "origin": pa.array(["a", "b", None] * (EVENTS // 3)),
        }
    )
    clusters = subject_parts(pa.array(subjects, pa.string()), times, WINDOW_US)
    return stamped_with(answers_of(own, by, ["origin"], clusters=clusters), by).take(pa.array(np.arange(EVENTS)[rows]))


def joined(subjects: list[str | None], seed: int = 1, rows: slice = slice(None)) -> LabelledAnswers:
    """Those of one subject are all hard for the shadow, or none is."""
    rng = np.random.default_rng(seed)
    known = {subject: rng.normal() for subject in dict.fromkeys(subjects)}
    hard = np.array([known[subject] if subject else rng.normal() for subject in subjects])
    champion, shadow = np.full(EVENTS, 0.5), np.clip(0.5 + 0.1 * hard, 0.05, 0.95)
    ids = [f"e{number}" for number in range(EVENTS)]
    truths = labels(ids, [WINDOW_US] * EVENTS, [True] * EVENTS, pa.bool_())
    given = [answered(CHAMPION, subjects, champion, rows), answered(SHADOW, subjects, shadow, rows)]
    return labelled_answers(by_version(given), labels_table([truths], pa.bool_()), None)


FEW: list[str | None] = [f"s{number * 7 % (EVENTS // EACH)}" for number in range(EVENTS)]


def worth(subjects: list[str | None], seed: int = 1) -> float:
    found = joined(subjects, seed)
    (pair, paired), *_ = pairs_of(found)
    rows = put_together([sums_of_pairs(paired, pair, WINDOW_US)], pair)
    assert {row["segment"] for row in rows} == {"", "origin=a", "origin=b", "origin is null"}
    of_pair = next(row for row in rows if (row["metric"], row["segment"]) == ("loss_difference", ""))
    return float(of_pair["n_effective"])


def test_ten_events_of_a_subject_that_are_alike_are_worth_about_one() -> None:
    found = [worth(FEW, seed) for seed in range(8)]
    assert np.mean(found) == pytest.approx(EVENTS / EACH, rel=0.25)


@pytest.mark.parametrize("subjects", [[f"s{number}" for number in range(EVENTS)], [None] * EVENTS])
def test_events_of_as_many_subjects_or_of_none_are_worth_nearly_all(subjects: list[str | None]) -> None:
    assert np.mean([worth(subjects, seed) for seed in range(8)]) > 0.7 * EVENTS


def test_partial_results_of_any_order_add_up_to_the_same() -> None:
    cuts = [slice(0, 100), slice(250, EVENTS), slice(100, 250)]
    (pair, whole), *_ = pairs_of(joined(FEW))
    parts = [next(iter(pairs_of(joined(FEW, rows=rows))))[1] for rows in cuts]
    sums = [decode_sums(encode_sums(sums_of_pairs(each, pair, WINDOW_US))) for each in parts]
    rows = put_together(sums, pair)
    assert rows == put_together([added_pairs([sums_of_pairs(whole, pair, WINDOW_US)])], pair)


def test_losses_of_one_version_know_subjects_too() -> None:
    found = joined(FEW)
    by, sums = sums_by(found.beside[SHADOW], SHADOW, WINDOW_US, None)
    records = counted_records(sums, by, origin())
    row = next(each for each in _of_model(records, "m") if each.metric == "log_loss")
    assert row.n == EVENTS
    assert row.n_effective == pytest.approx(EVENTS / EACH, rel=0.5)
