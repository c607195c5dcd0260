"""Signatures of bundles: OpenSSF model signing with a local elliptic-curve key.

What is signed is the whole folder: `manifest.json` and every payload file, by their sha256. The signature is beside
them as `model.sig` (a Sigstore bundle), so that `model_signing verify key FOLDER --signature FOLDER/model.sig
--public_key KEY` says the same.
"""

import base64
import importlib.util
from pathlib import Path
from typing import Any, ClassVar

from models.bundles.manifest import MANIFEST, MAX_MANIFEST_BYTES, SIGNATURE, Manifest
from models.distribution import installing
from models.errors import BundleRefused, StoreError, one_line
from models.outages import local_disk, temporary_folder
from models.strict_json import parse_object

_PEM = "-----BEGIN PUBLIC KEY-----"
# Each file's path and hash is in it, and base64 adds a third.
MAX_SIGNATURE_BYTES = 4 * MAX_MANIFEST_BYTES
_REQUIRES = ("model_signing", "OpenSSL")


class BadSignature(BundleRefused):
    """There is no signature, or it is by another key, or of other bytes."""

    reason: ClassVar[str] = "bad_signature"


class UnusableKey(StoreError):
    """A key that cannot be read, or is of a kind that cannot sign."""


def read_public_key(source: str) -> str:
    """The public key (PEM) in a file, or `source` itself if it is one already.

    Raises:
        UnusableKey: it is not an elliptic-curve public key in PEM.
    """
    text = source
    if _PEM not in source:
        try:
            text = Path(source).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            detail = f"is not readable ({one_line(error)})"
            raise UnusableKey(f"trusted key {source[:80]!r} {detail}; expected: {_ALLOWED}") from None
    if _PEM not in text:
        raise UnusableKey(f"trusted key {source[:80]!r} is not allowed; expected: {_ALLOWED}")
    return text


def sign_folder(folder: Path, private_key: Path) -> None:
    """Write `model.sig` for a bundle's folder, its manifest and payload complete.

    Raises:
        UnusableKey: the key is not readable, or no elliptic-curve key; the library is not installed.
    """
    problem = _missing_library()
    if problem:
        raise UnusableKey(problem)
    from model_signing import signing

    try:
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        # The library's own message for a key of another kind would show an internal attribute.
        said = error.strerror if isinstance(error, OSError) else "it holds no such key"
        raise UnusableKey(
            f"signing key {str(private_key)!r} cannot be used ({said}); "
            "expected: a PEM file with an unencrypted elliptic-curve private key (P-256, P-384 or P-521)"
        ) from None
    # Never written through a link: the folder's files may be links to those of another bundle.
    (folder / SIGNATURE).unlink(missing_ok=True)
    config.set_hashing_config(_hashing(folder)).sign(folder, folder / SIGNATURE)


def verify_signature(folder: Path, manifest: Manifest, public_key: str) -> None:
    """Check that a bundle's folder has a signature by this key (PEM) of exactly these files.

    Raises:
        BadSignature: it has none, or the library that verifies it is not installed.
    """
    problem = _missing_library()
    if problem:
        raise BadSignature(problem)
    from model_signing import verifying

    signature = folder / SIGNATURE
    _check_statement(signature, manifest)
    with temporary_folder("key") as folder_of_key:
        key = folder_of_key / "trusted.pem"
        with local_disk("write the trusted key"):
            key.write_text(public_key, encoding="ascii")
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=key)
            config.set_hashing_config(_hashing(folder)).verify(folder, signature)
        except Exception as error:
            # The signature is untrusted input to several parsers: the bundle is refused whatever one of them raises.
            detail = f"does not hold: {one_line(error)}"
            raise BadSignature(f"{SIGNATURE} {detail}; expected: a signature by the trusted key") from None


def _check_statement(signature: Path, manifest: Manifest) -> None:
    """The signature must name its key and cover this manifest: the library alone would let it leave files out."""
    if not signature.is_file():
        raise BadSignature(f"version {manifest.version!r} has no {SIGNATURE}; expected: a signature by the trusted key")
    if signature.stat().st_size > MAX_SIGNATURE_BYTES:
        raise BadSignature(f"{SIGNATURE} has {signature.stat().st_size} bytes; allowed: at most {MAX_SIGNATURE_BYTES}")
    try:
        envelope = parse_object(signature.read_bytes())
        hint = envelope["verificationMaterial"]["publicKey"]["hint"]
        statement = parse_object(base64.b64decode(envelope["dsseEnvelope"]["payload"], validate=True))
        digests = {resource["name"]: resource["digest"] for resource in statement["predicate"]["resources"]}
    except (KeyError, TypeError, ValueError) as error:  # base64 raises ValueError for text that is not ASCII
        raise BadSignature(f"{SIGNATURE} is not a signature of a model: {one_line(error)}") from None
    signed = digests.get(MANIFEST)
    if signed != manifest.digest or not hint:
        raise BadSignature(f"{SIGNATURE} is of a {MANIFEST} with sha256 {signed}; expected: {manifest.digest}")


def _hashing(folder: Path) -> Any:
    from model_signing import hashing

    config = hashing.Config().use_file_serialization()
    # Every file counts, also those of git: a bundle is not a checkout.
    return config.set_ignored_paths(paths=[folder / SIGNATURE], ignore_git_paths=False)


def _missing_library() -> str:
    missing = [name for name in _REQUIRES if importlib.util.find_spec(name) is None]
    return f"signatures need {', '.join(missing)}; {installing('signing')}" if missing else ""


_ALLOWED = "a PEM file with an elliptic-curve public key"
