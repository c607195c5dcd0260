"""What reasons may cost: a share of the CPU time of a worker's other work, measured, not estimated."""

import threading
import time
from collections.abc import Callable
from functools import lru_cache

_FIRST_ROWS = 16
"""How many rows are explained to learn what a row costs."""
_START_S = 2.0
"""What the start of a worker counts as other work, in seconds: it takes more, and without it nothing of the first
batch, which is all of a short job, could be explained."""


class CpuBudget:
    """Of one job in one process: `spent` stays below `share` of the process's other CPU time, save by one piece of work
    that cost more than was known. Thread-safe.

    Args:
        share: CPU time of explaining as a share of that of all else since the budget was made.
        clock: seconds of CPU time of the whole process.
        start_s: what other work counts as done before, in seconds.
    """

    def __init__(
        self, share: float, clock: Callable[[], float] = time.process_time, start_s: float = _START_S
    ) -> None:
        self._share, self._clock = share, clock
        self._began = clock() - start_s
        self._lock = threading.Lock()
        self._costs: dict[str, float] = {}
        self._unmeasured = 0.0
        self.spent = 0.0

    def rows(self, digest: str, wanted: int) -> int:
        """How many of the wanted rows of a version may be explained now."""
        with self._lock:
            others = max(self._clock() - self._began - self.spent - self._unmeasured, 0.0)
            left = self._share * others - self.spent
            cost = self._costs.get(digest)
        if left <= 0:
            return 0
        return min(wanted, _FIRST_ROWS if cost is None else int(left / cost))

    def spend(self, digest: str, rows: int, seconds: float) -> None:
        """Explaining rows of a version took this CPU time; of the latest times the average is kept."""
        with self._lock:
            self.spent += seconds
            cost, before = seconds / rows, self._costs.get(digest)
            self._costs[digest] = max(cost if before is None else (3 * before + cost) / 4, 1e-9)

    def leave_out(self, seconds: float) -> None:
        """CPU time that counts neither as explaining nor as other work: preparing to explain, once for each version."""
        with self._lock:
            self._unmeasured += seconds


@lru_cache(maxsize=64)
def budget_of(job: str, share: float) -> CpuBudget:
    """The budget of a job in this process, made when it is first asked for."""
    return CpuBudget(share)
