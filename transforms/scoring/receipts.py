"""Receipts of scored rows: the fields that all receipts of a job share, and the batch of records."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.serving.cache import LoadedModel
from schemas import batches
from schemas.job import EventsSpec, ExplainSpec, FeaturesSpec
from schemas.records import arrow_schema
from schemas.score_ids import definitions_digest, definitions_text, stored_read, tables_read
from schemas.times import now_us
from transforms.lookups.joining import ANSWERED
from transforms.scoring import scoring


class Stamp(NamedTuple):
    """What is known of a job's receipts before it runs; `run` is None where each start makes its own, `explain` where
    there are no reasons; `events` says what of them is hidden, None: nothing."""

    job: str
    run: str | None
    features: FeaturesSpec
    explain: ExplainSpec | None = None
    events: EventsSpec | None = None


class ReceiptOrigin(NamedTuple):
    """Where receipts come from: the job, its run and the worker."""

    job: str
    run: str | None
    worker: str


class Defined(NamedTuple):
    """What a version's features mean: the digest of their definitions, and the version of each table that they read."""

    digest: str | None
    tables: dict[str, str]


class Meanings(NamedTuple):
    """What the features of events mean: all that occur, and the index among them of each event's, shape (n,); None
    where one is that of all."""

    each: list[Defined]
    of_row: npt.NDArray[np.int64] | None = None


class Definitions:
    """What the features of each version mean in a job; computed once for each version, and for each combination of
    versions of tables in a store that answered."""

    def __init__(self, features: FeaturesSpec) -> None:
        self._features = features
        self._known: dict[tuple[str, tuple[str | None, ...]], Defined] = {}
        self._stored: dict[str, tuple[str, ...]] = {}

    def of_rows(self, manifest: Manifest, events: pa.RecordBatch) -> Meanings:
        """Those of a version, which reads the features in the order of its inputs, for these events."""
        stored = self._stored.get(manifest.digest)
        if stored is None:
            stored = self._stored[manifest.digest] = stored_read(self._features, self._names(manifest))
        if not stored:
            return Meanings([self._of(manifest, (), ())])
        encoded = [events.column(f"{ANSWERED}{name}").dictionary_encode("encode") for name in stored]
        codes = np.stack([each.indices.to_numpy(zero_copy_only=False) for each in encoded])
        kinds, of_row = np.unique(codes, axis=1, return_inverse=True)
        texts = [each.dictionary.to_pylist() for each in encoded]
        found = [
            self._of(manifest, stored, tuple(own[code] for own, code in zip(texts, kind, strict=True)))
            for kind in kinds.T.tolist()
        ]
        return Meanings(found, None if len(found) == 1 else of_row.ravel())

    def _of(self, manifest: Manifest, stored: tuple[str, ...], versions: tuple[str | None, ...]) -> Defined:
        found = self._known.get((manifest.digest, versions))
        if found is None:
            names, answered = self._names(manifest), dict(zip(stored, versions, strict=True))
            digest = definitions_digest(definitions_text(self._features, names, answered))
            found = Defined(digest, tables_read(self._features, names, answered))
            self._known[(manifest.digest, versions)] = found
        return found

    @staticmethod
    def _names(manifest: Manifest) -> list[str]:
        return [entry.name for entry in manifest.inputs]


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
    meanings: Meanings,
    origin: ReceiptOrigin,
    ids: pa.Array | None = None,
) -> pa.RecordBatch:
    """Receipts of the rows of `events` that have a score; `events` are those rows, in the order of the scores.

    Version and digest are those of the model that scored, not those that were requested. `ids`: what `score_id`s are
    made of in place of the events' ids.
    """
    count, at_us = events.num_rows, now_us()
    manifest, release = model.manifest, by.entry.release
    columns: dict[str, pa.Array] = {
        "score_id": _score_ids(
            events.column(batches.EVENT_ID) if ids is None else ids, manifest.digest, by.role_in_id, meanings
        ),
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
        **origin._asdict(),
    }
    if meanings.of_row is None:
        constants["definitions"] = meanings.each[0].digest
    else:
        columns["definitions"] = pa.array([each.digest for each in meanings.each]).take(pa.array(meanings.of_row))
    if any(each.tables for each in meanings.each):
        kinds = [list(each.tables.items()) or None for each in meanings.each]
        of_row = np.zeros(count, np.int64) if meanings.of_row is None else meanings.of_row
        columns["lookups"] = pa.array(kinds, arrow_schema("Receipt").field("lookups").type).take(pa.array(of_row))
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


def _score_ids(event_ids: pa.Array, digest: str, role: str, meanings: Meanings) -> pa.Array:
    if meanings.of_row is None:
        return scoring.score_ids(event_ids, digest, role, meanings.each[0].digest)
    order = np.argsort(meanings.of_row, kind="stable")
    ends = np.searchsorted(meanings.of_row[order], np.arange(len(meanings.each) + 1))
    sorted_ids = event_ids.take(pa.array(order))
    parts = [
        scoring.score_ids(sorted_ids.slice(start, end - start), digest, role, each.digest)
        for each, start, end in zip(meanings.each, ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]
    return pa.concat_arrays(parts).take(pa.array(np.argsort(order)))
