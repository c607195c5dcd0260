"""Which records are of a rollout's step: of windows in which its version served as the step says."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ulid import ULID

from gates.records import QualityRow


class OfWindow(Protocol):
    """A record, or what several say together."""

    @property
    def role(self) -> str: ...
    @property
    def run(self) -> str | None: ...


class StepRecords(NamedTuple):
    """Whose records are of a step: those in its role, of windows that begin when it does or later. Where the step
    before has the same role, its own records do not count again: those of windows up to `known_until_us`, which were
    there when this step was released at `released_us`, are of it only where a later run answered them. Microseconds
    since 1970."""

    role: str
    since_us: int
    known_until_us: int = 0
    released_us: int = 0

    def has(self, one: OfWindow, start_us: int, end_us: int) -> bool:
        """Whether a record of the version, of this window, is of the step."""
        if one.role != self.role or start_us < self.since_us:
            return False
        return end_us > self.known_until_us or _began_us(one.run) >= self.released_us

    def of(self, rows: Sequence[QualityRow], version: str) -> list[QualityRow]:
        """The records of the version in this step."""
        return [row for row in rows if row.version == version and self.has(row, row.window_start, row.window_end)]

    def beside(self, rows: Sequence[QualityRow], version: str, role: str) -> list[QualityRow]:
        """The records of another version, in its role, of windows that begin when the step does or later."""
        return [row for row in rows if (row.version, row.role) == (version, role) and row.window_start >= self.since_us]


def _began_us(run: str | None) -> int:
    """When a run began, by its id, whose time is of milliseconds; -1 where it does not say."""
    try:
        return -1 if run is None else ULID.from_str(run.upper()).milliseconds * 1000 + 999
    except ValueError:
        return -1
