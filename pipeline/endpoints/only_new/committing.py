"""A run with `--only_new`, from what earlier runs left to the moment in which its own records count.

Its files are written hidden. At its end one entry of the ledger names them all, and that is the commit: a run that is
killed before leaves nothing that counts, and what is killed after is finished by the next start.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from apache_beam.io.filesystems import FileSystems

from models.store.backends import InvalidStoreUrl
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.only_new.earlier_records import EarlierRecords, LetterChoice
from pipeline.endpoints.only_new.hashed_ids import check_same_keys, own_files
from pipeline.endpoints.only_new.held_files import discard, held_in, is_of_dead_process, show
from pipeline.endpoints.only_new.ledger import Entry, Ledger, all_files
from pipeline.endpoints.outputs import SinkFolder, sink_folders
from pipeline.endpoints.sources import EventSource, Files
from pipeline.endpoints.uris import FILE_SCHEMES, beam_path, scheme_of
from pipeline.reporting.outcomes import RunFailed
from pipeline.reporting.printer import note
from schemas.job import Job
from schemas.validation import MISSING, Absent, SpecError

_COUNTED = ("records_read", "decoded", "scored", "receipts", "dead_letters")
_KNOWN_BY = frozenset({"Score", "DeadLetter"})
_READ = _KNOWN_BY | {"Quality"}


class CommittedMeanwhile(RunFailed):
    """Another run of the job with `--only_new` ended while this one ran; nothing of this one is kept."""


class RecordsGone(SinkUnwritable):
    """Files that earlier runs with `--only_new` committed are no longer there, so what they scored is not known."""


@dataclass(frozen=True, slots=True)
class OnlyNew:
    """A run that begins: its id, and what earlier runs did."""

    run: str
    earlier: EarlierRecords
    ledger: Ledger
    sequence: int
    folders: Sequence[SinkFolder]

    def commit(self, summary: Mapping[str, Any]) -> None:
        """Makes the run's records count, all at once.

        Raises:
            CommittedMeanwhile: another run did so first.
            OSError, StoreError: the ledger or a folder cannot be written.
        """
        files = tuple(each for each in held_in(self.folders) if self.run in each.final.rpartition("/")[2])
        counts = {name: summary[name] for name in _COUNTED}
        if not self.ledger.append(self.sequence, Entry(self.run, files), counts):
            found = f"another run of the job with --only_new has ended meanwhile (entry {self.sequence} of the ledger)"
            raise CommittedMeanwhile(f"{found}, so nothing of this one is kept; next: start it again")
        for each in files:
            show(each)

    def undo(self) -> None:
        """Deletes what the run wrote, unless it counts already: then the next start shows what is still hidden."""
        if any(entry.run == self.run for entry in self.ledger.entries()):
            return
        discard([each for each in held_in(self.folders) if self.run in each.final.rpartition("/")[2]])


def check_only_new(job: Job, source: EventSource, policy: SinkPolicy) -> None:
    """Raises `SpecError` where a job cannot be run with `--only_new`, with the reason."""
    if not isinstance(source, Files):
        uri = job.events.uri
        allowed = "events in files: of a topic offsets say what is new"
        raise SpecError("--only_new", Absent(f"with events of {uri}"), allowed)
    if policy != SinkPolicy.APPEND:
        raise SpecError("--sinks", str(policy), "append with --only_new, which goes by what earlier runs wrote")
    for name in ("scores", "dead_letters"):
        if getattr(job.sinks, name) is None:
            raise SpecError(f"sinks.{name}", MISSING, "a folder: --only_new reads there what earlier runs did")
    for folder in sink_folders(job):
        if scheme_of(folder.uri) not in FILE_SCHEMES:
            allowed = "a folder with --only_new: what a topic, table or pipe has taken cannot be taken back"
            raise SpecError(folder.spec_path, folder.uri.partition("?")[0], allowed)


@contextmanager
def only_new(job: Job, run: str, retries: bool, choice: LetterChoice | None = None) -> Iterator[OnlyNew]:
    """Finishes what earlier runs left, and yields the new run; a run that fails leaves nothing. `choice`: only the
    events of these dead letters are scored.

    Raises:
        RecordsGone: what an earlier run scored is not known any more.
        OtherKeyStore: earlier runs hashed ids of events by other keys.
        BrokenLedger, OSError, StoreError: the ledger or a folder cannot be read or written.
    """
    begun = begin(job, run, retries, choice)
    try:
        yield begun
    except BaseException:
        begun.undo()
        raise


def begin(job: Job, run: str, retries: bool, choice: LetterChoice | None = None) -> OnlyNew:
    """As `only_new`, without the care for a failure."""
    folders = sink_folders(job)
    ledger = _ledger(job)
    entries = ledger.entries()
    committed = all_files(entries)
    for each in list(held_in(folders)):
        if each.held in committed:
            show(committed[each.held])
        elif is_of_dead_process(each):
            discard([each])
        else:
            note(f"{each.held} is of a run that has not ended, or of another machine; delete it if none runs there")
    _check_there(ledger, entries)
    found = {folder.record: own_files(folder, job.name) for folder in folders if folder.record in _READ}
    check_same_keys(job, [each for record in _KNOWN_BY for each in found.get(record, ())])
    of_record = {record: tuple(each.path for each in files) for record, files in found.items()}
    audit = job.sinks.audit[0] if job.sinks.audit else None
    keys = None if job.events.privacy is None else job.events.privacy.keys
    of_quality = of_record.get("Quality", ())
    earlier = EarlierRecords(
        of_record["Score"], of_record["DeadLetter"], retries, choice, job.name, audit, of_quality, keys
    )
    return OnlyNew(run, earlier, ledger, len(entries) + 1, folders)


def letters_written(job: Job) -> EarlierRecords | None:
    """What tells the dead letters of a job's earlier runs; None where these are in no folder.

    Raises:
        OSError, StoreError: the folder cannot be read.
    """
    sinks = [each for each in sink_folders(job) if each.record == "DeadLetter"]
    folders = [each for each in sinks if scheme_of(each.uri) in FILE_SCHEMES]
    keys = None if job.events.privacy is None else job.events.privacy.keys
    files = [tuple(one.path for one in own_files(each, job.name)) for each in folders]
    return EarlierRecords((), files[0], job=job.name, keys=keys) if files else None


def _ledger(job: Job) -> Ledger:
    scores = job.sinks.scores or ""
    try:
        return Ledger(beam_path(scores) if scheme_of(scores) == "file" else scores, job.name)
    except InvalidStoreUrl as error:
        allowed = f"a local folder, s3://, gs:// or az:// with --only_new ({error})"
        raise SpecError("sinks.scores", scores, allowed) from None


def _check_there(ledger: Ledger, entries: Sequence[Entry]) -> None:
    """Raises `RecordsGone` where scores or dead letters of an entry are gone: their events would be scored again."""
    needed = [each.final for entry in entries for each in entry.files if each.record in _KNOWN_BY]
    gone = [path for path in needed if not FileSystems.exists(path)]
    if gone:
        found = f"{len(gone)} file(s) of earlier runs are gone, such as {gone[0]}: what they hold would be scored again"
        raise RecordsGone(f"{found}; next: put them back, or delete {ledger.location} to go by what is there")
