"""Verdicts from records of quality: what is compared, what counts, and what is said."""

import math
from typing import Any

import pytest

from gates.policy import Policy, read_policy
from gates.records import QualityRow
from gates.verdicts import GateVerdict, StepServed, judge
from gates.windows import pool, window_differences
from tests.gates.written import DAY_US, FIRST_US, arms, row

STEPS = [{"share": "10%"}, {"share": "100%"}]


TWO_SHARES = [{"share": "5%"}, {"share": "25%"}, {"share": "100%"}]


def policy(**keys: Any) -> Policy:
    stated = {"rollout": "test", "margin": 0.05, "minimum": {"n": 500}, "labels": {"wait": "3d"}, "steps": STEPS}
    return read_policy({**stated, **keys}, "v2")


def judged(rows: list[QualityRow], began: int = 0, step_began: int = 0, step: int = 1, **keys: Any) -> GateVerdict:
    known = policy(**keys)
    since, of_step = (FIRST_US + day * DAY_US for day in (began, max(began, step_began)))
    return judge(known, StepServed("v1", since, of_step, known.steps[step - 1]), rows)


def days(count: int, value: float = 0.0, **fields: Any) -> list[QualityRow]:
    """Days whose values differ by little, around this one."""
    return [row(day, value=value + 0.01 * (-1) ** day, **fields) for day in range(count)]


@pytest.mark.parametrize(
    ("rows", "action", "reason"),
    [
        (days(30, -0.3), "promote", "error"),
        (days(30, 0.3), "stop", "error"),
        (days(30, 0.0, variance=0.01), "promote", "error"),  # not worse by the margin
        (days(30, 0.03, variance=4.0), "hold", "undecided"),
        (days(4, -0.3), "hold", "waits"),
        (days(3, 0.9), "stop", "error"),  # a minimum does not protect it
        ([], "hold", "waits"),
    ],
)
def test_verdict_follows_from_the_difference(rows: list[QualityRow], action: str, reason: str) -> None:
    found = judged(rows)
    assert (found.action, found.reason) == (action, reason), found.why
    assert found.evidence["n"] == sum(each.n for each in rows)


def test_where_higher_is_better_the_signs_turn() -> None:
    better = [each for day in range(30) for each in arms(day, 0.9, 0.7, "accuracy", n=100, variance=0.1)]
    assert judged(better, metric="accuracy", direction="higher").action == "promote"
    assert judged(better, metric="accuracy", direction="lower").action == "stop"


def test_arms_are_compared_within_each_window() -> None:
    """The version answers more in hard times; in each window it is as good as the champion, or better."""
    easy = [each for day in range(10) for each in arms(day, 0.09, 0.1, n=20, variance=0.01)]
    hard = [each for day in range(10, 20) for each in arms(day, 0.59, 0.6, n=900, variance=0.01)]
    assert sum(each.value * each.n for each in easy + hard if each.version == "v2" and each.value) / 9200 > 0.5
    windows = window_differences(easy + hard, "error", 1, "v2", "v1")
    pooled = pool(windows)
    assert pooled is not None
    assert pooled.value == pytest.approx(-0.01)
    assert judged(easy + hard).action == "promote"


def test_pairs_take_precedence_over_arms() -> None:
    rows = [*days(10, 0.4), *(each for day in range(10) for each in arms(day, 0.1, 0.5))]
    found = judged(rows)
    assert (found.action, found.evidence["value"]) == ("stop", pytest.approx(0.4))


def test_the_greatest_pane_of_a_window_is_for_the_reader_to_choose_and_roles_do_not_count_twice() -> None:
    both = [row(0, value=0.2, role="shadow", n=40), row(0, value=0.3, role="challenger", n=60)]
    (window,) = window_differences(both, "error", 1, "v2", "v1")
    assert (window.n, window.value) == (60, 0.3)


@pytest.mark.parametrize("coverage", [0.0, 0.79])
def test_labels_that_stop_coming_are_said(coverage: float) -> None:
    rows = [row(day, value=-0.3, label_coverage=1.0 if day < 10 else coverage) for day in range(20)]
    found = judged(rows)
    assert (found.action, found.reason) == ("hold", "labels")
    assert "since 2019-01-11T00:00:00Z windows that ended 3d ago or more" in found.why
    assert judged(rows[:13]).action == "promote"  # labels of three days may still come


def test_records_without_labels_show_that_time_goes_on() -> None:
    scored = [row(day, "difference", value=0.0, label_coverage=None) for day in range(20)]
    found = judged([*days(10, -0.3), *scored])
    assert (found.reason, "have no labels" in found.why) == ("labels", True)


@pytest.mark.parametrize(("then", "action"), [("hold", "hold"), ("stop", "stop"), ("promote", "promote")])
@pytest.mark.parametrize("maximum", [{"n": 2000}, {"duration": "20d"}])
def test_at_the_maximum_the_policy_decides(maximum: dict[str, Any], then: str, action: str) -> None:
    found = judged(days(20, 0.03, variance=4.0), maximum={**maximum, "then": then})
    assert (found.action, found.reason) == (action, "maximum")


def test_a_guardrail_stops_and_never_promotes() -> None:
    latency = [row(day, "latency_difference", value=9000.0, variance=1e6, label_coverage=None) for day in range(30)]
    guardrails = [{"metric": "latency_difference", "margin": 5000}]
    found = judged([*days(30, -0.3), *latency], guardrails=guardrails)
    assert (found.action, found.reason) == ("stop", "latency_difference")
    assert found.evidence["guardrails"][0]["low"] > 5000
    assert judged([*days(4, -0.3), *latency], guardrails=[{**guardrails[0], "margin": 20_000}]).action == "hold"


def test_share_of_flips_is_a_guardrail() -> None:
    flips = [row(day, "flips_to_positive", value=0.2, variance=None) for day in range(10)]
    assert judged(flips, guardrails=[{"metric": "flips_to_positive", "margin": 0.1}]).action == "stop"


def test_windows_before_the_rollout_and_its_step_do_not_count() -> None:
    rows = days(40, -0.3)
    assert judged(rows, began=30).evidence["n"] == 1000
    found = judged(rows, began=10, step_began=37)
    assert (found.reason, found.evidence["n_of_step"]) == ("waits", 300)


def test_duration_of_a_step_is_event_time() -> None:
    assert "this step has served 10d of 30d" in judged(days(10, -0.3), minimum={"n": 1, "duration": "30d"}).why
    assert judged(days(30, -0.3), minimum={"n": 1, "duration": "30d"}).action == "promote"


def test_dependent_events_count_for_less() -> None:
    alone, together = judged(days(10, 0.03)), judged(days(10, 0.03, n_effective=10.0))
    assert together.evidence["n_effective"] == pytest.approx(alone.evidence["n_effective"] / 10)
    again = judged(days(10, 0.03, n_effective=10.0), clusters="recurring")
    assert again.evidence["n_effective"] == pytest.approx(alone.evidence["n_effective"] / (1 + 2 * 90 - 9))


@pytest.mark.parametrize("value", [-0.9, 0.9])
def test_minima_count_what_events_are_worth(value: float) -> None:
    """Ten windows of 100 events, which are worth 9 each: neither 500 for a step nor 100 for a stop are there."""
    found = judged(days(10, value, n_effective=9.0))
    assert (found.action, found.reason) == ("hold", "waits")
    assert "90 of 500 labelled events in this step (1000, which depend on each other)" in found.why
    assert judged(days(20, value, n_effective=60.0)).action in ("promote", "stop")


def test_what_the_events_of_a_window_share_is_seen_in_its_differences() -> None:
    swinging = [row(day, value=0.5 * (-1) ** day, variance=0.01) for day in range(10)]
    found = judged(swinging)
    assert found.evidence["n_effective"] < 1
    assert found.action == "hold"


@pytest.mark.parametrize("method", ["mixture", "betting"])
def test_bounded_methods_decide_too(method: str) -> None:
    keys: dict[str, Any] = {"method": method, "bounds": [0, 1], "margin": 0}
    assert judged(days(60, -0.5, variance=0.1), **keys).action == "promote"
    assert judged(days(60, 0.5, variance=0.1), **keys).action == "stop"
    assert judged(days(60, 0.0, variance=0.1), **keys).action == "hold"


def test_values_outside_of_the_bounds_hold() -> None:
    found = judged(days(10, 3.0), method="betting", bounds=[0, 1])
    assert (found.action, found.reason) == ("hold", "bounds")
    assert "allowed: -1.0 to 1.0" in found.why


def test_planned_looks_need_fewer_events() -> None:
    """The same data, of which the sequence is not sure yet."""
    keys: dict[str, Any] = {"margin": 0.0, "maximum": {"n": 3000}}
    rows = days(24, -0.055)
    assert judged(rows, **keys).action == "hold"
    planned = judged(rows, promote={"by": "group_sequential", "spending": "pocock", "looks": 5}, **keys)
    assert (planned.action, [look["n"] for look in planned.evidence["looks"]]) == ("promote", [600, 1200, 1800, 2400])


def test_events_of_a_run_with_other_windows_count_once() -> None:
    hours = [each._replace(window_start=each.window_start + 3, window_end=each.window_start + 9) for each in days(10)]
    assert judged([*days(10, -0.3), *hours]).evidence["n"] == 1000


@pytest.mark.parametrize(
    "fields",
    [{"value": None}, {"variance": None}, {"n": 0}, {"variance": 0.0}, {"value": math.inf}, {"variance": math.nan}],
)
def test_records_that_say_nothing_hold(fields: dict[str, Any]) -> None:
    assert judged([row(day, **{"value": 0.2, **fields}) for day in range(10)]).action == "hold"


SHADOW_FIRST = [{"share": "shadow"}, {"share": "20%"}, {"share": "100%"}]


@pytest.mark.parametrize("minimum", [{"n": 500}, {"n": 1, "duration": "9d"}])
def test_what_a_shadow_does_is_no_evidence_of_a_challenger(minimum: dict[str, Any]) -> None:
    """Records of a run over the past, which knew only the release of the step before."""
    keys: dict[str, Any] = {"steps": SHADOW_FIRST, "minimum": minimum}
    rows = days(30, -0.3, role="shadow")
    held = judged(rows, step_began=10, step=2, **keys)
    assert (held.action, held.reason, held.evidence["n_of_step"], held.evidence["n"]) == ("hold", "waits", 0, 3000)
    assert "are of it as shadow, none as challenger; next: run the job" in held.why
    again = [row(day, value=-0.3 + 0.01 * (-1) ** day, n=60) for day in range(10, 30)]
    found = judged([*rows, *again], step_began=10, step=2, **keys)
    assert (found.action, found.evidence["n_of_step"], found.evidence["n"]) == ("promote", 1200, 2200)


def test_a_shadow_may_become_the_champion_at_once_where_the_policy_says_so() -> None:
    steps = [{"share": "shadow"}, {"share": "100%"}]
    assert judged(days(30, -0.3, role="shadow"), steps=steps).action == "promote"
    assert judged(days(30, -0.3), steps=steps).reason == "waits"


def test_a_shadow_that_is_worse_is_stopped_in_any_step() -> None:
    found = judged(days(30, 0.3, role="shadow"), step_began=10, step=2, steps=SHADOW_FIRST)
    assert found.action == "stop"


@pytest.mark.parametrize("days_of_step", [1, 4])
def test_the_maximum_leaves_no_step_before_its_minimum_where_it_promotes(days_of_step: int) -> None:
    keys: dict[str, Any] = {"maximum": {"n": 1000, "then": "promote"}, "steps": TWO_SHARES}
    found = judged(days(20 + days_of_step, 0.03, variance=4.0), step_began=20, step=2, **keys)
    assert (found.action, found.reason) == ("hold", "waits")
    assert judged(days(26, 0.03, variance=4.0), step_began=20, step=2, **keys).action == "promote"


def test_the_maximum_promotes_no_version_that_has_not_served() -> None:
    keys: dict[str, Any] = {"maximum": {"n": 1000, "then": "promote"}, "steps": SHADOW_FIRST}
    rows = days(30, 0.03, variance=4.0, role="shadow")
    assert judged(rows, step_began=10, step=2, **keys).action == "hold"
    assert judged(rows, **keys).reason == "maximum"


@pytest.mark.parametrize("metric", ["latency_difference", "flips_to_positive", "flips_to_negative", "brier"])
def test_a_guardrail_without_measurement_in_the_step_holds(metric: str) -> None:
    guardrails = [{"metric": metric, "margin": 0.001}]
    held = judged(days(30, -0.3), guardrails=guardrails)
    assert (held.action, held.reason) == ("hold", "unmeasured")
    assert held.why == f"{metric} is not measured in this step: {held.evidence['guardrails'][0]['unmeasured']}"
    before = [row(day, metric, value=-1.0, variance=0.1) for day in range(10)]
    assert judged([*days(30, -0.3), *before], step_began=10, guardrails=guardrails).reason == "unmeasured"
    ever = [row(day, metric, value=-1.0 + 0.01 * day, variance=0.1) for day in range(30)]
    assert judged([*days(30, -0.3), *ever], step_began=10, guardrails=guardrails).action == "promote"


def test_flips_that_never_happen_are_measured() -> None:
    flips = [row(day, "flips_to_positive", value=0.0, variance=None) for day in range(30)]
    assert judged([*days(30, -0.3), *flips], guardrails=[{"metric": "flips_to_positive", "margin": 0.1}]).action == (
        "promote"
    )


@pytest.mark.parametrize("metric", ["difference", "mae"])
def test_a_main_metric_that_no_record_has_is_named(metric: str) -> None:
    held = judged([each for day in range(10) for each in arms(day, 0.2, 0.4)], metric=metric)
    assert (held.reason, f"{metric} is not measured in this step: no record " in held.why) == ("unmeasured", True)


@pytest.mark.parametrize("value", [-0.3, 0.3])
def test_labels_of_one_class_decide_nothing(value: float) -> None:
    """What a wrong `positive` does: no label is true."""
    none = [row(day, "auc", value=None, against=None, why="only one class among the labels") for day in range(30)]
    held = judged([*days(30, value), *none])
    assert (held.action, held.reason) == ("hold", "one_class")
    assert "2019-01-01T00:00:00Z to 2019-01-31T00:00:00Z are of one class" in held.why
    assert judged([*days(30, value), *none[:29]]).action in ("promote", "stop")
