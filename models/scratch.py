"""Temporary folders of this process, below one that is locked while the process lives, so that the remains of a killed
process are recognised.

The lock is held on the folder itself (`flock`), so it ends with its process however that ends, and cleaners of
temporary folders that honour such locks leave it alone.
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PREFIX = "halflife-of-"
_UNNAMED = ".halflife-of-"
_UNNAMED_SECONDS = 60.0


class _Root:
    """This process's own folder, made when the first thing is put into it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may run while it is held
        self._folder: Path | None = None
        self._pid = 0
        self._ended = False
        self._left: Path | None = None
        self.parent: Path | None = None
        self.elsewhere: list[str] = []

    def folder(self) -> Path:
        with self._lock:
            if self._ended:  # a thread that still runs while its process ends must leave nothing behind
                raise OSError("the process is ending; nothing more is put into its temporary folder")
            if self._folder is None or self._pid != os.getpid():  # a fork shares its parent's lock and must not end it
                self._folder, self._pid = _made(), os.getpid()
            return self._folder

    def end(self) -> None:
        with self._lock:
            folder, self._folder, self._ended = self._folder, None, True
        if folder is not None and self._pid == os.getpid():
            self._left = folder
            gone = _gone(folder)
            with suppress(OSError):
                folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def left_behind(self) -> list[str]:
        own = [] if self._left is None else [str(self._left), str(_gone(self._left))]
        return own + self.elsewhere


def _gone(folder: Path) -> Path:
    """The name to which a folder is moved at the end, so that a thread that still writes does not find it under the old
    name."""
    return folder.with_name(f"{folder.name}-ended")


def owner() -> str:
    """The name of this process's folder; it also marks what this process leaves elsewhere, such as unfinished files."""
    return _ROOT.folder().name


def machine() -> str:
    """A name of the folder that holds temporary folders, 16 hex digits: processes of one name see each other's locks.

    Made of the machine's boot and the location of the folder of temporary folders: a host's name would not distinguish
    containers. It changes when the machine is restarted.
    """
    parent = _temporary_root().stat()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        boot = socket.gethostname()
    return hashlib.sha256(f"{boot} {parent.st_dev} {parent.st_ino}".encode()).hexdigest()[:16]


def lives(name: str) -> bool:
    """Whether the process with this `owner()` on this `machine()` lives."""
    folder = _temporary_root() / name
    return name.startswith(_PREFIX) and folder.is_dir() and not _abandoned(folder)


def new_scratch_folder(name: str) -> Path:
    """An empty folder that its owner removes; it is removed with the process at the latest. Raises `OSError`."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_ROOT.folder()))


def keep_all_here() -> None:
    """From now on the temporary files of every library in this process are made below its own folder, and removed with
    it."""
    parent, folder = _temporary_root(), _ROOT.folder()
    _ROOT.parent, tempfile.tempdir = parent, str(folder)


def also_left(paths: Iterable[str]) -> None:
    """Local files elsewhere that were removed at this process's end, and that a thread may make again."""
    _ROOT.elsewhere.extend(paths)


def left_behind() -> list[str]:
    """What a thread may have made again since this process's folder and files were removed at its end."""
    return _ROOT.left_behind()


def remove_abandoned() -> int:
    """Removes the folders of processes on this machine that have ended without doing so; returns how many."""
    parent = _temporary_root()
    found = [path for path in parent.glob(f"{_PREFIX}*") if path.is_dir() and _abandoned(path)]
    # A folder that was made and never renamed; for a moment each has no lock.
    found += [path for path in parent.glob(f"{_UNNAMED}*") if _older(path) and _abandoned(path)]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def _made() -> Path:
    """A new folder of this process, locked before it gets the name that others look for."""
    remove_abandoned()
    unnamed = Path(tempfile.mkdtemp(prefix=_UNNAMED, dir=_temporary_root()))
    fcntl.flock(os.open(unnamed, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)  # open until the process ends
    return unnamed.rename(unnamed.with_name(f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:12]}"))


def _temporary_root() -> Path:
    """The folder that holds the temporary folders of all processes."""
    return _ROOT.parent or Path(tempfile.gettempdir())


def _older(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _UNNAMED_SECONDS
    except OSError:  # it has been renamed meanwhile
        return False


def _abandoned(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # it was removed, or is another user's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


_ROOT = _Root()
atexit.register(_ROOT.end)
