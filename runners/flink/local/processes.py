"""Server processes on loopback: started in process groups of their own, waited for, logged to files, and reliably
ended."""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from runners.flink.logged import reason

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.1
_STOP_SECONDS = 20.0
# Reads until the starting process has ended, however it ended, and then ends the server's process group.
_WARDEN = 'read -r _; kill -s KILL -- "-$0" 2>/dev/null'


class DidNotStart(RuntimeError):
    """A server ended or did not answer in time; the message has the last line it logged and where the log is."""


def free_port() -> int:
    """A TCP port on loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections on a port, of loopback unless another address is given."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def cannot_listen(host: str, port: int) -> str:
    """Why nothing can listen on this address; empty where it can."""
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def members(group: int) -> Iterator[tuple[Path, list[str]]]:
    """Each live process of a group: its folder in /proc, and the fields of its `stat` from the state on."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        if int(words[2]) == group and words[0] != "Z":
            yield folder, words


class Process:
    """One server. It ends with `stop`, with `kill`, or when the process that started it ends."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | dict(environment or {}),
                start_new_session=True,
            )
        warden = ["sh", "-c", _WARDEN, str(self.pid)]
        self._warden = subprocess.Popen(warden, stdin=subprocess.PIPE, start_new_session=True)

    @property
    def pid(self) -> int:
        """The process id, which is its group's too."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ends_within(self, seconds: float) -> bool:
        """Waits this long for it to end by itself; returns whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> "Process":
        """Returns once `ready` holds. Raises `DidNotStart` when the process ends before, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.runs:
                raise DidNotStart(f"{self.name} ended with {self._process.returncode}: {self._said()}")
            if time.monotonic() > deadline:
                self.kill()
                raise DidNotStart(f"{self.name} was not ready; expected: within {seconds:.0f} s: {self._said()}")
            time.sleep(_POLL_SECONDS)
        return self

    def _said(self) -> str:
        return f"{reason(self.log.read_text('utf-8', 'replace')) or 'nothing logged'} (log: {self.log})"

    def stop(self) -> None:
        """Asks it to end, and kills it when it does not."""
        self._end(signal.SIGTERM, _STOP_SECONDS)

    def kill(self) -> None:
        """Ends it at once, as a machine's failure would."""
        self._end(signal.SIGKILL, _STOP_SECONDS)

    def _end(self, how: signal.Signals, seconds: float) -> None:
        if self.runs:
            os.killpg(self.pid, how)
            if not self.ends_within(seconds):
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()
        if any(members(self.pid)):  # it has ended, but others of its group have not
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        if self._warden.poll() is None:  # the group is gone; its number may soon be reused
            self._warden.kill()
            self._warden.communicate()


class Server(ABC):
    """A server that is one process, with its data in `folder`; `start` and `stop`, or a `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.port = free_port()
        self.process: Process | None = None

    @abstractmethod
    def start(self) -> Self:
        """Starts it and returns when it answers. Raises `DidNotStart`."""

    def stop(self) -> None:
        """Ends the server."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def kill(self) -> None:
        """`kill -9`; `start` brings it back at the same address, with its data if it keeps any."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()
