"""What a job with `privacy` wrote is scored again, fed again, or left as done: opened with the keys, and written as the
job writes; what was erased is counted, and nothing of it comes back."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from audit.files.audit import Audit
from audit.files.found.receipt_keys import ReceiptKeys
from models.privacy.key_blocks import KeyBlocks, ListedBlocks
from models.privacy.key_store import KeyStore
from models.privacy.receipts import hashed_ids
from models.store.backends import Backend
from pipeline.replaying.truth import KnownLabels, with_ids
from pipeline.run import run
from pipeline.spec.job import events_spec
from pipeline.verbs import main
from schemas.job import PrivacySpec
from tests.pipeline.jobs.flows import MANIFEST, Flow, Outcome, json_lines, read_avro
from tests.pipeline.jobs.private_flows import (
    ALL,
    BROKEN,
    DISTANCES,
    IDS,
    INPUTS,
    LINEAR,
    SUBJECTS,
    erase,
    event,
    left_by,
    spec_of,
)
from tests.pipeline.jobs.spelled import found_in, written

_LINEAR = {**LINEAR, "intercept": -1.0}
_AS_THEY_WERE = ("score_id", "event_id", "subject", "features", "score", "event_time")


@pytest.fixture
def flow(private: Flow) -> Flow:
    """A job that ran once, with a model that does not fail any more."""
    return private


def again(flow: Flow, *words: str) -> Outcome:
    out = ("--out", str(flow.root / "again"), "--json")
    return flow.run(spec_of(flow, private=True), *words, *out, verb=lambda rest: main(["replay", "--receipts", *rest]))


def opened(flow: Flow, folder: str) -> list[dict[str, Any]]:
    audit = Audit(str(flow.root / folder), ReceiptKeys(str(flow.root / "keys")))
    rows = [{name: one.receipt[name] for name in _AS_THEY_WERE} for one in audit.scan()]
    return sorted(rows, key=lambda row: str(row["score_id"]))


def test_receipts_are_scored_as_recorded_and_written_as_the_job_does(flow: Flow) -> None:
    outcome = again(flow, "--as_recorded")
    assert outcome.code == 0, outcome.err
    [told] = json.loads(outcome.out)["versions"].values()
    assert [told[name] for name in ("receipts", "equal", "ids_differ", "inputs_not_held")] == [39, 39, 0, 0]
    assert opened(flow, "again/audit") == opened(flow, "audit")
    assert {row["features"]["distance"] for row in opened(flow, "again/audit")} == set(DISTANCES[:39])
    ids = [{one["event_id"] for one in read_avro(flow.root / name)} for name in ("scores", "again/scores")]
    assert ids[0] == ids[1]
    assert found_in(left_by(flow, outcome), ALL) == set()


def test_receipts_of_an_erased_subject_are_counted_and_the_others_scored_by_another_version(flow: Flow) -> None:
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": "v2", "inputs": INPUTS, "linear": _LINEAR})
    erase(flow, SUBJECTS[1])
    outcome = again(flow, "--version", "v2")
    report = json.loads(outcome.out)
    assert (outcome.code, report["receipts"]["erased"], report["events"]) == (0, 8, 31), outcome.err
    of_erased = {one["score_id"] for one in opened(flow, "audit") if one["subject"] not in SUBJECTS}
    assert (set(report["erased"]), report["unreadable"], len(of_erased)) == (of_erased, [], 8)
    assert (report["comparison"]["overall"]["both"], report["comparison"]["overall"]["equal"]) == (31, 0)
    assert found_in(left_by(flow, outcome), ALL) == set()


def test_receipts_without_their_keys_are_a_failure_and_those_that_were_erased_are_not(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase(flow, SUBJECTS[2])
    outcome = again(flow, "--as_recorded")
    assert (outcome.code, json.loads(outcome.out)["receipts"]) == (0, {"read": 31, "erased": 8})
    shutil.rmtree(flow.root / "keys")
    KeyStore(Backend(str(flow.root / "keys"))).epochs()
    listed, listing = Counter[str](), KeyBlocks.listed

    def noted(self: KeyBlocks) -> ListedBlocks:
        listed["blocks"] += 1
        return listing(self)

    monkeypatch.setattr(KeyBlocks, "listed", noted)
    outcome = again(flow, "--as_recorded")
    assert listed["blocks"] == 3  # twice at the beginning, and once for what was not there: not for each key
    assert (outcome.code, json.loads(outcome.out)["receipts"]) == (1, {"read": 0, "unreadable": 39})
    assert "39 receipts cannot be decrypted: privacy.keys has no key that opens them; expected: " in outcome.err


def counts(folder: Path, name: str) -> Counter[Any]:
    return Counter(each[name] for each in read_avro(folder))


def test_only_what_is_new_is_scored_and_no_letter_is_told_twice(flow: Flow) -> None:
    spec, letters = spec_of(flow, private=True), counts(flow.root / "dead_letters", "error")
    flow.feed(json_lines([event(3, id="EVENT-NEW-0"), event(4, id="EVENT-NEW-1", delay=BROKEN[0])]), "in.1")
    erase(flow, SUBJECTS[3])  # of letters that the input still has
    outcome = flow.run(spec, "--only_new")
    assert (outcome.code, outcome.summary["scored"]) == (0, 1), outcome.err
    assert counts(flow.root / "dead_letters", "error") == letters + Counter({"WrongType": 1})
    assert max(counts(flow.root / "scores", "event_id").values()) == 1
    panes = {(each["pane"], each["events"]) for each in read_avro(flow.root / "quality")}
    assert panes == {(0, 39), (1, 40)}  # what the first run answered is measured again
    assert found_in(left_by(flow, outcome), [*ALL, "EVENT-NEW-0", "EVENT-NEW-1"]) == set()
    assert flow.run(spec, "--only_new").summary["scored"] == 0


def test_with_retries_what_failed_is_scored_once(flow: Flow) -> None:
    outcome = flow.run(spec_of(flow, private=True), "--only_new", "--retry_dead_letters")
    assert (outcome.code, outcome.summary["scored"]) == (0, 1), outcome.err
    assert counts(flow.root / "scores", "event_id").most_common(1)[0][1] == 1
    assert {row["event_id"] for row in opened(flow, "audit")} == set(IDS)


@pytest.mark.parametrize("verb", [run, lambda words: main(["dead-letters", "replay", *words])])
def test_what_is_new_is_not_guessed_where_the_keys_of_earlier_runs_are_gone(flow: Flow, verb: Any) -> None:
    spec, scores = spec_of(flow, private=True), counts(flow.root / "scores", "event_id")
    shutil.rmtree(flow.root / "keys")
    outcome = flow.run(spec, *(["--only_new"] if verb is run else []), verb=verb)
    assert outcome.code == 1
    assert counts(flow.root / "scores", "event_id") == scores
    assert not (flow.root / "keys").exists()
    if verb is run:
        assert "holds no keys, and earlier runs hashed ids of events: all would be scored again; expec" in outcome.err


@pytest.mark.parametrize("verb", [run, lambda words: main(["dead-letters", "replay", *words])])
def test_what_is_new_is_not_guessed_by_the_keys_of_another_job(flow: Flow, verb: Any) -> None:
    spec, scores = spec_of(flow, private=True), counts(flow.root / "scores", "event_id")
    own, moved = flow.root / "keys", shutil.move(flow.root / "keys", flow.root / "moved")
    KeyStore(Backend(str(own))).epochs()
    outcome = flow.run(spec, *(["--only_new"] if verb is run else []), verb=verb)
    assert (outcome.code, counts(flow.root / "scores", "event_id")) == (1, scores)
    ids = [KeyStore(Backend(str(each))).epochs().store_id for each in (moved, own)]
    if verb is run:  # letters say it themselves
        assert f"is the key store {ids[1]}, and {ids[0]} hashed the ids of events in " in outcome.err
        assert "expected: the key store of earlier runs; next: set privacy.keys to it" in outcome.err
    shutil.rmtree(own)
    shutil.move(moved, own)  # wherever the same key store lies
    again = flow.run(spec, "--only_new")
    assert (again.code, again.summary["scored"]) == (0, 0), again.err


def fed(flow: Flow, *words: str, spec: Any = None) -> tuple[int, dict[str, Any]]:
    outcome = flow.run(
        spec or spec_of(flow, private=True), *words, "--json", verb=lambda rest: main(["dead-letters", "replay", *rest])
    )
    assert found_in(left_by(flow, replace(outcome, out="")), ALL) == set()  # what is said has letters as they were
    return outcome.code, json.loads(outcome.out)


def test_letters_are_fed_again_from_the_source(flow: Flow) -> None:
    code, report = fed(flow)
    assert (code, report["scored"], report["read"]) == (0, 1, "the source")
    assert {row["event_id"] for row in opened(flow, "audit")} == set(IDS)
    assert fed(flow, "--stage", "score")[1]["open"] == 0


def test_letters_are_fed_again_where_the_source_is_gone(flow: Flow) -> None:
    (flow.root / "in.0").unlink()
    spec = spec_of(flow, private=True)
    spec["features"] = ["delay", "distance", "iban"]
    code, report = fed(flow, "--stage", "score", spec=spec)
    assert (code, report["scored"], report["read"]) == (0, 1, "the letters' payloads")
    assert {row["event_id"] for row in opened(flow, "audit")} == set(IDS)
    assert max(counts(flow.root / "scores", "event_id").values()) == 1


def test_letters_of_an_erased_subject_are_told_and_stay(flow: Flow) -> None:
    erase(flow, SUBJECTS[4])
    code, report = fed(flow, "--stage", "score")
    assert (code, report["scored"], report["read"]) == (0, 0, "nothing")
    assert [each["reason"] for each in report["kept"]] == ["erased: its key was destroyed"]
    listed = flow.run(spec_of(flow, True), "--json", verb=lambda rest: main(["dead-letters", "list", *rest]))
    kinds = {kind["error"]: (kind["erased"], kind["unreadable"]) for kind in json.loads(listed.out)["kinds"]}
    assert (kinds["ValueError"], kinds["DuplicateEvent"]) == ((1, 0), (0, 0))
    assert IDS[39] not in {row["event_id"] for row in opened(flow, "audit")}
    assert found_in(written(flow.root / "scores", flow.root / "dead_letters"), ALL) == set()


def test_labels_find_scores_whose_ids_are_hashed_whatever_the_epoch(tmp_path: Path) -> None:
    store, later_us = KeyStore(Backend(str(tmp_path))), 2_000_000_000_000_000
    store.epoch_log.begin(later_us, 0, 0)
    times = pa.array([0, later_us, 0], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    ids = hashed_ids(pa.array(["a", "b", "other"]), store.epochs(), times)
    known = KnownLabels(pa.table({"event_id": ["b", "b", "a"]}), 0, 0, None)
    spec = events_spec({"uri": "", "format": "json", "event_id": "id", "event_time": "at"}, {})
    hidden = replace(spec, privacy=PrivacySpec(str(tmp_path), ("id",)))
    scores = pa.table({"event_id": pa.chunked_array([ids])})
    assert with_ids(scores, known, hidden)["event_id"].to_pylist() == ["a", "b", ids[2].as_py()]
    assert with_ids(scores, known, spec) is scores
