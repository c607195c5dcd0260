"""Servers as processes of their own on free loopback ports, and the environments that they need."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MLSERVER = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1")
KSERVE = ("kserve==0.21.0",)
_START_S = 300.0


class EnvironmentNotMade(Exception):
    """A server cannot be installed here; says why."""


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def answers(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ServerProcess:
    """A server that `start` starts and `kill` kills, over and over, always on the same ports."""

    def __init__(self, command: Sequence[str | Path], ready: Callable[[], bool], folder: Path) -> None:
        self._command, self._ready, self._log = [str(part) for part in command], ready, folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it is ready; raises RuntimeError with the end of its log if it is not."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._log.parent, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        ends_at = time.monotonic() + _START_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > ends_at:
                self.kill()
                raise RuntimeError(f"{self._command[0]} did not start: {self._log.read_text('utf-8')[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """At once, as a machine dies, with what it has started."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):  # it had ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment_of(packages: Sequence[str]) -> Path:
    """The folder of an environment with these packages, made once for all test runs of this user.

    Servers pin libraries otherwise than we do, so they cannot share our environment.

    Raises:
        EnvironmentNotMade: uv or the packages are not to be had.
    """
    folder = Path.home() / ".cache" / "halflife" / packages[0].replace("==", "-")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages)
            (folder / "complete").touch()
    return folder


def _uv(*arguments: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False, timeout=600
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentNotMade(f"uv {arguments[0]}: {error}") from None
    if done.returncode:
        raise EnvironmentNotMade(f"uv {' '.join(arguments[:2])}: {' '.join(done.stderr.split())[-300:]}")
