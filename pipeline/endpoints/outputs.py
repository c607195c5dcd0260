"""Which branch of the graph goes to which sink of the spec."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa

from pipeline.dag import Outputs
from pipeline.endpoints.files.origin import RunOrigin
from pipeline.endpoints.sealing.in_stream import SealAudit
from pipeline.endpoints.sink_locations import audit_uris
from pipeline.endpoints.sinks import ParquetFormat, WriteBatches, WriteRecords
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from schemas.job import Job

Batches = beam.PCollection[pa.RecordBatch]
_AUDIT, _LETTERS, _FORMAT = "sinks.audit", "sinks.dead_letters", "sinks.format"
_TRAINING_ROW = "TrainingRow"


def wanted_sinks(job: Job) -> list[tuple[str, str, str]]:
    """The sinks that a job writes: path in the spec, URI and record (empty for a folder of several kinds of record)."""
    sinks = job.sinks
    wanted: list[tuple[str, str | None, str]] = [
        ("sinks.scores", sinks.scores, "Score"),
        ("sinks.drift", sinks.drift, "DriftStatistic"),
        ("sinks.quality", sinks.quality, "Quality"),
    ]
    for spec_path, audit in _audits(job):
        receipts, models = audit_uris(audit)
        whole = [(audit, "")] if scheme_of(audit) in FILE_SCHEMES else [(receipts, "Receipt"), (models, "ModelEvent")]
        wanted += [(spec_path, uri, record) for uri, record in whole]
    wanted.append((_LETTERS, sinks.dead_letters, "DeadLetter"))
    return [(spec_path, uri, record) for spec_path, uri, record in wanted if uri is not None]


def _audits(job: Job) -> list[tuple[str, str]]:
    """The sinks of receipts and model events, each with its path in the spec."""
    one = len(job.sinks.audit) == 1
    return [(_AUDIT if one else f"{_AUDIT}[{n}]", audit) for n, audit in enumerate(job.sinks.audit)]


class SinkFolder(NamedTuple):
    """Where one kind of record goes: its path in the spec, or its option; its URI; the suffix of its files where it is
    a folder; the record; and what in the spec says the format, empty where nothing can."""

    spec_path: str
    uri: str
    suffix: str
    record: str
    format_path: str = ""


class _Branch(NamedTuple):
    """`of`: which of the graph's outputs goes there; labels are part of the contract."""

    of: str
    label: str
    spec_path: str
    uri: str | None
    record: str
    prefix: str
    format: str
    format_path: str = ""


def _branches(job: Job) -> list[_Branch]:
    sinks, form = job.sinks, job.sinks.format
    return [
        _Branch("scores", "WriteScores", "sinks.scores", sinks.scores, "Score", "scores", form, _FORMAT),
        *(branch for number, audit in enumerate(_audits(job)) for branch in _of_audit(number, *audit)),
        _Branch("drift", "WriteDrift", "sinks.drift", sinks.drift, "DriftStatistic", "drift", form, _FORMAT),
        _Branch("dead_letters", "WriteDeadLetters", _LETTERS, sinks.dead_letters, "DeadLetter", "dead_letters", "avro"),
        _Branch("quality", "WriteQuality", "sinks.quality", sinks.quality, "Quality", "quality", form, _FORMAT),
    ]


def _of_audit(number: int, spec_path: str, audit: str) -> list[_Branch]:
    """Those of one audit; the steps of the first are named as where it is the only one."""
    (receipts, models), also = audit_uris(audit), str(number + 1) if number else ""
    # Records that Halflife's own verbs read back are always Avro.
    return [
        _Branch("receipts", f"WriteReceipts{also}", spec_path, receipts, "Receipt", "receipts", "avro"),
        _Branch("model_events", f"WriteModelEvents{also}", spec_path, models, "ModelEvent", "models", "avro"),
    ]


def sink_folders(job: Job) -> list[SinkFolder]:
    """The sinks of a job's records, one for each kind."""
    return [
        SinkFolder(branch.spec_path, branch.uri, f".{branch.format}", branch.record, branch.format_path)
        for branch in _branches(job)
        if branch.uri is not None
    ]


def training_folders(job: Job, out: str, parts: Iterable[str] = ()) -> list[SinkFolder]:
    """The sinks of a training set's rows, with a folder for each of its parts, and of its dead letters."""
    letters = [folder for folder in sink_folders(job) if folder.spec_path == _LETTERS]
    folders = [out, *(f"{out.rstrip('/')}/{part}" for part in parts)]
    return [*(SinkFolder("--out", each, ".parquet", _TRAINING_ROW) for each in folders), *letters]


def write_outputs(outputs: Outputs, job: Job, run_id: str, held: bool = False) -> None:
    """Connects each branch to its sink; a branch without a sink is computed and not written. `held`: as in
    `WriteBatches`."""
    origin = RunOrigin(job.name, run_id, keys=_keys_of_ids(job))
    for branch in _branches(job):
        records = getattr(outputs, branch.of)
        if branch.uri is not None and records is not None:
            prepared = _is_prepared(branch, job, records) and not held
            write = WriteRecords(branch.uri, branch.record, branch.prefix, origin, branch.format, held, prepared)
            _ = records | branch.label >> write
    if job.sealing is not None and not outputs.model_events.is_bounded:  # of bounded input: at the end of the run
        _ = outputs.model_events | "SealAudit" >> SealAudit(job)


def _is_prepared(branch: _Branch, job: Job, records: Batches) -> bool:
    """Whether a branch writes few and large files of receipts that the run itself seals, where it can be told how."""
    sealed = branch.record == "Receipt" and job.sealing is not None and records.is_bounded
    return sealed and scheme_of(branch.uri or "") == "file"


def _keys_of_ids(job: Job) -> str:
    """The id of the key store that hashes the ids of events; empty where they are in plain. Raises `StoreError`."""
    if job.events.privacy is None or not job.events.hides_ids:
        return ""
    from models.privacy.key_store import KeyStore  # few jobs have keys, and it takes a while to import
    from models.store.backends import Backend

    return KeyStore(Backend(job.events.privacy.keys)).epochs().store_id


def write_training_set(rows: Mapping[str, Batches], letters: Batches, job: Job, folder: str, run_id: str) -> None:
    """Connects the parts of a training set to their folders, and its dead letters to the job's sink for them, if it has
    one. The part without a name is in the folder itself."""
    origin = RunOrigin(job.name, run_id, _TRAINING_ROW)
    for part, batches in rows.items():
        below = f"{folder.rstrip('/')}/{part}" if part else folder
        write = WriteBatches(below, ParquetFormat(origin), f"features-{run_id}")
        _ = batches | f"WriteRows{part.capitalize()}" >> write
    if job.sinks.dead_letters is not None:
        letters_sink = WriteRecords(job.sinks.dead_letters, "DeadLetter", "dead_letters", origin)
        _ = letters | "WriteDeadLetters" >> letters_sink
