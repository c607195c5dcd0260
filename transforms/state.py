"""Coders of keyed state, with the format's version in front so that a restore across versions fails clearly."""

import pickle
from typing import Any

from apache_beam import coders


class StateFormatMismatch(RuntimeError):
    """State that another version of the job wrote in a format that this one does not read."""


class VersionedStateCoder(coders.Coder):
    """Pickles one state value behind `halflife/<name>/<version>\\n`.

    Raises:
        StateFormatMismatch: on decoding state of another name or version.
    """

    def __init__(self, name: str, version: int) -> None:
        self._head = f"halflife/{name}/{version}\n".encode()

    @property
    def format(self) -> str:
        """Name and version, such as `progress/2`; what tells whether a job can be updated in place."""
        return self._head.decode().strip().removeprefix("halflife/")

    def encode(self, value: Any) -> bytes:
        return self._head + pickle.dumps(value, protocol=5)

    def decode(self, encoded: bytes) -> Any:
        if not encoded.startswith(self._head):
            found = encoded[: encoded.find(b"\n")][:80]
            raise StateFormatMismatch(
                f"state was written as {found!r}, this job reads {self._head.strip()!r}: "
                "drain the job with the version that wrote it, or start without its savepoint"
            )
        return pickle.loads(encoded[len(self._head) :])

    def is_deterministic(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionedStateCoder) and self._head == other._head

    def __hash__(self) -> int:
        return hash(self._head)
