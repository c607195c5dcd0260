"""Advice to retrain from written records: what is advised, on which evidence, and what is said to be lacking."""

import random
from typing import Any

import pytest

from gates.records import QualityRow
from gates.retraining.advice import RetrainingAdvice, advise
from gates.retraining.drifts import DriftedColumn, DriftWindow
from gates.retraining.evidence import advice_document
from gates.retraining.policy import retraining_policy
from tests.gates.written import DAY_US, FIRST_US, row

POLICY: dict[str, Any] = {"price": 100, "value": 0.1, "unit": "EUR", "pays_within": "30d"}


def days(first: int, last: int, loss: float, seed: int = 1, **fields: Any) -> list[QualityRow]:
    """Daily records of the champion v1, 1,000 events each, with a loss near this one."""
    chance = random.Random(seed)
    own = {"version": "v1", "role": "champion", "against": None, "n": 1000, "variance": 0.04, "at_training": 0.3}
    stated = {"metric": "error", **own, **fields}
    return [row(day, **{"value": loss + chance.gauss(0, 0.006), **stated}) for day in range(first, last)]


def drifted(*days_of: int, version: str = "v1") -> list[DriftWindow]:
    columns = (DriftedColumn("income", 0.8, 0.5), DriftedColumn("age", 0.2, None))
    return [DriftWindow(FIRST_US + day * DAY_US, FIRST_US + (day + 1) * DAY_US, 0, version, columns) for day in days_of]


def advice(rows: list[QualityRow], drift: list[DriftWindow] | None = None, **policy: Any) -> RetrainingAdvice:
    return advise(retraining_policy(POLICY | policy), ("late", "v1", "d1"), rows, drift or [])


WORN = [*days(0, 40, 0.3), *days(40, 60, 0.35)]


def test_a_worn_version_is_advised_to_be_retrained_on_the_data_since_the_change() -> None:
    found = advice(WORN)
    assert (found.verdict, found.reason, found.lacking) == ("retrain", "pays", ())
    assert found.data is not None
    assert found.waiting is not None
    assert found.worn is not None
    assert (found.data.from_us, found.data.to_us) == (FIRST_US + 40 * DAY_US, FIRST_US + 60 * DAY_US)
    assert found.data.n == 20000
    # (0.35 − 0.30) × 1,000 events × 0.1 a day, for 30 days
    assert found.waiting.per_day[0] == pytest.approx(5, rel=0.05)
    assert found.waiting.within == pytest.approx([30 * each for each in found.waiting.per_day])
    assert found.waiting.per_day[0] == pytest.approx(found.worn.value * 1000 * 0.1)
    assert found.waiting.within[1] >= found.data.price == 100


def test_the_same_records_give_the_same_advice_in_any_order_and_others_another() -> None:
    shuffled = random.Random(3).sample(WORN, len(WORN))
    assert advice(WORN).id == advice(shuffled).id
    others = [advice(WORN[:-1]).id, advice(WORN, value=0.2).id, advice(WORN[:-1] + days(59, 60, 0.36)).id]
    assert len({advice(WORN).id, *others}) == 4
    assert advice(WORN).id == advice(WORN, score_ids=7, unit="USD", hook={"command": ["x"]}).id


def test_a_version_as_good_as_at_training_waits() -> None:
    found = advice(days(0, 60, 0.3))
    assert (found.verdict, found.reason) == ("wait", "not_worn")


def test_a_loss_that_costs_less_than_the_retraining_waits() -> None:
    found = advice(WORN, price=1000)
    assert (found.verdict, found.reason) == ("wait", "does_not_pay")
    assert "EUR (" in found.why
    assert "a retraining costs 1,000" in found.why
    assert advice(WORN, price=150).reason == "undecided"


def test_a_loss_may_be_below_the_training_after_a_change_for_the_better() -> None:
    found = advice([*days(0, 30, 0.4), *days(30, 60, 0.3)])
    assert (found.reason, advice_document(found)["change"]["to"]) == ("not_worn", "better")


def test_without_a_value_of_training_the_windows_before_the_change_are_the_reference() -> None:
    rows = [each._replace(at_training=None) for each in WORN]
    found = advice(rows)
    assert found.worn is not None
    assert (found.verdict, found.worn.fresh.kind) == ("retrain", "before the change")
    known = advice(WORN).worn
    assert known is not None
    assert found.worn.high - found.worn.low > known.high - known.low


def test_too_few_events_since_the_change_are_waited_for() -> None:
    found = advice(WORN, minimum=30_000)
    assert (found.verdict, found.reason) == ("wait", "little_data")
    assert "only 20000 events have labels, of 30000" in found.why


def test_data_that_cost_more_than_they_save_are_left_out() -> None:
    found = advice(WORN, price=50, price_of_event=0.005)
    assert found.data is not None
    assert found.waiting is not None
    assert (found.verdict, found.data.shortened, found.data.to_us) == ("retrain", True, FIRST_US + 60 * DAY_US)
    assert 50 < found.data.price <= found.waiting.within[1] < 50 + 0.005 * (found.data.n + 1000)


@pytest.mark.parametrize(
    ("rows", "policy", "reason", "setting"),
    [
        ([], {}, "no_records", "a run with labels"),
        (days(0, 9, 0.3, version="v0"), {}, "no_records", "retraining.metric, --version"),
        (days(0, 9, 0.3, metric="auc"), {}, "no_records", "retraining.metric, --version"),
        (days(0, 9, 0.3, value=None, n=0, why="no labels"), {}, "no_labels", "labels"),
        (days(0, 9, 0.3, label_coverage=0.1), {}, "no_labels", "retraining.coverage, or wait until they have come"),
        (days(0, 9, 0.3, at_training=None), {}, "no_reference", "models publish --quality error=…"),
        (WORN, {"price": None}, "no_price", "retraining.price"),
        (WORN, {"value": None}, "no_price", "retraining.value"),
    ],
    ids=["records", "version", "metric", "labels", "coverage", "training", "price", "value"],
)
def test_what_is_lacking_is_said_with_the_setting(
    rows: list[QualityRow], policy: dict[str, Any], reason: str, setting: str
) -> None:
    found = advice(rows, **policy)
    assert (found.reason, found.verdict) == (reason, "look" if reason == "no_price" else "wait")
    assert any(each.setting.startswith(setting) for each in found.lacking), found.lacking


def test_drift_alone_advises_to_look_and_says_no_price() -> None:
    found = advice([], drifted(3, 5))
    document = advice_document(found)
    assert (found.verdict, found.reason) == ("look", "drift")
    assert "2 windows drifted (income, age) whose labels are not there" in found.why
    assert [document["waiting"], document["data"], document["price"]["total"]] == [None, None, None]
    assert [start for start, _ in found.windows_us] == [FIRST_US + 3 * DAY_US, FIRST_US + 5 * DAY_US]


def test_drift_counts_only_where_labels_do_not_say_what_it_costs() -> None:
    calm = days(0, 60, 0.3)
    assert [advice(calm, drifted(day)).verdict for day in (30, 59, 60)] == ["wait", "wait", "look"]
    assert advice(calm, drifted(60, version="v0")).verdict == "wait"
    assert len(advice([], drifted(*range(30))).drifted) == 7


def test_only_the_champion_counts() -> None:
    shadow = [each._replace(role="shadow", value=0.9) for each in WORN]
    assert advice([*WORN, *shadow]).id == advice(WORN).id


def test_looking_every_day_advises_a_sound_version_at_most_as_often_as_declared() -> None:
    wrong = 0
    for seed in range(60):
        rows = days(0, 90, 0.3, seed=seed, at_training=0.3)
        wrong += any(advice(rows[:day], price=0, error_rate=0.05).verdict == "retrain" for day in range(5, 91, 5))
    assert wrong <= 6
