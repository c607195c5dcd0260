"""A short soak: the same as `make soak`, with one seed, in which each kind of machine dies."""

import pytest

from examples.flights.service import Event
from tests.flink.running import Machines
from tests.flink.soak.account import Account, table
from tests.flink.soak.plan import Kind
from tests.flink.soak.trial import Trial, account
from tests.servers import needs

# Workers die while the store does not answer.
TRIAL = Trial(minutes=1.25, kills=6, seed=166)
pytestmark = needs("java", "mvn", "go")


@pytest.fixture(scope="module")
def found(machines: Machines, month: list[Event], tmp_path_factory: pytest.TempPathFactory) -> Account:
    come = account(TRIAL, machines, month, tmp_path_factory.mktemp("soak"), print)
    print(table(come))
    return come


def test_every_kind_of_process_was_killed_and_the_job_was_restored(found: Account) -> None:
    assert found.kills.total() == TRIAL.kills
    assert set(found.kills) == set(Kind)
    assert found.restores >= 2


def test_no_event_is_lost(found: Account) -> None:
    assert found.events > 1500
    assert found.lost == []
    assert found.scored == found.events
    assert found.dead_letters == 0


def test_every_answer_is_that_of_an_undisturbed_run_by_the_version_of_its_time(found: Account) -> None:
    assert found.differing == []
    assert set(found.versions) == {"v1", "v2"}
    assert min(found.versions.values()) > 300


def test_repeated_scores_have_a_restore_between_them(found: Account) -> None:
    assert found.unexplained == 0
