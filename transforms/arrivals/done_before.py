"""What earlier runs of a job have done: events that are not scored again, and dead letters that are not repeated.

Events are told by two 64-bit hashes of their id as records have it, dead letters by stage and payload, which with
`privacy` is that before it was encrypted. Both are read once in each process.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type

from schemas import batches
from transforms.arrivals.seen_ids import SeenRun, contains, run_of
from transforms.flow import metrics
from transforms.flow.hiding import Hides
from transforms.lookups.joining import NO_ROW_ERROR

_LOCK = threading.Lock()
_OPENED = "opened"


class Earlier(Protocol):
    """Reads what earlier runs durably wrote. Must pickle and hash; may be asked in several processes."""

    def __hash__(self) -> int: ...

    def event_ids(self) -> pa.Array:
        """The ids of the events that are not scored again, as records have them."""

    def letters(self) -> Iterable[tuple[str, bytes]]:
        """Stage of each dead letter, and by what it is `told`."""

    def opened(self, letters: pa.RecordBatch) -> pa.Array:
        """The original bytes of letters of this run, as they are stored."""

    def chosen(self) -> tuple[pa.Array, pa.Array] | None:
        """The payloads, and the ids of events, of the dead letters that alone are fed again; None: all is scored."""


class _Known(NamedTuple):
    ids: tuple[SeenRun, ...]
    letters: dict[bytes, int]
    chosen: tuple[tuple[SeenRun, ...], tuple[SeenRun, ...]] | None

    def undone(self, ids: pa.Array, payloads: pa.Array) -> npt.NDArray[np.bool_]:
        """Which of the records are to be scored."""
        left = ~contains(self.ids, ids)
        if self.chosen is not None:
            left &= contains(self.chosen[0], payloads) | contains(self.chosen[1], ids)
        return left


def _known(earlier: Earlier) -> _Known:
    with _LOCK:  # threads of a worker start at the same time
        return _read(earlier)


@lru_cache(maxsize=2)
def _read(earlier: Earlier) -> _Known:
    ids, letters = earlier.event_ids(), dict[bytes, int]()
    for stage, payload in earlier.letters():
        key = letter_key(stage, payload)
        letters[key] = letters.get(key, 0) + 1
    chosen = earlier.chosen()
    return _Known(_runs(ids), letters, None if chosen is None else (_runs(chosen[0]), _runs(chosen[1])))


def _runs(ids: pa.Array) -> tuple[SeenRun, ...]:
    return (run_of(ids, np.zeros(len(ids), np.int64)),) if len(ids) else ()


def told(payload: bytes, event_id: str | None) -> bytes:
    """By what a dead letter is told: its original bytes; where nobody has these any more, its event.

    >>> told(b"{", "t1"), told(b"", "t1")
    (b'{', b'\\x00t1')
    """
    return payload or b"\0" + (event_id or "").encode()


def letter_key(stage: str, payload: bytes) -> bytes:
    """What tells one dead letter from another: sha256 of its stage and its original bytes.

    >>> letter_key("decode", b"{").hex()[:16]
    '158b77057c1efdfa'
    """
    return hashlib.sha256(stage.encode() + b"\0" + payload).digest()


def events_to_score(events: pa.RecordBatch, earlier: Earlier, hides: Hides | None = None) -> pa.RecordBatch:
    """The events that no earlier run has done, in order; the others are counted. `hides`: of a job with privacy."""
    known = _known(earlier)
    if not (known.ids or known.chosen) or not events.num_rows:
        return events
    ids = events.column(batches.EVENT_ID) if hides is None else hides.event_ids(events)
    left = known.undone(ids, events.column(batches.PAYLOAD))
    metrics.counter(metrics.EVENTS_DONE_BEFORE).inc(int((~left).sum()))
    return batches.take_rows(events, left)


class _ToldFn(beam.DoFn):
    """Letters that are new by their payload go on; the others are counted against those of earlier runs, by payload."""

    def __init__(self, earlier: Earlier) -> None:
        self._earlier = earlier

    def process(self, letters: pa.RecordBatch) -> Iterator[Any]:
        opened = letters.append_column(_OPENED, self._earlier.opened(letters))
        opened = self._of_chosen(self._of_undone(opened))
        keys, letters = self._keys(opened), opened.drop_columns([_OPENED])
        known = np.array([bool(key) for key in keys], np.bool_)
        if not known.all():
            yield batches.take_rows(letters, ~known)
        for index in np.flatnonzero(known).tolist():
            yield beam.pvalue.TaggedOutput("told", (keys[index], letters.slice(index, 1)))

    def _keys(self, letters: pa.RecordBatch) -> list[bytes]:
        """The key of each letter that earlier runs told; empty of the others."""
        known = _known(self._earlier).letters
        if not known:
            return [b""] * letters.num_rows
        rows = zip(*(letters.column(name).to_pylist() for name in ("stage", _OPENED, "event_id")), strict=True)
        keys = [
            (letter_key(stage, told(payload, own)), letter_key(stage, told(b"", own))) for stage, payload, own in rows
        ]
        return [next((key for key in each if key in known), b"") for each in keys]

    def _of_chosen(self, letters: pa.RecordBatch) -> pa.RecordBatch:
        """Without those of records that are not fed again; they are counted as told before."""
        chosen = _known(self._earlier).chosen
        if chosen is None or not letters.num_rows:
            return letters
        own = contains(chosen[0], letters.column(_OPENED))
        own |= contains(chosen[1], pc.fill_null(letters.column("event_id"), ""))
        left_out = letters.select(["stage", "error"]).filter(pa.array(~own)).to_pylist()
        for each in left_out:
            metrics.letters_before(each["stage"], each["error"]).inc()
        return batches.take_rows(letters, own)

    def _of_undone(self, letters: pa.RecordBatch) -> pa.RecordBatch:
        """Without those of events that are done and have no row of a table any more: each event ends as one thing."""
        rows, runs = pc.equal(letters.column("error"), NO_ROW_ERROR), _known(self._earlier).ids
        if not runs or not pc.any(rows).as_py():
            return letters
        own = np.flatnonzero(rows)
        done = own[contains(runs, letters.column("event_id").take(pa.array(own)).cast(pa.string()))]
        for stage in letters.column("stage").take(pa.array(done)).to_pylist():
            metrics.letters_before(stage, NO_ROW_ERROR).inc()
        left = np.ones(letters.num_rows, np.bool_)
        left[done] = False
        return batches.take_rows(letters, left)


class _BeyondFn(beam.DoFn):
    """Of the letters with one payload those that are more than earlier runs told."""

    def __init__(self, earlier: Earlier) -> None:
        self._earlier = earlier

    def process(self, element: tuple[bytes, Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        letters = batches.concat_batches(list(element[1]))
        told = min(_known(self._earlier).letters[element[0]], letters.num_rows)
        for stage, error in zip(*(letters.column(name).to_pylist()[:told] for name in ("stage", "error")), strict=True):
            metrics.letters_before(stage, error).inc()
        if told < letters.num_rows:
            yield letters.slice(told)


class NewLetters(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """The dead letters that earlier runs have not written yet.

    Input: batches of DeadLetter, bounded, in the global window. Output: the same without as many letters of each stage
    and payload as earlier runs have written; these are counted in `dead_letters_before/…`. No state.
    """

    def __init__(self, earlier: Earlier) -> None:
        super().__init__()
        self._earlier = earlier

    def expand(self, letters: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        parted = letters | "Part" >> beam.ParDo(_ToldFn(self._earlier)).with_outputs("told", main="new")
        parted.new.element_type = pa.RecordBatch
        parted["told"].element_type = convert_to_beam_type(tuple[bytes, pa.RecordBatch])
        beyond = beam.ParDo(_BeyondFn(self._earlier)).with_output_types(pa.RecordBatch)
        again = parted["told"] | "Group" >> beam.GroupByKey() | "Beyond" >> beyond
        together: beam.PCollection[pa.RecordBatch] = (parted.new, again) | "Together" >> beam.Flatten()
        return together
