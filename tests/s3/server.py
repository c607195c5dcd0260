"""A real S3 server for tests: Versity Gateway over a folder, built from source once with Go."""

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

VERSION = "v1.8.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halflife"
ACCESS_KEY, SECRET_KEY = "halflife-access-id", "halflife-secret-value"
_START_SECONDS = 30.0


class NoServer(Exception):
    """The server is not built and cannot be; says why."""


class S3Server(NamedTuple):
    """A running server: its URL, and the folder whose folders are its buckets."""

    endpoint: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes obstore talk to it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def new_bucket(self, name: str) -> str:
        """The URL of a new bucket."""
        (self.folder / name).mkdir()
        return f"s3://{name}"


def server_binary() -> Path:
    """The server's program; built on the first call on a machine, which takes some minutes.

    Raises:
        NoServer: there is no Go to build it with, or it does not build.
    """
    binary = CACHE / "bin" / f"versitygw-{VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "versitygw.lock").open("w") as lock:
        # Test processes run side by side: one builds, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.is_file():
            _build(binary)
    return binary


def _build(binary: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise NoServer(f"an S3 server is needed: put Go on the PATH, or Versity Gateway {VERSION} at {binary}")
    command = [go, "install", f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"]
    environment = os.environ | {"GOBIN": str(binary.parent / "build")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoServer(f"Versity Gateway {VERSION} does not build: {done.stderr.strip().splitlines()[-1:]}")
    (binary.parent / "build" / "versitygw").rename(binary)


@contextmanager
def running_server(folder: Path) -> Iterator[S3Server]:
    """A server on a free port of the loopback interface; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    command = [str(server_binary()), "--port", f"127.0.0.1:{port}", "posix", str(folder)]
    with (folder.parent / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_it_listens(process, port)
            yield S3Server(f"http://127.0.0.1:{port}", folder)
        finally:
            process.terminate()
            process.wait(timeout=_START_SECONDS)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"Versity Gateway did not start ({error}); exit code {process.poll()}") from None
        else:
            return
