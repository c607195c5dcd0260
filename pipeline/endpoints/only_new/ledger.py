"""The ledger of a job's runs with `--only_new`: one entry for each run that ended well, beside the scores.

`<sinks.scores>/.only_new/<job>/<sequence, 8 digits>.json`, created on the condition that there is none: of two runs at
once one commits. An entry names the files of its run: from its creation on they are the job's, whatever is killed then.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from models.errors import one_line
from models.store.backends import Backend
from models.strict_json import parse_object
from schemas.errors import UnusableData
from schemas.times import format_time_us, now_us

_FOLDER = ".only_new"
_MOST_BYTES = 64 * 1024 * 1024
_READERS = 16


class BrokenLedger(UnusableData):
    """An entry of the ledger that cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A complete file of a run: its path while it is hidden, and the one that it gets."""

    held: str
    final: str
    record: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one run committed."""

    run: str
    files: tuple[Held, ...]


class Ledger:
    """The entries of one job in the folder of its scores. Raises `StoreError` where it does not answer."""

    def __init__(self, scores: str, job: str) -> None:
        self._backend, self._prefix = Backend(scores), f"{_FOLDER}/{quote(job, safe='')}"
        self.location = f"{self._backend.url}/{self._prefix}"

    def entries(self) -> list[Entry]:
        """All entries in order.

        Raises:
            BrokenLedger: one of them cannot be read.
        """
        keys = [key for key, _ in self._backend.list(self._prefix)]
        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self._read, keys))

    def append(self, sequence: int, entry: Entry, counts: dict[str, Any]) -> bool:
        """Adds the entry of a number; false where another run has added one of that number."""
        document = {
            "run": entry.run,
            "at": format_time_us(now_us()),
            "files": [{"held": each.held, "final": each.final, "record": each.record} for each in entry.files],
            "counts": counts,
        }
        return self._backend.create(f"{self._prefix}/{sequence:08}.json", json.dumps(document, indent=1).encode())

    def _read(self, key: str) -> Entry:
        raw = self._backend.read(key, _MOST_BYTES)
        try:
            document = parse_object(raw or b"")
            files = tuple(Held(each["held"], each["final"], each["record"]) for each in document["files"])
            return Entry(str(document["run"]), files)
        except (ValueError, KeyError, TypeError) as error:
            found = f"{self._backend.url}/{key} cannot be read ({one_line(error)})"
            raise BrokenLedger(f"{found}; expected: what a run with --only_new wrote") from None


def all_files(entries: Sequence[Entry]) -> dict[str, Held]:
    """The files of all entries by the path that they have while they are hidden."""
    return {each.held: each for entry in entries for each in entry.files}
