"""A run with `privacy`: nothing that it writes or says has a value of a person, in whatever form; without the section
the same search finds them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from audit.files.audit import Audit
from audit.files.found.receipt_keys import ReceiptKeys
from audit.files.found.receipts import FoundReceipt
from models.privacy.identities import identity_of_subject
from models.privacy.key_store import KeyStore
from models.privacy.letters import OpenedLetter
from models.privacy.register import AskedBy
from models.scorers.linear import LinearScorer
from models.store.backends import Backend
from pipeline.replaying.replay import replay
from pipeline.verbs import main
from schemas.score_ids import score_id
from tests.pipeline.jobs.flows import MANIFEST, START_US, Flow, Outcome, json_lines, read_avro, trip
from tests.pipeline.jobs.spelled import found_in, written

IDS = [f"EVENT-8Z2Y-{number}" for number in range(40)]
SUBJECTS = [f"PERSON-7Q1X-{number}" for number in range(5)]
HIDDEN = ["IBAN-9K3W-0", "IBAN-9K3W-1"]
DELAYS = [771234.5625 + number for number in range(40)]
DISTANCES = [880012345 + number for number in range(40)]
SINKS = ("scores", "audit", "drift", "dead_letters", "quality")
FAILING = 880012345 + 39
BROKEN = ["SLOW-5T6U", "CUTOFF-4R3E", "PERSON-ONCE-2W1Q", "LABEL-1E9D", "MAYBE-8C7B"]
ALL: list[str | int | float] = [*IDS, *SUBJECTS, *HIDDEN, *DELAYS, *DISTANCES, *BROKEN]
INPUTS = [
    *MANIFEST["inputs"],
    {"name": "distance", "type": "integer"},
    {"name": "iban", "type": "string"},
]
LINEAR = {
    "intercept": -2.0,
    "coefficients": {"delay": 1e-7, "distance": 1e-10},
    "categories": {"iban": {"x": 1.0}},
}


def event(number: int, **changes: Any) -> dict[str, Any]:
    own = {"id": IDS[number], "person": SUBJECTS[number % 5], "iban": HIDDEN[number % 2], "delay": DELAYS[number]}
    return trip(number, **{**own, "distance": DISTANCES[number], **changes})


EVENTS = [
    *(event(number) for number in range(40)),
    event(7),
    event(8, id="EVENT-8Z2Y-8", delay=BROKEN[0]),
    event(9, id="EVENT-8Z2Y-9", at=None, person=BROKEN[2]),
]


def spec_of(flow: Flow, private: bool) -> dict[str, Any]:
    spec = flow.spec(subject="person")
    own = {"features": [*spec["features"], "iban"], "explain": {"when": "all", "budget": 1e6}}
    privacy = {"keys": str(flow.root / "keys"), "hide": ["event_id", "iban"]}
    read = {"event_id": "id", "event_time": "known_at", "column": "late", "positive": "> 0", "horizon": "1d"}
    own["labels"] = {"uri": str(flow.root / "labels.json"), "format": "json", **read}
    spec["sinks"]["quality"] = str(flow.root / "quality")
    return {**spec, **own, **({"privacy": privacy} if private else {})}


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A model of a person's values, which fails on one event with its value in the message."""
    made = Flow(tmp_path, capsys)
    (tmp_path / "payload").mkdir()
    made.store.publish(tmp_path / "payload", {**MANIFEST, "inputs": INPUTS, "linear": LINEAR})
    made.store.append_release(champion="v1", effective_from_us=0, by="tests")
    labels = [{"id": one, "known_at": START_US, "late": 1} for one in IDS] + [{"id": BROKEN[3], "late": BROKEN[4]}]
    (tmp_path / "labels.json").write_bytes(json_lines(labels))
    made.feed(json_lines(EVENTS) + b'{"id": "' + BROKEN[1].encode() + b"\n")
    scored = LinearScorer.score

    def score(self: LinearScorer, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        if FAILING in batch.column("distance").to_pylist():
            raise ValueError(f"distance {FAILING} of {batch.column('iban')[-1].as_py()!r} is too far")
        return scored(self, batch)

    monkeypatch.setattr(LinearScorer, "score", score)
    return made


def left_by(flow: Flow, outcome: Outcome) -> list[tuple[str, bytes]]:
    """All that a run wrote, but for its input and the keys, and all that it said."""
    folders = [flow.root / name for name in (*SINKS, "store", "again")]
    summary = str(outcome.summary).encode()
    return [*written(*folders), ("stdout", outcome.out.encode()), ("stderr", outcome.err.encode()), ("sum", summary)]


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
    unlabelled = {name: section for name, section in spec_of(flow, private=True).items() if name != "labels"}
    again = flow.run(unlabelled, "--version", "v1", "--out", str(flow.root / "again"), verb=replay)
    assert again.code == 0, again.err
    assert found_in(left_by(flow, again), ALL) == set()
    assert len(read_avro(flow.root / "again" / "scores")) == 39


AS_IT_WAS = ("event_id", "subject", "features", "reasons", "base_value", "score", "event_time")


def by_time(found: list[FoundReceipt]) -> list[dict[str, Any]]:
    rows = sorted((one.receipt for one in found), key=lambda row: row["event_time"])
    return [{name: row[name] for name in AS_IT_WAS} for row in rows]


def audit_of(flow: Flow, keys: bool = True) -> Audit:
    return Audit(str(flow.root / "audit"), ReceiptKeys(str(flow.root / "keys")) if keys else None)


def erase(flow: Flow, subject: str) -> None:
    KeyStore(Backend(str(flow.root / "keys"))).erase(identity_of_subject(subject), AskedBy("tests", START_US))


def asked(flow: Flow, spec: Any, *words: str) -> tuple[int, Any]:
    outcome = flow.run(spec, verb=lambda rest: main(["audit", *words, *rest, "--json"]))
    return outcome.code, json.loads(outcome.out)


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
    opened = [keys.letter(row["key_id"], row["stage"], row["error"], row["payload"]) for row in letters]
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
