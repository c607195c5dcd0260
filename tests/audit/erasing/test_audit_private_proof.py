"""A decision of an encrypted receipt: exported with the key of this one alone, checked offline, found by lineage."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from pyarrow import parquet

from audit.files.audit import Audit
from models.privacy.identities import identity_of_subject
from models.privacy.receipts import open_receipts
from models.publishing.hiding import Hiding, hashed_records
from models.scorers.linear import LinearScorer
from schemas.avro.datums import decode_block
from schemas.records import arrow_schema, avsc
from tests.audit.containers import receipt
from tests.audit.erasing.private import Private, private
from tests.models.bundle_folders import document
from tests.pipeline.commands.commands import Ran, halflife


class Sealed(NamedTuple):
    """An audit of encrypted receipts, sealed with a key, and the bundle that scored them."""

    made: Private
    key: Path
    bundle: Path

    def export(self, number: int, *words: object) -> Ran:
        out = self.made.folder / f"{number}.json"
        return self.made.ask("export", f"{number:032x}", "--out", out, "--json", *words)

    def exported(self, number: int) -> dict[str, Any]:
        assert self.export(number).code == 0
        found: dict[str, Any] = json.loads((self.made.folder / f"{number}.json").read_bytes())
        return found

    def check(self, proof: dict[str, Any]) -> Ran:
        path = self.made.folder / "proof.json"
        path.write_text(json.dumps(proof))
        return halflife("audit", "check", path, "--bundle", self.bundle, "--key", f"{self.key}.pub", "--json")


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """Beside the receipts of `private` those of e100 to e113, two of each subject, with the scores that v1 gives."""
    made = private(tmp_path)
    bundle, manifest = made.folder / "store" / "delays" / "versions" / "v1", made.store.read_manifest("v1")
    scorer = LinearScorer.load(bundle, manifest)
    inputs = [{"delay": float(n), "distance": n, "weekend": True, "carrier": "AA"} for n in range(100, 114)]
    scores = scorer.score(pa.RecordBatch.from_pylist(inputs)).tolist()
    read = [{**each, "weekend": 1} for each in inputs]
    scored = zip(range(100, 114), read, scores, strict=True)
    rows = [receipt(n, digest=manifest.digest, features=own, score=score) for n, own, score in scored]
    made.add_receipts(100, rows)
    assert halflife("audit", "key", "--out", tmp_path / "audit.key").code == 0
    assert made.ask("seal", "--set", f"audit.key={tmp_path / 'audit.key'}").code == 0
    return Sealed(made, tmp_path / "audit.key", bundle)


def test_exported_decision_is_proven_by_the_key_in_it_alone(sealed: Sealed) -> None:
    proof = sealed.exported(100)
    assert (proof["format"], len(base64.b64decode(proof["receipt_key"]))) == (2, 32)
    checked = sealed.check(proof)
    assert (checked.code, checked.json["verdict"], checked.json["event_id"]) == (0, "proven", "e100"), checked
    assert checked.json["rescored"] == checked.json["score"]
    overhead = len(json.dumps(proof)) - len(base64.b64decode(proof["receipt"]))
    assert overhead < 4096
    assert b"N2" not in base64.b64decode(proof["receipt"])


def test_key_of_an_export_opens_no_other_receipt_and_is_not_the_subjects(sealed: Sealed) -> None:
    proof, same_subject = sealed.exported(100), sealed.exported(107)
    key = base64.b64decode(proof["receipt_key"])
    assert (
        sealed.made.hashes("N2")
        == [
            decode_block(base64.b64decode(each["receipt"]), 1, avsc("Receipt")).rows.column("subject")[0].as_py()
            for each in (proof, same_subject)
        ][:1]
    )
    opened = list[str]()
    for rows in Audit(str(sealed.made.audit)).columns(arrow_schema("Receipt").names):
        states = open_receipts(rows, [key] * rows.num_rows).states
        opened += [
            event for event, state in zip(rows.column("event_id").to_pylist(), states, strict=True) if state == "opened"
        ]
    assert opened == ["e100"]
    identity = identity_of_subject("N2")
    store = sealed.made.keys
    assert key not in {each.key for each in store.keys_for(store.epochs().of_all(identity))}
    swapped = sealed.check(proof | {"receipt_key": same_subject["receipt_key"]})
    assert (swapped.code, swapped.json["verdict"]) == (1, "refuted")
    assert swapped.json["why"] == "the key in it does not open the receipt"


@pytest.mark.parametrize("key", ["", "AAAA", "A" * 43 + "=", 7, None, "é"])
def test_key_that_is_none_proves_nothing(sealed: Sealed, key: Any) -> None:
    checked = sealed.check(sealed.exported(100) | {"receipt_key": key})
    assert checked.code == 1
    assert "Traceback" not in checked.err
    assert 'proven",' not in checked.out.replace("unproven", "")


def test_export_of_an_erased_subject_has_no_key_and_is_unproven(sealed: Sealed) -> None:
    before = sealed.exported(100)
    assert sealed.made.ask("erase", "N2").code == 0
    done = sealed.export(100)
    assert (done.code, done.json["with_key"], done.json["locked"]) == (0, False, "erased: its key was destroyed")
    assert "proves that the receipt stands, but not the score" in done.err
    after = json.loads((sealed.made.folder / "100.json").read_bytes())
    checked = sealed.check(after)
    assert (after["format"], "receipt_key" in after, checked.code, checked.json["verdict"]) == (1, False, 1, "unproven")
    assert checked.json["why"] == "its features are encrypted, and the file has no key that opens it"
    assert sealed.check(before).json["verdict"] == "proven"  # what was handed out is not reached


def test_export_without_the_key_store_says_what_it_lacks(sealed: Sealed) -> None:
    made = sealed.made
    where = ("--audit", made.audit, "--store", made.folder / "store")
    words = ("audit", "export", f"{100:032x}", "--out", made.folder / "out.json", "--json")
    bare, with_keys = halflife(*words, *where), halflife(*words, *where, "--keys", made.folder / "keys")
    assert (bare.code, bare.json["with_key"], bare.json["locked"].startswith("unreadable")) == (0, False, True)
    assert (with_keys.code, with_keys.json["with_key"], with_keys.json["locked"]) == (0, True, None)


def test_verify_passes_after_an_erasure_and_says_what_it_could_not_score(sealed: Sealed) -> None:
    words = ("verify", "--json", "--key", f"{sealed.key}.pub")
    before = sealed.made.ask(*words).json
    sealed.made.ask("erase", "N2")
    found = sealed.made.ask(*words).json
    assert (found["receipts"], before["receipts"], before["unsealed"]) == (54, 54, 0)
    assert (before["verified"] - found["verified"], found["signature"]) == (2, "signed")
    assert any("erased" in which for which in found["not_rescored"])
    assert [found[name] for name in ("altered", "added", "removed", "reordered", "contradictions")] == [[]] * 5


def test_records_are_found_by_subject_and_event_whatever_the_epoch_of_their_hashes(tmp_path: Path) -> None:
    made = private(tmp_path, epochs=3)
    parquet.write_table(pa.table({"event_id": ["e74", "e30"], "subject": ["N4", "N2"]}), tmp_path / "records.parquet")
    (tmp_path / "payload" / "n1").mkdir()
    hashed = hashed_records(tmp_path / "records.parquet", Hiding(made.keys.epochs().all[1]))
    (tmp_path / "payload" / "n1" / "records.csv").write_bytes(hashed)
    training = {"trained_at": "2013-01-01T00:00:00Z", "records": "records.csv"}
    said = document(model="delays", version="n1", training=training, privacy={"epoch": 2}, format=2)
    made.store.publish(tmp_path / "payload" / "n1", said)
    assert made.ask("record", "e30", "--json").json["trained_versions"] == ["n1"]
    made.add_receipts(74, [receipt(74, version="n1", digest=made.store.read_manifest("n1").digest)])
    page = made.ask("score", f"{74:032x}", "--no_verify", "--json").json
    assert page["trained_on"] == {"file": "records.csv", "of_event": 1, "of_subject": 1}
    assert made.ask("subject", "N4", "--json").json["trained_versions"] == ["n1"]
    assert "n1" in made.ask("erase", "N2", "--json").json["trained_versions"]
    logged = b"".join(path.read_bytes() for path in (made.folder / "store" / "delays" / "access").rglob("*.json"))
    assert [name for name in (b'"N4"', b'"N2"') if name in logged] == []
