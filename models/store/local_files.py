"""The regular files below a folder of a local store; whatever else is there is skipped."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from schemas.expectations import wants

_UPLOADING = re.compile(r".*#[0-9]+")  # obstore's name for a file that is being written
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_NOWHERE = "a link that leads nowhere"
_FILE, _FOLDER, _NAME = "a regular file", "a folder", "a name of printable text"


class Odd(NamedTuple):
    """What something in a store is, and what is allowed instead."""

    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.found}; {wants(self.allowed)}"


class Listing(NamedTuple):
    """`files`: (key, bytes), sorted; `odd`: what is wrong with each object that is not a file of a store, by its key;
    `folders`: keys of the folders of a local store, which may be empty; buckets have none."""

    files: list[tuple[str, int]]
    odd: dict[str, Odd]
    folders: tuple[str, ...] = ()

    def beyond(self, after: str) -> "Listing":
        """What has a key greater than this one."""
        files = [(key, size) for key, size in self.files if key > after]
        odd = {key: problem for key, problem in self.odd.items() if key > after}
        return Listing(files, odd, tuple(key for key in self.folders if key > after))


A_FOLDER = Odd("a folder", _FILE)
"""What is wrong with a folder where a file belongs."""


def list_files(root: Path, prefix: str) -> Listing:
    """All files below `root/prefix`, with keys relative to `root` that use `/`.

    Links are followed: to a file always, into a folder once, so that a cycle of links ends.

    Raises:
        OSError: the folder itself cannot be read; one that does not exist is empty.
    """
    top = root / prefix
    if not os.path.lexists(top):
        return Listing([], {})
    if not top.is_dir():
        return Listing([], {prefix: Odd(_kind(top), _FOLDER)})
    walk = _Walk()
    walk.folder(_Folder(top, prefix, frozenset(_inode(root / part) for part in _parts(prefix))))
    while walk.waiting:  # an explicit stack: folders may be nested deeper than calls can be
        below = walk.waiting.pop()
        try:
            walk.folder(below)
        except FileNotFoundError:
            continue  # deleted meanwhile
        except OSError as error:
            walk.odd[below.key] = Odd(_problem(error), _FILE)
    return Listing(sorted(walk.files), walk.odd, tuple(sorted(walk.folders)))


def folders_in(folder: Path) -> tuple[str, ...]:
    """The names of the folders directly in a folder, and of links to such, sorted; none where it does not exist.

    Raises:
        OSError: it cannot be read.
    """
    if not folder.is_dir():
        return ()
    with os.scandir(folder) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.name.isprintable() and _is_folder(entry)))


def is_odd(path: Path) -> bool:
    """Whether the key is something else than a regular file, such as a pipe, whose reading may never end."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return error.errno == errno.ELOOP
    except ValueError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a cyclic link
        return False


def _parts(prefix: str) -> list[str]:
    """The folders that lead to a prefix: `""`, `"late"` for `"late/versions"`."""
    parts = prefix.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts))]


def _inode(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


class _Folder(NamedTuple):
    """A folder to list; `above`: (device, inode) of those that led to it."""

    path: Path
    key: str
    above: frozenset[tuple[int, int]]


class _Walk:
    def __init__(self) -> None:
        self.files: list[tuple[str, int]] = []
        self.odd: dict[str, Odd] = {}
        self.folders: list[str] = []
        self.waiting: list[_Folder] = []
        self._linked: set[tuple[int, int]] = set()

    def folder(self, folder: _Folder) -> None:
        """Add the files of a folder, and add its folders to `waiting`."""
        above = folder.above | {_inode(folder.path)}
        with os.scandir(folder.path) as entries:
            for entry in entries:
                key = f"{folder.key}/{entry.name}" if folder.key else entry.name
                try:
                    self._entry(entry, key, above)
                except FileNotFoundError:
                    if entry.is_symlink():  # otherwise it was deleted meanwhile
                        self.odd[key] = Odd(_NOWHERE, _FILE)
                except OSError as error:
                    self.odd[key] = Odd(_problem(error), _FILE)

    def _entry(self, entry: os.DirEntry[str], key: str, above: frozenset[tuple[int, int]]) -> None:
        if not entry.name.isprintable():
            self.odd[ascii(key)[1:-1]] = Odd("a name that is not allowed", _NAME)
            return
        found = entry.stat()
        if stat.S_ISREG(found.st_mode):
            if not _UPLOADING.fullmatch(entry.name):
                self.files.append((key, found.st_size))
        elif not stat.S_ISDIR(found.st_mode):
            self.odd[key] = Odd(_KINDS.get(stat.S_IFMT(found.st_mode), "no file"), _FILE)
        elif self._is_open(entry, (found.st_dev, found.st_ino), above):
            self.folders.append(key)
            self.waiting.append(_Folder(Path(entry.path), key, above))
        else:
            self.odd[key] = Odd("a link to a folder that is listed already", _FILE)

    def _is_open(self, entry: os.DirEntry[str], inode: tuple[int, int], above: frozenset[tuple[int, int]]) -> bool:
        if not entry.is_symlink():
            return inode not in above
        if inode in above or inode in self._linked:
            return False
        self._linked.add(inode)
        return True


def _kind(path: Path) -> str:
    try:
        mode = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        return _problem(error)
    return _KINDS.get(mode, "a file")


def _problem(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a link in a circle"
    return _NOWHERE if error.errno == errno.ENOENT else f"cannot be read: {error.strerror}"
