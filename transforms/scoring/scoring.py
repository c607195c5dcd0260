"""Which version scores which rows, and the scores: pure functions on batches, without Beam."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Decisions, Output
from models.releases.release import AdmittedRelease, Release
from models.releases.shares import assign
from models.releases.timeline import Timeline
from models.scorers import PartlyScored
from models.scorers.asking import ModelFailed, WrongAnswer, ask, faults_of
from models.serving.cache import LoadedModel
from schemas import batches
from schemas.native.hashing import bytes_and_offsets, sha256_each
from schemas.records import FEATURE_VALUE_TYPE, FEATURES_TYPE
from schemas.score_ids import id_tail
from schemas.vectors import to_bytes

CHAMPION, CHALLENGER, SHADOW, REPLAY = "champion", "challenger", "shadow", "replay"
Ints = npt.NDArray[np.int64]
# Branches of the union of the values that a scorer read.
_WHOLE, _NUMBER, _TEXT, _BYTES = 1, 2, 3, 4
_MOST_HASHED = 1 << 30  # bytes: an array of texts holds twice as many


class Assigned(NamedTuple):
    """Rows of a batch that one version scores in one role, by one release. `again`: the role on the receipts of what is
    scored again from receipts."""

    entry: AdmittedRelease
    version: str
    role: str
    rows: Ints
    again: str | None = None

    @property
    def recorded_role(self) -> str:
        """The role in records; what a replay scores has one of its own."""
        return REPLAY if self.entry.release.is_replay or self.again is not None else self.role

    @property
    def role_in_id(self) -> str:
        """The role in the id of a score: a replay of the version that answered gives the same id."""
        return self.again or (CHAMPION if self.entry.release.is_replay else self.role)

    @property
    def is_answer(self) -> bool:
        """Whether its scores leave the job: those of a shadow do not, those of a replay all do."""
        return self.role != SHADOW or self.entry.release.is_replay


class Scored(NamedTuple):
    """The result of a version for a batch: `inputs` exactly as the scorer read them, `scores` of equal length, the rows
    (indices into the batch) they belong to, and the rows that got no score with the reason of each."""

    inputs: pa.RecordBatch
    scores: npt.NDArray[np.float64]
    rows: Ints
    failed_rows: Ints
    failures: list[tuple[str, str]]
    latency_us: int


def assigned(batch: pa.RecordBatch, timeline: Timeline, serving: Ints) -> Iterator[Assigned]:
    """Every (version, role) that scores rows of the batch, by the release (an index) that serves each row."""
    for index in np.flatnonzero(np.bincount(serving)).tolist():
        entry = timeline.entries[index]
        release, rows = entry.release, np.flatnonzero(serving == index)
        roles = assign(release, split_values(batch, rows, release)) if release.challengers else None
        answering = [(release.champion, CHAMPION), *((c.version, CHALLENGER) for c in release.challengers)]
        for arm, (version, role) in enumerate(answering):
            own = rows if roles is None else rows[roles == arm]
            if len(own):
                yield Assigned(entry, version, role, own)
        for version in release.shadows:
            yield Assigned(entry, version, SHADOW, rows)


def split_values(batch: pa.RecordBatch, rows: Ints, release: Release) -> list[str]:
    """The text that decides each row's role: the release's `split_on`; the event's id where that is null."""
    ids = batch.column(batches.EVENT_ID)
    names = {"event_id": batches.EVENT_ID, "subject": batches.SUBJECT}
    values = batches.as_texts(batch.column(names.get(release.split_on, release.split_on)))
    texts: list[str] = pc.coalesce(values, ids).take(pa.array(rows)).to_pylist()
    return texts


def score_rows(model: LoadedModel, batch: pa.RecordBatch) -> Scored:
    """Scores a batch; rows without a score are returned with (error, detail) instead of failing the batch.

    Errors: `MissingInput` (null where the manifest allows none), `NotFinite` (the scorer answered NaN or infinity),
    `NotAProbability`, `WrongAnswer` (not one number for each row), the error that a scorer with a server names for a
    row (`PartlyScored`), and the class of whatever else was raised within the scorer for a row: a batch that fails is
    bisected down to that row. What is raised around the scorer is a bug of this project and is not caught.
    """
    inputs, unreadable = prepare_inputs(batch, model.manifest.inputs)
    rows = np.flatnonzero(~unreadable)
    readable = batches.take_rows(inputs, ~unreadable)
    started = time.perf_counter_ns()
    scores, errors = _bisected(model, readable, 0)
    latency_us = (time.perf_counter_ns() - started) // 1000
    errors = faults_of(scores, model.manifest.output) | errors
    bad = np.array(sorted(errors), np.int64)
    good = np.ones(len(rows), np.bool_)
    good[bad] = False
    missing = np.flatnonzero(unreadable)
    failures = [_missing_input(inputs, row, model) for row in missing.tolist()] + [errors[int(index)] for index in bad]
    failed_rows = np.concatenate((missing, rows[bad]))
    return Scored(batches.take_rows(readable, good), scores[good], rows[good], failed_rows, failures, latency_us)


def _missing_input(inputs: pa.RecordBatch, row: int, model: LoadedModel) -> tuple[str, str]:
    names = [
        entry.name
        for entry in model.manifest.inputs
        if not entry.nullable and not inputs.column(entry.name)[row].is_valid
    ]
    return "MissingInput", f"{', '.join(names)}: null is not allowed by version {model.manifest.version}"


def _named(failed: ModelFailed, model: LoadedModel) -> str:
    """What is wrong, with the model's name where the message does not contain it."""
    manifest = model.manifest
    of = f"version {manifest.version!r} of model {manifest.model!r}: "
    return f"{of if failed.error == WrongAnswer.__name__ else ''}{failed.detail}"


def _bisected(
    model: LoadedModel, inputs: pa.RecordBatch, start: int
) -> tuple[npt.NDArray[np.float64], dict[int, tuple[str, str]]]:
    if inputs.num_rows == 0:
        return np.zeros(0), {}
    try:
        return ask(model.scorer, inputs), {}
    except PartlyScored as partly:  # it names the failed records: asking again in halves would only load its server
        return partly.scores, {start + row: failure for row, failure in partly.failures.items()}
    except ModelFailed as failed:
        if inputs.num_rows == 1:
            return np.full(1, np.nan), {start: (failed.error, _named(failed, model))}
    middle = inputs.num_rows // 2
    left, left_errors = _bisected(model, inputs.slice(0, middle), start)
    right, right_errors = _bisected(model, inputs.slice(middle), start + middle)
    return np.concatenate((left, right)), left_errors | right_errors


def score_ids(event_ids: pa.Array, digest: str, role: str, definitions: str | None) -> pa.Array:
    """`schemas.score_ids.score_id` of each event.

    >>> score_ids(pa.array(["JFK-B6-725"]), "5edaaee0dfe6", "champion", "f7c3bc1d808e0473").to_pylist()
    ['53fac55b7b72e9b7a2cdbd520368fa85']
    """
    tail = id_tail(digest, role, definitions).encode()
    if event_ids.nbytes + len(tail) * len(event_ids) > _MOST_HASHED and len(event_ids) > 1:
        middle = len(event_ids) // 2
        halves = (event_ids.slice(0, middle), event_ids.slice(middle))
        return pa.concat_arrays([score_ids(half, digest, role, definitions) for half in halves])
    hashed = pc.binary_join_element_wise(event_ids.cast(pa.binary()), pa.scalar(tail), b"")
    hashes = sha256_each(b"", *bytes_and_offsets(hashed))
    shortened = np.frombuffer(hashes, np.uint8).reshape(-1, 32)[:, :16].tobytes().hex().encode()
    starts = np.arange(0, len(shortened) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(event_ids), pa.py_buffer(starts), pa.py_buffer(shortened))


def decisions(scores: npt.NDArray[np.float64], output: Output, labels: Mapping[float, str]) -> pa.Array:
    """The bundle's text for the decision by its threshold, else `positive` or `not <positive>`; without a threshold, a
    class's label; else null.

    >>> decisions(np.array([0.2, 0.5]), Output("probability", threshold=0.5, positive="late"), {}).to_pylist()
    ['not late', 'late']
    >>> texts = Decisions("approved", "rejected")
    >>> decisions(np.array([0.2, 0.5]), Output("probability", 0.5, "repaid", texts), {}).to_pylist()
    ['rejected', 'approved']
    >>> decisions(np.array([1.0, 0.0]), Output("class"), {0.0: "ham", 1.0: "spam"}).to_pylist()
    ['spam', 'ham']
    """
    if output.threshold is None:
        if output.kind != "class" or not labels:
            return pa.nulls(len(scores), pa.string())
        indexes = pc.index_in(pa.array(scores), value_set=pa.array(list(labels), pa.float64()))
        return pa.array(list(labels.values()), pa.string()).take(indexes)
    positive = output.positive or "positive"
    texts = output.decisions or Decisions(positive, f"not {positive}")
    is_positive = pa.array((scores >= output.threshold).astype(np.int8))
    return pa.array([texts.negative, texts.positive], pa.string()).take(is_positive)


def features_map(inputs: pa.RecordBatch) -> pa.Array:
    """What the scorer read as a map per row: number, whole number, text, bytes of a vector or null by input name.

    Integers keep all their digits; booleans are 0 and 1. The union is sparse (children as long as the union):
    pyruhvro 0.4.0 reads a dense one as if it were sparse.
    """
    rows, names = inputs.num_rows, inputs.schema.names
    kinds = np.zeros((rows, len(names)), np.int8)
    texts = np.full((rows, len(names)), -1, np.int64)
    text_columns, vectors = list[pa.Array](), list[pa.Array]()
    # The two share their memory: a value is read by its kind only.
    numbers = np.zeros(kinds.shape)
    wholes = numbers.view(np.int64)
    for index, column in enumerate(inputs.columns):
        present = column.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_string(column.type):
            kinds[:, index] = np.where(present, _TEXT, 0)
            texts[:, index] = np.where(present, len(text_columns) * rows + np.arange(rows), -1)
            text_columns.append(column)
        elif pa.types.is_fixed_size_list(column.type):
            kinds[:, index] = np.where(present, _BYTES, 0)
            texts[:, index] = np.where(present, len(vectors) * rows + np.arange(rows), -1)
            vectors.append(to_bytes(column))
        elif pa.types.is_floating(column.type):
            kinds[:, index] = np.where(present, _NUMBER, 0)
            numbers[:, index] = _filled(column, pa.float64())
        else:
            kinds[:, index] = np.where(present, _WHOLE, 0)
            wholes[:, index] = _filled(column, pa.int64())
    children = [pa.nulls(kinds.size), pa.array(wholes.ravel()), pa.array(numbers.ravel())]
    for kind, columns, branch in ((pa.string(), text_columns, _TEXT), (pa.binary(), vectors, _BYTES)):
        children.append(_interleaved(columns, np.where(kinds == branch, texts, -1).ravel(), kind))
    union = pa.UnionArray.from_sparse(
        pa.array(kinds.ravel()),
        children,
        [field.name for field in FEATURE_VALUE_TYPE],
    )
    keys = _repeated(names, rows)
    starts = pa.array(np.arange(0, rows * len(names) + 1, max(len(names), 1), dtype=np.int32)[: rows + 1])
    return pa.MapArray.from_arrays(starts, keys, union, type=FEATURES_TYPE)


def _repeated(names: list[str], times: int) -> pa.Array:
    """The names in order, repeated `times` times."""
    texts = [name.encode() for name in names]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    size = int(ends[-1]) if len(ends) else 0
    if size * times >= 2**31:  # more than a text array holds: Arrow raises
        return pa.array(names, pa.string()).take(pa.array(np.tile(np.arange(len(names)), times)))
    offsets = np.zeros(times * len(names) + 1, np.int32)
    offsets[1:] = (np.arange(times)[:, np.newaxis] * size + ends).ravel()
    return pa.StringArray.from_buffers(times * len(names), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts) * times))


def _interleaved(columns: list[pa.Array], indexes: Ints, kind: pa.DataType) -> pa.Array:
    """The texts, or bytes, at `indexes` of the columns end to end; null where the index is negative."""
    if not columns or not len(indexes):
        return pa.nulls(len(indexes), kind)
    if len(columns) == 1 and not columns[0].null_count:
        return _spread(columns[0], indexes >= 0)
    return pa.concat_arrays(columns).take(pa.array(indexes, mask=indexes < 0))


def _spread(column: pa.Array, own: npt.NDArray[np.bool_]) -> pa.Array:
    """The texts, or bytes, of a column without nulls in the cells that are its own, in order; the others are empty.
    Nothing is copied but their ends."""
    _, given, data = column.buffers()
    ends = np.frombuffer(given, np.int32)[column.offset : column.offset + len(column) + 1]
    starts = ends[np.concatenate([np.zeros(1, np.int64), np.cumsum(own)])]
    return pa.Array.from_buffers(column.type, len(own), [None, pa.py_buffer(starts), data])


def _filled(column: pa.Array, kind: pa.DataType) -> npt.NDArray[Any]:
    # A null is filled with any number; a NaN that the scorer read stays one.
    filled: npt.NDArray[Any] = column.cast(kind, safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    return filled
