"""When the quality of a window is emitted, and when its answers and labels are dropped.

The first pane is due when the watermark has passed the end of the window and the allowed lateness; then, as labels
come, when an eighth, a quarter, a half and all of the horizon have passed after that. A pane counts the labels that
were known when it was due, whatever else has arrived by then: so panes do not depend on the pace of the runner.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.flow.timers import at_or_after

_EIGHTHS = (0, 1, 2, 4, 8)
PANES = len(_EIGHTHS)
"""The most panes of a window that has labels."""
Ints = npt.NDArray[np.int64]


class Schedule(NamedTuple):
    """Windows, lateness and the horizon of labels, in microseconds; None: there are no labels to wait for, and a window
    has one pane."""

    window_us: int
    lateness_us: int
    horizon_us: int | None

    @property
    def panes(self) -> int:
        """The most panes of a window."""
        return 1 if self.horizon_us is None else PANES

    def window_of(self, times_us: Ints) -> Ints:
        """The start of the window of each time."""
        found: Ints = np.floor_divide(times_us, self.window_us) * self.window_us
        return found

    def due_us(self, start_us: int, pane: int) -> int:
        """When a pane of the window that begins then is due: a whole millisecond.

        >>> schedule = Schedule(window_us=86_400_000_000, lateness_us=0, horizon_us=8_000_000)
        >>> [schedule.due_us(0, pane) - 86_400_000_000 for pane in range(PANES)]
        [0, 1000000, 2000000, 4000000, 8000000]
        """
        after = 0 if self.horizon_us is None else self.horizon_us * _EIGHTHS[pane] // 8
        return int(at_or_after(start_us + self.window_us + self.lateness_us + after).micros)

    def closes_us(self, start_us: int) -> int:
        """From when on answers of a window are too late to be counted: its first pane."""
        return self.due_us(start_us, 0)

    def panes_due(self, start_us: int, reached_us: int, first: int) -> list[int]:
        """The panes of a window, from `first` on, that are due once the watermark has reached a time."""
        return [pane for pane in range(first, self.panes) if self.due_us(start_us, pane) <= reached_us]
