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
    sinks, (receipts, models) = job.sinks, audit_uris(job.sinks.audit)
    wanted = [("scores", sinks.scores, "Score"), ("drift", sinks.drift, "DriftStatistic")]
    if sinks.audit is not None and scheme_of(sinks.audit) in FILE_SCHEMES:
        wanted.append(("audit", sinks.audit, ""))
    else:
        wanted += [("audit", receipts, "Receipt"), ("audit", models, "ModelEvent")]
    wanted.append(("dead_letters", sinks.dead_letters, "DeadLetter"))
    return [(f"sinks.{name}", uri, record) for name, uri, record in wanted if uri is not None]


class SinkFolder(NamedTuple):
    """Where one kind of record goes: its path in the spec, or its option; its URI; the suffix of its files where it is
    a folder; the record; and what in the spec says the format, empty where nothing can."""

    spec_path: str
    uri: str
    suffix: str
    record: str
    format_path: str = ""


class _Branch(NamedTuple):
    label: str
    spec_path: str
    uri: str | None
    record: str
    prefix: str
    format: str
    format_path: str = ""


def _branches(job: Job) -> list[_Branch]:
    sinks, (receipts, models) = job.sinks, audit_uris(job.sinks.audit)
    return [
        _Branch("WriteScores", "sinks.scores", sinks.scores, "Score", "scores", sinks.format, _FORMAT),
        # Records that Halflife's own verbs read back are always Avro.
        _Branch("WriteReceipts", _AUDIT, receipts, "Receipt", "receipts", "avro"),
        _Branch("WriteModelEvents", _AUDIT, models, "ModelEvent", "models", "avro"),
        _Branch("WriteDrift", "sinks.drift", sinks.drift, "DriftStatistic", "drift", sinks.format, _FORMAT),
        _Branch("WriteDeadLetters", _LETTERS, sinks.dead_letters, "DeadLetter", "dead_letters", "avro"),
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
    batches = (outputs.scores, outputs.receipts, outputs.model_events, outputs.drift, outputs.dead_letters)
    for branch, records in zip(_branches(job), batches, strict=True):
        if branch.uri is not None:
            origin = RunOrigin(job.name, run_id)
            write = WriteRecords(branch.uri, branch.record, branch.prefix, origin, branch.format, held)
            _ = records | branch.label >> write
    if job.sealing is not None and not outputs.model_events.is_bounded:  # of bounded input: at the end of the run
        _ = outputs.model_events | "SealAudit" >> SealAudit(job)


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
