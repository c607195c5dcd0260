"""What this process has counted so far: Beam tells a run's counters only when it has ended, and people want to see that
it goes on."""

from collections.abc import Callable, Mapping
from threading import Lock

_LOCK = Lock()
_counts: dict[str, int] = {}
_offsets: dict[str, int] = {}


class Told:
    """Beam's function that adds to a counter, which adds it to the tally too."""

    __slots__ = ("_add", "_name")

    def __init__(self, name: str, add: Callable[[int], None]) -> None:
        self._name, self._add = name, add

    def __call__(self, number: int = 1) -> None:
        self._add(number)
        with _LOCK:
            _counts[self._name] = _counts.get(self._name, 0) + number


def reached(path: str, offset: int) -> None:
    """A file has been read up to that offset."""
    with _LOCK:
        _offsets[path] = offset


def counted() -> Mapping[str, int]:
    """The counters by name, as they are now."""
    with _LOCK:
        return dict(_counts)


def offsets() -> Mapping[str, int]:
    """How far each file that was begun is read."""
    with _LOCK:
        return dict(_offsets)


def forget_tally() -> None:
    """Begins at zero: for the next run in this process."""
    with _LOCK:
        _counts.clear()
        _offsets.clear()
