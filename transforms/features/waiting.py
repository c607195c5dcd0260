"""Rows that wait in state, in three bags by how soon they are due: only rows that are due are read, not all that wait.

A bag of state can only be read as a whole. With one bag, each step of the watermark would read and rewrite all waiting
rows. Here a row is read a few times while it waits, however many others wait: the near bag holds the few that are due
first, the next bag those after them; the rest of a bag that was read is distributed again.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BAGS = 3
FORMAT_VERSION = 2
# How many rows cost no more to read than the read itself, and the share of a bag that moves to the one before it.
_FEW_ROWS, _SHARE = 4096, 16
_NEVER, _EVER = 2**62, -(2**62)
Ints = npt.NDArray[np.int64]


def ready_times(steps_us: Iterable[int], times_us: Ints) -> Ints:
    """The latest T of each event time over windows with these steps: when all features of the event are complete.

    >>> ready_times([300, 1000], np.array([999, 1000, 1250])).tolist()
    [900, 1000, 1200]
    """
    latest: Ints = np.maximum.reduce([np.floor_divide(times_us, step) * step for step in steps_us])
    return latest


class Waits(NamedTuple):
    """What is known of the bags without reading them; times in microseconds.

    `lows`: when each bag's first row is due; `edges`: up to when rows are for the first bag, and for the second;
    `latest`: when the last row is due.
    """

    lows: tuple[int, ...] = (_NEVER,) * BAGS
    edges: tuple[int, ...] = (_EVER,) * (BAGS - 1)
    latest: int = _EVER

    @property
    def first(self) -> int | None:
        """When the first row is due; None where none waits."""
        return min(self.lows) if self else None

    def __bool__(self) -> bool:
        return min(self.lows) < _NEVER

    def bags_of(self, due_us: Ints) -> Ints:
        """The bag for each row, by when it is due."""
        return np.searchsorted(np.array(self.edges), due_us).astype(np.int64)

    def having(self, due_us: Ints) -> "Waits":
        """The state after rows were added to their bags."""
        bags = self.bags_of(due_us)
        lows = [int(due_us[bags == bag].min(initial=low)) for bag, low in enumerate(self.lows)]
        return Waits(tuple(lows), self.edges, int(due_us.max(initial=self.latest)))

    def due_by(self, time_us: int) -> tuple[int, ...]:
        """The bags that have a row that is due."""
        return tuple(bag for bag, low in enumerate(self.lows) if low <= time_us)

    def without(self, read: tuple[int, ...], left_due_us: Ints) -> "Waits":
        """The state after these bags were read and cleared, and before their remaining rows are added again."""
        lows = tuple(_NEVER if bag in read else low for bag, low in enumerate(self.lows))
        waits = Waits(lows, _edges(self.edges, max(read), left_due_us), self.latest)
        return waits if waits or len(left_due_us) else Waits()


def _edges(edges: tuple[int, ...], last_read: int, due_us: Ints) -> tuple[int, ...]:
    """New edges below the last bag that was read: each bag before it gets a share of that bag's remaining rows."""
    found = list(edges)
    share = len(due_us)
    for bag in reversed(range(last_read)):
        share = max(share // _SHARE, min(_FEW_ROWS, len(due_us)))
        found[bag] = int(np.partition(due_us, share - 1)[share - 1]) if share else _EVER
    return (min(found), *found[1:])
