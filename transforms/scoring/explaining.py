"""Reasons in receipts: which scores get them, within the budget, computed by the model that scored."""

import logging
import threading
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Manifest, Reason
from models.errors import one_line
from models.explaining.explainer import Explained, explainer_of
from models.explaining.reasons import greatest
from models.serving.cache import LoadedModel
from schemas.job import ExplainSpec
from schemas.reasons import in_words
from schemas.records import arrow_schema
from transforms.flow import metrics
from transforms.scoring.budget import budget_of

_LOG = logging.getLogger(__name__)
_SCHEMA = arrow_schema("Receipt")
_REASONS = _SCHEMA.field("reasons").type
_MOST_ROWS = 512
_UNWORDED = Reason()


class ReasonColumns(NamedTuple):
    """Columns of receipts, n rows: lists of reasons, empty where there are none, and base values."""

    reasons: pa.ListArray
    base_value: pa.DoubleArray


class Explaining:
    """Puts reasons into the receipts of one job's scores. What goes wrong in it is counted and never costs a score.

    Args:
        spec: which scores get reasons, how many, and their budget.
        job: names the job in this process: its parts share one budget.
        quotes: the log may have the words of what failed, in which values may be.
    """

    def __init__(self, spec: ExplainSpec, job: str, quotes: bool = True) -> None:
        self._spec, self._quotes = spec, quotes
        self._budget = budget_of(job, spec.budget)
        self._prepared, self._said = set[str](), set[str]()
        self._lock = threading.Lock()

    def with_reasons(self, receipts: pa.RecordBatch, inputs: pa.RecordBatch, model: LoadedModel) -> pa.RecordBatch:
        """The receipts of rows that a model scored, with the reasons of those that get them; `inputs` are what it
        read."""
        rows = chosen_rows(receipts, self._spec)
        if not len(rows):
            return receipts
        try:
            found = self._explained(receipts, inputs, model, rows)
        except Exception as error:  # a fault of explaining, whosever it is, must not cost the score
            self._say(model, one_line(error) if self._quotes else in_words(type(error).__name__))
            metrics.counter(metrics.REASONS_FAILED).inc(len(rows))
            return receipts
        return _with(receipts, found)

    def _explained(
        self, receipts: pa.RecordBatch, inputs: pa.RecordBatch, model: LoadedModel, rows: npt.NDArray[np.int64]
    ) -> ReasonColumns:
        digest, done = model.manifest.digest, list[tuple[npt.NDArray[np.int64], Explained]]()
        ids = receipts.column("score_id")
        self._prepare(inputs.slice(0, 1), ids[0].as_py(), model)
        start = 0
        while start < len(rows):
            granted = min(self._budget.rows(digest, len(rows) - start), _MOST_ROWS)
            if not granted:
                break
            piece = rows[start : start + granted]
            taken = pa.array(piece)
            began = _clock(model)
            explained = explainer_of(model).explain(inputs.take(taken), ids.take(taken).to_pylist())
            self._budget.spend(digest, granted, _clock(model) - began)
            done.append((piece, explained))
            start += granted
        failed = sum(len(explained.failures) for _, explained in done)
        metrics.counter(metrics.REASONS_DROPPED).inc(len(rows) - start)
        metrics.counter(metrics.REASONS_FAILED).inc(failed)
        metrics.counter(metrics.REASONS_COMPUTED).inc(start - failed)
        return reason_columns(receipts.num_rows, done, model.manifest, self._spec.top)

    def _say(self, model: LoadedModel, what: str) -> None:
        """Once for each version."""
        if model.manifest.digest not in self._said:
            self._said.add(model.manifest.digest)
            _LOG.warning("reasons of version %r failed: %s", model.manifest.version, what)

    def _prepare(self, row: pa.RecordBatch, score_id: str, model: LoadedModel) -> None:
        """The first time: libraries are imported and tables made, which the budget of a short job could never hold."""
        digest = model.manifest.digest
        if digest in self._prepared:
            return
        with self._lock:
            if digest not in self._prepared:
                began = time.thread_time()
                explainer_of(model).prepare()
                explainer_of(model).explain(row, [score_id])
                self._budget.leave_out(time.thread_time() - began)
                self._prepared.add(digest)


def _clock(model: LoadedModel) -> float:
    """Seconds of CPU time of this thread; of a model that a server holds, of all time: waiting is what it costs."""
    return time.perf_counter() if model.scorer.asks_server else time.thread_time()


def chosen_rows(receipts: pa.RecordBatch, spec: ExplainSpec) -> npt.NDArray[np.int64]:
    """The rows whose scores get reasons, in the order of their ids, so that what a budget leaves out does not depend on
    the order of events.

    A score is in the sample if its id, a hash in hex, is below the same share of all such numbers: anyone can tell.
    """
    ids = receipts.column("score_id")
    if spec.decisions is not None:
        wanted = pc.is_in(receipts.column("decision"), value_set=pa.array(spec.decisions, pa.string()))
    elif spec.sample < 1:
        wanted = pc.less(ids, pa.scalar(f"{int(spec.sample * 2**64):016x}"))
    else:
        wanted = None
    rows = np.arange(len(ids)) if wanted is None else np.flatnonzero(wanted.to_numpy(zero_copy_only=False))
    order: npt.NDArray[np.int64] = pc.sort_indices(ids.take(pa.array(rows))).to_numpy().astype(np.int64)
    return rows[order]


def reason_columns(
    count: int, done: list[tuple[npt.NDArray[np.int64], Explained]], manifest: Manifest, top: int
) -> ReasonColumns:
    """The columns of `count` receipts, of which some rows are explained: at most `top` reasons each, greatest first."""
    width = min(top, len(manifest.inputs))
    order = np.full((count, width), -1, np.int64)
    contributions, base = np.zeros((count, width)), np.full(count, np.nan)
    for rows, (found, failures) in done:
        good = np.setdiff1d(np.arange(len(rows)), np.array(list(failures), np.int64))
        picked = greatest(found, manifest, top)[good]
        order[rows[good]] = picked
        contributions[rows[good]] = np.take_along_axis(found.values[good], np.maximum(picked, 0), axis=1)
        base[rows[good]] = found.base[good]
    named = order >= 0
    indexes = pa.array(order[named])
    names = pa.array([entry.name for entry in manifest.inputs])
    codes = pa.array([manifest.reasons.get(entry.name, _UNWORDED).code for entry in manifest.inputs], pa.string())
    columns = [names.take(indexes), pa.array(contributions[named]), codes.take(indexes)]
    ends = np.zeros(count + 1, np.int32)
    ends[1:] = np.cumsum(named.sum(axis=1))
    structs = pa.StructArray.from_arrays(columns, fields=list(_REASONS.value_type))
    return ReasonColumns(
        pa.ListArray.from_arrays(pa.array(ends), structs, type=_REASONS), pa.array(base, mask=np.isnan(base))
    )


def _with(receipts: pa.RecordBatch, found: ReasonColumns) -> pa.RecordBatch:
    columns = dict(zip(receipts.schema.names, receipts.columns, strict=True)) | found._asdict()
    return pa.RecordBatch.from_arrays([columns[name] for name in receipts.schema.names], schema=receipts.schema)
