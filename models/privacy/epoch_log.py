"""The epochs of a key store: `epochs/<number, 4 digits>.json`, append-only, each with when it begins."""

import itertools
import json
import re
from collections.abc import Callable

from models.errors import StoreError
from models.privacy.identities import FIRST_US, KEY_BYTES, Epoch, Epochs
from models.store.backends import Backend
from models.strict_json import parse_object
from schemas.times import format_time_us
from schemas.validation import SpecError

EPOCHS = "epochs"
_NAME = re.compile(rf"{EPOCHS}/([0-9]{{4}})\.json")
_MOST_BYTES = 4096


class UnusableEpoch(StoreError):
    """An epoch that cannot be read, or may not begin when it is asked to."""


class EpochLog:
    """The epochs. `random` makes bytes that nobody can guess."""

    def __init__(self, backend: Backend, random: Callable[[int], bytes]) -> None:
        self._backend, self._random = backend, random

    def read(self) -> Epochs:
        """All epochs; whoever asks first begins the first one.

        Raises:
            UnusableEpoch: one is damaged, or missing between others.
        """
        found = self._found()
        if not found:
            self._create(1, FIRST_US)
            found = self._found()
        return Epochs(found)

    def begin(self, from_us: int, now_us: int, notice_us: int) -> Epoch:
        """Begin another epoch at an event time that is at least `notice_us` from now: by then all workers know of it,
        and no event of that time was hashed yet.

        Raises:
            UnusableEpoch: the time is before that, or not after the last epoch's.
        """
        last = self.read().all[-1]
        first = max(now_us + notice_us, last.from_us + 1)
        if from_us < first:
            raise UnusableEpoch(f"an epoch from {format_time_us(from_us)}; allowed: {format_time_us(first)} or later")
        if not self._create(last.number + 1, from_us):
            raise UnusableEpoch(
                f"epoch {last.number + 1} was begun by another at this moment; next: look whether its time fits"
            )
        return self.read().all[last.number]

    def _create(self, number: int, from_us: int) -> bool:
        document = {"from_us": from_us, "key": self._random(KEY_BYTES).hex()}
        return self._backend.create(f"{EPOCHS}/{number:04d}.json", json.dumps(document).encode())

    def _found(self) -> list[Epoch]:
        keys = [key for key, _ in self._backend.list(EPOCHS) if _NAME.fullmatch(key)]
        epochs = [self._epoch(key, number) for number, key in enumerate(keys, 1)]
        if any(later.from_us <= earlier.from_us for earlier, later in itertools.pairwise(epochs)):
            raise UnusableEpoch(
                f"{self._backend.url}: {EPOCHS} are not in order; expected: each later than the one before"
            )
        return epochs

    def _epoch(self, key: str, number: int) -> Epoch:
        try:
            document = parse_object(self._backend.read(key, _MOST_BYTES) or b"")
            epoch = Epoch(int(key[-9:-5]), int(document["from_us"]), bytes.fromhex(document["key"]))
        except (SpecError, KeyError, TypeError, ValueError):
            raise UnusableEpoch(
                f"{self._backend.url}: {key} cannot be read; expected: an epoch as it was written"
            ) from None
        if epoch.number != number or len(epoch.key) != KEY_BYTES or (number == 1) != (epoch.from_us == FIRST_US):
            raise UnusableEpoch(
                f"{self._backend.url}: {key} is not epoch {number}; expected: epochs without gaps from 1 on"
            )
        return epoch
