"""Rates of groups and their disparities are those of fairlearn; however the rows are cut, they are the same."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fairlearn import metrics as fairlearn  # type: ignore[import-untyped]  # ships no types

from benchmarks.fairness import WORLDS, coverage
from schemas import batches
from schemas.columns import FairnessSpec, Grouping
from tests.transforms.quality.worlds import answers
from transforms.quality.answers import FairnessBy, ScoredBy, protected_in, whose
from transforms.quality.joining import by_version
from transforms.quality.measuring.fair_measures import COMPARISONS
from transforms.quality.measuring.fair_records import fair_records
from transforms.quality.measuring.quality_records import QualityOrigin
from transforms.quality.protected import FairnessRules, groups_in
from transforms.quality.sums.fair_sums import (
    FairSums,
    WithFairness,
    added_fairness,
    sums_of_fairness,
    sums_with_fairness,
)
from transforms.quality.sums.group_sums import Beside
from transforms.quality.sums.sums_coder import decode_sums, encode_sums

WINDOW_US = 1_000_000
CHAMPION = ScoredBy("v1", "champion", "d1", "probability", 0.5, "late")
BY = FairnessBy(CHAMPION, max_groups=100, min_n=1)
RATES = {"selection_rate": fairlearn.selection_rate, "true_positive_rate": fairlearn.true_positive_rate,
         "false_positive_rate": fairlearn.false_positive_rate}  # fmt: skip


def beside(scores: Any, truth: Any, groups: Sequence[Any], times_us: Any = None, column: str = "sex") -> Beside:
    """Answers of one window, `truth` None where there is no label."""
    times = np.arange(len(scores)) * WINDOW_US // len(scores) if times_us is None else np.array(times_us)
    texts = pa.array([None if each is None else f"{column}={each}" for each in groups], pa.string())
    return Beside(times, np.array(scores, float), pa.array(truth, pa.bool_()), {}, protected={column: texts})


def records_of(sums: FairSums, by: FairnessBy = BY) -> dict[tuple[str, str], dict[str, Any]]:
    rows = fair_records(sums, by, QualityOrigin(WINDOW_US, 0, "m", "r")).to_pylist()
    found = {(row["segment"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def measured(own: Beside, by: FairnessBy = BY) -> dict[tuple[str, str], dict[str, Any]]:
    return records_of(sums_of_fairness(own, by, WINDOW_US), by)


def invented(seed: int, groups: int, events: int = 600) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    member = rng.integers(groups, size=events)
    scores = np.clip(rng.beta(2, 2, events) + (member % 3 - 1) * 0.1, 0, 1).round(2)
    return scores, rng.random(events) < scores, np.array([f"g{each}" for each in member])


@pytest.mark.parametrize(("seed", "groups"), [(1, 2), (2, 3), (3, 7), (4, 12), (5, 1)])
def test_rates_and_disparities_are_those_of_fairlearn(seed: int, groups: int) -> None:
    scores, truth, member = invented(seed, groups)
    found = measured(beside(scores, truth, member))
    decided = scores >= 0.5
    for name, rate in RATES.items():
        wanted = fairlearn.MetricFrame(metrics=rate, y_true=truth, y_pred=decided, sensitive_features=member).by_group
        own = {group: found[f"sex={group}", name]["value"] for group in wanted.index}
        assert own == {group: float(value) for group, value in wanted.items()}
    for name in COMPARISONS:
        row, wanted = found["sex", name], getattr(fairlearn, name)(truth, decided, sensitive_features=member)
        if groups == 1:  # fairlearn says 0 and 1: there is nothing to compare
            assert (row["value"], row["why"]) == (None, "only one group")
            continue
        assert row["value"] == pytest.approx(float(wanted), abs=1e-15)
        assert row["low"] <= row["value"] <= row["high"]


def test_calibration_error_of_a_group_is_that_of_its_events_alone() -> None:
    scores, truth, member = invented(6, 2)
    found = measured(beside(scores, truth, member))
    p, y = scores[member == "g1"], truth[member == "g1"]
    bins = np.minimum((p * 10).astype(int), 9)
    wanted = sum(abs(y[bins == each].sum() - p[bins == each].sum()) for each in range(10)) / len(p)
    assert found["sex=g1", "calibration_error"]["value"] == pytest.approx(wanted)


def test_any_order_and_cut_of_the_rows_gives_the_same_records() -> None:
    scores, truth, member = invented(7, 9, 400)
    known = [None if number % 5 == 0 else bool(each) for number, each in enumerate(truth)]
    groups = [None if number % 17 == 0 else each for number, each in enumerate(member)]
    whole = beside(scores, known, groups, [number * 9_000 for number in range(400)])  # of four windows
    for limit in (100, 4):
        by = FairnessBy(CHAMPION, limit, 1)
        wanted = fair_records(sums_of_fairness(whole, by, WINDOW_US), by, QualityOrigin(WINDOW_US, 0, "m"))
        for seed in range(5):
            rng = random.Random(seed)
            order = np.array(rng.sample(range(400), 400))
            parts = [sums_of_fairness(whole.taken(part), by, WINDOW_US) for part in np.array_split(order, 3 + seed)]
            coded = [decode_sums(encode_sums(sums_with_fairness(whole.taken(part), by, WINDOW_US)))
                     for part in np.array_split(order, 3 + seed)]  # fmt: skip
            sums = added_fairness([part.fairness for part in coded if isinstance(part, WithFairness)])
            nested = added_fairness([added_fairness(parts[:2]), added_fairness(parts[2:])])
            for each in (sums, nested):
                assert fair_records(each, by, QualityOrigin(WINDOW_US, 0, "m")) == wanted


def test_selection_needs_no_labels_and_says_so_of_the_rest() -> None:
    scores, _, member = invented(8, 2)
    found = measured(beside(scores, [None] * 600, member))
    wanted = fairlearn.demographic_parity_difference(scores >= 0.5, scores >= 0.5, sensitive_features=member)
    parity = found["sex", "demographic_parity_difference"]
    assert (parity["value"], parity["label_coverage"], parity["n"]) == (pytest.approx(wanted), None, 600)
    odds = found["sex", "equalized_odds_difference"]
    assert (odds["value"], odds["why"], odds["label_coverage"]) == (None, "no positive event among the labels", 0.0)
    assert found["sex=g0", "true_positive_rate"]["why"] == "no labelled event"


def test_a_group_without_positive_events_is_left_out_and_named() -> None:
    """fairlearn takes its true positive rate for 0, so that equalized odds look as bad as they can be."""
    scores, truth, member = invented(9, 3)
    truth = truth & (member != "g2")
    found = measured(beside(scores, truth, member))
    odds, others = found["sex", "equal_opportunity_difference"], member != "g2"
    of_two = fairlearn.equal_opportunity_difference(truth[others], (scores >= 0.5)[others],
                                                    sensitive_features=member[others])  # fmt: skip
    assert odds["value"] == pytest.approx(of_two)
    assert odds["why"] == "1 of 3 groups left out: fewer than 1 events that count (fairness.min_n)"
    assert found["sex=g2", "true_positive_rate"]["why"] == "no positive event among the labels"


def test_rows_without_a_value_have_rates_and_are_not_compared() -> None:
    found = measured(beside([0.9, 0.1, 0.9, 0.9], [True] * 4, ["f", "m", None, None]))
    assert found["sex is null", "selection_rate"]["value"] == 1.0
    assert found["sex", "demographic_parity_difference"]["n"] == 2
    vanished = measured(beside([0.9, 0.1], [True, False], [None, None]))
    assert {row["why"] for (segment, _), row in vanished.items() if segment == "sex"} == {
        "no event has a value in this column"
    }


def test_rates_of_fewer_than_the_least_are_null_and_say_it() -> None:
    scores, truth, member = invented(10, 2)
    few = beside([*scores, 0.9, 0.8], [*truth, True, False], [*member, "x", "x"])
    found = measured(few, FairnessBy(CHAMPION, 100, 30))
    assert found["sex=x", "selection_rate"]["why"] == "of 2 events; expected: at least 30 (fairness.min_n)"
    parity = found["sex", "demographic_parity_difference"]
    assert parity["value"] == measured(beside(scores, truth, member))["sex", "demographic_parity_difference"]["value"]
    assert parity["why"] == "1 of 3 groups left out: fewer than 30 events that count (fairness.min_n)"


def test_small_groups_have_no_record_with_privacy_nor_can_they_be_found_by_subtraction() -> None:
    scores, truth, member = invented(11, 3)
    few = beside([*scores, 0.9, 0.8], [*truth, True, False], [*member, "x", "x"])
    found = measured(few, FairnessBy(CHAMPION, 100, 30, withholds=True))
    counts = {f"sex={group}": int(np.sum(member == group)) for group in ("g0", "g1", "g2")}
    smallest = min(counts, key=lambda group: counts[group])
    assert {segment for segment, _ in found} == {"sex", *counts} - {smallest}
    assert found["sex", "demographic_parity_difference"]["value"] is not None
    one_class = measured(beside(scores, member == "g0", member), FairnessBy(CHAMPION, 100, 30, withholds=True))
    assert {metric for segment, metric in one_class if segment == "sex=g1"} == {"selection_rate"}


def test_more_groups_than_the_limit_are_not_compared_and_the_limit_is_named() -> None:
    many = beside([0.9] * 10_000, [True] * 10_000, [str(number) for number in range(10_000)])
    sums = sums_of_fairness(many, BY, WINDOW_US)
    found = records_of(sums)
    assert len(sums.groups) == 1
    assert {(segment, row["events"]) for (segment, _), row in found.items()} == {("sex", 10_000)}
    assert {row["why"] for row in found.values()} == {
        "more than 100 groups; expected: at most 100 (fairness.max_groups)"
    }
    served = measured(many.chosen(np.arange(10_000) < 1_000), FairnessBy(CHAMPION, 1_000, 1))
    assert (len(served), served["sex", "demographic_parity_difference"]["value"]) == (4 * 1_000 + 6, 0.0)


@pytest.mark.parametrize(
    "by", [ScoredBy("v3", "champion", "d3", "regression"), ScoredBy("v3", "shadow", "d3", "class", None, None)]
)
def test_answers_that_are_not_decided_on_say_that_nobody_is_selected(by: ScoredBy) -> None:
    found = measured(beside([0.9, 0.1], [True, False], ["f", "m"]), FairnessBy(by, 100, 1))
    assert {segment for segment, _ in found} == {"sex"}
    assert {row["value"] for row in found.values()} == {None}
    assert all("the manifest has no threshold" in row["why"] for row in found.values())


def test_labels_of_one_decision_only_are_said() -> None:
    scores, truth, member = invented(12, 2)
    known = [bool(label) if score >= 0.5 else None for label, score in zip(truth, scores, strict=True)]
    found = measured(beside(scores, known, member))
    for key in (("sex=g0", "true_positive_rate"), ("sex", "equalized_odds_difference")):
        assert "only events decided as 'positive' have labels" in found[key]["why"], found[key]
    assert found["sex", "demographic_parity_difference"]["why"] is None


def test_segments_of_quality_have_no_second_record() -> None:
    scores, truth, member = invented(13, 2)
    found = measured(beside(scores, truth, member), FairnessBy(CHAMPION, 100, 1, segments=("sex",)))
    assert {metric for segment, metric in found if segment == "sex=g0"} == {"true_positive_rate", "false_positive_rate"}
    spec = FairnessSpec((("sex",), ("age",)), (("age", Grouping((25.0,))),), 100, 1)
    assert FairnessRules(spec, ("sex", "age", "origin")).of(CHAMPION).segments == ("sex",)
    assert whose(BY.text()) == BY


def test_answers_that_were_held_before_a_column_was_protected_have_no_group() -> None:
    """An update of a running job: its state has answers without the column."""
    before = answers(CHAMPION, ["a"], [1], [0.9]).drop_columns(["protected:team"])
    held = [before, answers(CHAMPION, ["b", "c"], [2, 3], [0.9, 0.1], ["x", "y"])]
    for order in (held, held[::-1]):
        (rows,) = by_version(order).values()
        ids, teams = rows.column(batches.EVENT_ID).to_pylist(), protected_in(rows)["team"].to_pylist()
        groups = dict(zip(ids, teams, strict=True))
        assert groups == {"a": None, "b": "team=x", "c": "team=y"}


@pytest.mark.parametrize("seed", [0, 5, 9, 10])
def test_intervals_hold_the_true_disparity_as_often_as_they_say(seed: int) -> None:
    """A few of the windows of benchmarks/FAIRNESS.md: two equal groups, five, and dependent events."""
    found = coverage(WORLDS[seed], 150, seed)
    assert min(found.held.values()) >= 0.9, found
    if WORLDS[seed].spread:
        assert found.counted < 0.85


GROUPED = {
    Grouping((25.0, 65.0)): ["age < 25", "25 <= age < 65", "age >= 65", None],
    Grouping(named=(("old", ("65", "70")), ("new", ("25",)))): ["age in other", "age in new", "age in old", None],
    Grouping(): ["age=-1", "age=25", "age=65", None],
}


@pytest.mark.parametrize("kind", [pa.float64(), pa.int64()])
@pytest.mark.parametrize("grouping", GROUPED)
def test_values_make_groups_by_edges_names_or_themselves(grouping: Grouping, kind: pa.DataType) -> None:
    spec = FairnessSpec((("age",),), (("age", grouping),), 100, 1)
    rows = pa.record_batch({"age": pa.array([-1, 25, 65, None], kind)})
    assert groups_in(rows, spec)["age"].to_pylist() == GROUPED[grouping]


def test_columns_together_have_a_group_where_each_has_a_value() -> None:
    spec = FairnessSpec((("sex", "region"),), (), 100, 1)
    rows = pa.record_batch({"sex": ["f", None, "m"], "region": ["n", "s", None]})
    groups: Mapping[str, pa.Array] = groups_in(rows, spec)
    assert groups["sex & region"].to_pylist() == ["sex=f & region=n", None, None]
    found = measured(Beside(np.zeros(3, np.int64), np.ones(3), pa.nulls(3, pa.bool_()), {}, protected=groups))
    assert found["sex & region is null", "selection_rate"]["n"] == 2
