"""What earlier runs left in the folders of a job's sinks, and what a new run does about it (`--sinks`).

`append` adds to it and says so. `new` refuses folders that hold records. `replace` deletes the files of earlier runs of
the same job once the new run has succeeded, a stream's at its start; never the audit. A file is a run's if its name has
that run's id in it and its own metadata names the run and the job (docs/dead-letters.md).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from models.errors import one_line
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.files.origin import origin_of
from pipeline.endpoints.outputs import SinkFolder
from pipeline.endpoints.uris import FILE_SCHEMES, STDOUT, beam_path, scheme_of
from pipeline.reporting import durable
from pipeline.reporting.printer import note
from schemas.validation import SpecError

_SUFFIXES = (".avro", ".parquet")
_RUN_FILE = re.compile(r"[a-z_]+-([0-9a-z]{26})-[0-9a-z]{26}\.(?:avro|parquet)")
_READERS = 16
_NAMED = 3


class SinksInUse(SinkUnwritable):
    """A folder that should be new holds records; the message names the folder and their run."""


class FoundFile(NamedTuple):
    """A file of records that existed before the run; `run`: the id in its name, empty if it has none."""

    folder: SinkFolder
    path: str
    run: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Replaced(NamedTuple):
    """The files that a run replaces, and the other files that stay beside its own."""

    files: Sequence[FoundFile]
    others: Sequence[FoundFile]


def check_earlier_runs(folders: Sequence[SinkFolder], policy: SinkPolicy, job: str) -> Replaced:
    """Reports what is in the sinks, according to `policy`; returns what is to be replaced: nothing except with
    `replace`.

    Raises:
        SinksInUse: there are records, although the sinks should be new.
        SpecError: files of another format would stay beside those of the run.
        OSError: a folder cannot be listed, or a file cannot be read.
    """
    files = [folder for folder in folders if scheme_of(folder.uri) in FILE_SCHEMES]
    _check_one_format(files)
    if policy != SinkPolicy.APPEND:
        _say_not_looked_into([folder for folder in folders if folder not in files and folder.uri != STDOUT], policy)
    found = [each for folder in _distinct(files) for each in _records_in(folder, policy)]
    if found and policy == SinkPolicy.NEW:
        raise SinksInUse(_in_use(found))
    replaced = _replaced(found, job) if policy == SinkPolicy.REPLACE else Replaced((), found)
    for each in replaced.others:
        _check_suffix(each)
    _say(replaced, policy, job)
    return replaced


@contextmanager
def replacing(replaced: Replaced, bounded: bool) -> Iterator[None]:
    """Deletes the replaced files after the work in the block, if it succeeds; for a stream, which has no end, before
    it.

    Raises:
        OSError: a file cannot be deleted.
    """
    if not bounded:
        _delete(replaced.files)
        yield
        return
    try:
        yield
    except BaseException:
        if replaced.files:
            held = _count(len(replaced.files), "file")
            note(f"this run failed, so nothing was replaced: {held} of earlier runs stay there")
        raise
    _delete(replaced.files)


def _check_one_format(folders: Sequence[SinkFolder]) -> None:
    """Raises `SpecError` if two sinks of the job write different formats into one folder."""
    first: dict[str, SinkFolder] = {}
    for folder in folders:
        other = first.setdefault(_location(folder), folder)
        if other.suffix != folder.suffix:
            allowed = f"another folder than that of {other.spec_path}, whose files are {other.suffix}"
            raise SpecError(folder.spec_path, folder.uri, allowed)


def _check_suffix(found: FoundFile) -> None:
    """Raises `SpecError` if a file that stays is of another format than those that the run would write beside it."""
    folder = found.folder
    if not found.path.endswith(folder.suffix):
        there = f"the format of what {folder.uri} holds, such as {found.name}"
        allowed = f"{there}; or another folder, or --sinks replace where runs of this job wrote it"
        raise SpecError(folder.spec_path, folder.suffix.removeprefix("."), allowed)


def _say_not_looked_into(services: Sequence[SinkFolder], policy: SinkPolicy) -> None:
    if services:
        listed = ", ".join(dict.fromkeys(f"{each.spec_path}: {each.uri.partition('?')[0]}" for each in services))
        note(f"--sinks {policy} is about files; what topics and tables hold stays and is not looked at: {listed}")


def _say(replaced: Replaced, policy: SinkPolicy, job: str) -> None:
    """At most one line about the files that will be beside the records of this run."""
    runs = _runs(replaced.others)
    if policy == SinkPolicy.APPEND and runs:
        them = f"{_count(len(runs), 'earlier run')}: {_named(runs)}"
        note(f"the sinks hold {them}; this run is added to them (--sinks new refuses that, --sinks replace deletes "
             f"those of job {job} but for the audit)")  # fmt: skip
    strange = [each for each in replaced.others if not each.folder.kept]
    if policy == SinkPolicy.REPLACE and strange:
        stay = "file stays that no run of job" if len(strange) == 1 else "files that no run of job"
        tail = "wrote" if len(strange) == 1 else "wrote stay"
        note(f"{len(strange)} {stay} {job} {tail}, such as {strange[0].path}")


def _in_use(found: Sequence[FoundFile]) -> str:
    runs, first = _runs(found), found[0]
    whose = f" of {_count(len(runs), 'earlier run')}, {_named(runs)}" if runs else ""
    held = f"{_count(len(found), 'file')} of records{whose}, such as {first.name}"
    new = f"{first.folder.spec_path}: {first.folder.uri} is not new: the sinks hold {held}"
    return f"{new}; expected: none (--sinks new); next: name other folders, or use --sinks append or --sinks replace"


def _runs(found: Iterable[FoundFile]) -> list[str]:
    """The runs that wrote the files, the latest first: their ids begin with the time."""
    return sorted({each.run for each in found if each.run}, reverse=True)


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(runs[:_NAMED]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"


def _location(folder: SinkFolder) -> str:
    return beam_path(folder.uri).rstrip("/")


def _distinct(folders: Sequence[SinkFolder]) -> list[SinkFolder]:
    """Each folder once; one that the audit shares is the audit's."""
    by_location = {_location(folder): folder for folder in sorted(folders, key=lambda folder: folder.kept)}
    return list(by_location.values())


def _records_in(folder: SinkFolder, policy: SinkPolicy) -> list[FoundFile]:
    """The files of records in a folder, hidden ones left out. Raises `OSError` if it must be listed and cannot be."""
    try:
        paths = _listed(folder)
    except (OSError, ValueError) as error:
        if policy == SinkPolicy.APPEND:  # whoever may write there need not be allowed to list
            return []
        raise OSError(f"{folder.spec_path}: {folder.uri} cannot be listed: {one_line(error)}") from None
    found = []
    for each in sorted(paths):
        name = each.rpartition("/")[2]
        if name.endswith(_SUFFIXES) and not name.startswith("."):
            of_run = _RUN_FILE.fullmatch(name)
            found.append(FoundFile(folder, each, of_run[1] if of_run else ""))
    return found


def _listed(folder: SinkFolder) -> list[str]:
    path = beam_path(folder.uri)
    if scheme_of(folder.uri) != "file":
        return [each.path for each in FileSystems.match([FileSystems.join(path, "*")])[0].metadata_list]
    if not Path(path).exists():
        return []
    return [str(each) for each in Path(path).iterdir() if each.is_file()]


def _replaced(found: Sequence[FoundFile], job: str) -> Replaced:
    with ThreadPoolExecutor(_READERS) as readers:
        ours = list(readers.map(lambda each: _is_ours(each, job), found))
    files = [each for each, own in zip(found, ours, strict=True) if own]
    return Replaced(files, [each for each, own in zip(found, ours, strict=True) if not own])


def _is_ours(found: FoundFile, job: str) -> bool:
    if found.folder.kept or not found.run:
        return False
    origin = origin_of(found.path)
    return origin is not None and (origin.job, origin.run) == (job, found.run)


def _delete(files: Sequence[FoundFile]) -> None:
    for each in files:
        try:
            durable.delete(each.path)
        except FileNotFoundError:
            continue  # another run of the job has replaced it
        except OSError as error:
            raise OSError(f"{each.path} cannot be deleted: {one_line(error)}") from None
