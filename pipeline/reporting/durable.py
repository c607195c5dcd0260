"""Files that are complete or absent, even after a power cut: they are synced before they get their name."""

import io
import os
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from apache_beam.io.filesystems import FileSystems


def sync(stream: IO[bytes]) -> None:
    """Syncs a local file to disk; an object in a bucket is durable when it is closed."""
    stream.flush()
    if isinstance(getattr(stream, "raw", None), io.FileIO):
        os.fsync(stream.fileno())


def rename(path: str, final: str) -> None:
    """Gives a closed file of any Beam file system its name. Raises `OSError`."""
    FileSystems.rename([path], [final])
    if _is_local(final):
        _sync_folder(os.path.dirname(final))


def delete(path: str) -> None:
    """Deletes the file of exactly this name: Beam would read brackets in it as a pattern. Raises `OSError`."""
    if _is_local(path):
        os.remove(path)
    else:
        FileSystems.delete([path])


def write_text(path: str, text: str) -> None:
    """Replaces a local file as a whole; devices and pipes are written as they are.

    Raises:
        OSError: it cannot be written; the former file is unchanged.
    """
    if _is_device(path):
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(text)
        return
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    _sync_folder(str(target.parent))


def check_text(path: str) -> None:
    """Whether `write_text` can write there; leaves nothing behind. Raises `OSError`."""
    if _is_device(path):
        return
    target = Path(os.path.realpath(path))
    if not target.exists() or stat.S_ISREG(target.stat().st_mode):
        probe = target.with_name(f".halflife-{secrets.token_hex(4)}.partial")
        probe.touch(exist_ok=False)
        probe.unlink()
    elif target.is_dir():
        raise IsADirectoryError(21, "Is a directory", path)


def _is_device(path: str) -> bool:
    """Whether something other than a file is there, or an open file of this process (`/dev/stdout`, `/dev/fd/63`): the
    link of a pipe leads to no name, and that of a file to one that others write to."""
    is_open = os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    return os.path.exists(path) and not os.path.isdir(path) and (is_open or not os.path.isfile(path))


def _is_local(path: str) -> bool:
    return "://" not in path


def _sync_folder(folder: str) -> None:
    """Syncs the folder, which holds the file's name; some file systems cannot sync folders."""
    with suppress(OSError):
        handle = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
