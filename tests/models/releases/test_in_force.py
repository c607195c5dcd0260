"""One rule says which release is in force: to jobs, to people, and where a rollback begins."""

import random

import numpy as np
import pytest

from models.releases.release import AdmittedRelease, Challenger, Release
from models.releases.rollbacks import Past
from models.releases.shares import answering, assign
from models.releases.timeline import Timeline, release_in_force, taken_over_by


def releases(seed: int) -> list[Release]:
    """Up to nine, in any order, several of them at one time."""
    drawn = random.Random(seed)
    made = [Release(number, "late", drawn.randrange(5) * 10, f"v{number}") for number in range(drawn.randint(1, 9))]
    drawn.shuffle(made)
    return made


@pytest.mark.parametrize("seed", range(30))
def test_jobs_people_and_rollbacks_find_the_same_release_in_force(seed: int) -> None:
    known = releases(seed)
    of_job = Timeline(AdmittedRelease(each, {}) for each in known)
    for at_us in range(-1, 52):
        [index] = of_job.in_force(np.array([at_us])).tolist()
        found = release_in_force(known, at_us)
        assert found == of_job.entries[index].release == Past(known, at_us).in_force
        later = min((each.effective_from_us for each in known if each.effective_from_us > at_us), default=None)
        if found is not None and found.effective_from_us <= at_us:
            assert taken_over_by(known, found) == (None if later is None else release_in_force(known, later))


def test_without_releases_none_is_in_force() -> None:
    assert release_in_force([], 7) is None
    assert Timeline([]).in_force(np.array([7, 8])).tolist() == [-1, -1]


def test_only_versions_that_answer_are_chosen() -> None:
    release = Release(1, "late", 0, "a", (Challenger("b", 0.0), Challenger("c", 0.5)), salt="s")
    chosen = assign(release, [f"event-{number}" for number in range(500)])
    named = ("a", "b", "c")
    assert {named[index] for index in set(chosen.tolist())} == set(answering(release)) == {"a", "c"}
