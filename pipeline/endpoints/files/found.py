"""The files of records in the folders of sinks that were there before a run."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from audit.files.segments import CHECKPOINTS
from models.errors import one_line
from pipeline.endpoints.files.origin import RunOrigin, origin_of
from pipeline.endpoints.outputs import SinkFolder
from pipeline.endpoints.uris import beam_path, scheme_of

AUDIT_RECORDS = frozenset({"Receipt", "ModelEvent"})
"""The records whose files are never deleted, in whatever folder they are."""
_SUFFIXES = (".avro", ".parquet")
_RUN_FILE = re.compile(r"[a-z_]+-([0-9a-z]{26})-[0-9a-z]{26}\.(?:avro|parquet)")
_READERS = 16


class FoundFile(NamedTuple):
    """A file of records that existed before the run; `run`: the id in its name, empty if it has none. `origin`: what
    the file itself says, None until it was read, and where it says nothing."""

    folder: SinkFolder
    path: str
    run: str
    origin: RunOrigin | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def is_of(self, job: str) -> bool:
        """Whether a run of the job wrote it: its name and its own metadata agree on that."""
        return self.origin is not None and (self.origin.job, self.origin.run) == (job, self.run)

    def is_replaceable(self, job: str) -> bool:
        """Whether it is of the job, holds what its sink writes, and is not of the audit."""
        return self.is_of(job) and self.record == self.folder.record and self.record not in AUDIT_RECORDS

    @property
    def record(self) -> str:
        """The record it says it holds; empty where that cannot be told."""
        return self.origin.record if self.origin else ""


def files_in(folder: SinkFolder, must_list: bool) -> list[FoundFile]:
    """The files of records in a folder, hidden ones left out; none where it cannot be listed and need not be.

    Raises:
        OSError: it must be listed and cannot be.
    """
    try:
        paths = _listed(folder)
    except (OSError, ValueError) as error:
        if not must_list:
            return []
        raise OSError(f"{folder.spec_path}: {folder.uri} cannot be listed: {one_line(error)}") from None
    found = []
    for each in sorted(paths):
        name = each.rpartition("/")[2]
        if name.endswith(_SUFFIXES) and not name.startswith("."):
            of_run = _RUN_FILE.fullmatch(name)
            found.append(FoundFile(folder, each, of_run[1] if of_run else ""))
    return found


def is_sealed(folder: SinkFolder) -> bool:
    """Whether the audit that a folder is of has sealed segments. Raises `OSError` where it cannot be listed."""
    audit = folder.uri.rpartition("/")[0]
    try:
        return bool(_listed(folder._replace(uri=f"{audit}/{CHECKPOINTS}")))
    except ValueError as error:
        raise OSError(f"{folder.spec_path}: {audit} cannot be listed: {one_line(error)}") from None


def with_origins(found: Sequence[FoundFile]) -> list[FoundFile]:
    """The files with what they say of themselves; not read where nothing could make them replaceable: where the name
    has no run, and in the folders of the audit. Raises `OSError`."""
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(_with_origin, found))


def _with_origin(found: FoundFile) -> FoundFile:
    unread = not found.run or found.folder.record in AUDIT_RECORDS
    return found if unread else found._replace(origin=origin_of(found.path))


def _listed(folder: SinkFolder) -> list[str]:
    path = beam_path(folder.uri)
    if scheme_of(folder.uri) != "file":
        return [each.path for each in FileSystems.match([FileSystems.join(path, "*")])[0].metadata_list]
    if not Path(path).exists():
        return []
    return [str(each) for each in Path(path).iterdir() if each.is_file()]
