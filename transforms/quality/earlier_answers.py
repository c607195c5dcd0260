"""What earlier runs of a job answered, measured again with the labels that have come since.

A bounded run that scores only what is new reads all events for their features. The answers that earlier runs gave to
them are put beside them, so that a window counts what every run answered, and a label counts whenever it comes.
"""

import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.job import EventsSpec
from transforms.arrivals.seen_ids import two_hashes
from transforms.drift.drift_groups import DIGEST, ROLE, VERSION
from transforms.features.join_features import stamped
from transforms.flow import metrics
from transforms.flow.hiding import hiding_of
from transforms.quality.changes.change_records import CHANGE, TOO_FEW

_LOCK = threading.Lock()
_BY = ("version", "role", "digest")
_OF_WINDOW = ["window_start", "window_end", "version", "role", "against"]
_CONTENT = ["segment", "metric", "value", "n", "events", "label_coverage"]
_CHANGES = "changes"
_TOGETHER = [*_OF_WINDOW, _CHANGES]
"""Whose records are compared as one: what detectors say is a batch of its own."""


class EarlierMeasured(Protocol):
    """Reads what earlier runs durably wrote. Must pickle and hash; may be asked in several processes."""

    def __hash__(self) -> int: ...

    def answers(self) -> pa.Table:
        """`event_id`, `version`, `role`, `digest`, `score` and `latency_us` of each answer, those of shadows too."""

    def quality(self) -> pa.Table:
        """The fields of Quality that tell one record from another, and `pane`."""


class _Answers(NamedTuple):
    """Answers, sorted by the first of two hashes of their events' ids; `by` names the rows of `names`."""

    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]
    by: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    latencies: npt.NDArray[np.int64]
    names: Sequence[tuple[str, str, str]]

    def of(self, ids: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The row of each answer to one of the ids, and the index of that id; in order of the ids."""
        first, second = two_hashes(ids)
        begins, ends = (np.searchsorted(self.first, first, side) for side in ("left", "right"))
        counts = ends - begins
        events = np.repeat(np.arange(len(first)), counts)
        within = np.arange(len(events)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.repeat(begins, counts) + within
        same = self.second[rows] == second[events]
        return rows[same], events[same]


def _answers_of(earlier: EarlierMeasured) -> _Answers:
    with _LOCK:  # threads of a worker start at the same time
        return _read_answers(earlier)


@lru_cache(maxsize=2)
def _read_answers(earlier: EarlierMeasured) -> _Answers:
    table = earlier.answers().combine_chunks()
    keys = pd.MultiIndex.from_arrays([table[name].to_pandas() for name in _BY])
    codes, names = keys.factorize()
    ids = table["event_id"].combine_chunks() if table.num_rows else pa.array([], pa.string())
    first, second = two_hashes(ids)
    codes = codes.astype(np.int32)
    order = np.lexsort((codes, second, first))
    keys_of = [column[order] for column in (first, second, codes)]
    # Runs may have answered an event twice: one answer of a version in a role counts.
    again = np.all([column[1:] == column[:-1] for column in keys_of], axis=0)
    order = order[np.concatenate((np.ones(min(1, len(order)), np.bool_), ~again))]
    scores, latencies = table["score"].to_numpy()[order], table["latency_us"].to_numpy()[order]
    named = [(str(version), str(role), str(digest)) for version, role, digest in names]
    return _Answers(first[order], second[order], codes[order], scores, latencies, named)


class _AnsweredFn(beam.DoFn):
    def __init__(self, earlier: EarlierMeasured, columns: Sequence[str], events: EventsSpec | None) -> None:
        self._earlier, self._columns = earlier, [batches.EVENT_ID, batches.EVENT_TIME, *columns]
        self._events = events

    def setup(self) -> None:
        self._hides = hiding_of(self._events)

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        answers = _answers_of(self._earlier)
        own = batch.select([name for name in dict.fromkeys(self._columns) if name in batch.schema.names])
        ids = batch.column(batches.EVENT_ID) if self._hides is None else self._hides.event_ids(batch)
        rows, events = answers.of(ids)
        for code in np.unique(answers.by[rows]).tolist():
            chosen = answers.by[rows] == code
            at = rows[chosen]
            answered = own.take(pa.array(events[chosen]))
            for name, value in zip((VERSION, ROLE, DIGEST), answers.names[code], strict=True):
                answered = answered.append_column(name, pa.repeat(pa.scalar(value), len(at)))
            answered = answered.append_column(batches.LATENCY, pa.array(answers.latencies[at]))
            yield stamped(batches.with_scores(answered, pa.array(answers.scores[at])))


class EarlierAnswers(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """The answers that earlier runs gave to events, as `ScoreEvents.scored`, with the columns that quality needs.

    Input: batches of events, bounded, in the global window; `columns`: those of segments; `spec`: of the events, whose
    ids may be hidden in receipts. Output: batches of scored
    events, each of one version and role; events without an earlier answer are left out. No state; each process holds
    some 40 bytes for each earlier answer.
    """

    def __init__(self, earlier: EarlierMeasured, columns: Sequence[str], spec: EventsSpec | None = None) -> None:
        super().__init__()
        self._earlier, self._columns, self._spec = earlier, columns, spec

    def expand(self, events: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        answering = beam.ParDo(_AnsweredFn(self._earlier, self._columns, self._spec)).with_output_types(pa.RecordBatch)
        answered: beam.PCollection[pa.RecordBatch] = events | "Answered" >> answering
        return answered


class _Known(NamedTuple):
    """Of a window's records: their pane, what they say as one number, and how many events they count."""

    pane: int
    content: int
    events: int


def _known_of(earlier: EarlierMeasured) -> dict[tuple[Any, ...], _Known]:
    with _LOCK:
        return _read_quality(earlier)


@lru_cache(maxsize=2)
def _read_quality(earlier: EarlierMeasured) -> dict[tuple[Any, ...], _Known]:
    frame = _framed(earlier.quality())
    latest = frame.groupby(_TOGETHER, sort=False)["pane"].transform("max")
    return {} if frame.empty else _grouped(frame[frame["pane"] == latest])


def _framed(records: pa.RecordBatch | pa.Table) -> pd.DataFrame:
    """The fields by which records are compared, times as microseconds, and `content`: a hash of what each says."""
    columns = {name: records.column(name) for name in (*_OF_WINDOW, *_CONTENT, "pane")}
    times = {name: columns[name].cast(pa.int64()) for name in ("window_start", "window_end")}
    texts = {"against": pc.fill_null(columns["against"], "")}
    frame: pd.DataFrame = pa.table(columns | times | texts).to_pandas()
    frame[_CHANGES] = frame["metric"].str.startswith(CHANGE)
    # What detectors say depends on how far back a run reads: it is new where labels of the window itself have come.
    frame.loc[frame[_CHANGES], "value"] = np.nan
    frame["content"] = pd.util.hash_pandas_object(frame[_CONTENT], index=False)
    return frame


def _grouped(frame: pd.DataFrame) -> dict[tuple[Any, ...], _Known]:
    groups = frame.groupby(_TOGETHER, sort=False)
    found = groups.agg(pane=("pane", "max"), content=("content", "sum"), events=("events", "max"))
    rows = zip(*(found[name].tolist() for name in _Known._fields), strict=True)
    return {key: _Known(*row) for key, row in zip(found.index, rows, strict=True)}


class _NewPanesFn(beam.DoFn):
    def __init__(self, earlier: EarlierMeasured) -> None:
        self._earlier = earlier

    def process(self, records: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        known, frame = _known_of(self._earlier), _framed(records)
        if not known or frame.empty:
            yield records
            return
        panes = {key: _pane_after(known.get(key), now) for key, now in _grouped(frame).items()}
        short = {key for key, _ in frame[_too_few(records)].groupby(_TOGETHER, sort=False)}
        panes |= {key: -1 for key in short if key in known}
        of_rows = np.array([panes[key] for key in frame[_TOGETHER].itertuples(index=False, name=None)], np.int64)
        told = int((of_rows < 0).sum())
        metrics.counter(metrics.QUALITY_RECORDS_EMITTED).inc(-told)
        if told < records.num_rows:
            index = records.schema.get_field_index("pane")
            numbered = records.set_column(index, records.schema.field(index), pa.array(of_rows))
            yield batches.take_rows(numbered, of_rows >= 0)


def _too_few(records: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Of which records a detector read too little to say anything, as of the first windows that a run reads again."""
    short = pc.fill_null(pc.starts_with(records.column("why"), TOO_FEW), False)
    return np.asarray(short.to_numpy(zero_copy_only=False), np.bool_)


def _pane_after(before: _Known | None, now: _Known) -> int:
    """The pane of what a window's records say now; -1 where nothing is new, or not all of the window was read again."""
    if before is None:
        return now.pane
    return -1 if now.events < before.events or now.content == before.content else before.pane + 1


class NewPanes(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """The records of quality that say something else than those of earlier runs, as the next pane of their window.

    Input: batches of Quality, each with all records of its windows and version, or pair, or all of its detectors.
    Output: the same without
    windows of which nothing is new, or of which fewer events were read than an earlier run counted. No state.
    """

    def __init__(self, earlier: EarlierMeasured) -> None:
        super().__init__()
        self._earlier = earlier

    def expand(self, records: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        numbering = beam.ParDo(_NewPanesFn(self._earlier)).with_output_types(pa.RecordBatch)
        numbered: beam.PCollection[pa.RecordBatch] = records | "Number" >> numbering
        return numbered
