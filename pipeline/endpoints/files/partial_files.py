"""Files of a sink while they are written: hidden, named after the process that writes them, and removed with it.

A name is `.<final name>.<machine>.<owner>.partial`, as `models.scratch` names both.
"""

import atexit
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from models import scratch
from pipeline.endpoints.uris import scheme_of
from pipeline.reporting import durable

_SUFFIX = ".partial"
HELD = ".held"


class Leftovers(NamedTuple):
    """Unfinished files in a folder: how many of dead processes were removed, and the names of files that others
    left."""

    removed: int
    elsewhere: Sequence[str]


class _OpenPartials:
    """The unfinished files of this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may run while it is held
        self._ended = False
        self._paths: set[str] = set()
        self._swept: set[str] = set()

    def add(self, path: str) -> None:
        with self._lock:
            if self._ended:  # a thread that still runs while its process ends must leave nothing behind
                raise OSError(f"the process is ending; {path} is not begun")
            self._paths.add(path)

    def forget(self, path: str) -> None:
        with self._lock:
            self._paths.discard(path)

    def end(self) -> list[str]:
        with self._lock:
            self._ended = True
            return list(self._paths)

    def first_look(self, folder: str) -> bool:
        with self._lock:
            new = folder not in self._swept
            self._swept.add(folder)
            return new


_OPEN = _OpenPartials()


def partial_path(folder: str, name: str) -> str:
    """The path to which the file `name` is written until it is complete; it counts as unfinished until `finished`."""
    path = str(FileSystems.join(folder, f".{name}.{scratch.machine()}.{scratch.owner()}{_SUFFIX}"))
    _OPEN.add(path)
    return path


def held_path(folder: str, name: str) -> str:
    """The path of the complete file `name` of a run whose files count only once it is committed."""
    return str(FileSystems.join(folder, f".{name}.{scratch.machine()}.{scratch.owner()}{HELD}"))


def finished(path: str) -> None:
    """The file was renamed or deleted."""
    _OPEN.forget(path)


def _discard_unfinished() -> None:
    paths = _OPEN.end()
    scratch.also_left(path for path in paths if scheme_of(path) == "file")
    for path in paths:
        with suppress(OSError, ValueError):
            durable.delete(path)


def remove_leftovers(folder: str) -> Leftovers:
    """Removes the unfinished files of processes of this machine that have ended; others' are only named.

    A folder that is not there, or cannot be listed, has none.
    """
    here, dead, elsewhere = scratch.machine(), [], []
    for path in _partials(folder):
        machine, owner = _marks(path)
        if machine != here:
            elsewhere.append(path)
        elif not scratch.lives(owner):
            dead.append(path)
    for path in dead:
        with suppress(OSError, ValueError):
            durable.delete(path)
    return Leftovers(len(dead), elsewhere)


def remove_leftovers_once(folder: str) -> None:
    """As `remove_leftovers`, but only at this process's first call for the folder."""
    if _OPEN.first_look(folder):
        remove_leftovers(folder)


def _marks(path: str) -> tuple[str, str]:
    """Machine and owner in the name of an unfinished file; empty where it has none."""
    parts = path.removesuffix(_SUFFIX).rsplit(".", 2)
    return (parts[1], parts[2]) if len(parts) == 3 else ("", "")


def _partials(folder: str) -> list[str]:
    try:
        if scheme_of(folder) == "file":
            return sorted(str(path) for path in Path(folder).iterdir() if _is_partial(path.name))
        found = FileSystems.match([FileSystems.join(folder, f".*{_SUFFIX}")])[0].metadata_list
    except (OSError, ValueError):
        return []
    return sorted(each.path for each in found)


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(_SUFFIX)


# Before the folder is removed whose lock shows that this process lives.
atexit.register(_discard_unfinished)
