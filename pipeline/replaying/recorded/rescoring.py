"""Receipts scored again: the inputs that they hold go through the job's own scoring, and new records come out."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.releases.release import AdmittedRelease, Release
from models.serving.cache import LoadedModel
from pipeline.replaying.recorded.receipts import INPUT, STORED_ID
from schemas import batches
from schemas.records import arrow_schema
from transforms.scoring.receipts import Defined, Meanings, ReceiptOrigin, receipts_of
from transforms.scoring.scoring import Assigned, score_rows

BATCH_ROWS = 65_536
Write = Callable[[pa.RecordBatch], None]


class Again(NamedTuple):
    """Rows of receipts that one version scores again: the loaded version, the definitions of its inputs, the release in
    the new records, and the role that their ids are made of."""

    model: LoadedModel
    definitions: str | None
    release: int
    role: str


class Rescored(NamedTuple):
    """What came out: for each row of the receipts its new score (NaN where there is none), id and decision, and the
    errors of those without a score."""

    scores: npt.NDArray[np.float64]
    ids: pa.ChunkedArray
    decisions: pa.ChunkedArray
    errors: Counter[str]


def rescore(rows: pa.Table, again: Again, origin: ReceiptOrigin, write: Write) -> Rescored:
    """Scores receipts again.

    Args:
        rows: n receipts as `read_receipts` gives them, each with all inputs of the version.
        again: by what.
        origin: of the new records.
        write: takes each batch of new receipts.

    Returns:
        n rows.
    """
    scores, errors = np.full(rows.num_rows, np.nan), Counter[str]()
    parts, done = list[tuple[pa.Array, pa.Array]](), list[npt.NDArray[np.int64]]()
    for start, batch in _batches(rows, again.model.manifest):
        outcome = score_rows(again.model, batch)
        errors.update(error for error, _ in outcome.failures)
        if len(outcome.rows):
            own, good = rows.slice(start, batch.num_rows), batches.keep_rows(batch, outcome.rows)
            ids = _ids(own, outcome.rows)
            made = receipts_of(good, outcome, _by(again), again.model, _defined(again), origin, ids)
            made = _with_tables(made, own, outcome.rows, again)
            write(made)
            scores[start + outcome.rows] = outcome.scores
            parts.append((made.column("score_id"), made.column("decision")))
            done.append(start + outcome.rows)
    ids, decisions = (pa.chunked_array([part[index] for part in parts], pa.string()) for index in (0, 1))
    scored = np.concatenate([np.zeros(0, np.int64), *done])
    if len(scored) < rows.num_rows:
        at = np.full(rows.num_rows, -1, np.int64)
        at[scored] = np.arange(len(scored))
        ids, decisions = (column.take(pa.array(at, mask=at < 0)) for column in (ids, decisions))
    return Rescored(scores, ids, decisions, errors)


def _ids(rows: pa.Table, taken: npt.NDArray[np.int64]) -> pa.Array | None:
    """What ids of scores are made of, where that is not the event's id: with `privacy` it may be its hash."""
    if STORED_ID not in rows.schema.names:
        return None
    return pa.concat_arrays(rows[STORED_ID].chunks).take(pa.array(taken))


def _by(again: Again) -> Assigned:
    manifest = again.model.manifest
    release = Release(again.release, manifest.model, 0, manifest.version)
    entry = AdmittedRelease(release, {manifest.version: manifest.digest})
    return Assigned(entry, manifest.version, again.role, np.zeros(0, np.int64), again.role)


def _defined(again: Again) -> Meanings:
    return Meanings([Defined(again.definitions, {})])


def _batches(rows: pa.Table, manifest: Manifest) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The index of the first row, and events as a scorer takes them."""
    named = {
        batches.EVENT_ID: "event_id",
        batches.EVENT_TIME: "event_time",
        batches.SUBJECT: "subject",
        batches.LATE: "late",
        **{entry.name: f"{INPUT}{entry.name}" for entry in manifest.inputs},
    }
    start, events = 0, rows.select(list(named.values())).rename_columns(list(named))
    for batch in events.to_batches(max_chunksize=BATCH_ROWS):
        yield start, batch
        start += batch.num_rows


def _with_tables(made: pa.RecordBatch, rows: pa.Table, taken: npt.NDArray[np.int64], again: Again) -> pa.RecordBatch:
    """The versions of the tables that were looked up, where the same version read the same values; of these rows."""
    if rows["digest"][0].as_py() != again.model.manifest.digest or rows["lookups"].null_count == rows.num_rows:
        return made
    column = rows["lookups"].combine_chunks().take(pa.array(taken))
    index = made.schema.get_field_index("lookups")
    return made.set_column(index, arrow_schema("Receipt").field("lookups"), column)

