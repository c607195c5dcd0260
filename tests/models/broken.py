"""Bundles that are broken in just one way each, and one that is good."""

import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.bundles.manifest import MANIFEST
from models.bundles.signing import sign_folder
from tests.models.bundle_folders import INPUTS, LINEAR, document, with_golden, write_bundle


def good(folder: Path) -> None:
    folder.mkdir()
    write_bundle(folder, with_golden(folder, document()))


def no_manifest(folder: Path) -> None:
    folder.mkdir()


def missing_payload(folder: Path) -> None:
    good(folder)
    (folder / "golden.jsonl").unlink()


def invalid_manifest(folder: Path) -> None:
    folder.mkdir()
    (folder / MANIFEST).write_text("{}")


def path_outside(folder: Path) -> None:
    folder.mkdir()
    (folder / MANIFEST).write_text(json.dumps({**document(), "files": {"../x": "a" * 64}}))


def link_outside(folder: Path) -> None:
    good(folder)
    (folder / "golden.jsonl").rename(folder.parent / "elsewhere.jsonl")
    (folder / "golden.jsonl").symlink_to(folder.parent / "elsewhere.jsonl")


def wrong_digest(folder: Path) -> None:
    good(folder)
    (folder / "golden.jsonl").write_text("changed")


def unknown_scorer(folder: Path) -> None:
    write_bundle(folder, document("fortran"))


def will_not_load(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.skops").write_bytes(b"no zip file")
    write_bundle(folder, document("sklearn"))


def wrong_inputs(folder: Path) -> None:
    terms = {"intercept": 0, "coefficients": {"dep_dely": 1}}
    write_bundle(folder, document(inputs=[{"name": "dep_dely", "type": "number"}], linear=terms))


def golden_mismatch(folder: Path) -> None:
    folder.mkdir()
    write_bundle(folder, with_golden(folder, document(), shift=1e-3))


def answers_nan(folder: Path) -> None:
    import skops.io
    from sklearn.linear_model import LinearRegression

    folder.mkdir()
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.coef_[0] = float("nan")
    skops.io.dump(model, folder / "model.skops")
    (folder / "golden.jsonl").write_text(json.dumps({"inputs": {"delay": 1.0}, "score": 1.0}))
    golden = {"file": "golden.jsonl"}
    output = {"kind": "regression"}
    write_bundle(folder, document("sklearn", inputs=INPUTS[:1], output=output, golden=golden))


def not_a_probability(folder: Path) -> None:
    write_bundle(folder, with_golden(folder, document(linear={**LINEAR, "link": "identity"})))


def another_key(folder: Path) -> None:
    good(folder)
    sign_folder(folder, new_key(folder.parent / "another").private)


def changed_after_signing(folder: Path) -> None:
    """Signed by the trusted key; then the payload and, to fit it, the manifest were changed."""
    good(folder)
    sign_folder(folder, folder.parent / "trusted" / "private.pem")
    write_bundle(folder, {**document(), "golden": {"file": "golden.jsonl", "tolerance": 5.0}})


def payload_changed_after_signing(folder: Path) -> None:
    good(folder)
    sign_folder(folder, folder.parent / "trusted" / "private.pem")
    (folder / "golden.jsonl").write_text("changed")


def file_added_after_signing(folder: Path) -> None:
    good(folder)
    sign_folder(folder, folder.parent / "trusted" / "private.pem")
    (folder / "added.txt").write_text("not signed")


def git_file_added_after_signing(folder: Path) -> None:
    """OpenSSF's tool leaves the files of git out unless it is told not to."""
    good(folder)
    sign_folder(folder, folder.parent / "trusted" / "private.pem")
    (folder / ".gitattributes").write_text("not signed")


def garbage_for_a_signature(folder: Path) -> None:
    good(folder)
    (folder / "model.sig").write_bytes(b"\xff{")


def pickled(folder: Path) -> None:
    """A model that is good, but a pickle."""
    from sklearn.linear_model import LinearRegression

    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])))
    write_bundle(folder, document("sklearn", inputs=INPUTS[:1], output={"kind": "regression"}))


def huge_manifest(folder: Path) -> None:
    folder.mkdir()
    (folder / MANIFEST).write_bytes(b" " * (8 * 1024 * 1024 + 1))


def zip_bomb(folder: Path) -> None:
    """A skops file of some kilobytes whose directory says that it unpacks to 4 GB."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "model.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"{}")
    raw = bytearray((folder / "model.skops").read_bytes())
    struct.pack_into("<I", raw, raw.rindex(b"PK\x01\x02") + 24, 4_000_000_000)
    (folder / "model.skops").write_bytes(bytes(raw))
    write_bundle(folder, document("sklearn"))


class Keys(NamedTuple):
    """Files of a key pair, PEM."""

    private: Path
    public: Path


def new_key(folder: Path, curve: ec.EllipticCurve | None = None) -> Keys:
    """A new elliptic-curve key pair in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    private = ec.generate_private_key(curve or ec.SECP256R1())
    encoding, keys = serialization.Encoding.PEM, Keys(folder / "private.pem", folder / "public.pem")
    keys.private.write_bytes(
        private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    keys.public.write_bytes(private.public_key().public_bytes(encoding, public))
    return keys


SIGNED: Mapping[Callable[[Path], None], str] = {
    good: "has no model.sig",
    another_key: "Key mismatch",
    changed_after_signing: "is of a manifest.json with sha256",
    payload_changed_after_signing: "Hash mismatch for 'golden.jsonl'",
    file_added_after_signing: "Extra files found",
    git_file_added_after_signing: "Extra files found",
    garbage_for_a_signature: "is not a signature of a model",
}
"""Bundles that a job with a trusted key refuses as `bad_signature`, and the detail it gives."""

BROKEN: list[tuple[Callable[[Path], None], str, str]] = [
    (no_manifest, "incomplete", "has no manifest.json"),
    (missing_payload, "incomplete", "golden.jsonl is absent"),
    (invalid_manifest, "invalid_manifest", "model: missing"),
    (path_outside, "path_outside", "'../x'"),
    (link_outside, "path_outside", "golden.jsonl"),
    (wrong_digest, "wrong_digest", "golden.jsonl has sha256"),
    (unknown_scorer, "unknown_scorer", "'fortran'"),
    (will_not_load, "will_not_load", "sklearn: "),
    (wrong_inputs, "wrong_inputs", "'dep_dely'"),
    (golden_mismatch, "golden_mismatch", "golden.jsonl line 1: score"),
    (answers_nan, "bad_output", "score nan of record 1; expected: a finite number"),
    (not_a_probability, "bad_output", "allowed: a probability from 0 to 1"),
]
