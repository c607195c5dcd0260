"""`halflife dead-letters`: what there is of them, and feeding them again after a fix, without a second score."""

import json
from collections import Counter
from typing import Any

import pytest

from pipeline.verbs import main
from tests.pipeline.jobs.flows import MANIFEST, START_US, Flow, Outcome, json_lines, read_avro, trip, trips

_ODD = [trip(9, delay=None), trip(90, delay=None), trip(91, delay="slow"), "{"]


def asked(flow: Flow, verb: str, *words: str, spec: Any = None) -> Outcome:
    return flow.run(
        spec or flow.spec(), *words, "--json", verb=lambda given: main(["dead-letters", verb, *given])
    )


def put(flow: Flow, version: str, nullable: bool, from_us: int) -> None:
    delay = {"name": "delay", "type": "number", "nullable": nullable, **({"default": 0.0} if nullable else {})}
    count = {"name": "n", "type": "integer", "nullable": True, "default": 0}
    linear = {**MANIFEST["linear"], "coefficients": {"delay": 0.1, "n": 1.0}}
    (flow.root / "payload").mkdir(exist_ok=True)
    document = {**MANIFEST, "version": version, "inputs": [delay, count], "linear": linear}
    flow.store.publish(flow.root / "payload", document)
    flow.store.append_release(champion=version, effective_from_us=from_us, by="tests")


@pytest.fixture
def failed(flow: Flow) -> Flow:
    """A hundred trips, and four that version `strict`, which was released first, and the decoder did not take."""
    put(flow, "strict", False, 1)
    records = [*trips(9), _ODD[0], *trips(80, first=10), _ODD[1], _ODD[2]]
    flow.feed(json_lines(records) + b"{\n")
    assert flow.run(flow.spec()).code == 0
    return flow


def ids(flow: Flow) -> Counter[str]:
    return Counter(each["event_id"] for each in read_avro(flow.root / "scores"))


def kinds(flow: Flow, *words: str) -> dict[tuple[str, str], tuple[int, int]]:
    found = json.loads(asked(flow, "list", *words).out)["kinds"]
    return {(each["stage"], each["error"]): (each["letters"], each["open"]) for each in found}


def test_letters_are_told_by_stage_and_error_with_samples(failed: Flow) -> None:
    assert kinds(failed) == {("score", "MissingInput"): (2, 2), ("decode", "WrongType"): (1, 1),
                             ("decode", "MalformedJson"): (1, 1)}  # fmt: skip
    assert kinds(failed, "--stage", "decode", "--error", "WrongType") == {("decode", "WrongType"): (1, 1)}
    [kind] = json.loads(asked(failed, "list", "--stage", "score", "--samples", "5").out)["kinds"]
    assert [each["event_id"] for each in kind["samples"]] == ["t9", "t90"]
    assert json.loads(kind["samples"][0]["payload"]) == _ODD[0]
    assert (kind["first"], kind["last"]) == ("2013-01-01T00:09:00Z", "2013-01-01T01:30:00Z")


def test_letters_are_scored_by_the_release_of_their_time_with_the_features_of_their_history(failed: Flow) -> None:
    put(failed, "kind", True, START_US)  # from the first trip on
    put(failed, "later", True, START_US + 60 * 60_000_000)  # an hour later
    before = ids(failed)
    done = asked(failed, "replay", "--stage", "score")
    assert done.code == 0, done.err
    told = {"letters": 2, "open": 2, "scored": 2, "kept": [], "read": "the source"}
    assert json.loads(done.out) == {"job": "trips", **told}
    assert ids(failed) == before + Counter({"t9": 1, "t90": 1})
    new = {each["event_id"]: each for each in read_avro(failed.root / "audit" / "receipts")}
    assert (new["t9"]["version"], new["t90"]["version"]) == ("kind", "later")
    assert new["t90"]["features"]["n"] == 30  # of its carrier in the hour before: from the history
    assert kinds(failed)[("score", "MissingInput")] == (2, 0)


def test_fed_twice_nothing_is_scored_or_told_twice(failed: Flow) -> None:
    put(failed, "kind", True, START_US)
    failed.feed(json_lines(trips(3, first=200)), "in.1")  # new events are a run's matter, not theirs
    assert json.loads(asked(failed, "replay").out)["scored"] == 2
    letters, scores = read_avro(failed.root / "dead_letters"), ids(failed)
    again = asked(failed, "replay")
    assert (again.code, "none of 2 dead letters is scored; expected: one or more after a fix" in again.err) == (1, True)
    assert (read_avro(failed.root / "dead_letters"), ids(failed)) == (letters, scores)
    assert max(scores.values()) == 1
    assert not {"t200", "t201", "t202"} & set(scores)


def test_letters_that_fail_again_are_kept_with_what_is_said_of_them(failed: Flow) -> None:
    done = asked(failed, "replay", "--error", "MissingInput")
    assert done.code == 1
    [kept] = json.loads(done.out)["kept"]
    assert (kept["letters"], kept["reason"].startswith("delay: null is not allowed")) == (2, True)


def test_what_needs_history_is_kept_where_the_source_is_gone(failed: Flow) -> None:
    put(failed, "kind", True, START_US)
    (failed.root / "in.0").unlink()
    done = asked(failed, "replay", "--stage", "score")
    [kept] = json.loads(done.out)["kept"]
    assert (done.code, kept["reason"]) == (1, "its source is gone, and windowed features need the history in it")


def test_payloads_are_fed_where_the_source_is_gone_and_nothing_needs_it(flow: Flow) -> None:
    strict = {"name": "delay", "type": "number"}
    for version, inputs in (("strict", [strict]), ("kind", MANIFEST["inputs"])):
        (flow.root / "payload").mkdir(exist_ok=True)
        flow.store.publish(flow.root / "payload", {**MANIFEST, "version": version, "inputs": inputs})
    flow.store.append_release(champion="strict", effective_from_us=1, by="tests")
    spec = {**flow.spec(columns={"delay": "number"}), "features": ["delay"]}
    flow.feed(json_lines([*trips(9), _ODD[0], _ODD[2]]))
    assert flow.run(spec).code == 0
    flow.store.append_release(champion="kind", effective_from_us=START_US, by="tests")
    (flow.root / "in.0").unlink()
    done = asked(flow, "replay", spec=spec)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["scored"], report["read"], [each["error"] for each in report["kept"]]) == (
        1, "the letters' payloads", ["WrongType"]
    )  # fmt: skip
    assert ids(flow)["t9"] == 1
    assert len(read_avro(flow.root / "dead_letters")) == 2


def test_people_get_a_table(failed: Flow) -> None:
    said = failed.run(failed.spec(), verb=lambda given: main(["dead-letters", "list", *given])).out
    assert [word for word in ("MissingInput", "2013-01-01T00:09:00Z", '"id": "t9"') if word not in said] == []
