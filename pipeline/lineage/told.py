"""What is told of a run."""

from collections.abc import Mapping
from typing import NamedTuple


class LineageEvent(NamedTuple):
    """What became of a run: START, RUNNING, COMPLETE, FAIL or ABORT, when (microseconds since 1970), the error of a
    failure, and of a run that ended how many scores each version gave."""

    what: str
    at_us: int
    error: str = ""
    scores: Mapping[str, int] | None = None
