"""Failures of the local disk, which may recover, distinguished from faults of a bundle."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import StoreError, one_line
from models.scratch import new_scratch_folder

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Errors that only the names of files cause: these are faults of the bundle, and occur again at every attempt.
_OF_NAMES = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP)
# Libraries in C++ and Java pass on the system's message, not its error number.
_WORDS = ("No space left on device", "Disk quota exceeded")
_MOST_CAUSES = 20


class DiskFailed(StoreError):
    """The local disk did not write or read a file; trying again later may succeed."""


@contextmanager
def local_disk(doing: str) -> Iterator[None]:
    """Treats what the local disk raises while a bundle is written as an outage.

    Raises:
        DiskFailed: naming what was being done.
        OSError: the error is due to the names of the files.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _OF_NAMES:
            raise
        raise DiskFailed(_message(doing, error)) from error


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A new folder among this process's temporary ones, gone afterwards.

    Raises:
        DiskFailed: it cannot be made.
    """
    with local_disk("make a temporary folder"):
        folder = new_scratch_folder(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def full_disk(error: BaseException | None) -> BaseException | None:
    """The error of a full disk among an error and its causes; None where there is none."""
    for _ in range(_MOST_CAUSES):
        if error is None:
            return None
        if (isinstance(error, OSError) and error.errno in _FULL) or any(word in _text(error) for word in _WORDS):
            return error
        error = error.__cause__ or error.__context__
    return None


def disk_failed(doing: str, error: BaseException) -> DiskFailed:
    """The outage that a full disk is."""
    return DiskFailed(_message(doing, error))


def _message(doing: str, error: BaseException) -> str:
    return f"cannot {doing}: {one_line(error)}; next: make room in the temporary folder, or set TMPDIR to another disk"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # as `one_line`
        return ""
