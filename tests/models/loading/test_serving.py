"""Which model answers while models load, fail, arrive late and are unloaded: `models.serving.serving`."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from models.releases.release import AdmittedRelease, Challenger
from models.releases.timeline import Timeline
from models.serving.cache import ModelCache, ModelHandle
from models.serving.choosing import ModelSource
from models.serving.serving import Plan, Serving
from models.store.store import ModelStore
from tests.models.loading.gated import MODEL, SECOND, START, GatedScorer, new_store, publish, released, times

pytestmark = pytest.mark.usefixtures("gated")
HOUR = 3600


class Job:
    """A job's models in one process, with clocks that stand still unless a test moves them."""

    def __init__(self, waits: bool = False, horizon_s: float = HOUR) -> None:
        self.store, self.cache, self.digests = new_store(), ModelCache(), dict[str, str]()
        self.now_s = 10.0 * HOUR
        source = ModelSource(self.store.url, MODEL, False, waits, int(horizon_s * SECOND))
        self.serving = Serving(source, self.cache, lambda: START + int(self.now_s * SECOND), lambda: self.now_s)

    def publish(self, folder: Path, *versions: str) -> "Job":
        self.digests |= {version: publish(self.store, folder, version) for version in versions}
        return self

    def release(self, sequence: int, second: float, champion: str, **roles: Any) -> AdmittedRelease:
        return released(self.digests, sequence, second, champion, **roles)

    def handle(self, version: str) -> ModelHandle:
        return ModelHandle(self.store.url, MODEL, version, self.digests[version])

    def loaded(self, *versions: str) -> None:
        """Wait until these versions are loaded."""
        for version in versions:
            assert self.cache.prefetch(self.handle(version)).wait(60)

    def answers(self, releases: list[AdmittedRelease], *seconds: float) -> list[int]:
        """The sequence of the release that answers each event."""
        timeline = Timeline(releases)
        plan = self.serving.plan(timeline, times(*seconds))
        return [self._answered(timeline, plan, index, seconds) for index in range(len(seconds))]

    def _answered(self, timeline: Timeline, plan: Plan, index: int, seconds: tuple[float, ...]) -> int:
        entry = timeline.entries[int(plan.serving[index])]
        self.serving.answered(entry, START + int(seconds[index] * SECOND))
        assert entry.digests[entry.release.champion] in plan.models
        sequence: int = entry.release.sequence
        return sequence

    def told(self, kind: str) -> list[tuple[str | None, int | None]]:
        """Version and release of the events of a kind since the last call."""
        return [(event.version, event.release) for event in self.serving.drain() if event.kind == kind]


def close(version: str) -> threading.Event:
    gate = GatedScorer.gates[version] = threading.Event()
    GatedScorer.loading.clear()
    return gate


def test_events_are_answered_while_the_next_model_loads(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    gate, timeline = close("v2"), [job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    assert job.answers(timeline[:1], 1, 2) == [1, 1]
    assert job.answers(timeline, 99, 100, 101) == [1, 1, 1]
    gate.set()
    job.loaded("v2")
    assert job.answers(timeline, 102, 99) == [2, 1]
    activated = [event for event in job.serving.drain() if event.kind == "activated"]
    assert [(event.version, event.release) for event in activated] == [("v1", 1), ("v2", 2)]
    assert json.loads(activated[1].evidence)["events_answered_by_another_release"] == 2


def test_next_model_is_loaded_when_its_release_is_known_and_not_with_the_next_event(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    timeline = [job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    assert job.answers(timeline[:1], 1) == [1]
    close("v2").set()
    job.serving.foresee(Timeline(timeline))
    assert GatedScorer.loading.wait(60)
    job.loaded("v2")
    assert job.answers(timeline, 99, 100) == [1, 2]


def test_before_the_first_event_the_model_of_the_present_is_loaded(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    timeline = [job.release(1, -HOUR, "v1"), job.release(2, 9 * HOUR, "v2")]
    close("v2").set()
    job.serving.foresee(Timeline(timeline))
    assert GatedScorer.loading.wait(60)
    job.loaded("v2")
    assert job.told("loaded") == [("v2", 2)]
    assert GatedScorer.loads["v1"] == 0
    # Its loaded model does not answer instead of the one in force: a process that has answered nothing yet waits for
    # that one.
    assert job.answers(timeline, 1) == [1]


@pytest.mark.parametrize("waits", [False, True])
def test_first_model_is_waited_for(tmp_path: Path, waits: bool) -> None:
    job = Job(waits).publish(tmp_path, "v1")
    gate = close("v1")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(job.serving.plan, Timeline([job.release(1, 0, "v1")]), times(5))
        assert GatedScorer.loading.wait(60)
        assert not waiting.done()
        gate.set()
        plan = waiting.result(60)
    assert list(plan.models) == [job.digests["v1"]]


def test_bounded_events_wait_for_the_model_in_force(tmp_path: Path) -> None:
    job = Job(waits=True).publish(tmp_path, "v1", "v2")
    job.loaded("v1")
    gate, timeline = close("v2"), [job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(job.answers, timeline, 99.0, 100.0)
        assert GatedScorer.loading.wait(60)
        assert not waiting.done()
        gate.set()
        assert waiting.result(60) == [1, 2]


@pytest.mark.parametrize("waits", [False, True])
def test_model_that_does_not_load_changes_nothing(tmp_path: Path, waits: bool) -> None:
    job = Job(waits).publish(tmp_path, "v1", "v2")
    GatedScorer.broken = {"v2"}
    timeline = [job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    assert job.answers(timeline, 1) == [1]
    job.cache.prefetch(job.handle("v2")).wait(60)
    for _ in range(3):
        assert job.answers(timeline, 101, 102) == [1, 1]
    failed = [event for event in job.serving.drain() if event.kind == "load_failed"]
    assert [(event.version, event.reason) for event in failed] == [("v2", "will_not_load")]
    assert GatedScorer.loads["v2"] == 1


def test_bundle_overwritten_after_its_release_does_not_serve(tmp_path: Path) -> None:
    job = Job()
    job.store = ModelStore(str(tmp_path / "store"), MODEL)
    job.serving = Serving(ModelSource(job.store.url, MODEL, False, False, HOUR * SECOND), job.cache)
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "weights").write_text("as published")
    job.publish(tmp_path / "payload", "v1", "v2")
    (tmp_path / "store" / MODEL / "versions" / "v2" / "weights").write_text("as overwritt")
    timeline = [job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    assert job.answers(timeline, 1) == [1]
    job.cache.prefetch(job.handle("v2")).wait(60)
    assert job.answers(timeline, 101) == [1]
    assert [event.reason for event in job.serving.drain() if event.kind == "load_failed"] == ["wrong_digest"]
    assert GatedScorer.loads["v2"] == 0


def test_bounded_events_are_not_answered_by_another_model_while_the_store_does_not_answer(tmp_path: Path) -> None:
    job = Job(waits=True).publish(tmp_path, "v1")
    job.digests["v2"] = "0" * 64
    plan = job.serving.plan(Timeline([job.release(1, 0, "v1"), job.release(2, 100, "v2")]), times(1, 101))
    assert plan.serving.tolist() == [0, 1]
    assert {digest: failure.reason for digest, failure in plan.failures.items()} == {"0" * 64: "incomplete"}


def test_rollback_is_a_release_and_loads_nothing_again(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    timeline = [job.release(1, 0, "v1"), job.release(2, 100, "v2"), job.release(3, 200, "v1")]
    job.answers(timeline, 1)
    job.loaded("v1", "v2")
    assert job.answers(timeline, 99, 100, 199, 200) == [1, 2, 2, 3]
    assert GatedScorer.loads == {"v1": 1, "v2": 1}


def test_of_two_releases_with_one_effective_from_the_later_one_answers(tmp_path: Path) -> None:
    job = Job(waits=True).publish(tmp_path, "v1", "v2", "v3")
    timeline = [job.release(3, 100, "v3"), job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    assert job.answers(timeline, 99, 100) == [1, 3]


def test_release_effective_in_the_past_counts_what_was_answered_before_it(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    first, late = job.release(1, 0, "v1"), job.release(2, 100, "v2")
    assert job.answers([first], 98, 99, 100, 101, 150) == [1] * 5
    job.loaded("v2")
    job.serving.drain()
    assert job.answers([first, late], 151) == [2]
    (activated,) = [event for event in job.serving.drain() if event.kind == "activated"]
    assert json.loads(activated.evidence)["events_answered_by_another_release"] == 3


def test_alternating_versions_are_loaded_once_each(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    timeline = [job.release(number, 10 * number, f"v{1 + number % 2}") for number in range(1, 21)]
    job.loaded("v1", "v2")
    answered = [job.answers(timeline[: number + 2], 10 * number + 5) for number in range(1, 21)]
    assert answered == [[number] for number in range(1, 21)]
    assert GatedScorer.loads == {"v1": 1, "v2": 1}


def test_fifty_versions_one_after_another_are_released_behind_the_horizon(tmp_path: Path) -> None:
    job = Job(horizon_s=150).publish(tmp_path, *(f"v{number}" for number in range(1, 51)))
    timeline = [job.release(number, 100 * number, f"v{number}") for number in range(1, 51)]
    live = []
    for number in range(1, 51):
        job.now_s += HOUR
        job.loaded(f"v{number}")
        assert job.answers(timeline, 100 * number + 60) == [number]
        live.append(job.serving.live_versions())
    assert max(live) <= 5  # the one in force, one or two that late events may still need, and the next two
    told = job.serving.drain()
    assert len([event for event in told if event.kind == "retired"]) == 48
    assert len([event for event in told if event.kind == "unloaded"]) == 48
    assert {manifest.version for manifest in job.cache.retain([])} == {"v49", "v50"}


def test_event_behind_the_horizon_waits_for_nothing_and_its_version_is_kept_a_while(tmp_path: Path) -> None:
    job = Job(horizon_s=10).publish(tmp_path, "v1", "v2")
    timeline = [job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    job.loaded("v2")
    assert job.answers(timeline, 200) == [2]
    gate = close("v1")
    assert job.answers(timeline, 50) == [2]
    gate.set()
    job.loaded("v1")
    assert job.answers(timeline, 50, 201) == [1, 2]
    job.now_s += 61
    assert job.answers(timeline, 202) == [2]
    assert ("v1", 1) in job.told("unloaded")


def test_share_of_zero_loads_nothing(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    job.answers([job.release(1, 0, "v1", challengers=(Challenger("v2", 0.0),))], 1)
    assert GatedScorer.loads == {"v1": 1}


def test_shadow_that_loads_or_fails_delays_no_answer(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    close("v2")
    timeline = Timeline([job.release(1, 0, "v1", shadows=("v2",))])
    plan = job.serving.plan(timeline, times(1))
    assert (set(plan.models), set(plan.failures)) == ({job.digests["v1"]}, set())


def test_newest_release_is_stale_until_it_answers(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1", "v2")
    gate, timeline = close("v2"), [job.release(1, 0, "v1"), job.release(2, 100, "v2")]
    job.now_s = 103.5
    assert job.answers(timeline[:1], 99) == [1]
    assert job.answers(timeline, 101) == [1]
    assert job.serving.staleness_ms(Timeline(timeline)) == 3500
    gate.set()
    job.loaded("v2")
    assert job.answers(timeline, 102) == [2]
    assert job.serving.staleness_ms(Timeline(timeline)) == 0


def test_event_from_the_future_retires_nothing(tmp_path: Path) -> None:
    job = Job(horizon_s=10).publish(tmp_path, "v1", "v2")
    timeline = [job.release(1, 0, "v1"), job.release(2, 100_000, "v2")]
    job.now_s = 50.0
    job.loaded("v1", "v2")
    job.answers(timeline, 49, 10_000_000)
    assert job.answers(timeline, 50) == [1]
    assert job.told("retired") == []


def test_threads_share_what_is_loaded_and_told(tmp_path: Path) -> None:
    job = Job().publish(tmp_path, "v1")
    timeline, ask = [job.release(1, 0, "v1")], 32
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(job.answers, [timeline] * ask, range(ask))) == [[1]] * ask
    kinds = sorted(event.kind for event in job.serving.drain())
    assert kinds == ["activated", "loaded"]
    assert GatedScorer.loads == {"v1": 1}
