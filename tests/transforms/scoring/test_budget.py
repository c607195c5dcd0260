"""The budget of reasons: a share of the CPU time of all else, whatever a row costs."""

import pytest

from transforms.scoring.budget import CpuBudget


class Clock:
    """CPU time of a process, moved by hand."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("share", "cost"), [(0.2, 0.001), (0.05, 0.03), (1.0, 0.1)])
def test_explaining_takes_its_share_and_no_more(share: float, cost: float) -> None:
    clock = Clock()
    budget, explained = CpuBudget(share, clock, start_s=0.0), 0
    for _ in range(400):
        clock.now += 0.5  # other work
        rows = budget.rows("digest", 1000)
        if rows:
            clock.now += rows * cost
            budget.spend("digest", rows, rows * cost)
            explained += rows
    others = 400 * 0.5
    assert budget.spent == pytest.approx(min(share * others, 400_000 * cost), rel=0.05)
    assert budget.spent <= share * others + 16 * cost
    assert explained * cost == pytest.approx(budget.spent)


def test_preparing_counts_neither_as_explaining_nor_as_other_work() -> None:
    clock = Clock()
    budget = CpuBudget(0.5, clock, start_s=0.0)
    clock.now += 2.0
    budget.leave_out(2.0)
    assert budget.rows("digest", 10) == 0
    clock.now += 0.1
    assert budget.rows("digest", 10) == 10


def test_a_version_that_costs_more_than_is_left_waits() -> None:
    clock = Clock()
    budget = CpuBudget(0.5, clock, start_s=0.0)
    clock.now += 1.0
    budget.spend("slow", 1, 0.4)
    clock.now += 0.4
    assert budget.rows("slow", 10) == 0
    assert budget.rows("fast", 10) == 10
    clock.now += 1.0
    assert budget.rows("slow", 10) == 1


def test_the_first_batch_is_explained_by_what_the_start_of_a_worker_took() -> None:
    clock = Clock()
    budget, explained = CpuBudget(0.2, clock), 0
    while rows := budget.rows("digest", 9000 - explained):
        budget.spend("digest", rows, rows * 4e-5)
        clock.now += rows * 4e-5
        explained += rows
    assert explained == 9000
    assert CpuBudget(0.0001, clock).rows("digest", 10) <= 16
    assert budget.spent <= 0.2 * 2.0
