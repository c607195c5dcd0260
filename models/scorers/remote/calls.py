"""Calls to one server: bounded in number, retried after a pause where that can help, not made while it is down."""

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from models.scorers.base import WillNotLoad
from models.scorers.remote.circuit import Circuit
from models.scorers.remote.failures import CallFailed, ServerUnavailable

if TYPE_CHECKING:
    import tenacity

CONCURRENCY = "HALFLIFE_REMOTE_CONCURRENCY"
_DEFAULT_CONCURRENCY = 16
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and randomness, as arguments: monotonic seconds, a pause in seconds, a number in [0, 1)."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


class Calls:
    """Sends requests to one server. Thread-safe.

    A request is retried as its failure allows (`CallFailed.attempts`), never past the deadline, after the pause that
    the server asked for or one that doubles from 0.1 to 5 seconds, half of it random. A request that is given up counts
    in the circuit: so a short outage is waited out, and no calls are made during a long one.

    Args:
        circuit: of this server.
        slots: bounds the requests under way at once, for all versions on the server.
        timeout_s: for one attempt.
        deadline_s: for one request with all its attempts and pauses.
        pace: clock, sleep and randomness.
    """

    def __init__(
        self, circuit: Circuit, slots: threading.Semaphore, timeout_s: float, deadline_s: float, pace: Pace
    ) -> None:
        self._circuit = circuit
        self._slots = slots
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._pace = pace

    def send(self, attempt: Callable[[float], Answer], once: bool = False) -> Answer:
        """The answer of `attempt(timeout_s)`.

        Args:
            attempt: sends the request; raises CallFailed.
            once: no second attempt.

        Raises:
            CallFailed: the last attempt's, or CircuitOpen.
        """
        trying = self._circuit.enter(self._deadline_s)
        try:
            answer = self._attempts(attempt, once or trying)
        except CallFailed as failure:
            if failure.alive:
                self._circuit.succeeded()
            elif failure.counts or trying:
                self._circuit.failed()
            else:
                self._circuit.abandoned()
            raise
        except BaseException:
            self._circuit.abandoned()
            raise
        self._circuit.succeeded()
        return answer

    def broke(self) -> None:
        """Count a failure that only shows over several requests, such as one that every record causes."""
        self._circuit.failed()

    def _attempts(self, attempt: Callable[[float], Answer], once: bool) -> Answer:
        import tenacity

        ends_at = self._pace.clock() + self._deadline_s

        def give_up(state: "tenacity.RetryCallState") -> bool:
            failure = _failure(state)
            return (
                once or state.attempt_number >= failure.attempts or self._pace.clock() + state.upcoming_sleep >= ends_at
            )

        retrying = tenacity.Retrying(
            sleep=self._pace.sleep,
            wait=self._pause,
            stop=give_up,
            retry=tenacity.retry_if_exception_type(CallFailed),
            reraise=True,
        )
        return retrying(lambda: self._within_bound(attempt, ends_at))

    def _pause(self, state: "tenacity.RetryCallState") -> float:
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(state.attempt_number - 1, 30))
        pause = longest * (0.5 + 0.5 * self._pace.chance())
        return max(pause, _failure(state).retry_after_s or 0.0)

    def _within_bound(self, attempt: Callable[[float], Answer], ends_at: float) -> Answer:
        remaining = ends_at - self._pace.clock()
        if not self._slots.acquire(timeout=max(remaining, 0.001)):
            raise ServerUnavailable(f"no request of this process ended; allowed: at most {self._deadline_s:g} s")
        try:
            remaining = ends_at - self._pace.clock()
            return attempt(max(min(self._timeout_s, remaining), 0.001))
        finally:
            self._slots.release()


def _failure(state: "tenacity.RetryCallState") -> CallFailed:
    raised = None if state.outcome is None else state.outcome.exception()
    if not isinstance(raised, CallFailed):
        raise TypeError(f"{raised!r} is not retried; expected: CallFailed")
    return raised


_SLOTS: dict[str, threading.Semaphore] = {}
_LOCK = threading.Lock()


def slots_at(server: str, environ: Mapping[str, str] = os.environ) -> threading.Semaphore:
    """The one semaphore of this process for a server; its size is the operator's HALFLIFE_REMOTE_CONCURRENCY.

    Raises:
        WillNotLoad: the variable is not a whole number from 1 to 1024.
    """
    text = environ.get(CONCURRENCY, str(_DEFAULT_CONCURRENCY))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1024):
        raise WillNotLoad(f"{CONCURRENCY} is {text!r}; allowed: a whole number from 1 to 1024")
    with _LOCK:
        return _SLOTS.setdefault(server, threading.Semaphore(int(text)))
