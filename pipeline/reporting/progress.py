"""How far a bounded run has come: one line that is written again and again on a terminal; elsewhere nothing, or a line
every 10 seconds where logs are wanted."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pipeline.reporting import log_form
from pipeline.reporting.printer import has_people, log_document, note, on_message, shown
from transforms.flow import metrics, tally

_REDRAWN_S, _LOGGED_S = 0.5, 10.0
_COLUMNS = 80
_ERASE = "\r\x1b[K"  # ECMA-48: to the end of the line


class HowFar(NamedTuple):
    """The counts of a run so far, None where the workers are other processes. `share`: of the input's bytes that are
    read, 0 to 1; None where their number is not known. `release`: the sequence that answered last; None before any did.
    """

    seconds: float
    share: float | None
    events: int | None
    scored: int | None
    dead_letters: int | None
    release: int | None

    @property
    def rate(self) -> float | None:
        """Events per second."""
        if self.events is None:
            return None
        return self.events / self.seconds if self.seconds > 0 else 0.0

    def line(self) -> str:
        """For people.

        >>> HowFar(2.0, 0.5, 4000, 1200, 3, 2).line()
        '50% read, 4,000 events, 2,000/s, 1,200 scored, release 2, 3 dead letters, 2 s'
        >>> HowFar(40.0, None, None, None, None, None).line()
        'running, 40 s (counted in other processes: counts come at the end)'
        """
        if self.events is None:
            return f"running, {self.seconds:.0f} s (counted in other processes: counts come at the end)"
        parts = [
            "" if self.share is None else f"{self.share:.0%} read",
            f"{self.events:,} events",
            f"{self.rate or 0:,.0f}/s",
            f"{self.scored:,} scored" if self.scored else "",
            "" if self.release is None else f"release {self.release}",
            f"{self.dead_letters:,} dead letters" if self.dead_letters else "",
            f"{self.seconds:.0f} s",
        ]
        return ", ".join(filter(None, parts))


class _Watched:
    """Reads the tally again and again; keeps what changed since the last look."""

    def __init__(self, paths: Sequence[str], counted: bool) -> None:
        self._counted = counted
        self._began = time.monotonic()
        self._sizes = _sizes(paths)
        self._before: Mapping[str, int] = {}
        self._release: int | None = None

    def look(self) -> HowFar:
        if not self._counted:
            return HowFar(time.monotonic() - self._began, None, None, None, None, None)
        counts = tally.counted()
        answered = metrics.by_rest(metrics.RELEASE_PREFIX, counts)
        moved = [int(one) for one, n in answered.items() if n != self._before.get(one)]
        self._release, self._before = max(moved, default=self._release), answered
        letters = sum(n for name, n in counts.items() if name.startswith(metrics.DEAD_LETTERS_PREFIX))
        events, scored = counts.get(metrics.EVENTS_DECODED, 0), counts.get(metrics.EVENTS_SCORED, 0)
        return HowFar(time.monotonic() - self._began, self._share(), events, scored, letters, self._release)

    def _share(self) -> float | None:
        if not self._sizes:
            return None
        read = sum(min(offset, self._sizes.get(path, 0)) for path, offset in tally.offsets().items())
        return read / max(sum(self._sizes.values()), 1)


def _sizes(paths: Sequence[str]) -> dict[str, int]:
    """The bytes of each file; empty where one is elsewhere than on this machine."""
    try:
        return {path: os.stat(path).st_size for path in paths}
    except OSError:
        return {}


@contextmanager
def progress_shown(
    paths: Sequence[str] = (), live: bool = True, every_s: float | None = None, counted: bool = True
) -> Iterator[None]:
    """Shows how far the run in the block has come. `paths`: of the files that it reads; `live`: whether a terminal's
    line may be written again; `every_s`: other than the usual; `counted`: whether this process knows the counts."""
    tally.forget_tally()
    show = _logged if log_form.wanted() else _redrawn if live and has_people() else None
    if show is None:
        yield
        return
    watched, ended = _Watched(paths, counted), threading.Event()
    pause = every_s or (_LOGGED_S if show is _logged else _REDRAWN_S)

    def work() -> None:
        if show is _redrawn:
            show(watched.look())
        while not ended.wait(pause):
            show(watched.look())

    thread = threading.Thread(target=work, name="progress", daemon=True)
    with on_message(_erase if show is _redrawn else None):
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            if show is _redrawn:
                _erase()


def _logged(now: HowFar) -> None:
    if log_form.as_json():
        rate = None if now.rate is None else round(now.rate, 1)
        counts = {**now._asdict(), "seconds": round(now.seconds, 1), "rate": rate}
        log_document("info", now.line(), progress=counts)
    else:
        note(now.line())


def _redrawn(now: HowFar) -> None:
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS  # some do not know their width
    except (OSError, ValueError):
        columns = _COLUMNS
    sys.stderr.write(_ERASE + shown(now.line())[: columns - 1])
    sys.stderr.flush()


def _erase() -> None:
    sys.stderr.write(_ERASE)
    sys.stderr.flush()
