"""Two jobs in one process share its cache: neither drops the other's models, and models that both release are freed."""

from pathlib import Path

import pytest

from models.releases.release import AdmittedRelease
from models.releases.timeline import Timeline
from models.serving.cache import HELD_FOR_S, ModelCache
from models.serving.choosing import ModelSource
from models.serving.serving import Serving
from models.store.store import ModelStore
from tests.models.loading.gated import MODEL, SECOND, START, GatedScorer, new_store, publish, released, times

pytestmark = pytest.mark.usefixtures("gated")
DAY = 86_400


class Two:
    """Two jobs on one store and one cache, with one clock that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 10.0 * DAY
        self.store: ModelStore = new_store()
        self.cache = ModelCache(clock=lambda: self.now_s)
        self.digests = {version: publish(self.store, folder, version) for version in ("v1", "v2", "v3")}
        self.releases: list[AdmittedRelease] = [
            released(self.digests, sequence, sequence * DAY, f"v{sequence}") for sequence in (1, 2, 3)
        ]
        self.first, self.second = self.job(), self.job()

    def job(self) -> Serving:
        source = ModelSource(self.store.url, MODEL, False, waits=False, horizon_us=SECOND)
        return Serving(source, self.cache, lambda: START + int(self.now_s * SECOND), lambda: self.now_s)

    def score(self, serving: Serving, day: float) -> None:
        serving.plan(Timeline(self.releases), times(day * DAY))

    def loaded(self) -> set[str]:
        return {version for version, digest in self.digests.items() if self.cache.peek(digest) is not None}


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_a_job_that_has_moved_on_leaves_the_models_of_the_other(two: Two) -> None:
    two.score(two.first, 1.5)
    two.score(two.second, 1.5)
    assert "v1" in two.loaded()
    two.now_s += 120
    two.score(two.second, 1.5)
    two.score(two.first, 3.5)
    assert "v1" in two.loaded()
    assert GatedScorer.loads["v1"] == 1


def test_model_released_by_both_jobs_is_freed(two: Two) -> None:
    two.score(two.first, 1.5)
    two.score(two.second, 1.5)
    two.now_s += 120
    two.score(two.first, 3.5)
    assert "v1" in two.loaded()
    two.score(two.second, 3.5)
    assert "v1" not in two.loaded()


def test_a_job_that_has_ended_holds_nothing_for_ever(two: Two) -> None:
    two.score(two.first, 1.5)
    two.score(two.second, 1.5)
    two.now_s += HELD_FOR_S + 1
    two.score(two.first, 3.5)
    assert "v1" not in two.loaded()
