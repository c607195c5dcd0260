"""A run with `privacy`: nothing that it writes or says has a value of a person, in whatever form; without the section
the same search finds them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from audit.files.audit import Audit
from audit.files.found.receipt_keys import ReceiptKeys
from audit.files.found.receipts import FoundReceipt
from models.privacy.identities import identity_of_subject
from models.privacy.letters import OpenedLetter
from pipeline.replaying.replay import replay
from pipeline.verbs import main
from schemas.score_ids import score_id
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro
from tests.pipeline.jobs.private_flows import (
    ALL,
    BROKEN,
    DELAYS,
    DISTANCES,
    EVENTS,
    HIDDEN,
    IDS,
    SINKS,
    SUBJECTS,
    asked,
    erase,
    left_by,
    private_flow,
    spec_of,
)
from tests.pipeline.jobs.spelled import found_in, written


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A model of a person's values, which fails on one event with its value in the message."""
    return private_flow(Flow(tmp_path, capsys), monkeypatch)


def test_no_value_of_a_person_is_in_anything_that_a_run_leaves(flow: Flow) -> None:
    plain = flow.run(spec_of(flow, private=False), "--verbose")
    assert plain.code == 0, plain.err
    seen = {value for value in ALL if found_in(left_by(flow, plain), [value])}
    assert seen == set(ALL)
    for name in SINKS:
        shutil.rmtree(flow.root / name)
    outcome = flow.run(spec_of(flow, private=True), "--verbose")
    assert outcome.code == 0, outcome.err
    assert found_in(left_by(flow, outcome), ALL) == set()
    assert (outcome.summary["scored"], outcome.summary["receipts"]) == (39, 39)
    assert outcome.summary["dead_letters"] == plain.summary["dead_letters"]
    assert outcome.summary["reasons"] == {"computed": 39, "dropped": 0, "failed": 0}
    words = ("--version", "v1", "--out", str(flow.root / "again"), "--json")
    again = flow.run(spec_of(flow, private=True), *words, verb=replay)
    assert again.code == 0, again.err
    quality = json.loads(again.out)["versions"]["v1"]["quality"]
    assert quality["outcomes"] == {"labelled": 1, "before_event": 38}  # labels are known when the first event is
    assert json.loads(again.out)["labels"] == {"read": 41, "pending": 0, "unreadable": 1, "without_score": 1}
    assert found_in(left_by(flow, again), ALL) == set()
    assert len(read_avro(flow.root / "again" / "scores")) == 39


AS_IT_WAS = ("event_id", "subject", "features", "reasons", "base_value", "score", "event_time")


def by_time(found: list[FoundReceipt]) -> list[dict[str, Any]]:
    rows = sorted((one.receipt for one in found), key=lambda row: row["event_time"])
    return [{name: row[name] for name in AS_IT_WAS} for row in rows]


def audit_of(flow: Flow, keys: bool = True) -> Audit:
    return Audit(str(flow.root / "audit"), ReceiptKeys(str(flow.root / "keys")) if keys else None)


def test_with_the_keys_receipts_are_what_a_run_in_plain_writes(flow: Flow) -> None:
    assert flow.run(spec_of(flow, private=False)).code == 0
    plain = by_time(list(audit_of(flow, keys=False).scan()))
    for name in ("audit", "scores"):
        shutil.rmtree(flow.root / name)
    assert flow.run(spec_of(flow, private=True)).code == 0
    assert by_time(list(audit_of(flow).scan())) == plain
    ids = {one.receipt["score_id"]: one.stored for one in audit_of(flow).scan()}
    assert {one["score_id"] for one in read_avro(flow.root / "scores")} == set(ids)
    for one in read_avro(flow.root / "audit" / "receipts"):
        assert one["score_id"] == score_id(one["event_id"], one["digest"], "champion", one["definitions"])


def test_answers_with_keys_without_and_after_an_erasure(flow: Flow) -> None:
    spec = spec_of(flow, private=True)
    assert flow.run(spec).code == 0
    for words in (("event", IDS[6]), ("subject", SUBJECTS[1])):
        code, answer = asked(flow, spec, *words)
        assert (code, len(answer["scores"])) == (0, {"event": 1, "subject": 8}[words[0]])
    assert answer["dead_letters"] == 0
    [one] = asked(flow, spec, "event", IDS[6])[1]["scores"]
    assert (one["event_id"], one["subject"], one["features"]["iban"]) == (IDS[6], SUBJECTS[1], HIDDEN[0])
    code, page = asked(flow, spec, "score", one["score_id"])
    assert (code, page["verified"], page["receipt"]["features"]["distance"]) == (0, True, DISTANCES[6])
    assert {each["value"] for each in page["reasons"]} == {DELAYS[6], DISTANCES[6]}
    without = {name: section for name, section in spec.items() if name != "privacy"}
    code, page = asked(flow, without, "score", one["score_id"])
    assert (code, page["verified"], page["receipt"]["locked"]) == (1, None, "unreadable: no key store given")
    assert page["receipt"]["features"] == {"delay": None, "distance": None, "iban": None}
    erase(flow, SUBJECTS[1])
    code, page = asked(flow, spec, "score", one["score_id"])
    assert (code, page["verified"], page["receipt"]["locked"]) == (1, None, "erased: its key was destroyed")
    assert (page["reasons"], found_in([("page", str(page).encode())], ALL)) == ([], set())
    code, answer = asked(flow, spec, "subject", SUBJECTS[1])
    assert (code, answer["missing"][0]) == (0, "the features of 8 receipts: erased: its key was destroyed")
    assert found_in(written(flow.root / "store"), ALL) == set()


def test_what_is_sealed_verifies_with_keys_and_after_an_erasure(flow: Flow) -> None:
    spec = spec_of(flow, private=True)
    assert flow.run(spec).code == 0
    assert asked(flow, spec, "seal")[0] == 0
    code, found = asked(flow, spec, "verify")
    assert (code, found["receipts"], found["verified"], found["unsealed"]) == (0, 39, 39, 0), found
    erase(flow, SUBJECTS[1])
    assert flow.run(spec).code == 0  # writes the same again, of the erased one with a new key
    assert asked(flow, spec, "seal")[0] == 0
    code, found = asked(flow, spec, "verify")
    assert (code, found["receipts"], found["verified"], found["duplicated"]) == (0, 78, 70, 39), found
    assert list(found["not_rescored"].values()) == ["8 receipts: its key was destroyed"]
    assert len(asked(flow, spec, "event", IDS[6])[1]["scores"]) == 1
    assert found_in(written(flow.root / "audit"), ALL) == set()


def test_later_events_of_an_erased_subject_get_a_new_key_or_are_refused(flow: Flow) -> None:
    spec = spec_of(flow, private=True)
    assert flow.run(spec).code == 0
    erase(flow, SUBJECTS[1])
    spec["privacy"]["after_erasure"] = "refuse"
    outcome = flow.run(spec, "--verbose")
    assert (outcome.code, outcome.summary["scored"]) == (0, 31)
    assert outcome.summary["dead_letter_errors"]["features"] == {"DuplicateEvent": 1, "SubjectErased": 8}
    letters = [row for row in read_avro(flow.root / "dead_letters") if row["error"] == "SubjectErased"]
    assert {(row["stage"], row["payload"], row["key_id"]) for row in letters} == {("features", b"", None)}
    assert all(row["event_id"].startswith("h1:") for row in letters)
    assert found_in(left_by(flow, outcome), ALL) == set()


def test_dead_letters_are_read_with_the_keys(flow: Flow) -> None:
    spec = spec_of(flow, private=True)
    assert flow.run(spec).code == 0
    keys = ReceiptKeys(str(flow.root / "keys"))
    letters = read_avro(flow.root / "dead_letters")
    opened = [keys.letter(keys.key(row["key_id"]), row["stage"], row["error"], row["payload"]) for row in letters]
    assert len(opened) == 6  # one of them a label
    assert {type(each) for each in opened} == {OpenedLetter}
    payloads = {each.payload: each for each in opened if isinstance(each, OpenedLetter)}
    assert {json_lines([EVENTS[40]]).strip(), json_lines([EVENTS[41]]).strip()} <= set(payloads)
    wrong = payloads[json_lines([EVENTS[41]]).strip()]
    assert (wrong.identity, BROKEN[0] in wrong.detail) == (identity_of_subject(SUBJECTS[3]), True)
    listed = flow.run(spec, "--json", verb=lambda rest: main(["dead-letters", "list", *rest]))
    kinds = {(kind["stage"], kind["error"]): kind["samples"][0] for kind in json.loads(listed.out)["kinds"]}
    assert kinds["features", "DuplicateEvent"]["event_id"] == IDS[7]
    assert BROKEN[0] in kinds["decode", "WrongType"]["payload"]
    _, answer = asked(flow, spec, "subject", SUBJECTS[3])
    assert answer["dead_letters"] == 1


def test_a_key_store_that_cannot_be_read_ends_the_run_before_it_begins(flow: Flow) -> None:
    (flow.root / "keys" / "epochs").mkdir(parents=True)
    (flow.root / "keys" / "epochs" / "0001.json").write_text("{}")
    outcome = flow.run(spec_of(flow, private=True))
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert "epochs/0001.json cannot be read; expected: an epoch as it was written" in outcome.err
    assert not list((flow.root / "scores").glob("*"))
