"""The access log of a model: who published, released, read or loaded what, and when (docs/design.md §5)."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

from ulid import ULID

from models.redaction import hide_secrets
from models.store.backends import Backend, ObjectTooLarge
from models.strict_json import parse_object
from schemas import times
from schemas.validation import SpecError

Detail: TypeAlias = str | int | float | bool | None

_MAX_ENTRY_BYTES = 64 * 1024
_READERS = 16
_ENTRY_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})/[0-9A-HJKMNP-TV-Z]{26}\.json")


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """`actor` did `action` at `at_us` (microseconds since 1970); `detail` names the object of it."""

    at_us: int
    action: str
    actor: str
    detail: Mapping[str, Detail]

    def document(self) -> dict[str, Any]:
        """The entry as it is stored."""
        return {**self.detail, "at": times.format_time_us(self.at_us), "action": self.action, "actor": self.actor}


@dataclass(frozen=True, slots=True)
class AccessScan:
    """The entries of some days by time, and what is wrong with each unreadable one, by key."""

    entries: tuple[AccessEntry, ...]
    broken: Mapping[str, str]


class AccessLog:
    """Entries `<model>/access/<date>/<ulid>.json`: one object each, written once, never changed."""

    def __init__(self, backend: Backend, model: str) -> None:
        self._backend = backend
        self._prefix = f"{model}/access"

    def record(self, entry: AccessEntry) -> str:
        """Write an entry; returns its key.

        Raises:
            StoreUnavailable: it was not written.
        """
        document = entry.document()
        key = f"{self._prefix}/{document['at'][:10]}/{ULID.from_timestamp(entry.at_us / 1e6)}.json"
        self._backend.create(key, json.dumps(document, ensure_ascii=False).encode())
        return key

    def scan(self, first_day: str | None = None, last_day: str | None = None) -> AccessScan:
        """The entries from `first_day` to `last_day` (`2013-03-01`, inclusive, UTC; None: no limit).

        Objects there that are not entries are reported in `broken`; they never raise.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        after = None if first_day is None else f"{self._prefix}/{first_day}"
        listing = self._backend.scan(self._prefix, after=after)
        keys = [key for key, _ in listing.files]
        wanted = [key for key in keys if last_day is None or key.removeprefix(f"{self._prefix}/")[:10] <= last_day]
        with ThreadPoolExecutor(_READERS) as readers:
            found = list(zip(wanted, readers.map(self._read, wanted), strict=True))
        entries = [entry for _, entry in found if isinstance(entry, AccessEntry)]
        broken = {key: problem for key, problem in found if isinstance(problem, str)}
        broken |= {key: str(odd) for key, odd in listing.odd.items()}
        return AccessScan(tuple(sorted(entries, key=lambda entry: entry.at_us)), broken)

    def _read(self, key: str) -> AccessEntry | str:
        """The entry, or what is wrong with it."""
        name = _ENTRY_NAME.fullmatch(key.removeprefix(f"{self._prefix}/"))
        if not name:
            return "name is not allowed; expected: <date>/<ulid>.json"
        try:
            raw = self._backend.read(key, _MAX_ENTRY_BYTES)
            if raw is None:
                return "absent: it was deleted while it was read"
            return _entry(parse_object(raw), name[1])
        except ObjectTooLarge as error:
            return str(error)
        except SpecError as error:
            return str(error)


def _entry(document: dict[str, Any], day: str) -> AccessEntry:
    for key in ("at", "action", "actor"):
        if not isinstance(document.get(key), str):
            raise SpecError(key, document.get(key), "a string")
    for key, value in document.items():
        if isinstance(value, (dict, list)):
            raise SpecError(key, value, "a string, a number, true, false or null")
    try:
        at_us = times.parse_instant_us(document["at"])
    except ValueError:
        raise SpecError("at", document["at"], times.INSTANT) from None
    if times.format_time_us(at_us)[:10] != day:
        raise SpecError("at", document["at"], f"a time of the day it is filed under, {day}")
    detail = {key: value for key, value in document.items() if key not in ("at", "action", "actor")}
    return AccessEntry(at_us, document["action"], document["actor"], detail)


def entry_of(action: str, actor: str, at_us: int, detail: Mapping[str, Detail]) -> AccessEntry:
    """An entry whose texts hold no secrets."""
    hidden = {key: hide_secrets(value) if isinstance(value, str) else value for key, value in detail.items()}
    return AccessEntry(at_us, action, actor, hidden)
