"""Receipts are written by others: whatever values they hold, an answer is given or a line says why not."""

import json
from pathlib import Path
from typing import Any

import pytest

from audit.files.audit import Audit
from models.store.backends import Backend
from tests.audit.asking import altered, ask, one_of
from tests.audit.containers import receipt, write
from tests.audit.world import FlightsAudit
from tests.pipeline.commands.commands import Ran, halflife

ODD: dict[str, dict[str, Any]] = {
    "a time of no calendar": {"event_time": 2**62},
    "a time before all": {"event_time": -(2**62), "scored_at": -(2**62)},
    "no number": {"score": float("nan")},
    "infinite features": {"features": {"dep_delay": float("inf"), "flight": 2**63 - 1}},
    "bytes that are no vector": {"features": {"dep_delay": b"\x00\x01"}},
    "a vector": {"features": {"v": b"<f4\x00\x00\x80?"}},
    "empty ids": {"event_id": "", "subject": ""},
    "a reason that is no number": {"reasons": [{"feature": "x", "contribution": float("nan"), "code": None}]},
    "controls": {"event_id": "\x1b[31mred\u202e", "decision": "a\nb\rc"},
}
QUESTIONS = (
    ("score", f"{1:032x}", "--no_verify"),
    ("score", f"{1:032x}", "--json"),
    ("score",),
    ("score", "--json"),
    ("sql", "SELECT * FROM receipts", "--json"),
    ("sql", "SELECT event_time, score FROM scores"),
    ("version", "v1"),
)


def asked(flown: FlightsAudit, audit: Path, *words: object) -> Ran:
    """Asks an audit beside the store of the run."""
    return halflife("audit", *words, "--audit", audit, "--store", flown.folder / "store")


@pytest.mark.parametrize("kind", ODD)
def test_odd_values_are_shown(flown: FlightsAudit, tmp_path: Path, kind: str) -> None:
    write(tmp_path / "receipts" / "a.avro", [receipt(1) | ODD[kind]])
    for words in QUESTIONS:
        ran = asked(flown, tmp_path, *words)
        assert ran.out, (words, ran.err)
        assert "--verbose shows where" not in ran.err, (words, ran.err)
        assert not {"\x1b", "\u202e"} & set(ran.out), words
        if "--json" in words:
            assert all(json.loads(line) for line in ran.out.splitlines())
            assert "NaN" not in ran.out


@pytest.mark.parametrize("model", ["../../etc", "", "unheard-of"])
def test_a_receipt_of_a_model_that_the_store_has_not_is_not_shown_and_hides_no_other(
    flown: FlightsAudit, tmp_path: Path, model: str
) -> None:
    rows = [receipt(1, model=model), receipt(2, event_id="e1")]
    write(tmp_path / "receipts" / "a.avro", rows)
    for words in (("score",), ("event", "e1")):
        ran = asked(flown, tmp_path, *words)
        assert (ran.code, f"{1:032x}" in ran.out, f"{2:032x}" in ran.out) == (1, False, True), words
        assert f"has no model {model!r}, whose access log must say who reads this" in ran.err
    assert asked(flown, tmp_path, "score", f"{1:032x}").out == ""


def test_encrypted_features_are_said_to_be_so(flown: FlightsAudit, tmp_path: Path) -> None:
    one = one_of(flown, decision="late") | {
        "score_id": "f" * 32,
        "key_id": "k7",
        "features": {"dep_delay": b"\x81secret"},
    }
    ran = ask(flown, "score", "f" * 32, "--json", "--no_verify", audit=altered(flown, tmp_path, one))
    assert (ran.json["receipt"]["features"], ran.json["receipt"]["key_id"]) == ({"dep_delay": None}, "k7")
    assert ran.json["missing"][0].startswith("the features and reasons: unreadable: no key store given; next: ")


def test_reasons_come_from_the_receipt_in_the_words_of_the_manifest(flown: FlightsAudit, tmp_path: Path) -> None:
    given = [("flight", 0.1, None), ("dep_delay", -0.5, None), ("carrier", 0.2, "C9")]
    reasons = [{"feature": name, "contribution": value, "code": code} for name, value, code in given]
    one = one_of(flown, decision="late") | {"score_id": "f" * 32, "reasons": reasons}
    said = ask(flown, "score", "f" * 32, "--json", audit=altered(flown, tmp_path, one)).json
    assert said["reasons_computed"] is False
    assert [(each["feature"], each["code"], each["text"]) for each in said["reasons"]] == [
        ("dep_delay", "D1", "it left early"), ("carrier", "C9", "carrier raised the score"),
        ("flight", None, "flight raised the score"),
    ]  # fmt: skip


def test_reasons_that_no_receipt_has_are_computed_now(flown: FlightsAudit) -> None:
    one = max((each for each in flown.receipts if each["version"] == "v1"), key=lambda each: each["score"])
    said = ask(flown, "score", one["score_id"], "--json").json
    assert said["reasons_computed"] is True
    assert (said["reasons"][0]["feature"], said["reasons"][0]["text"]) == ("dep_delay", "it left late")
    spared = ask(flown, "score", one["score_id"], "--json", "--no_verify").json
    assert (spared["reasons"], "computed now" in " ".join(spared["missing"])) == ([], True)


def test_an_object_store_is_read_as_a_folder_is(flown: FlightsAudit) -> None:
    bucket = Backend("memory://audited")
    for folder in ("receipts", "models"):
        for path in (flown.audit / folder).glob("*.avro"):
            bucket.create(f"{folder}/{path.name}", path.read_bytes())
    bucket.create("receipts/cut.avro", next((flown.audit / "receipts").glob("*.avro")).read_bytes()[:-1000])
    audit, local = Audit("memory://audited"), Audit(str(flown.audit))
    one = one_of(flown, role="shadow")
    found = {each.receipt["score_id"] for each in audit.find("event_id", one["event_id"])}
    assert found == {each.receipt["score_id"] for each in local.find("event_id", one["event_id"])}
    assert list(audit.model_events()) == list(local.model_events())
    assert list(audit.broken) == ["receipts/cut.avro"]
