"""Receipts of scored rows: the fields that all receipts of a job share, and the batch of records."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.serving.cache import LoadedModel
from schemas import batches
from schemas.job import ExplainSpec, FeaturesSpec
from schemas.records import arrow_schema
from schemas.score_ids import definitions_digest, definitions_text, tables_read
from schemas.times import now_us
from transforms.scoring import scoring


class Stamp(NamedTuple):
    """What is known of a job's receipts before it runs; `run` is None where each start makes its own, `explain` where
    there are no reasons."""

    job: str
    run: str | None
    features: FeaturesSpec
    explain: ExplainSpec | None = None


class ReceiptOrigin(NamedTuple):
    """Where receipts come from: the job, its run and the worker."""

    job: str
    run: str | None
    worker: str


class Defined(NamedTuple):
    """What a version's features mean: the digest of their definitions, and the version of each table that they read."""

    digest: str | None
    tables: dict[str, str]


class Definitions:
    """What the features of each version mean in a job; computed once for each version."""

    def __init__(self, features: FeaturesSpec) -> None:
        self._features = features
        self._known: dict[str, Defined] = {}

    def of(self, manifest: Manifest) -> Defined:
        """That of a version, which reads the features in the order of its inputs."""
        found = self._known.get(manifest.digest)
        if found is None:
            names = [entry.name for entry in manifest.inputs]
            digest = definitions_digest(definitions_text(self._features, names))
            found = self._known[manifest.digest] = Defined(digest, tables_read(self._features, names))
        return found


def _repeated(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    """The value repeated for a number of rows. Texts and nulls, much of a receipt, are made once for many batches."""
    if value is not None and not pa.types.is_string(kind):
        return pa.repeat(pa.scalar(value, kind), count)
    return _kept(value, kind, max(1 << (count - 1).bit_length(), 1024) if count else 1024).slice(0, count)


@lru_cache(maxsize=48)
def _kept(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), rows)


def receipts_of(
    events: pa.RecordBatch,
    outcome: scoring.Scored,
    by: scoring.Assigned,
    model: LoadedModel,
    defined: Defined,
    origin: ReceiptOrigin,
) -> pa.RecordBatch:
    """Receipts of the rows of `events` that have a score; `events` are those rows, in the order of the scores.

    Version and digest are those of the model that scored, not those that were requested.
    """
    count, at_us = events.num_rows, now_us()
    manifest, release = model.manifest, by.entry.release
    columns: dict[str, pa.Array] = {
        "score_id": scoring.score_ids(events.column(batches.EVENT_ID), manifest.digest, by.role_in_id, defined.digest),
        "event_id": events.column(batches.EVENT_ID),
        "event_time": events.column(batches.EVENT_TIME),
        "subject": events.column(batches.SUBJECT),
        "score": pa.array(outcome.scores),
        "decision": scoring.decisions(outcome.scores, manifest.output, model.scorer.labels()),
        "late": events.column(batches.LATE),
        "features": scoring.features_map(outcome.inputs),
    }
    constants: dict[str, Any] = {
        "model": release.model,
        "version": manifest.version,
        "release": release.sequence,
        "role": by.recorded_role,
        "scored_at": at_us,
        "digest": manifest.digest,
        "latency_us": outcome.latency_us,
        "definitions": defined.digest,
        **origin._asdict(),
    }
    if defined.tables:
        one = pa.array([list(defined.tables.items())], arrow_schema("Receipt").field("lookups").type)
        columns["lookups"] = one.take(pa.array(np.zeros(count, np.int64)))
    arrays = []
    for field in arrow_schema("Receipt"):
        if field.name == "reasons":  # empty lists, as the schema's default; what is explained replaces them
            empty = pa.array(np.zeros(count + 1, np.int32))
            arrays.append(pa.ListArray.from_arrays(empty, pa.array([], field.type.value_type), type=field.type))
        elif field.name in columns:
            arrays.append(columns[field.name])
        else:
            # Fields that nothing fills yet are null.
            arrays.append(_repeated(constants.get(field.name), field.type, count))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema("Receipt"))
