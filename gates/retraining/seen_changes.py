"""Changes that detectors saw in the errors of a version, from its records of quality (docs/concept-drift.md)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gates.records import QualityRow
from gates.retraining.losses import LossWindow
from gates.windows import CHAMPION

CHANGE = "change_"
"""Before the name of a detector, the metric of its records."""
_DETECTORS = ("page_hinkley", "adwin")  # the first that saw a change counts: it is the rule of level_changes
_ERRORS = {"error", "log_loss", "mae"}


class SeenChange(NamedTuple):
    """A change of the mean error: by which detector, of a version in a role; from when on, `before` and `after`, by `n`
    labelled events since; it was seen in the window from `window_start` to `window_end` (microseconds since 1970)."""

    detector: str
    version: str
    role: str
    began: int
    before: float
    after: float
    n: int
    window_start: int
    window_end: int

    @property
    def rises(self) -> bool:
        """Whether there are more errors, or greater ones, than before."""
        return self.after > self.before


def changes_seen(rows: Iterable[QualityRow]) -> list[SeenChange]:
    """All changes in records of quality, in order of when they began."""
    found = [
        SeenChange(
            row.metric.removeprefix(CHANGE), row.version, row.role, row.began, row.before or 0.0, row.value,
            row.n_since or 0, row.window_start, row.window_end,
        )
        for row in rows
        if row.metric.startswith(CHANGE) and row.began is not None and row.value is not None
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each.began, each.window_start, each.detector, each.version, each.role))


class DetectedStarts(NamedTuple):
    """Where stretches of windows begin, ascending, by a detector, and whether errors rose in its last change."""

    detector: str
    starts: list[int]
    rises: bool | None


def detected_starts(
    rows: Sequence[QualityRow], version: str, metric: str, windows: Sequence[LossWindow]
) -> DetectedStarts | None:
    """Since when the windows of a champion's loss are what they are, by the first detector that saw a change.

    None where none did, or where the loss is another one.
    A window in which a change began is of the time before it.
    """
    own = changes_seen(row for row in rows if row.version == version and row.role == CHAMPION)
    named = next((name for name in _DETECTORS if any(each.detector == name for each in own)), None)
    if named is None or metric not in _ERRORS:
        return None
    seen = [each for each in own if each.detector == named]
    last, starts = len(windows) - 1, dict[int, bool]()
    for change in seen:
        first = next((at for at, each in enumerate(windows) if each.start_us >= change.began), last)
        if first > 0:
            starts[first] = change.rises
    return DetectedStarts(named, sorted(starts), starts[max(starts)] if starts else None)
