"""Labels joined to events by id, point in time: one function, wherever it is done.

An event's label is the latest that was known from the event on until the horizon after it, both included. What was
known before the event, or came after the horizon, is no label of it. Of several at one time the greatest value counts,
so that the answer depends on the set of labels only.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

LABEL_OF, LABEL, LABEL_TIME = "event_id", "label", "label_time"
"""The columns of a table of labels: which event it is for, its value, and when it was known (timestamp[us, UTC])."""
LABELLED = "labelled"
OUTCOMES = (LABELLED, "no_label", "null_label", "before_event", "after_horizon")
"""What came of an event, by the code in `JoinedLabels.outcomes`."""
_NO_LABEL, _NULL, _BEFORE, _AFTER = range(1, len(OUTCOMES))
_FOREVER_US = 2**62
Codes = npt.NDArray[np.int64]


class JoinedLabels(NamedTuple):
    """`values`, `times`: of each event's label, null where it has none; `outcomes`: indexes of `OUTCOMES`, shape (n,).

    `repeated`, `contradicted`: labelled events with several labels in the horizon, of one value and of several.
    `without_event`: labels whose id no event has. `out_of_time`: whether a label may be known before its event or after
    the horizon.
    """

    values: pa.Array
    times: pa.Array
    outcomes: npt.NDArray[np.int8]
    repeated: int
    contradicted: int
    without_event: int
    out_of_time: bool = True

    def counts(self) -> dict[str, int]:
        """How many events there are of each outcome that occurs."""
        numbers = np.bincount(self.outcomes, minlength=len(OUTCOMES)).tolist()
        return {name: number for name, number in zip(OUTCOMES, numbers, strict=True) if number}


def join_labels(
    event_ids: pa.ChunkedArray, event_times: pa.ChunkedArray, labels: pa.Table, horizon_us: int | None
) -> JoinedLabels:
    """The label of each event.

    Args:
        event_ids: texts without nulls.
        event_times: timestamp[us, UTC] without nulls.
        labels: `event_id`, `label`, `label_time`; `label` may be null.
        horizon_us: how long after its event a label counts; None: for ever.

    >>> def times(*us):
    ...     return pa.chunked_array([pa.array(us, pa.int64()).cast(pa.timestamp("us", tz="UTC"))])
    >>> known = pa.table({"event_id": ["a", "a", "b", "c"], "label": [1, 2, 3, 4], "label_time": times(5, 7, 50, 2)})
    >>> found = join_labels(pa.chunked_array([["a", "b", "c", "d"]]), times(4, 4, 4, 4), known, horizon_us=10)
    >>> found.values.to_pylist(), [OUTCOMES[code] for code in found.outcomes], found.contradicted
    ([2, None, None, None], ['labelled', 'after_horizon', 'before_event', 'no_label'], 1)
    """
    encoded = labels[LABEL_OF].combine_chunks().dictionary_encode()
    asked = pc.fill_null(_whole(pc.index_in(event_ids, value_set=encoded.dictionary)), -1)
    coded = CodedIds(_codes(encoded.indices), _codes(asked), len(encoded.dictionary))
    return join_coded(coded, _us(event_times), labels, horizon_us)


class CodedIds(NamedTuple):
    """Ids as whole numbers: of each label, and of each event, where those of labels are `distinct`, from 0 on in the
    order of their first label; an event whose id no label has is -1, or above them."""

    of_labels: Codes
    of_events: Codes
    distinct: int


def join_coded(coded: CodedIds, events_us: Codes, labels: pa.Table, horizon_us: int | None) -> JoinedLabels:
    """As `join_labels`, of ids that are coded and times in microseconds."""
    asked = np.where(coded.of_events < coded.distinct, coded.of_events, -1)
    whole = labels[LABEL].null_count == 0
    present = labels if whole else labels.filter(labels[LABEL].is_valid())
    # Arrow's indexes have 32 bits, which their product with the number of times exceeds.
    of_ids = coded.of_labels
    codes = of_ids if whole else of_ids[_whole(labels[LABEL].is_valid()).to_numpy(zero_copy_only=False)]
    known: _Known | _OneOfEach
    if whole and coded.distinct == labels.num_rows:  # one of each id, in order: nothing is searched for
        order, known = None, _OneOfEach(_us(present[LABEL_TIME]))
    else:
        order = _order(codes, present)
        known = _Known(codes[order], _us(present[LABEL_TIME])[order], _value_codes(present)[order])
    first, end, outcomes = known.spans(asked, events_us, horizon_us)
    last = np.maximum(end - 1, 0)
    chosen = pa.array(last if order is None or not len(order) else order[last], pa.int64(), mask=outcomes != 0)
    several = (end - first > 1) & (outcomes == 0)
    differ = known.differ(first, end)
    used = np.zeros(coded.distinct + 1, np.bool_)
    used[asked] = True  # those without a label are the last, which no label has
    values, known_at = (_whole(present[name]).take(chosen) for name in (LABEL, LABEL_TIME))
    counts = (int((several & ~differ).sum()), int((several & differ).sum()), int((~used[of_ids]).sum()))
    of_each = np.bincount(codes, minlength=coded.distinct + 1)  # the last is 0: events that no label has
    out_of_time = not whole or bool(np.any(end - first < of_each[asked]))
    return JoinedLabels(values, known_at, outcomes, *counts, out_of_time=out_of_time)


def _codes(indices: pa.Array) -> Codes:
    found: Codes = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


class _Known:
    """Labels that have a value, in order of their event's code, then of time; each event's are a span of them."""

    def __init__(self, codes: Codes, times_us: Codes, values: Codes) -> None:
        self._codes = codes
        self._times = np.unique(times_us)
        self._keys = codes * (len(self._times) + 1) + np.searchsorted(self._times, times_us)
        other = np.flatnonzero((np.diff(codes) != 0) | (np.diff(values) != 0)) + 1
        changes = np.zeros(len(codes), np.int64)
        changes[other] = 1
        self._changes = np.cumsum(changes)

    def spans(
        self, asked: Codes, events_us: Codes, horizon_us: int | None
    ) -> tuple[Codes, Codes, npt.NDArray[np.int8]]:
        """Which labels each event may have, as first and end, and its outcome."""
        has_any, codes = asked >= 0, np.maximum(asked, 0)
        until_us = np.full(len(events_us), _FOREVER_US) if horizon_us is None else events_us + horizon_us
        base = codes * (len(self._times) + 1)
        first = np.searchsorted(self._keys, base + np.searchsorted(self._times, events_us, "left"), "left")
        end = np.searchsorted(self._keys, base + np.searchsorted(self._times, until_us, "right"), "left")
        own_first, own_end = (np.searchsorted(self._codes, codes, side) for side in ("left", "right"))
        outcomes = np.zeros(len(codes), np.int8)
        without = end <= first
        outcomes[without] = _BEFORE
        outcomes[without & (own_end > end)] = _AFTER
        outcomes[without & (own_end == own_first)] = _NULL
        outcomes[~has_any] = _NO_LABEL
        return first, end, outcomes

    def differ(self, first: Codes, end: Codes) -> npt.NDArray[np.bool_]:
        """Whether the labels of each span have several values."""
        if not len(self._changes):
            return np.zeros(len(first), np.bool_)
        last = len(self._changes) - 1
        found: npt.NDArray[np.bool_] = (
            self._changes[np.clip(end - 1, 0, last)] != self._changes[np.clip(first, 0, last)]
        )
        return found


class _OneOfEach:
    """Labels that have a value, one of each event, which is at the index of the event's code."""

    def __init__(self, times_us: Codes) -> None:
        self._times = times_us

    def spans(
        self, asked: Codes, events_us: Codes, horizon_us: int | None
    ) -> tuple[Codes, Codes, npt.NDArray[np.int8]]:
        """As `_Known.spans`."""
        has_any, first = asked >= 0, np.maximum(asked, 0)
        times = self._times[first] if len(self._times) else np.zeros(len(first), np.int64)
        before = times < events_us
        after = np.zeros(len(first), np.bool_) if horizon_us is None else times > events_us + horizon_us
        outcomes = np.where(before, _BEFORE, np.where(after, _AFTER, 0)).astype(np.int8)
        outcomes[~has_any] = _NO_LABEL
        return first, first + (outcomes == 0), outcomes

    def differ(self, first: Codes, end: Codes) -> npt.NDArray[np.bool_]:
        """As `_Known.differ`: one label has one value."""
        return np.zeros(len(first), np.bool_)


def _order(codes: Codes, labels: pa.Table) -> Codes:
    rows = pa.table({"code": codes, "time": labels[LABEL_TIME], "value": labels[LABEL]})
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in rows.column_names])
    found: Codes = order.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _value_codes(labels: pa.Table) -> Codes:
    found: Codes = _whole(labels[LABEL]).dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _us(times: pa.ChunkedArray) -> Codes:
    found: Codes = _whole(times).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def labels_table(batches: Sequence[pa.RecordBatch], kind: pa.DataType) -> pa.Table:
    """Batches of labels as one table; `kind` is the type of a label where there is no batch."""
    schema = pa.schema([(LABEL_OF, pa.string()), (LABEL, kind), (LABEL_TIME, pa.timestamp("us", tz="UTC"))])
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)
