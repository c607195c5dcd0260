"""Answers beside the labels that were known at a time: the join of `transforms.labels.label_join`, for all roles at
once.

What came of labels is counted once for each event: over the answers that left the job, one for each event, and not over
those of shadows beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.dead_letter_stages import LABELS
from schemas.native.grouping import codes_of
from schemas.records import DeadLetter
from schemas.times import format_duration_us, format_time_us
from transforms.labels.label_join import LABEL_OF, LABEL_TIME, CodedIds, JoinedLabels, join_coded
from transforms.quality.answers import CLUSTER, DECIDED, ScoredBy, protected_in, read_by, segments_in
from transforms.quality.clusters import filled
from transforms.quality.sums.group_sums import Beside
from transforms.scoring.scoring import SHADOW

BEYOND_HORIZON = "BeyondHorizon"
"""The error of a label that was known too long after its event."""
AFTER_LAST_PANE = "AfterLastPane"
"""The error of a label of a stream that was known in time, but came when the last pane of its event's window had been
emitted."""
Answers: TypeAlias = Mapping[ScoredBy, pa.RecordBatch]
Ints: TypeAlias = npt.NDArray[np.int64]
_NONE: Ints = np.zeros(0, np.int64)


class LabelledAnswers(NamedTuple):
    """The answers of each version and role beside their labels, whose rows are those of `answers`, and of the events
    that were answered what the join counted; `repeated`: answers that were there twice, which count once. `codes`: the
    ids of each one's rows as whole numbers below `distinct`."""

    answers: Answers
    beside: dict[ScoredBy, Beside]
    joined: JoinedLabels
    repeated: int
    codes: Mapping[ScoredBy, Ints]
    distinct: int


def by_version(answers: Iterable[pa.RecordBatch]) -> dict[ScoredBy, pa.RecordBatch]:
    """Batches of answers put together, one for each version and role, in their order."""
    found: dict[bytes, list[pa.RecordBatch]] = {}
    for batch in answers:
        if batch.num_rows:
            found.setdefault(read_by(batch).text().encode(), []).append(batch)
    whole = [_together(parts) for parts in found.values()]
    return dict(sorted(((read_by(batch), batch) for batch in whole), key=_who))


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Several batches as one. State of before a spec named another column has answers without it: there it is null."""
    if all(part.schema.equals(parts[0].schema) for part in parts):
        return batches.concat_batches(parts)
    tables = [pa.Table.from_batches([part]) for part in parts]
    whole = pa.concat_tables(tables, promote_options="default").combine_chunks().to_batches()[0]
    return whole.replace_schema_metadata(parts[0].schema.metadata)


def _who(found: tuple[ScoredBy, pa.RecordBatch]) -> str:
    return found[0].text()


def labelled_answers(
    answers: Answers, labels: pa.Table, horizon_us: int | None, *, may_repeat: bool = True
) -> LabelledAnswers:
    """The join of answers, and of these no answer of one version in one role twice, with labels of the columns that
    `join_labels` reads. `may_repeat`: of bounded input each answer is there once."""
    of_labels, codes, distinct = _coded(answers, labels)
    unique, number = dict(answers), int(of_labels.max(initial=-1)) + 1
    for by, rows in answers.items() if may_repeat else ():
        kept = unique_rows(rows, codes[by])
        if kept is not None:
            unique[by], codes[by] = batches.take_rows(rows, kept), codes[by][kept]
    repeated = sum(rows.num_rows for rows in answers.values()) - sum(rows.num_rows for rows in unique.values())
    found, joined = dict[ScoredBy, Beside](), list[JoinedLabels]()
    for part in (_left_job(unique), _shadows(unique)):
        of_events = np.concatenate([codes[by] for by in part]) if part else _NONE
        joined.append(_joined(part, labels, CodedIds(of_labels, of_events, number), horizon_us, found))
    return LabelledAnswers(unique, found, joined[0], repeated, codes, distinct)


def _coded(answers: Answers, labels: pa.Table) -> tuple[Ints, dict[ScoredBy, Ints], int]:
    """The ids of labels, and of the rows of each version and role, as whole numbers below the last one; those of labels
    come first."""
    columns = [labels[LABEL_OF].combine_chunks(), *(rows.column(batches.EVENT_ID) for rows in answers.values())]
    of_labels, *parts = codes_of(columns)
    distinct = max(int(part.max(initial=-1)) for part in (of_labels, *parts)) + 1
    return of_labels, dict(zip(answers, parts, strict=True)), distinct


def _left_job(answers: Answers) -> Answers:
    return {by: rows for by, rows in answers.items() if by.role != SHADOW}


def _shadows(answers: Answers) -> Answers:
    return {by: rows for by, rows in answers.items() if by.role == SHADOW}


def unique_rows(rows: pa.RecordBatch, codes: Ints) -> Ints | None:
    """The indexes of one row for each id, of several the one with the smallest time and score, since a retried bundle
    may answer twice; None where each id is there once. `codes`: the ids as whole numbers."""
    if not len(codes) or np.bincount(codes).max() == 1:
        return None
    scores = rows.column(batches.SCORE).to_numpy(zero_copy_only=False)
    order = np.lexsort((scores, batches.times_us(rows), codes))
    first = np.concatenate(([True], np.diff(codes[order]) != 0))
    return np.sort(order[first])


def _joined(
    answers: Answers, labels: pa.Table, coded: CodedIds, horizon_us: int | None, found: dict[ScoredBy, Beside]
) -> JoinedLabels:
    """What the join counts; the rows of each version and role beside their labels go to `found`."""
    times = {by: batches.times_us(rows) for by, rows in answers.items()}
    joined, start = join_coded(coded, np.concatenate([_NONE, *times.values()]), labels, horizon_us), 0
    for by, rows in answers.items():
        own = joined.values.slice(start, rows.num_rows)
        scores = rows.column(batches.SCORE).to_numpy(zero_copy_only=False)
        decided = rows.column(DECIDED) if DECIDED in rows.schema.names else None
        latencies = rows.column(batches.LATENCY).to_numpy(zero_copy_only=False).astype(np.float64)
        segments, protected = segments_in(rows), protected_in(rows)
        clusters = filled(rows.column(CLUSTER), rows.column(batches.EVENT_ID)) if CLUSTER in rows.schema.names else None
        found[by] = Beside(times[by], scores, own, segments, decided, latencies, protected, clusters)
        start += rows.num_rows
    return joined


def of_events(answers: Answers) -> tuple[pa.Array, Ints]:
    """The ids of the events that were answered, and when they happened (microseconds)."""
    own = _left_job(answers) or answers
    ids = pa.chunked_array([rows.column(batches.EVENT_ID) for rows in own.values()], pa.string()).combine_chunks()
    return ids, np.concatenate([_NONE, *(batches.times_us(rows) for rows in own.values())])


def answered_at(answers: Answers, ids: pa.Array) -> Ints:
    """When the event of each id happened (microseconds), as far as it was answered; -2^62 where it was not."""
    known, times = of_events(answers)
    found = pc.index_in(ids, value_set=known)
    at = pc.fill_null(found, len(times)).to_numpy(zero_copy_only=False)
    happened: Ints = np.append(times, -(2**62))[at]
    return happened


def known_at(labels: pa.Table) -> Ints:
    """When each label was known (microseconds)."""
    found: Ints = labels[LABEL_TIME].combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found


def beyond_horizon(answers: Answers, labels: pa.Table, horizon_us: int | None, at_us: int) -> list[DeadLetter]:
    """A dead letter of each label that was known later than the horizon after its event."""
    if horizon_us is None or not labels.num_rows or not answers:
        return []
    happened = answered_at(answers, labels[LABEL_OF].combine_chunks())
    late = (happened > -(2**62)) & (known_at(labels) - happened > horizon_us)
    return late_letters(labels, happened, late, horizon_us, at_us)


def late_letters(
    labels: pa.Table, happened: Ints, which: npt.NDArray[np.bool_], horizon_us: int | None, at_us: int
) -> list[DeadLetter]:
    """A dead letter of each of the chosen labels. `happened`: when each one's event did; `horizon_us`: None where the
    label was known in time, and only came too late."""
    late = np.flatnonzero(which)
    rows = labels.take(pa.array(late)).to_pylist() if len(late) else []
    times = zip(happened[late].tolist(), known_at(labels)[late].tolist(), strict=True)
    return [_letter(row, own, after, horizon_us, at_us) for row, (own, after) in zip(rows, times, strict=True)]


def _letter(row: dict[str, object], happened: int, known: int, horizon_us: int | None, at_us: int) -> DeadLetter:
    """The label as it was read, since its bytes are not kept for so long."""
    payload = msgspec.json.encode({**row, LABEL_TIME: format_time_us(int(known))})
    detail = f"known {format_duration_us(int(known - happened))} after its event"
    if horizon_us is None:
        detail += ", but read after the last pane of the event's window; expected: before it"
        return DeadLetter(LABELS, AFTER_LAST_PANE, detail, payload, str(row[LABEL_OF]), int(happened), at_us)
    detail += f"; expected: at most labels.horizon, {format_duration_us(horizon_us)}"
    return DeadLetter(LABELS, BEYOND_HORIZON, detail, payload, str(row[LABEL_OF]), int(happened), at_us)


def known_by(labels: pa.Table, at_us: int) -> pa.Table:
    """The labels that were known at a time."""
    limit = pa.scalar(at_us, pa.int64()).cast(batches.TIME_TYPE)
    return labels.filter(pc.less_equal(labels[LABEL_TIME], limit))


def in_windows(answers: Answers, starts: Sequence[int], window_us: int) -> dict[ScoredBy, pa.RecordBatch]:
    """The answers in windows that begin then; versions without any are left out."""
    found = {}
    for by, rows in answers.items():
        own = np.isin(np.floor_divide(batches.times_us(rows), window_us) * window_us, starts)
        if own.any():
            found[by] = batches.take_rows(rows, own)
    return found
