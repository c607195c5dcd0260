"""Signed notes (C2SP signed-note): a text, and signatures of it by Ed25519 keys that have names.

The forms are those of Go's `golang.org/x/mod/sumdb/note`, so that others can check what is signed here:
a private key is `PRIVATE+KEY+<name>+<id>+<base64>`, a public one `<name>+<id>+<base64>`.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from schemas.errors import UnusableData

_ED25519 = 1
_KEY_BYTES = 32
_PRIVATE = "PRIVATE+KEY+"
_LINE = "\u2014 "
_MOST_BYTES = 1_000_000
_MOST_SIGNATURES = 100


class UnusableNote(UnusableData):
    """A text that is no signed note, or no key of one; nothing of a private key is in the message."""


class PublicKey(NamedTuple):
    """A name with the bytes of an Ed25519 public key."""

    name: str
    key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which signatures name the key."""
        return sha256(self.name.encode() + b"\n" + bytes([_ED25519]) + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([_ED25519]) + self.key)}"

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Whether the signature of the text was made with this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


class PrivateKey:
    """A name with an Ed25519 private key, which no message or representation shows."""

    def __init__(self, name: str, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.name!r})"

    def stated(self) -> str:
        """The form of the file that holds it: secret."""
        held = _base64(bytes([_ED25519]) + self._seed)
        return f"{_PRIVATE}{self.public.name}+{self.public.key_id.hex()}+{held}"

    def sign(self, text: str) -> str:
        """The text, which ends a line, as a note with one signature."""
        _check_text(text)
        signed = self.public.key_id + self._key.sign(text.encode())
        return f"{text}\n{_LINE}{self.public.name} {_base64(signed)}\n"


class SignedNote(NamedTuple):
    """The text of a note, and its signatures: (name of the key, its id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def signed_by(self, keys: Sequence[PublicKey]) -> PublicKey | None:
        """The first of the keys that signed it. A signature that names a key and is not of it is none."""
        for name, key_id, signature in self.signatures:
            for key in keys:
                if (key.name, key.key_id) == (name, key_id) and key.verifies(signature, self.text.encode()):
                    return key
        return None


def unsigned(text: str) -> str:
    """The text as a note that nobody signed."""
    _check_text(text)
    return f"{text}\n"


def parse_note(data: bytes) -> SignedNote:
    """The text and signatures of a note, which nobody has checked yet; one that nobody signed ends with an empty line.

    Raises:
        UnusableNote: it is none.
    """
    if len(data) > _MOST_BYTES:
        raise UnusableNote(f"a note of {len(data)} bytes; allowed: at most {_MOST_BYTES}")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise UnusableNote("a note that is not UTF-8; expected: a signed note") from None
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or (lines and not lines.endswith("\n")):
        raise UnusableNote("a note has no signatures after an empty line; expected: a signed note")
    _check_text(text + "\n")
    stated = lines.split("\n")[:-1]
    if len(stated) > _MOST_SIGNATURES:
        raise UnusableNote(f"a note has {len(stated)} signatures; allowed: at most {_MOST_SIGNATURES}")
    return SignedNote(text + "\n", tuple(_signature(line) for line in stated))


def new_key(name: str) -> PrivateKey:
    """A key of the system's randomness. Raises `UnusableNote` for a name that no key can have."""
    import os

    return PrivateKey(_key_name(name), os.urandom(_KEY_BYTES))


def parse_private_key(text: str) -> PrivateKey:
    """Raises `UnusableNote` for what is none; nothing of it is in the message."""
    if not text.strip().startswith(_PRIVATE):
        raise UnusableNote(f"it is no private key; expected: {_PRIVATE}<name>+<id>+<base64>")
    name, key_id, seed = _parts(text.strip().removeprefix(_PRIVATE), "private key")
    key = PrivateKey(name, seed)
    if key.public.key_id != key_id:
        raise UnusableNote("the id of a private key is not its own; expected: a key as it was made")
    return key


def parse_public_key(text: str) -> PublicKey:
    """Raises `UnusableNote` for what is none."""
    if text.strip().startswith(_PRIVATE):
        raise UnusableNote("it is a private key; expected: the public key, <name>+<id>+<base64>")
    name, key_id, held = _parts(text.strip(), "public key")
    key = PublicKey(name, held)
    if key.key_id != key_id:
        raise UnusableNote("the id of a public key is not its own; expected: a key as it was made")
    return key


def _parts(text: str, what: str) -> tuple[str, bytes, bytes]:
    """Name, id and key. Raises `UnusableNote`."""
    wanted = f"it is no {what}; expected: <name>+<id>+<base64> of Ed25519"
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise UnusableNote(wanted)
    try:
        key_id, held = bytes.fromhex(parts[1]), base64.b64decode(parts[2], validate=True)
    except (ValueError, binascii.Error):
        raise UnusableNote(wanted) from None
    if len(parts[1]) != 8 or len(held) != 1 + _KEY_BYTES or held[0] != _ED25519:
        raise UnusableNote(wanted)
    return _key_name(parts[0]), key_id, held[1:]


def _key_name(name: str) -> str:
    if not name or not name.isprintable() or "+" in name or any(each.isspace() for each in name):
        raise UnusableNote(f"name of a key {name!r} is not allowed; expected: text without spaces and +")
    return name


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, separator, held = line.removeprefix(_LINE).partition(" ")
    try:
        signed = base64.b64decode(held, validate=True)
    except (ValueError, binascii.Error):
        signed = b""
    if not line.startswith(_LINE) or not separator or len(signed) < 5:
        raise UnusableNote(f"a signature of a note is {line[:80]!r}; expected: {_LINE}<name> <base64>")
    return _key_name(name), signed[:4], signed[4:]


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(each < " " and each != "\n" for each in text):
        raise UnusableNote("a note's text has control characters, or does not end a line; expected: lines of text")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
