"""Who was erased, and who may not be: for each identity a short log of its own, under a name that is a keyed hash.

`register/<hash, 32 hex digits>/<number, 6 digits>.json`, each number created once, so that a hold and an erasure at the
same moment have an order: whichever is first decides what becomes of the other.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from models.errors import StoreError
from models.privacy.identities import KEY_BYTES, register_name
from models.store.backends import Backend
from models.strict_json import parse_object
from schemas import times
from schemas.validation import SpecError

Action = Literal["hold", "release", "erase", "erased"]

_KEY = "register.key"
_FOLDER = "register"
_NAME = re.compile(rf"{_FOLDER}/([0-9a-f]{{32}})/([0-9]{{6}})\.json")
_MOST_BYTES = 64 * 1024
_MOST_ATTEMPTS = 100
_READERS = 16


class SubjectHeld(StoreError):
    """A subject that should be erased is under a hold."""


class NotHeld(StoreError):
    """A hold that should be released is none."""


class ErasureUnfinished(StoreError):
    """A subject that should be held is being erased, or an erasure was interrupted."""


class UnusableRegister(StoreError):
    """An entry of the register, or its key, that cannot be read."""


@dataclass(frozen=True, slots=True)
class AskedBy:
    """Who asked for something, when (microseconds since 1970), and why."""

    by: str
    at_us: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """An entry: what was done, and who asked. `identity`: only of a hold that is in force, which must be found again in
    epochs to come. What an erasure emptied has no action."""

    number: int
    action: str
    asked: AskedBy
    identity: bytes | None = None


class Register:
    """The register of a key store. `random` makes bytes that nobody can guess."""

    def __init__(self, backend: Backend, random: Callable[[int], bytes]) -> None:
        self._backend, self._random = backend, random
        self._known: bytes | None = None
        self._read: dict[str, Registered] = {}

    def entries(self, identity: bytes) -> list[Registered]:
        """What was done with an identity, in order."""
        folder = f"{_FOLDER}/{self._name(identity)}"
        return [self._entry(key) for key, _ in self._backend.list(folder) if _NAME.fullmatch(key)]

    def hold(self, identity: bytes, asked: AskedBy) -> Registered:
        """Forbid to erase an identity; one that is held already stays so.

        Raises:
            ErasureUnfinished: its erasure began and has not ended.
        """

        def entry(last: Registered | None) -> Action | None:
            if last is not None and last.action == "erase":
                said = f"is being erased, for {last.asked.by}"
                raise ErasureUnfinished(
                    f"the subject {said}; next: halflife audit erase again, which ends it, then hold"
                )
            return None if last is not None and last.action == "hold" else "hold"

        return self._append(identity, asked, entry)

    def release(self, identity: bytes, asked: AskedBy) -> Registered:
        """Allow again to erase an identity.

        Raises:
            NotHeld: there is no hold.
        """

        def entry(last: Registered | None) -> Action:
            if last is None or last.action != "hold":
                raise NotHeld("the subject is under no hold; expected: one that halflife audit hold was given")
            return "release"

        return self._append(identity, asked, entry)

    def begin(self, identity: bytes, asked: AskedBy) -> Registered:
        """Say that an identity is being erased: from now on a hold is refused, until `end`.

        Raises:
            SubjectHeld: it is under a hold.
        """

        def entry(last: Registered | None) -> Action:
            if last is not None and last.action == "hold":
                since = f"since {times.format_time_us(last.asked.at_us)}, by {last.asked.by}: {last.asked.reason}"
                raise SubjectHeld(f"the subject is under a hold {since}; next: halflife audit hold --release ends it")
            return "erase"

        return self._append(identity, asked, entry)

    def end(self, identity: bytes, asked: AskedBy) -> Registered:
        """Say that an erasure that began is done. What earlier holds kept of the identity is destroyed before."""
        for each in self.entries(identity):
            if each.identity is not None:
                self._backend.destroy(self._key(identity, each.number))
                self._read.pop(self._key(identity, each.number), None)

        def entry(last: Registered | None) -> Action | None:
            return "erased" if last is not None and last.action == "erase" else None

        return self._append(identity, asked, entry)

    def held(self) -> list[bytes]:
        """The identities under a hold."""
        return [each.identity for each in self._last_entries().values() if each.identity and each.action == "hold"]

    def erased(self) -> set[str]:
        """The names in the register of the identities that were erased, or are being."""
        return {name for name, each in self._last_entries().items() if each.action in ("erase", "erased")}

    def name_of(self, identity: bytes) -> str:
        """The name of an identity in the register."""
        return self._name(identity)

    def _last_entries(self) -> dict[str, Registered]:
        keys = defaultdict[str, list[str]](list)
        for key, _ in self._backend.list(_FOLDER):
            name = _NAME.fullmatch(key)
            if name:
                keys[name[1]].append(key)
        with ThreadPoolExecutor(_READERS) as readers:
            return dict(zip(keys, readers.map(lambda each: self._entry(max(each)), keys.values()), strict=True))

    def _append(
        self, identity: bytes, asked: AskedBy, entry: Callable[[Registered | None], Action | None]
    ) -> Registered:
        """Append what `entry` makes of the last one; where it makes nothing, the last one stands."""
        for _ in range(_MOST_ATTEMPTS):
            last = next(reversed(self.entries(identity)), None)
            action = entry(last)
            if action is None:
                assert last is not None
                return last
            kept = identity if action == "hold" else None
            added = Registered(1 if last is None else last.number + 1, action, asked, kept)
            if self._backend.create(self._key(identity, added.number), _written(added)):
                return added
        raise UnusableRegister(f"{self._backend.url}: others wrote first {_MOST_ATTEMPTS} times; next: run it again")

    def _key(self, identity: bytes, number: int) -> str:
        return f"{_FOLDER}/{self._name(identity)}/{number:06d}.json"

    def _name(self, identity: bytes) -> str:
        if self._known is None:
            self._known = shared_key(self._backend, _KEY, self._random)
        return register_name(self._known, identity)

    def _entry(self, key: str) -> Registered:
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = _parsed(self._backend, key)
        return found


def shared_key(backend: Backend, key: str, random: Callable[[int], bytes]) -> bytes:
    """The 32 bytes of an object, which whoever needs them first makes.

    Raises:
        UnusableRegister: the object has other bytes.
    """
    for _ in range(2):
        found = backend.read(key, _MOST_BYTES)
        if found is not None:
            if len(found) != KEY_BYTES:
                raise UnusableRegister(f"{backend.url}: {key} has {len(found)} bytes; expected: {KEY_BYTES}")
            return found
        backend.create(key, random(KEY_BYTES))
    raise UnusableRegister(f"{backend.url}: {key} was removed while it was read; expected: a key that stays")


def _written(entry: Registered) -> bytes:
    asked = entry.asked
    document: dict[str, Any] = {"action": entry.action, "by": asked.by, "at": times.format_time_us(asked.at_us)}
    document["reason"] = asked.reason
    if entry.identity is not None:
        document["identity"] = entry.identity.hex()
    return json.dumps(document, ensure_ascii=False).encode()


def _parsed(backend: Backend, key: str) -> Registered:
    number = int(key[-11:-5])
    try:
        raw = backend.read(key, _MOST_BYTES)
        if raw == b"":  # an erasure emptied it
            return Registered(number, "", AskedBy("", 0))
        document = parse_object(raw or b"")
        identity = document.get("identity")
        asked = AskedBy(document["by"], times.parse_instant_us(document["at"]), document["reason"])
        return Registered(number, document["action"], asked, None if identity is None else bytes.fromhex(identity))
    except (SpecError, KeyError, TypeError, ValueError):
        raise UnusableRegister(f"{backend.url}: {key} cannot be read; expected: an entry as it was written") from None
