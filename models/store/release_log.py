"""The releases of a model in its store: append-only, numbered by conditional create (docs/design.md §5)."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from models.errors import StoreError, one_line
from models.releases.release import InvalidRelease, Release, parse_release, release_document
from models.store.backends import Backend, ObjectTooLarge
from models.store.local_files import Listing, Odd
from models.strict_json import parse_object
from schemas.validation import Absent, SpecError

_RELEASE_NAME = re.compile(r"([0-9]{8})\.json")
_MOST_AHEAD = 1_000_000
"""How far a release's number may be ahead of the last valid one's, so that no single file can use up all numbers."""
_MAX_RELEASE_BYTES = 1024 * 1024
_MAX_RELEASE_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class ReleaseScan:
    """What one listing found: valid releases, errors of unreadable ones by sequence, the last valid sequence, and what
    is wrong with things that are no entries (by key)."""

    releases: tuple[Release, ...]
    broken: Mapping[int, InvalidRelease]
    last: int
    odd: Mapping[str, Odd]


class ReleaseLog:
    """Entries `<model>/releases/<sequence, 8 digits>.json`.

    The next number is the first free one after the last *valid* release: unreadable entries are skipped, whatever their
    number.
    """

    def __init__(self, backend: Backend, model: str) -> None:
        self._backend = backend
        self._model = model

    def append(self, draft: Release) -> Release:
        """Append the draft under the next free sequence; if another writer takes it, under the one after it.

        Raises:
            InvalidRelease: before anything is written.
            StoreError: other writers took the sequence every time.
        """
        document = checked_document(draft)
        taken = self._numbers(self._listing(0))
        sequence = self._last(taken)
        for _ in range(_MAX_RELEASE_ATTEMPTS):
            sequence = next(number for number in count(sequence + 1) if number not in taken)
            document["sequence"] = sequence
            written = parse_release(document)
            if self._backend.create(self._key(sequence), json.dumps(document, indent=2, ensure_ascii=False).encode()):
                return written
        raise StoreError(
            f"{self._backend.url}: no release of {self._model!r} written: others won {_MAX_RELEASE_ATTEMPTS} times"
        )

    def stored_at_us(self, sequence: int) -> int | None:
        """When a release was written, by the store's own clock, microseconds since 1970; None if there is none."""
        return self._backend.written_at_us(self._key(sequence))

    def scan(self, after: int, passed_over: Collection[int] = ()) -> ReleaseScan:
        """The releases with a sequence greater than `after`, and what is wrong with each unreadable one.

        `after` is 0 or the sequence of a valid release; those in `passed_over` are not read.
        """
        found: list[Release] = []
        broken: dict[int, InvalidRelease] = {}
        last, listing = after, self._listing(after)
        for sequence, odd in self._numbers(listing).items():
            if sequence in passed_over:
                continue
            try:
                found.append(self._valid(sequence, odd, last))
                last = sequence
            except InvalidRelease as error:
                broken[sequence] = error
        odd_names = {key: problem for key, problem in listing.odd.items() if self._number(key) is None}
        return ReleaseScan(tuple(found), broken, last, odd_names)

    def _last(self, numbers: Mapping[int, Odd | None]) -> int:
        """The last valid sequence, 0 without any; usually costs one read."""
        for sequence in sorted(numbers, reverse=True):
            if sequence > _MOST_AHEAD:  # whether it is valid depends on those before it
                return self.scan(0).last
            try:
                return self._valid(sequence, numbers[sequence], 0).sequence
            except InvalidRelease:
                continue
        return 0

    def _listing(self, after: int) -> Listing:
        return self._backend.scan(f"{self._model}/releases", after=self._key(after) if after else None)

    def _numbers(self, listing: Listing) -> dict[int, Odd | None]:
        """The sequences of all objects with a release's name, in order, each with what is wrong with it as a file."""
        things: dict[str, Odd | None] = {key: None for key, _ in listing.files} | listing.odd
        numbers = {number: odd for key, odd in things.items() if (number := self._number(key)) is not None}
        return {number: numbers[number] for number in sorted(numbers)}

    def _number(self, key: str) -> int | None:
        name = _RELEASE_NAME.fullmatch(key.removeprefix(f"{self._model}/releases/"))
        return int(name[1]) if name else None

    def _valid(self, sequence: int, odd: Odd | None, last: int) -> Release:
        """The release of this sequence, where the last valid one before it is `last`."""
        if odd is not None:
            raise InvalidRelease("", Absent(odd.found), odd.allowed)
        if sequence - last > _MOST_AHEAD:
            allowed = f"at most {last + _MOST_AHEAD}, {_MOST_AHEAD} after the last valid release"
            raise InvalidRelease("sequence", sequence, allowed)
        return self._read(sequence)

    def _read(self, sequence: int) -> Release:
        try:
            document = parse_object(self._backend.read(self._key(sequence), _MAX_RELEASE_BYTES) or b"")
        except ObjectTooLarge as error:
            raise InvalidRelease("", Absent(one_line(error)), f"at most {_MAX_RELEASE_BYTES} bytes") from None
        except SpecError as error:
            raise InvalidRelease(error.path, error.value, error.allowed) from None
        release = parse_release(document)
        if (release.sequence, release.model) != (sequence, self._model):
            raise InvalidRelease("sequence", release.sequence, f"{sequence}, of model {self._model}")
        return release

    def _key(self, sequence: int) -> str:
        return f"{self._model}/releases/{sequence:08d}.json"


def checked_document(draft: Release) -> dict[str, Any]:
    """The JSON form of a release, which is valid.

    Raises:
        InvalidRelease: it is not.
    """
    try:
        document = release_document(draft)
    except OverflowError:
        raise InvalidRelease("effective_from", draft.effective_from_us, "years 1 to 9999 in microseconds") from None
    parse_release(document)
    return document
