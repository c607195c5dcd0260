"""The Python workers beside a Flink task manager: Beam's worker pool, and a keeper that restarts the pool and the
workers.

    python -m runners.flink.worker_pool --port 50000

A job finds it with `--environment_type=EXTERNAL --environment_config=localhost:50000`. It has no authentication, and
whoever reaches it can run code as its user: it listens on loopback unless `--host` states another address
(docs/security.md).
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Self

from runners.flink.local.processes import LOOPBACK, Process, Server, answers, cannot_listen, members
from runners.flink.started_workers import StartedWorkers
from runners.flink.worker import start_program

_START_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_POOL = "runners.flink.pool_server"


def keep(command: Sequence[str], ended: threading.Event, say: Callable[[str], None], look: Callable[[], None]) -> None:
    """Runs `command`, and again a second after it has ended, until `ended` is set; then ends it.

    Meanwhile it calls `look` every second.
    """
    while not ended.is_set():
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as pool:
            while pool.poll() is None and not ended.wait(_PAUSE_SECONDS):
                look()
            if pool.poll() is None:
                pool.terminate()
        if not ended.wait(_PAUSE_SECONDS):
            say(f"the worker pool ended with {pool.returncode}; starting it again")


class WorkerPool(Server):
    """The pool as a process on loopback, in `folder`; `start` and `stop`, or a `with` block."""

    def __init__(self, folder: Path, host: str = LOOPBACK) -> None:
        super().__init__(folder)
        self.host = host
        self.log = self.folder / "workers.log"

    @property
    def arguments(self) -> list[str]:
        """The options with which a job uses it."""
        return ["--environment_type=EXTERNAL", f"--environment_config={self.host}:{self.port}"]

    def start(self) -> Self:
        """Starts it. Raises `DidNotStart`."""
        command = [sys.executable, "-m", "runners.flink.worker_pool", f"--port={self.port}", f"--host={self.host}"]
        self.process = Process("the worker pool", command, self.log)
        self.process.wait_until(lambda: answers(self.port, self.host), _START_SECONDS)
        return self

    def workers(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [pid for pid, words in self._members() if "runners.flink.worker" in words]

    def kill_workers(self) -> list[int]:
        """`kill -9` of every worker; returns their process ids."""
        found = self.workers()
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return found

    def kill_pool(self) -> list[int]:
        """`kill -9` of Beam's pool, which its keeper starts again; workers continue. Returns its process id."""
        found = [pid for pid, words in self._members() if _POOL in words]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return found

    def _members(self) -> list[tuple[int, list[str]]]:
        """Process id and command line of each process in the group."""
        if self.process is None:
            return []
        found = []
        for folder, _ in members(self.process.pid):
            try:
                found.append((int(folder.name), (folder / "cmdline").read_text().split("\0")))
            except OSError:  # it ended while we looked
                continue
        return found

    def stop(self) -> None:
        """Ends the pool and its workers at once."""
        self.kill()


def main(arguments: Sequence[str] | None = None) -> int:
    """Keeps a pool on a port of this machine until it gets a signal to end."""
    parser = argparse.ArgumentParser(prog="python -m runners.flink.worker_pool", allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True, help="where task managers of this machine find it")
    parser.add_argument("--host", default=LOOPBACK, help="the address on which it listens (default: %(default)s)")
    given = parser.parse_args(arguments)
    if why := cannot_listen(given.host, given.port):
        print(f"--host {given.host}: --port {given.port}: nothing can listen there ({why}); "
              f"expected: an address of this machine and a free port", file=sys.stderr)  # fmt: skip
        return 1
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    def say(text: str) -> None:
        print(f"{given.host}:{given.port}: {text}", file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with TemporaryDirectory(prefix="halflife-worker-") as folder:
        program = start_program(Path(folder), sys.executable)
        command = [sys.executable, "-m", _POOL, f"--address={given.host}:{given.port}", f"--program={program}"]
        workers = StartedWorkers(Path(folder) / "started", program, say)
        keep(command, ended, say, workers.look)
        workers.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
