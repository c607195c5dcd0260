"""What a watcher finds, admits, refuses and waits for, poll by poll."""

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from models.admission import watcher
from models.admission.watcher import PolledReleases, Progress, Watcher
from models.errors import StoreError
from models.store.backends import Backend
from models.store.store import ModelStore
from tests.models.loading.gated import MODEL, START, GatedScorer, new_store, publish, spec_of

pytestmark = pytest.mark.usefixtures("gated")
COLUMNS = {"delay": "number"}


def watch(store: ModelStore, patience_s: float | None = None) -> Watcher:
    return Watcher(spec_of(store), COLUMNS, patience_s)


def release(store: ModelStore, champion: str, **roles: Any) -> int:
    return store.append_release(champion=champion, effective_from_us=START, by="test", salt="s", **roles).sequence


def admitted(polled: PolledReleases) -> list[int]:
    return [entry.release.sequence for entry in polled.admitted]


def refused(polled: PolledReleases) -> list[tuple[int | None, str]]:
    return [(event.release, event.reason) for event in polled.events if event.kind == "refused"]


def in_folder(tmp_path: Path, *versions: str) -> tuple[ModelStore, Path]:
    """A store in a folder, and the folder of its versions."""
    store, payload = ModelStore(str(tmp_path / "store"), MODEL), tmp_path / "payload"
    payload.mkdir()
    (payload / "weights").write_text("as published")
    for version in versions:
        publish(store, payload, version)
    return store, tmp_path / "store" / MODEL / "versions"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the requests of every backend, which are still made."""
    counted: Counter[str] = Counter()
    for name in ("scan", "read", "size", "stream"):
        original = getattr(Backend, name)

        def counting(*arguments: Any, name: str = name, original: Any = original, **named: Any) -> Any:
            counted[name] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(Backend, name, counting)
    return counted


def test_three_releases_in_one_poll_are_admitted_in_their_order(tmp_path: Path) -> None:
    store = new_store()
    for version in ("v1", "v2", "v3"):
        publish(store, tmp_path, version)
        release(store, version)
    polled = watch(store).poll(Progress(), START)
    assert admitted(polled) == [1, 2, 3]
    assert [event.kind for event in polled.events] == ["admitted", "released"] * 3
    assert polled.progress == Progress(3)


def test_unreadable_file_with_a_number_far_ahead_hides_no_release(tmp_path: Path) -> None:
    store = new_store()
    for version in ("v1", "v2", "v3"):
        publish(store, tmp_path, version)
    release(store, "v1")
    Backend(store.url).create(f"{MODEL}/releases/99999999.json", b"{}")
    first = watch(store).poll(Progress(), START)
    release(store, "v2")
    second = watch(store).poll(first.progress, START)  # a watcher restored from its state
    Backend(store.url).create(f"{MODEL}/releases/00000003.json", b"no json")
    release(store, "v3")
    third = watch(store).poll(second.progress, START)
    assert [admitted(polled) for polled in (first, second, third)] == [[1], [2], [4]]
    told = [refused(polled) for polled in (first, second, third)]
    assert told == [[(99999999, "invalid_release")], [], [(3, "invalid_release")]]
    assert third.progress == Progress(4, unreadable=frozenset({99999999}))


def test_store_that_is_empty_at_the_start_is_polled_until_it_is_not(tmp_path: Path) -> None:
    store = new_store()
    looking = watch(store)
    polled = looking.poll(Progress(), START)
    assert (polled.admitted, polled.events, polled.progress) == ([], [], Progress())
    publish(store, tmp_path, "v1")
    release(store, "v1")
    assert admitted(looking.poll(polled.progress, START)) == [1]


def test_absent_manifest_is_reported_once_and_admitted_when_it_arrives(tmp_path: Path) -> None:
    store, versions = in_folder(tmp_path, "v1")
    release(store, "v1")
    (versions / "v1" / "manifest.json").rename(tmp_path / "manifest.json")
    first = watch(store).poll(Progress(), START)
    second = watch(store).poll(first.progress, START)  # a watcher restored from its state
    assert (refused(first), refused(second)) == ([(1, "incomplete")], [])
    (tmp_path / "manifest.json").rename(versions / "v1" / "manifest.json")
    third = watch(store).poll(second.progress, START)
    assert (admitted(third), third.progress) == ([1], Progress(1))


def test_refusal_is_reported_once_and_costs_nothing_afterwards(tmp_path: Path, calls: Counter[str]) -> None:
    store, versions = in_folder(tmp_path, "v1", "v2")
    (versions / "v2" / "weights").write_text("as overwritt")
    release(store, "v2")
    release(store, "v1")
    looking = watch(store)
    polled = looking.poll(Progress(), START)
    assert (admitted(polled), refused(polled)) == ([2], [(1, "wrong_digest")])
    calls.clear()
    again = looking.poll(polled.progress, START)
    assert (again.admitted, again.events, calls) == ([], [], {"scan": 1})


@pytest.mark.parametrize(
    ("inputs", "score", "reason"), [(1.0, 2.0, "golden_mismatch"), (-1.0, 1.0, "bad_output"), (1.0, 1.0, None)]
)
def test_golden_records_decide(tmp_path: Path, inputs: float, score: float, reason: str | None) -> None:
    store, payload = new_store(), tmp_path / "payload"
    payload.mkdir()
    (payload / "golden.jsonl").write_text(json.dumps({"inputs": {"delay": inputs}, "score": score}))
    publish(store, payload, "v1", golden={"file": "golden.jsonl", "tolerance": 1e-6})
    release(store, "v1")
    polled = watch(store).poll(Progress(), START)
    assert refused(polled) == ([] if reason is None else [(1, reason)])


def test_store_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    store, versions = in_folder(tmp_path, "v1")
    release(store, "v1")
    looking, away = watch(store), tmp_path / "away"
    versions.rename(away)
    versions.write_text("a file where a folder should be")
    failing = looking.poll(Progress(), START)
    assert (failing.admitted, failing.events, len(failing.unanswered)) == ([], [], 1)
    versions.unlink()
    away.rename(versions)
    assert admitted(looking.poll(failing.progress, START)) == [1]


def test_store_that_cannot_be_reached_fails_the_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = {"AWS_ENDPOINT": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    for name, value in {**endpoint, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="cannot list late/releases/"):
        watch(ModelStore("s3://bucket/store", MODEL)).poll(Progress(), START)


def test_poll_of_a_thousand_versions_is_one_listing_of_what_is_new(tmp_path: Path, calls: Counter[str]) -> None:
    store = new_store()
    for number in range(1000):
        publish(store, tmp_path, f"v{number}")
    for number in range(5):
        release(store, f"v{number}")
    looking = watch(store)
    polled = looking.poll(Progress(), START)
    release(store, "v999")
    calls.clear()
    assert admitted(looking.poll(polled.progress, START)) == [6]
    # Read are the list of releases after the last one, the new one, and the manifest and files of its version, whatever
    # else the store contains.
    assert calls.total() <= 6
    calls.clear()
    looking.poll(Progress(6), START)
    assert calls == {"scan": 1}


def test_model_that_is_slow_to_admit_holds_up_neither_polls_nor_other_releases(tmp_path: Path) -> None:
    store = new_store()
    gate = GatedScorer.gates["v1"] = threading.Event()
    for version in ("v1", "v2"):
        publish(store, tmp_path, version)
        release(store, version)
    looking, progress, found = watch(store, patience_s=0.01), Progress(), list[int]()
    while 2 not in found:
        polled = looking.poll(progress, START)
        progress, found = polled.progress, found + admitted(polled)
    assert found == [2]
    assert [entry.sequence for entry in progress.pending] == [1]
    gate.set()
    while 1 not in found:
        polled = looking.poll(progress, START)
        progress, found = polled.progress, found + admitted(polled)
    assert (progress, GatedScorer.loads["v1"]) == (Progress(2), 1)


def test_too_many_bundles_that_never_arrive_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "MOST_INCOMPLETE", 2)
    store, versions = in_folder(tmp_path, "v1")
    for _ in range(3):
        release(store, "v1")
    (versions / "v1" / "manifest.json").unlink()
    looking = watch(store)
    polled = looking.poll(Progress(), START)
    assert refused(polled) == [(1, "incomplete"), (2, "incomplete"), (3, "incomplete"), (1, "incomplete")]
    assert [entry.sequence for entry in polled.progress.pending] == [2, 3]
    assert refused(looking.poll(polled.progress, START)) == []
