"""How an output folder is opened: created for a run, or only examined; a test file is written and removed."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from models.errors import one_line
from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.files.partial_files import finished, partial_path
from pipeline.endpoints.uris import beam_path, scheme_of
from pipeline.reporting import durable
from pipeline.spec.remote import check_answers


def make_folder(uri: str, spec_path: str) -> None:
    """Creates the folder unless it exists, and verifies that files can be written. Raises `SinkUnwritable`."""
    folder = beam_path(uri)
    with _unwritable(uri, spec_path):
        check_answers(uri)
        _nearest_folder(uri, spec_path)
        if not FileSystems.exists(folder):
            FileSystems.mkdirs(folder)
        _come_and_go(folder)


def look_at_folder(uri: str, spec_path: str) -> str:
    """The finding about a writable folder, or about the nearest existing one above it; nothing is left behind.

    Raises:
        SinkUnwritable: files cannot be written there.
    """
    with _unwritable(uri, spec_path):
        check_answers(uri)
        nearest = _nearest_folder(uri, spec_path)
        _come_and_go(nearest)
    return f"{uri} can be written" + ("" if nearest == beam_path(uri) else ", and will be created")


@contextmanager
def _unwritable(uri: str, spec_path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # BeamIOError is an OSError
        raise SinkUnwritable(f"{spec_path}: {uri} cannot be written: {one_line(error)}") from None


def _nearest_folder(uri: str, spec_path: str) -> str:
    """The folder, or the nearest existing one above it; only local ones are looked for. Raises `SinkUnwritable` where
    that path is not a folder."""
    if scheme_of(uri) != "file":
        return beam_path(uri)
    folder = Path(beam_path(uri))
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not nearest.is_dir():
        what = "is a file" if nearest.is_file() else "is not a folder"
        which = uri if nearest == folder else f"{uri} cannot be written: {nearest}"
        raise SinkUnwritable(f"{spec_path}: {which} {what}; expected: a folder")
    return str(nearest)


def _come_and_go(folder: str) -> None:
    """Raises `OSError`, `ValueError`: a file cannot be written there, or not deleted; the message names the folder."""
    probe = partial_path(folder, uuid.uuid4().hex)
    try:
        with FileSystems.create(probe) as stream:
            stream.write(b"halflife")  # S3 refuses a multipart upload without bytes
        durable.delete(probe)
        finished(probe)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):  # a full disk accepts the name but not the bytes
            durable.delete(probe)
            finished(probe)
        raise OSError(one_line(error).replace(probe, folder)) from None
