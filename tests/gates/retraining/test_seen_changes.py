"""Changes that detectors saw, in records of quality: what advice makes of them."""

from typing import Any

import pytest

from gates.records import QualityRow
from gates.retraining import seen_changes
from gates.retraining.evidence import advice_document
from gates.retraining.seen_changes import changes_seen
from schemas.times import parse_time_us
from tests.gates.retraining.test_advice import WORN, advice, days
from tests.gates.written import DAY_US, FIRST_US, row
from transforms.quality.changes import change_records


def said(detector: str, day: int, began: float | None = None, **fields: Any) -> QualityRow:
    """What a detector said of a day: that errors changed, or that they did not."""
    own = {"version": "v1", "role": "champion", "against": None, "n": 1000, "metric": f"change_{detector}"}
    if began is None:
        return row(day, **{**own, "value": None, "variance": None, "why": "no change was seen", **fields})
    change = {"began": FIRST_US + int(began * DAY_US), "before": 0.1, "n_since": 3000, "value": 0.2}
    return row(day, **{**own, **change, **fields})


def test_words_of_records_are_those_that_detectors_write() -> None:
    assert seen_changes.CHANGE == change_records.CHANGE


@pytest.mark.parametrize(
    ("rows", "since", "by"),
    [
        ([], 40, "windows"),
        ([said("adwin", 50, 45)], 45, "adwin"),
        ([said("adwin", 50, 45), said("page_hinkley", 44, 43)], 43, "page_hinkley"),
        ([said("adwin", 50, 45), said("page_hinkley", 44, 43), said("page_hinkley", 50, 48.5)], 49, "page_hinkley"),
        ([said("adwin", 50, 45), said("page_hinkley", 44)], 45, "adwin"),
        ([said("adwin", 50), said("page_hinkley", 44)], 40, "windows"),
        ([said("adwin", 59, 59.5)], 59, "adwin"),
        ([said("adwin", 50, 45, version="v2"), said("adwin", 50, 45, role="shadow")], 40, "windows"),
        ([said("adwin", 50, why="too few labelled events: 3 blocks")], 40, "windows"),
    ],
)
def test_advice_goes_back_to_the_last_change_that_a_detector_saw(
    rows: list[QualityRow], since: int, by: str
) -> None:
    change = advice_document(advice([*WORN, *rows]))["change"]
    assert change["by"] == by
    days_of = None if change["since"] is None else _days(change["since"])
    assert days_of == since


def _days(time: str) -> int:
    return (parse_time_us(time) - FIRST_US) // DAY_US


def test_a_loss_that_is_not_that_of_the_detectors_is_dated_by_windows() -> None:
    brier = days(0, 40, 0.3, metric="brier") + days(40, 60, 0.35, metric="brier")
    found = advice_document(advice([*brier, said("adwin", 50, 45)], metric="brier"))
    assert (found["change"]["by"], _days(found["change"]["since"])) == ("windows", 40)


def test_a_recovery_is_a_change_for_the_better() -> None:
    rows = [*WORN, said("adwin", 50, 45, value=0.05)]
    assert advice_document(advice(rows))["change"]["to"] == "better"
    assert [each.rises for each in changes_seen(rows)] == [False]
