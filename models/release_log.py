"""The releases of a model in its store: append-only, numbered by conditional create (DESIGN §5)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.backends import Backend, ObjectTooLarge
from models.errors import StoreError, one_line
from models.releases import InvalidRelease, Release, parse_release, release_document
from models.strict_json import parse_object
from schemas.validation import Absent, SpecError

_RELEASE_NAME = re.compile(r"(\d{8})\.json")
_MAX_RELEASE_BYTES = 1024 * 1024
_MAX_RELEASE_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class ReleaseScan:
    """What one listing found: valid releases, errors of unreadable ones by sequence, the last sequence."""

    releases: tuple[Release, ...]
    broken: Mapping[int, InvalidRelease]
    last: int


class ReleaseLog:
    """Entries `<model>/releases/<sequence, 8 digits>.json`."""

    def __init__(self, backend: Backend, model: str) -> None:
        self._backend = backend
        self._model = model

    def append(self, draft: Release) -> Release:
        """The draft under the next free sequence; if another writer takes that, the one after it.

        Raises:
            InvalidRelease: before anything is written.
            StoreError: others won every time.
        """
        document = checked_document(draft)
        last = 0
        for _ in range(_MAX_RELEASE_ATTEMPTS):
            last = max(self._sequences(after=last), default=last)
            document["sequence"] = last + 1
            raw = json.dumps(document, indent=2, ensure_ascii=False).encode()
            if self._backend.create(self._key(last + 1), raw):
                return parse_release(document)
        raise StoreError(
            f"{self._backend.url}: no release of {self._model!r} written: others won {_MAX_RELEASE_ATTEMPTS} times"
        )

    def scan(self, after: int) -> ReleaseScan:
        """The releases with a sequence greater than `after`, and what is wrong with each unreadable one."""
        found: list[Release] = []
        broken: dict[int, InvalidRelease] = {}
        last = after
        for sequence in self._sequences(after):
            try:
                found.append(self._read(sequence))
            except InvalidRelease as error:
                broken[sequence] = error
            last = sequence
        return ReleaseScan(tuple(found), broken, last)

    def _sequences(self, after: int) -> list[int]:
        keys = self._backend.list(f"{self._model}/releases", after=self._key(after))
        names = (_RELEASE_NAME.fullmatch(key.rpartition("/")[2]) for key, _ in keys)
        return [int(name[1]) for name in names if name]

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
    """The JSON form of a release that says nothing that is not allowed.

    Raises:
        InvalidRelease: it does.
    """
    try:
        document = release_document(draft)
    except OverflowError:
        raise InvalidRelease("effective_from", draft.effective_from_us, "years 1 to 9999 in microseconds") from None
    parse_release(document)
    return document
