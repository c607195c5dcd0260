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
from models.store.local_files import A_FOLDER, Listing, Odd
from models.strict_json import parse_object
from schemas.validation import Absent, SpecError

_RELEASE_NAME = re.compile(r"([0-9]{8})\.json")
_FREE, _MOST_AHEAD, _LAST = 1_000_000, 1_000, 99_999_999
"""A release's number is at most `_FREE`, or at most `_MOST_AHEAD` beyond the last valid one's. So it takes a
file for each thousand numbers to use them up, and a history may still have holes, or lack its beginning."""
_NO_RELEASE = Odd("a name that no release has", "8 digits and .json, such as 00000007.json")
_MAX_RELEASE_BYTES = 1024 * 1024
_MAX_RELEASE_ATTEMPTS = 1000


class ReleasedMeanwhile(StoreError):
    """Another writer released first: what was decided from earlier releases may not hold any more."""


@dataclass(frozen=True, slots=True)
class ReleaseScan:
    """What one listing found: valid releases, errors of unreadable ones by sequence, the last valid sequence, and what
    is wrong with things that are not entries (by key)."""

    releases: tuple[Release, ...]
    broken: Mapping[int, InvalidRelease]
    last: int
    odd: Mapping[str, Odd]


class ReleaseLog:
    """Entries `<model>/releases/<sequence, 8 digits>.json`.

    The next number is the first free one after the last *valid* release: unreadable entries are skipped, whatever their
    number. An entry whose number is out of reach of the last valid one is unreadable.
    """

    def __init__(self, backend: Backend, model: str, folder: str | None = None) -> None:
        self._backend = backend
        self._model = model
        self._folder = f"{folder or model}/releases"  # a table is released as a model is, below the folder of tables

    def check_folder(self) -> None:
        """Raises `StoreError` where the path of the releases is something other than a folder."""
        problem = None if self._backend.root is None else self._listing(0).odd.get(self._folder)
        if problem is not None:
            raise StoreError(f"{self._backend.url}: {self._folder} is {problem}")

    def append(self, draft: Release, after: int | None = None) -> Release:
        """Append the draft under the next free sequence; if another writer takes it, under the one after it.

        `after`: only right after this release, the last valid one that the writer knows (0: the first).

        Raises:
            InvalidRelease: before anything is written.
            ReleasedMeanwhile: another release follows `after`; nothing is written.
            StoreError: other writers took the sequence every time, or unreadable files take all numbers within reach.
        """
        document = checked_document(draft)
        self.check_folder()
        taken = self._numbers(self._listing(0))
        sequence = last = self._last(taken)
        if after is not None and last != after:
            raise self._meanwhile(last, after)
        for _ in range(_MAX_RELEASE_ATTEMPTS):
            sequence = next(number for number in count(sequence + 1) if number not in taken)
            self._check_reach(sequence, last)
            document["sequence"] = sequence
            written = parse_release(document)
            if self._backend.create(self._key(sequence), json.dumps(document, indent=2, ensure_ascii=False).encode()):
                return written
            if after is not None:
                raise self._meanwhile(sequence, after)
            last = sequence  # of another writer, whose release is as valid as ours
        raise StoreError(
            f"{self._backend.url}: no release of {self._model!r} written: others took its number "
            f"{_MAX_RELEASE_ATTEMPTS} times; next: run it again"
        )

    def _meanwhile(self, last: int, after: int) -> ReleasedMeanwhile:
        found = f"{self._backend.url}: release {last} of {self._model!r} was written meanwhile; nothing was released"
        return ReleasedMeanwhile(f"{found}; expected: release {after} as the last one")

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
        return ReleaseScan(tuple(found), broken, last, self._odd_names(listing))

    def _last(self, numbers: Mapping[int, Odd | None]) -> int:
        """The last valid sequence, 0 without any; usually costs one read."""
        for sequence in sorted(numbers, reverse=True):
            if sequence > _FREE:  # whether it is valid depends on those before it
                return self.scan(0).last
            try:
                return self._valid(sequence, numbers[sequence], 0).sequence
            except InvalidRelease:
                continue
        return 0

    def _listing(self, after: int) -> Listing:
        return self._backend.scan(self._folder, after=self._key(after) if after else None)

    def _numbers(self, listing: Listing) -> dict[int, Odd | None]:
        """The sequences of all objects with a release's name, in order, each with what is wrong with it as a file."""
        things: dict[str, Odd | None] = {key: None for key, _ in listing.files} | listing.odd
        things |= dict.fromkeys(listing.folders, A_FOLDER)
        numbers = {number: odd for key, odd in things.items() if (number := self._number(key)) is not None}
        return {number: numbers[number] for number in sorted(numbers)}

    def _odd_names(self, listing: Listing) -> dict[str, Odd]:
        """What is wrong with each thing in the folder of releases that has no release's name, by its key."""
        local = set(listing.folders)
        odd: dict[str, Odd] = {}
        for key in (*(key for key, _ in listing.files), *listing.folders):
            name, slash, _ = key.removeprefix(f"{self._folder}/").partition("/")
            above = f"{self._folder}/{name}"
            if slash and above not in local:
                odd[f"{above}/"] = A_FOLDER
            elif not slash and self._number(key) is None:
                odd[key] = _NO_RELEASE
        return odd | {key: problem for key, problem in listing.odd.items() if self._number(key) is None}

    def _number(self, key: str) -> int | None:
        name = _RELEASE_NAME.fullmatch(key.removeprefix(f"{self._folder}/"))
        return int(name[1]) if name else None

    def _check_reach(self, sequence: int, last: int) -> None:
        """Raises `StoreError` for a next number that no reader would accept."""
        if sequence > (most := _most_after(last)):
            found = f"the numbers {last + 1} to {most} after the last valid release are taken by files that are none"
            told = "halflife models timeline, which names them, then delete those that cannot be read"
            raise StoreError(f"{self._backend.url}: no release of {self._model!r} written: {found}; next: {told}")

    def _valid(self, sequence: int, odd: Odd | None, last: int) -> Release:
        """The release of this sequence, where the last valid one before it is `last`."""
        if odd is not None:
            raise InvalidRelease("", Absent(odd.found), odd.allowed)
        if sequence > (most := _most_after(last)):
            allowed = f"at most {most}: {_FREE}, or {_MOST_AHEAD} after the last valid release"
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
        return f"{self._folder}/{sequence:08d}.json"


def _most_after(last: int) -> int:
    """The greatest number that a release may have, where the last valid one before it is `last`."""
    return min(max(_FREE, last + _MOST_AHEAD), _LAST)


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
