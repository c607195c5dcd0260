"""Which branch of the graph goes to which sink of the spec."""

from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipeline.dag import Outputs
from pipeline.endpoints.sinks import ParquetFormat, WriteBatches, WriteRecords
from pipeline.endpoints.uris import FILE_SCHEMES, STDOUT, scheme_of
from schemas.job import Job

Batches = beam.PCollection[pa.RecordBatch]


def wanted_sinks(job: Job) -> list[tuple[str, str, str]]:
    """The sinks that a job writes: place in the spec, URI and record (empty for the folder of several)."""
    sinks, (receipts, models) = job.sinks, _audit_uris(job)
    wanted = [("scores", sinks.scores, "Score"), ("drift", sinks.drift, "DriftStatistic")]
    if sinks.audit is not None and scheme_of(sinks.audit) in FILE_SCHEMES:
        wanted.append(("audit", sinks.audit, ""))
    else:
        wanted += [("audit", receipts, "Receipt"), ("audit", models, "ModelEvent")]
    wanted.append(("dead_letters", sinks.dead_letters, "DeadLetter"))
    return [(f"sinks.{name}", uri, record) for name, uri, record in wanted if uri is not None]


def _audit_uris(job: Job) -> tuple[Any, Any]:
    """Where receipts and model events go: below the audit's folder, or topics that begin with its name."""
    audit = job.sinks.audit
    if audit is None or audit == STDOUT:
        return audit, audit
    of_files = scheme_of(audit) in FILE_SCHEMES  # a question mark is a letter of a folder's name
    place, question, options = (audit, "", "") if of_files else audit.partition("?")
    receipts, models = (f"{place}/{name}{question}{options}" for name in ("receipts", "models"))
    return receipts, models


def write_outputs(outputs: Outputs, job: Job, run_id: str) -> None:
    """Connects each branch to its sink; a branch without a sink is computed and not written."""
    receipts, models = _audit_uris(job)
    branches = (
        ("WriteScores", outputs.scores, job.sinks.scores, "Score", "scores", job.sinks.format),
        # What Halflife's own verbs read back is always Avro.
        ("WriteReceipts", outputs.receipts, receipts, "Receipt", "receipts", "avro"),
        ("WriteModelEvents", outputs.model_events, models, "ModelEvent", "models", "avro"),
        ("WriteDrift", outputs.drift, job.sinks.drift, "DriftStatistic", "drift", job.sinks.format),
        ("WriteDeadLetters", outputs.dead_letters, job.sinks.dead_letters, "DeadLetter", "dead_letters", "avro"),
    )
    for label, batches, uri, record, prefix, format_name in branches:
        if uri is not None:
            _ = batches | label >> WriteRecords(uri, record, f"{prefix}-{run_id}", format_name)


def write_training_set(rows: Batches, letters: Batches, job: Job, folder: str, run_id: str) -> None:
    """Connects a training set to its folder, and its dead letters to the job's sink for them, if it has one."""
    _ = rows | "WriteRows" >> WriteBatches(folder, ParquetFormat(), f"features-{run_id}")
    if job.sinks.dead_letters is not None:
        letters_sink = WriteRecords(job.sinks.dead_letters, "DeadLetter", f"dead_letters-{run_id}")
        _ = letters | "WriteDeadLetters" >> letters_sink
