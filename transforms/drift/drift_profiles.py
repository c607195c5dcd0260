"""The reference profiles that drift counts on, found without stopping or holding up what is scored.

The profile of a version that this process has loaded is in memory. Otherwise the loader is asked in a thread of its
own, and the first rows wait a few seconds for it; a profile that it could not give is asked for again later.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from models.bundles.folders import NotTheBundle
from models.daemons import DaemonThreads
from models.errors import StoreError, one_line
from models.profiles import Profile
from models.serving.cache import shared_cache

WAIT_S = 5.0
"""Seconds that rows wait for a profile each time it is asked for."""
RETRY_AFTER_S = 30.0
_LOG = logging.getLogger(__name__)
VersionKey: TypeAlias = tuple[str, str]  # (version, digest)


class ProfileLoader(Protocol):
    """Finds the reference profile of a version. Must pickle; may be called from several threads and workers."""

    def load(self, version: str, digest: str) -> Profile | None:
        """The version's profile, or None where its bundle has none.

        Raises:
            StoreError: the store did not answer; it is asked again later.
            Exception: the profile cannot be read.
        """


class Found(NamedTuple):
    """A version's profile, None where it has none that can be read; `unavailable` where that cannot be said at the
    moment."""

    profile: Profile | None
    unavailable: bool = False


class Profiles:
    """Remembers what was found; bundles are immutable, so a digest's profile never changes. Not thread-safe.

    Args:
        loader: asked for versions that are not loaded in this process.
        wait_s: seconds to wait for an answer.
        retry_after_s: seconds after which a loader that did not answer is asked again.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        loader: ProfileLoader,
        wait_s: float = WAIT_S,
        retry_after_s: float = RETRY_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loader, self._wait_s, self._retry_after_s, self._clock = loader, wait_s, retry_after_s, clock
        self._threads: DaemonThreads[Profile | None] = DaemonThreads(1, "profile", wait_s)
        self._found: dict[VersionKey, Profile | None] = {}
        self._asked: dict[VersionKey, tuple[Future[Profile | None], float]] = {}

    def of(self, key: VersionKey) -> Found:
        """The profile of a version; never raises."""
        if key not in self._found:
            loaded = shared_cache().peek(key[1])
            if loaded is None:
                return self._ask(key)
            self._found[key] = loaded.profile
        return Found(self._found[key])

    def _ask(self, key: VersionKey) -> Found:
        asked, again_at = self._asked.get(key, (None, 0.0))
        if asked is None or (asked.done() and self._clock() >= again_at):
            asked = self._threads.submit(partial(self._loader.load, *key))
            self._asked[key] = asked, self._clock() + self._retry_after_s
            return self._answer(key, asked, self._wait_s)
        return self._answer(key, asked, 0.0)

    def _answer(self, key: VersionKey, asked: "Future[Profile | None]", wait_s: float) -> Found:
        try:
            error = asked.exception(wait_s)
        except TimeoutError:
            error = TimeoutError(f"the store did not answer within {self._wait_s:g} s")
        if error is None:
            self._found[key] = asked.result()
        elif isinstance(error, (StoreError, NotTheBundle, OSError)):  # a TimeoutError is one
            if wait_s:
                said = f"{one_line(error)}; its rows are not in the drift meanwhile"
                _LOG.warning("profile of version %s: %s", key[0], said)
            return Found(None, unavailable=True)
        else:  # whatever reading a bundle's file raises: drift does without the profile
            said = f"{one_line(error)}; no drift is measured of it"
            _LOG.warning("profile of version %s cannot be read: %s", key[0], said)
            self._found[key] = None
        return Found(self._found[key])
