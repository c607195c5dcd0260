"""A run whose store holds bundles that never answer, or hold garbage: each is refused, and every event is scored."""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.profiles import build_profile, serialise_profile
from models.store.backends import StoreUnavailable
from pipeline.profiles import StoredProfiles
from tests.models.loading.endless import looping_bundle
from tests.pipeline.jobs.flows import MANIFEST, Flow, json_lines, read_avro, trips

GOLDEN = '{"inputs": {"delay": 1}, "score": 1' + "0" * 400 + "}"


def with_file(name: str, content: bytes, said: dict[str, Any]) -> Callable[[Flow], None]:
    """Publishes v2 with one more file, and releases it."""

    def publish(flow: Flow) -> None:
        folder = flow.root / "second"
        folder.mkdir()
        (folder / name).write_bytes(content)
        flow.store.publish(folder, {**MANIFEST, "version": "v2", **said})
        flow.store.append_release(champion="v2", effective_from_us=1, by="tests")

    return publish


HOSTILE = {
    "garbage for a profile": (with_file("p.json", b"\x89PNG", {"profile": "p.json"}), "will_not_load"),
    "profile without columns": (
        with_file("p.json", json.dumps({"format": 1, "columns": []}).encode(), {"profile": "p.json"}),
        "will_not_load",
    ),
    "golden score of 401 digits": (
        with_file("g.jsonl", GOLDEN.encode(), {"golden": {"file": "g.jsonl"}}),
        "golden_mismatch",
    ),
}


def refusals(flow: Flow) -> list[tuple[int, str]]:
    """Release and reason of each refusal that was audited."""
    told = [event for event in read_avro(flow.root / "audit") if event.get("kind") == "refused"]
    return sorted((event["release"], event["reason"]) for event in told)


@pytest.mark.parametrize(("publish", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_bundle_is_refused_and_all_is_scored(flow: Flow, publish: Callable[[Flow], None], reason: str) -> None:
    publish(flow)
    flow.feed(json_lines(trips(50)))
    outcome = flow.run(flow.spec())
    assert (outcome.code, outcome.summary["versions"]) == (0, {"v1": {"champion": 50}})
    assert refusals(flow) == [(2, reason)]


def test_drift_needs_no_store_once_the_model_is_loaded(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(self: StoredProfiles, version: str, digest: str) -> None:
        raise StoreUnavailable("the store does not answer")

    profile = build_profile(pa.record_batch({"delay": np.arange(50) / 2}), ["delay"])
    with_file("p.json", serialise_profile(profile), {"profile": "p.json"})(flow)
    flow.feed(json_lines(trips(50)))
    monkeypatch.setattr(StoredProfiles, "load", silent)
    outcome = flow.run(flow.spec())
    assert (outcome.code, outcome.summary["versions"]) == (0, {"v2": {"champion": 50}})
    assert {(record["column"], record["n"]) for record in read_avro(flow.root / "drift")} == {("delay", 50)}


def test_bundles_that_never_answer_are_refused_in_time(flow: Flow) -> None:
    for number, version in enumerate(("v2", "v3"), start=2):
        document = {**looping_bundle(flow.root / version, None), "version": version}
        document.pop("model")
        flow.store.publish(flow.root / version, document)
        flow.store.append_release(champion=version, effective_from_us=number, by="tests")
    flow.publish("v4", from_us=4)
    flow.feed(json_lines(trips(50)))
    began = time.monotonic()
    outcome = flow.run(flow.spec(), "--set", "model.admission_timeout=2s")
    assert (outcome.code, outcome.summary["versions"]) == (0, {"v4": {"champion": 50}})
    assert time.monotonic() - began < 60
    assert refusals(flow) == [(2, "timed_out"), (3, "timed_out")]
