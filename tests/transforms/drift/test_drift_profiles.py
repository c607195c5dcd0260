"""Finding a profile neither fails nor waits for long, whatever its loader does."""

import threading
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.folders import BundleIncomplete, WrongDigest
from models.profiles import InvalidProfile, Profile, build_profile
from models.store.backends import StoreUnavailable
from schemas.validation import Absent
from transforms.drift.drift_profiles import Found, Profiles

PROFILE = build_profile(pa.record_batch({"score": np.linspace(0, 1, 10)}), ["score"])
KEY = ("v1", "digest of no model")


class Scripted:
    """A loader that gives the next of its answers each time it is asked."""

    def __init__(self, *answers: Callable[[], Profile | None]) -> None:
        self.answers, self.asked = list(answers), 0

    def load(self, version: str, digest: str) -> Profile | None:
        self.asked += 1
        return self.answers.pop(0)()


def raising(error: BaseException) -> Callable[[], Profile | None]:
    def load() -> Profile | None:
        raise error

    return load


def test_profile_is_asked_for_once() -> None:
    loader = Scripted(lambda: PROFILE)
    profiles = Profiles(loader)
    assert [profiles.of(KEY), profiles.of(KEY), loader.asked] == [Found(PROFILE), Found(PROFILE), 1]


OUTAGES = [StoreUnavailable("no answer"), OSError("disk"), TimeoutError(), BundleIncomplete("not there yet"),
           WrongDigest("another bundle")]  # fmt: skip


@pytest.mark.parametrize("error", OUTAGES, ids=[type(error).__name__ for error in OUTAGES])
def test_store_that_is_silent_is_asked_again_after_a_while(error: Exception) -> None:
    now, loader = [0.0], Scripted(raising(error), lambda: PROFILE)
    profiles = Profiles(loader, retry_after_s=30.0, clock=lambda: now[0])
    assert [profiles.of(KEY), profiles.of(KEY), loader.asked] == [Found(None, True), Found(None, True), 1]
    now[0] = 31.0
    assert (profiles.of(KEY), loader.asked) == (Found(PROFILE), 2)


UNREADABLE = [InvalidProfile("profile", Absent("x"), "y"), MemoryError(), SystemExit(1), RecursionError()]  # fmt: skip


@pytest.mark.parametrize("error", UNREADABLE, ids=[type(error).__name__ for error in UNREADABLE])
def test_unreadable_profile_is_asked_for_once(error: BaseException) -> None:
    loader = Scripted(raising(error))
    profiles = Profiles(loader, retry_after_s=0.0)
    assert [profiles.of(KEY), profiles.of(KEY), loader.asked] == [Found(None), Found(None), 1]


def test_store_that_hangs_delays_once_and_is_used_when_it_answers() -> None:
    gate, answered = threading.Event(), threading.Event()

    def load() -> Profile | None:
        gate.wait(60)
        answered.set()
        return PROFILE

    profiles = Profiles(Scripted(load), wait_s=0.05)
    assert [profiles.of(KEY), profiles.of(KEY)] == [Found(None, True)] * 2
    gate.set()
    assert answered.wait(60)
    found = profiles.of(KEY)
    while found.unavailable:  # its thread may not have stored the answer yet
        found = profiles.of(KEY)
    assert found == Found(PROFILE)
