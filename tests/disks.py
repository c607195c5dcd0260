"""Small disks that tests may fill: real file systems of their own, where this machine lets us mount them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of this many bytes at `folder`; where it cannot be made, `missing` says why."""

    def __init__(self, folder: Path, missing: str = "") -> None:
        self.folder = folder
        self._missing = missing
        self._filler = folder / "filler"

    def fill(self, but: int = 0) -> None:
        """Fills the disk to the last page, except for so many bytes (a multiple of 4096).

        Skips the test, saying why, where the folder is not a disk of its own.
        """
        if self._missing:
            pytest.skip(f"no small disk: {self._missing}")
        free = os.statvfs(self.folder)
        with self._filler.open("xb", buffering=0) as stream:
            os.posix_fallocate(stream.fileno(), 0, free.f_bavail * free.f_frsize - but)

    def make_room(self) -> None:
        """Frees the space that `fill` took."""
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A file system in memory, mounted at a new folder; only the folder where this user may not mount one."""
    folder.mkdir()
    missing = _mounted(folder, megabytes)
    try:
        yield SmallDisk(folder, missing)
    finally:
        if not missing:  # lazily: a worker that is ending may still have a file open
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mounted(folder: Path, megabytes: int) -> str:
    """What went wrong; empty where it is mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return " ".join(done.stderr.split()) or "mount failed" if done.returncode else ""
