"""How an output folder is opened: created for a run, or only examined; a test file is written and removed."""

import uuid
from contextlib import suppress
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
    folder = _folder(uri, spec_path)
    try:
        check_answers(uri)
        if not FileSystems.exists(folder):
            FileSystems.mkdirs(folder)
        _come_and_go(folder)
    except (OSError, ValueError) as error:  # BeamIOError is an OSError
        raise SinkUnwritable(f"{spec_path}: {uri} cannot be written: {one_line(error)}") from None


def look_at_folder(uri: str, spec_path: str) -> str:
    """The finding about a writable folder, or about the nearest existing one above it; nothing is left behind.

    Raises:
        SinkUnwritable, OSError, ValueError: files cannot be written there.
    """
    folder = _folder(uri, spec_path)
    if scheme_of(uri) != "file":
        check_answers(uri)
        _come_and_go(folder)
        return f"{uri} can be written"
    nearest = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    _come_and_go(str(nearest))
    return f"{uri} can be written" + ("" if nearest == Path(folder) else ", and will be created")


def _folder(uri: str, spec_path: str) -> str:
    folder = beam_path(uri)
    if Path(folder).is_file():
        raise SinkUnwritable(f"{spec_path}: {uri} is a file; expected: a folder")
    return folder


def _come_and_go(folder: str) -> None:
    probe = partial_path(folder, uuid.uuid4().hex)
    try:
        with FileSystems.create(probe) as stream:
            stream.write(b"halflife")  # S3 refuses a multipart upload without bytes
        durable.delete(probe)
        finished(probe)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # a full disk accepts the name but not the bytes
            durable.delete(probe)
            finished(probe)
        raise
