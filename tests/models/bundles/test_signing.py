"""Signatures: what a job with a trusted key admits, and what an unusable key says."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from models.admission.admission import Admission
from models.bundles.manifest import SIGNATURE
from models.bundles.signing import UnusableKey, read_public_key, sign_folder
from models.store.store import ModelStore
from tests.models.broken import SIGNED, good, new_key
from tests.models.bundle_folders import document, with_golden, write_bundle


@pytest.fixture
def trusted(tmp_path: Path) -> str:
    """The public key of the pair in `trusted/`, which signs in these tests."""
    return read_public_key(str(new_key(tmp_path / "trusted").public))


@pytest.mark.parametrize(("build", "detail"), SIGNED.items(), ids=[build.__name__ for build in SIGNED])
def test_bundle_that_is_not_signed_by_the_trusted_key_is_refused(
    tmp_path: Path, trusted: str, build: Callable[[Path], None], detail: str
) -> None:
    build(tmp_path / "bundle")
    verdict = Admission(None, trusted_key=trusted).check_folder(tmp_path / "bundle")
    assert verdict.reason == "bad_signature"
    assert detail in verdict.detail
    assert "\n" not in verdict.detail


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_signed_bundle_is_admitted(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    keys = new_key(tmp_path / "keys", curve)
    good(tmp_path / "bundle")
    sign_folder(tmp_path / "bundle", keys.private)
    assert Admission(None, trusted_key=read_public_key(str(keys.public))).check_folder(tmp_path / "bundle").admitted


def test_signature_goes_through_the_store(store: ModelStore, tmp_path: Path, trusted: str) -> None:
    for version, signed in (("v1", True), ("v2", False)):
        folder = tmp_path / version
        folder.mkdir()
        write_bundle(folder, with_golden(folder, document(version=version)))
        if signed:
            sign_folder(folder, tmp_path / "trusted" / "private.pem")
        store.publish_bundle(folder)
    admission = Admission(store, trusted_key=trusted)
    assert [admission.check_version(version).reason for version in ("v1", "v2")] == [None, "bad_signature"]


def test_the_tool_of_openssf_verifies_it_too(tmp_path: Path, trusted: str) -> None:
    good(tmp_path / "bundle")
    sign_folder(tmp_path / "bundle", tmp_path / "trusted" / "private.pem")
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(tmp_path / "bundle")]
    signature = ["--signature", str(tmp_path / "bundle" / SIGNATURE)]
    key = ["--public_key", str(tmp_path / "trusted" / "public.pem")]
    done = subprocess.run([*command, *signature, *key], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_signature_that_leaves_the_manifest_out_is_refused(tmp_path: Path, trusted: str) -> None:
    from model_signing import hashing, signing

    good(tmp_path / "bundle")
    config = signing.Config().use_elliptic_key_signer(private_key=tmp_path / "trusted" / "private.pem")
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[tmp_path / "bundle" / "manifest.json"]))
    config.sign(tmp_path / "bundle", tmp_path / "bundle" / SIGNATURE)
    assert Admission(None, trusted_key=trusted).check_folder(tmp_path / "bundle").reason == "bad_signature"


def test_signature_without_a_hint_of_its_key_is_refused(
    tmp_path: Path, trusted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path / "bundle")
    sign_folder(tmp_path / "bundle", tmp_path / "trusted" / "private.pem")
    signature = json.loads((tmp_path / "bundle" / SIGNATURE).read_text())
    signature["verificationMaterial"]["publicKey"] = {"hint": ""}
    (tmp_path / "bundle" / SIGNATURE).write_text(json.dumps(signature))
    assert Admission(None, trusted_key=trusted).check_folder(tmp_path / "bundle").reason == "bad_signature"
    assert capsys.readouterr().out == ""


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    good(tmp_path / "bundle")
    key = rsa.generate_private_key(65537, 2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "rsa.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    for name in ("rsa.pem", "absent.pem", "bundle/manifest.json"):
        with pytest.raises(UnusableKey, match=r"cannot be used .*; expected: a PEM file"):
            sign_folder(tmp_path / "bundle", tmp_path / name)
    for name in ("rsa.pem", "absent.pem"):
        with pytest.raises(UnusableKey, match="expected: a PEM file with an elliptic-curve public key"):
            read_public_key(str(tmp_path / name))
