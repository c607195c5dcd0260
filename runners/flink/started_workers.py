"""Monitors the workers that a pool has started, so that a task manager that waits for a worker gets one.

Beam's runner waits for ever for a worker that dies before it has connected (apache/beam #20997), and its pool does not
notice. Such a job makes no progress, while Flink reports it as RUNNING.
"""

import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

# After the death of a connected worker its task manager stops listening by itself. That takes a moment.
_PATIENCE_SECONDS = 3.0
# Another program may listen there by now, which never needs a worker.
_TRIES = 10
_CONTROL = "--control_endpoint="


class StartedWorkers:
    """Starts a worker again that has ended while the task manager still listens for it.

    Args:
        folder: where each worker writes a file, named by its process id, with its arguments, one per line.
        program: starts a worker with such arguments, and writes the file.
        say: called with one line about each worker that was started again.
    """

    def __init__(self, folder: Path, program: Path, say: Callable[[str], None]) -> None:
        self._folder, self._program, self._say = folder, program, say
        self._births: dict[Path, str] = {}
        self._missed_at: dict[Path, float] = {}
        self._tries: Counter[tuple[str, ...]] = Counter()
        self._own: list[subprocess.Popen[bytes]] = []

    def look(self) -> None:
        """Checks all of them once."""
        self._own = [process for process in self._own if process.poll() is None]
        for told in self._folder.glob("[0-9]*"):
            born = _born(int(told.name))
            if born is None or self._births.setdefault(told, born) != born:
                self._ended(told)

    def _ended(self, told: Path) -> None:
        given = tuple(told.read_text().splitlines())
        wanted = _listens(given) and self._tries[given] < _TRIES
        if wanted and time.monotonic() - self._missed_at.setdefault(told, time.monotonic()) < _PATIENCE_SECONDS:
            return
        told.unlink()
        self._births.pop(told, None)
        self._missed_at.pop(told, None)
        if wanted:
            self._tries[given] += 1
            self._say(f"worker {told.name} has ended, and its task manager waits for it; starting it again")
            self._own.append(subprocess.Popen([str(self._program), *given], stdin=subprocess.DEVNULL))

    def end(self) -> None:
        """Ends those that were started here; the pool ends its own."""
        for process in self._own:
            process.kill()
            process.wait()


def _born(pid: int) -> str | None:
    """When a process was started, which distinguishes it from a later one with the same id; None when it has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state[0] == "Z" else state[19]


def _listens(given: tuple[str, ...]) -> bool:
    """Whether something accepts connections where the worker must report."""
    (endpoint,) = (word.removeprefix(_CONTROL) for word in given if word.startswith(_CONTROL))
    host, _, port = endpoint.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except TimeoutError:  # a busy machine: it is there
        return True
    except OSError:
        return False
