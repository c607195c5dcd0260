"""`halflife doctor` opens the key store of a job with privacy, and writes nothing there."""

import json
from pathlib import Path

from models.privacy.identities import identity_of_subject
from models.privacy.key_store import KeyStore
from models.privacy.register import AskedBy
from models.store.backends import Backend
from tests.pipeline.commands.doctor.test_doctor import WITHOUT_PROFILE, listed
from tests.pipeline.commands.jobs import Examined, Patient


def examined(patient: Patient, keys: Path) -> Examined:
    return patient.examined("--set", f"privacy={json.dumps({'keys': str(keys)})}", "--set", "events.subject=carrier")


def filled(keys: Path) -> KeyStore:
    """A key store of two persons, of whom one was erased."""
    store = KeyStore(Backend(str(keys)))
    identities = [identity_of_subject(each) for each in ("AA", "UA")]
    store.keys_for([store.epochs().all[0].pseudonym(each) for each in identities])
    store.erase(identities[0], AskedBy("tests", 0))
    return store


def test_sound_key_store_is_read_and_left_as_it_is(patient: Patient, tmp_path: Path) -> None:
    found = examined(patient, tmp_path / "none")
    assert (found.bad(), "holds no keys yet" in found.said("privacy.keys")) == (WITHOUT_PROFILE, True)
    assert not (tmp_path / "none").exists()
    filled(tmp_path / "keys")
    before = listed(tmp_path / "keys")
    found = examined(patient, tmp_path / "keys")
    assert (found.bad(), listed(tmp_path / "keys")) == (WITHOUT_PROFILE, before)
    assert "1 epoch(s), all keys can be read; 1 subject(s) were erased" in found.said("privacy.keys")


def test_damaged_key_store_fails_with_what_is_damaged(patient: Patient, tmp_path: Path) -> None:
    filled(tmp_path / "keys")
    [block] = [path for path in (tmp_path / "keys" / "blocks").iterdir() if path.stat().st_size]
    block.write_bytes(block.read_bytes()[:-1])
    found = examined(patient, tmp_path / "keys")
    assert (found.ran.code, found.verdict("privacy.keys")) == (1, "fail")
    assert f"blocks/{block.name}" in found.said("privacy.keys")
    (tmp_path / "keys" / "epochs" / "0001.json").write_text("{}")
    assert "epochs/0001.json cannot be read; expected: an epoch" in examined(patient, tmp_path / "keys").said(
        "privacy.keys"
    )
