"""A circuit: a server that failed several times in a row is left alone for a while, then tried once.

The published breakers do not fit: pybreaker 1.4 holds its lock while it calls, which would send requests one
after another, circuitbreaker 2.1 lets every thread try at once when it half-opens, and neither accepts a clock as an
argument.
"""

import threading
from collections.abc import Callable

from models.scorers.remote.failures import CircuitOpen


class Circuit:
    """Closed, open, or half-open while one call tries the server. Thread-safe.

    Args:
        name: of the server, for the message.
        failures: calls that must fail in a row to open it.
        open_s: seconds for which it stays open.
        clock: monotonic seconds.
    """

    def __init__(self, name: str, failures: int, open_s: float, clock: Callable[[], float]) -> None:
        self._name = name
        self._failures = failures
        self._open_s = open_s
        self._clock = clock
        self._lock = threading.Condition()
        self._failed = 0
        self._opened_at: float | None = None
        self._trying = False

    @property
    def closed(self) -> bool:
        """Whether calls pass freely."""
        return self._opened_at is None

    def enter(self, patience_s: float = 0.0) -> bool:
        """Ask to make a call, which must end in `succeeded`, `failed` or `abandoned`.

        Args:
            patience_s: how long to wait for another call that is trying the server now, so that the requests
                beside it do not fail when it succeeds.

        Returns:
            Whether this call is the one that tries an open circuit.

        Raises:
            CircuitOpen: no call may be made now.
        """
        with self._lock:
            self._lock.wait_for(lambda: not self._trying, patience_s)
            if self._opened_at is None:
                return False
            remaining = self._opened_at + self._open_s - self._clock()
            if remaining > 0 or self._trying:
                again = f"tried again in {remaining:.1f} s" if remaining > 0 else "being tried now"
                raise CircuitOpen(f"{self._name} failed {self._failed} times in a row; it is {again}")
            self._trying = True
            return True

    def succeeded(self) -> None:
        """The server answered: the circuit closes."""
        with self._lock:
            self._failed, self._opened_at, self._trying = 0, None, False
            self._lock.notify_all()

    def failed(self) -> None:
        """The server did not answer: the circuit opens after enough failures, and again at once if this was the try."""
        with self._lock:
            self._failed += 1
            if self._trying or (self._opened_at is None and self._failed >= self._failures):
                self._opened_at = self._clock()
            self._trying = False
            self._lock.notify_all()

    def abandoned(self) -> None:
        """The call ended without a result that concerns the server."""
        with self._lock:
            self._trying = False
            self._lock.notify_all()
