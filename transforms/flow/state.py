"""Coders of keyed state: the format's version, then plain data, so that a restore across versions fails with a clear
message.

The bytes name no class and no module of this project, which may be renamed or moved while a savepoint exists.
"""

from typing import Any, Protocol

import msgspec
from apache_beam import coders

from schemas.errors import HalflifeError

_PREFIX = b"halflife/"
_ADVICE = "next: drain the job with the version that wrote it, or start without its savepoint"


class StateFormatMismatch(HalflifeError):
    """State that another version of the job wrote, in a format that this one does not read."""


class Form(Protocol):
    """How one kind of value is encoded as plain bytes. Must pickle: coders are part of the graph."""

    def encode(self, value: Any) -> bytes: ...

    def decode(self, encoded: bytes) -> Any:
        """The inverse. Raises `ValueError` or `msgspec.DecodeError` for bytes that `encode` did not make."""


class Plain:
    """Numbers, texts and containers of them as MessagePack; a NamedTuple is a list, a dataclass a map of its fields.

    Args:
        kind: the type that decoded values are checked against: `int`, `tuple[int, ...]`, or a NamedTuple or dataclass
            of such.
    """

    _encoder = msgspec.msgpack.Encoder()

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._decoder = msgspec.msgpack.Decoder(kind)

    def encode(self, value: Any) -> bytes:
        return self._encoder.encode(value)

    def decode(self, encoded: bytes) -> Any:
        return self._decoder.decode(encoded)

    def __reduce__(self) -> tuple[type["Plain"], tuple[Any]]:
        return Plain, (self._kind,)


class VersionedStateCoder(coders.Coder):
    """One value of state in a form, after the header `halflife/<name>/<version>\\n`.

    Raises:
        StateFormatMismatch: on decoding what has another name or version, or is not in this form.
    """

    def __init__(self, name: str, version: int, form: Form) -> None:
        self._head = _PREFIX + f"{name}/{version}\n".encode()
        self._form = form

    @property
    def format(self) -> str:
        """Name and version, such as `progress/2`; it says whether a job can be updated in place."""
        return self._head[len(_PREFIX) :].decode().strip()

    def encode(self, value: Any) -> bytes:
        return self._head + self._form.encode(value)

    def decode(self, encoded: bytes) -> Any:
        if not encoded.startswith(self._head):
            found = encoded.partition(b"\n")[0][:80]
            known = found.startswith(_PREFIX)
            raise self._mismatch(repr(found) if known else f"{encoded[:16]!r}…, which names no format")
        try:
            return self._form.decode(encoded[len(self._head) :])
        except (ValueError, msgspec.DecodeError) as error:
            raise self._mismatch(f"{self._head.strip()!r}, but is something else ({error})") from error

    def _mismatch(self, found: str) -> StateFormatMismatch:
        return StateFormatMismatch(f"state was written as {found}, this job reads {self._head.strip()!r}; {_ADVICE}")

    def is_deterministic(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionedStateCoder) and self._head == other._head

    def __hash__(self) -> int:
        return hash(self._head)
