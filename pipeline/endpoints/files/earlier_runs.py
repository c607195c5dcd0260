"""What earlier runs left in the folders of a job's sinks, and what a new run does about it (`--sinks`).

`append` adds to it and says so. `new` refuses folders that hold records. `replace` deletes the files of earlier runs of
the same job once the new run has succeeded, a stream's at its start: only files of the record that the sink writes, and
never the audit, whatever the spec says of where the audit is. A file is a run's if its name has that run's id in it and
its own metadata names the run, the job and the record (docs/dead-letters.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from models.errors import one_line
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.files.found import AUDIT_RECORDS, FoundFile, files_in, is_sealed, with_origins
from pipeline.endpoints.files.partial_files import remove_leftovers
from pipeline.endpoints.outputs import SinkFolder
from pipeline.endpoints.uris import FILE_SCHEMES, STDOUT, beam_path, scheme_of
from pipeline.reporting import durable
from pipeline.reporting.printer import note
from pipeline.reporting.saying import say
from schemas.validation import SpecError

_NAMED = 3


class SinksInUse(SinkUnwritable):
    """A folder that should be new holds records; the message names the folder and their run."""


class Replaced(NamedTuple):
    """The files that a run replaces, the other files that stay beside its own, and what is to be said of both."""

    files: Sequence[FoundFile]
    others: Sequence[FoundFile]
    remarks: Sequence[str] = ()


def check_earlier_runs(folders: Sequence[SinkFolder], policy: SinkPolicy, job: str) -> Replaced:
    """Examines what is in the sinks, according to `policy`; says and changes nothing. What is to be replaced is nothing
    except with `replace`.

    Raises:
        SinksInUse: there are records, although the sinks should be new.
        SpecError: files of another format would stay beside those of the run.
        OSError: a folder cannot be listed, or a file cannot be read.
    """
    of_files = [folder for folder in folders if scheme_of(folder.uri) in FILE_SCHEMES]
    # Whoever may write to a folder need not be allowed to list it.
    found = [each for folder in of_files for each in files_in(folder, must_list=policy != SinkPolicy.APPEND)]
    if policy == SinkPolicy.NEW:
        _check_new(found, of_files)
    if policy == SinkPolicy.REPLACE:
        found = with_origins(found)
    files = [each for each in found if each.is_replaceable(job)]  # none of which nothing was read
    others = [each for each in found if not each.is_replaceable(job)]
    _check_formats(others, policy, job)
    services = [folder for folder in folders if folder not in of_files and folder.uri != STDOUT]
    return Replaced(files, others, [*_not_looked_into(services, policy), *_remarks(others, policy, job)])


def _check_new(found: Sequence[FoundFile], folders: Sequence[SinkFolder]) -> None:
    """Raises `SinksInUse` where there are records: in files of runs, or in sealed segments of an audit."""
    if found:
        raise SinksInUse(_in_use(found))
    for folder in folders:
        if folder.record in AUDIT_RECORDS and is_sealed(folder):
            audit = folder.uri.rpartition("/")[0]
            held = f"{folder.spec_path}: {audit} is not new: it holds sealed segments of earlier runs"
            raise SinksInUse(f"{held}; expected: none (--sinks new); next: name another folder, or use --sinks append")


def say_earlier_runs(replaced: Replaced) -> None:
    """One line for each remark about what is in the sinks: once nothing is left that could refuse the run."""
    for remark in replaced.remarks:
        note(remark)


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


def _check_formats(others: Sequence[FoundFile], policy: SinkPolicy, job: str) -> None:
    """Raises `SpecError` if a file that stays is of another format than those that the run would write beside it."""
    strange = [each for each in others if not each.name.endswith(each.folder.suffix)]
    if strange:
        first, folder = strange[0], strange[0].folder
        would_go = policy != SinkPolicy.REPLACE and all(each.is_replaceable(job) for each in with_origins(strange))
        replace = "--sinks replace, as runs of this job wrote them, or " if would_go else ""
        raise _other_format(first, folder, f"{replace}another folder")


def _other_format(found: FoundFile, folder: SinkFolder, otherwise: str) -> SpecError:
    """The error about a file of another format in a folder: at the format where the spec says it, else the folder."""
    writes, holds = folder.suffix.removeprefix("."), found.name.rpartition(".")[2]
    if folder.format_path:
        default = " (avro is the default)" if writes == "avro" else ""
        there = f"{holds}{default}, the format of what {folder.spec_path} holds, such as {found.path}"
        return SpecError(folder.format_path, writes, f"{there}; or {otherwise} for {folder.spec_path}")
    holding = f"it holds {found.name}, and {folder.spec_path} is always {writes}"
    return SpecError(folder.spec_path, folder.uri, f"{otherwise} ({holding})")


def _not_looked_into(services: Sequence[SinkFolder], policy: SinkPolicy) -> Iterator[str]:
    if services and policy != SinkPolicy.APPEND:
        listed = ", ".join(dict.fromkeys(f"{each.spec_path}: {each.uri.partition('?')[0]}" for each in services))
        yield f"--sinks {policy} is about files; what topics and tables hold stays and is not looked at: {listed}"


def _remarks(others: Sequence[FoundFile], policy: SinkPolicy, job: str) -> Iterator[str]:
    """At most one line about the files that will be beside the records of this run."""
    runs = _runs(others)
    if policy == SinkPolicy.APPEND and runs:
        them = f"{_count(len(runs), 'earlier run')}: {_named(runs)}"
        yield (f"the sinks hold {them}; this run is added to them (--sinks new refuses that, --sinks replace deletes "
               f"those of job {job} but for the audit)")  # fmt: skip
    if policy == SinkPolicy.REPLACE:
        # In the folders of the audit all that is found stays, as those who look there expect.
        strange = [each for each in others if each.folder.record not in AUDIT_RECORDS]
        foreign, own = ([each for each in strange if each.is_of(job) == ours] for ours in (False, True))
        parts = [*_staying(foreign, job), *_of_other_kinds(own)]
        if parts:
            yield "; ".join(parts)


def _staying(foreign: Sequence[FoundFile], job: str) -> Iterator[str]:
    if len(foreign) == 1:
        yield f"1 file stays that no run of job {job} wrote, such as {foreign[0].path}"
    elif foreign:
        yield f"{len(foreign)} files that no run of job {job} wrote stay, such as {foreign[0].path}"


def _of_other_kinds(own: Sequence[FoundFile]) -> Iterator[str]:
    """Files of the job that stay because their record is not that of the sink, those of the audit apart."""
    for kept, what in ((True, "of the audit"), (False, "of other records")):
        files = [each for each in own if (each.record in AUDIT_RECORDS) == kept]
        if files:
            verb = "stays" if len(files) == 1 else "stay"
            holds = files[0].record or "what it holds cannot be told"
            yield f"{_count(len(files), 'file')} {what} {verb}, such as {files[0].path} ({holds})"


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


def _delete(files: Sequence[FoundFile]) -> None:
    for each in files:
        try:
            durable.delete(each.path)
        except FileNotFoundError:
            continue  # another run of the job has replaced it
        except OSError as error:
            raise OSError(f"{each.path} cannot be deleted: {one_line(error)}") from None


def say_leftovers(spec_path: str, uri: str) -> None:
    """Removes what killed runs of this machine left in a sink, and reports what those of other machines left."""
    if scheme_of(uri) not in FILE_SCHEMES:
        return
    removed, elsewhere = remove_leftovers(beam_path(uri))
    if removed:
        say(f"{spec_path}: removed {removed} unfinished files of runs that were killed")
    if elsewhere:
        first = elsewhere[0].rpartition("/")[2]
        note(f"{spec_path}: {len(elsewhere)} unfinished files of other machines in {uri}, such as {first}; "
             f"next: delete them if no job writes there")  # fmt: skip
