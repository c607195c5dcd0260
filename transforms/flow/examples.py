"""What a run in one process can show beside its counts: one example of each kind, kept in this process only."""

import threading
from collections.abc import Mapping

_MOST = 200
_CHARACTERS = 300


class _Examples:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], str] = {}

    def keep(self, kind: tuple[str, ...], text: str) -> None:
        with self._lock:
            if len(self._kept) < _MOST:
                self._kept.setdefault(kind, text[:_CHARACTERS])

    def kept(self) -> dict[tuple[str, ...], str]:
        with self._lock:
            return dict(self._kept)

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()


_EXAMPLES = _Examples()


def keep_example(kind: tuple[str, ...], text: str) -> None:
    """Keeps the text unless there is one of its kind already; at most 200 kinds, 300 characters each."""
    _EXAMPLES.keep(kind, text)


def kept_examples() -> Mapping[tuple[str, ...], str]:
    """What was kept in this process since `forget_examples`, by kind."""
    return _EXAMPLES.kept()


def forget_examples() -> None:
    """Forgets all examples: a process may run several jobs."""
    _EXAMPLES.forget()
