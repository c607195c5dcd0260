"""A few of the simulated rollouts of benchmarks/GATES.md: 1,000 of each take minutes (`make bench-gates`)."""

from statistics import fmean

import pytest

from benchmarks.gates.page import Simulated, at_least, fixed_n
from benchmarks.gates.runs import run
from benchmarks.gates.scenarios import EQUAL, SCENARIOS, WORSE

BY_NAME = {each.name: each for each in SCENARIOS}


def simulated(name: str, runs: int) -> Simulated:
    return Simulated(BY_NAME[name], [run(BY_NAME[name], 10_000 + seed) for seed in range(runs)])


def test_a_worse_version_is_stopped_after_half_the_events_of_a_test_of_fixed_n() -> None:
    found = simulated(WORSE, 20)
    assert found.share("stop") == 1
    assert fmean(each.answered for each in found.outcomes) <= fixed_n(found.scenario.losses, 0.999) / 2


def test_of_equal_versions_few_rollouts_act_and_many_that_look_at_a_fixed_n() -> None:
    found = simulated(EQUAL, 15)
    assert len(found.decided) <= 3
    assert fmean(each.twenty_times for each in found.outcomes) > 0.1


def test_clusters_that_come_back_are_undecided_where_they_are_declared() -> None:
    found = simulated("equal, returning clusters", 4)
    assert found.decided == []


def test_events_of_few_subjects_decide_nothing_where_the_job_knows_subjects() -> None:
    assert simulated("equal, pairs, clusters", 10).decided == []
    assert simulated("equal, pairs, returning clusters", 5).decided == []
    assert len(simulated("equal, pairs, returning clusters, no subjects", 5).decided) >= 2


def test_fixed_n_and_power_are_those_of_tables() -> None:
    losses = BY_NAME[WORSE].losses
    assert fixed_n(losses, 0.9) / fixed_n(losses, 0.8) == pytest.approx(10.507 / 7.849, abs=1e-3)
    assert at_least(1000, 1000) == pytest.approx(0.05 ** (1 / 1000), abs=1e-9)
    assert at_least(980, 1000) == pytest.approx(0.9710, abs=1e-3)
