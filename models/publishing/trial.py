"""A model tried on a sample: golden records and a reference profile, both with its own scores."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.admission.proving import BadOutput, check_output
from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Input, Output
from models.errors import one_line
from models.profiles import SCORE, Profile, build_profile, serialise_profile, with_segments, with_training_windows
from models.publishing.description import CannotPublish
from models.publishing.hiding import Hiding, made_up_rows
from models.publishing.importance import importance_of
from models.publishing.sample_times import SampleTimes, times_of
from models.scorers import Scorer
from schemas.columns import VALUES

GOLDEN_ROWS = 20
_TIMES = "\0times"  # no input is called so
_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class SampleTrial:
    """`golden`: JSON lines as admission reads them; `profile`: the serialised profile of inputs and score, but not of
    those that are `unprofiled`, vectors and times; `importance` of inputs, none where the model does not score rows
    with exchanged values; `windows`: the lengths and numbers of those of the sample that the profile knows, or why it
    knows none; and its `segments`."""

    golden: bytes
    golden_rows: int
    profile: bytes
    rows: int
    unprofiled: tuple[str, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    windows: tuple[tuple[str, int], ...] = ()
    no_windows: str = ""
    segments: tuple[str, ...] = ()


def try_on_sample(
    scorer: Scorer,
    inputs: Sequence[Input],
    output: Output,
    sample: pa.Table,
    hiding: Hiding | None = None,
    timed: SampleTimes | None = None,
) -> SampleTrial:
    """Score all of a sample.

    Args:
        scorer: the loaded model.
        inputs: its inputs, all of which must be columns of the sample.
        output: what its scores must be.
        sample: n rows, n > 0. Golden records are up to `GOLDEN_ROWS` of them, evenly spaced.
        hiding: what may not be in the bundle. Golden records are then made up, and there are none where the model does
            not score them.
        timed: the times of its events, which tell how far its hours, days and weeks are from the whole; without it
            those of a column `event_time`.

    Raises:
        CannotPublish: a column is missing, an input that is not nullable is null, or the model fails on the sample.
        BadOutput: a score is NaN, or no probability where it must be one.
    """
    raw = typed_inputs(sample, inputs, "the sample")
    prepared, unreadable = prepare_inputs(raw, inputs)
    if unreadable.any():
        row = int(np.argmax(unreadable))
        name = next(each.name for each in inputs if not each.nullable and not prepared.column(each.name)[row].is_valid)
        found = f"sample row {row + 1} has null in input {name!r}, which is not nullable"
        raise CannotPublish(f"{found}; expected: --input {name}:TYPE:nullable, or a default")
    doubts = scorer.doubts(prepared)
    if doubts:
        raise CannotPublish(f"no row of the sample fits the model: {doubts}; expected: rows as it was trained on")
    scores = np.concatenate(
        [_scored(scorer, prepared.slice(start, _BATCH_ROWS), output) for start in range(0, raw.num_rows, _BATCH_ROWS)]
    )
    picked = np.unique(np.linspace(0, raw.num_rows - 1, min(GOLDEN_ROWS, raw.num_rows)).astype(np.int64))
    rows = pa.array(picked)
    profiled = prepared.append_column(SCORE, pa.array(scores))
    # A vector has no distribution of values that a person could look at, and times only go on.
    apart = tuple(each.name for each in inputs if each.type not in VALUES)
    left_out = {*apart, *(() if hiding is None else hiding.hidden)}
    profile = build_profile(profiled, [name for name in profiled.schema.names if name not in left_out])
    closed = set() if hiding is None else {*hiding.hidden, *hiding.event_ids, *hiding.subjects}
    timed = times_of(sample) if timed is None else timed
    profile = _with_parts(profile, profiled, sample, closed, timed)
    # Scored again as a batch of their own: float32 models round slightly differently in batches of other sizes.
    golden = (
        golden_lines(raw.take(rows), _scored(scorer, prepared.take(rows), output))
        if hiding is None
        else _made_up_lines(scorer, inputs, output, made_up_rows(raw.take(rows), hiding.hidden))
    )
    return SampleTrial(
        golden=golden,
        golden_rows=len(picked) if golden else 0,
        profile=serialise_profile(profile),
        rows=raw.num_rows,
        unprofiled=apart,
        importance=_importance(scorer, prepared, output),
        windows=tuple((each.length, each.windows) for each in profile.windows),
        no_windows="" if profile.windows else timed.why or "it has rows of fewer than five hours",
        segments=tuple(profile.segments),
    )


def _with_parts(
    profile: Profile, profiled: pa.RecordBatch, sample: pa.Table, apart: Collection[str], timed: SampleTimes
) -> Profile:
    """The profile with windows and segments of the sample; `apart`: columns by which no segments may be made."""
    names = [name for name in sample.schema.names if name not in apart and sample.schema.names.count(name) == 1]
    by = {name: sample.column(name).combine_chunks() for name in names}
    profile = with_segments(profile, profiled, by)
    if timed.times is None:
        return profile
    columns = [profiled.column(name) for name in profile.spans]
    return with_training_windows(profile, pa.table([*columns, timed.times], [*profile.spans, _TIMES]), _TIMES)


def _importance(scorer: Scorer, prepared: pa.RecordBatch, output: Output) -> Mapping[str, float]:
    """Nothing where the model fails on exchanged values, which may be such as it never saw together."""
    try:
        return importance_of(lambda rows: _scored(scorer, rows, output), prepared)
    except (CannotPublish, BadOutput):
        return {}


def _made_up_lines(scorer: Scorer, inputs: Sequence[Input], output: Output, rows: pa.RecordBatch) -> bytes:
    """Golden records of made up rows; empty where the model does not answer to them all."""
    prepared, unreadable = prepare_inputs(rows, inputs)
    if unreadable.any():
        return b""
    try:
        return golden_lines(rows, _scored(scorer, prepared, output))
    except (CannotPublish, BadOutput):
        return b""


def typed_inputs(sample: pa.Table, inputs: Sequence[Input], what: str) -> pa.RecordBatch:
    """The inputs' columns in their types, nulls unchanged; n rows, n > 0.

    Raises:
        CannotPublish: a column is missing, naming `what` lacks it.
        WrongInputs: a column's type does not fit.
    """
    missing = [each.name for each in inputs if each.name not in sample.schema.names]
    if missing:
        allowed = ", ".join(each.name for each in inputs)
        raise CannotPublish(f"{what} has no column {', '.join(missing)}; expected: all of {allowed}")
    if SCORE in (each.name for each in inputs):
        taken = f"input {SCORE!r} is not allowed beside a sample, in whose profile it is the model's own score"
        raise CannotPublish(f"{taken}; expected: another name")
    batch = sample.select([each.name for each in inputs]).combine_chunks().to_batches()[0]
    typed, _ = prepare_inputs(batch, [replace(each, nullable=True, default=None) for each in inputs])
    return typed


def _scored(scorer: Scorer, batch: pa.RecordBatch, output: Output) -> npt.NDArray[np.float64]:
    try:
        scores = scorer.score(batch)
    except Exception as error:
        # A model may raise anything on a row; it would do so in the job too.
        raise CannotPublish(f"the model cannot score the sample: {one_line(error)}") from error
    check_output(scores, batch.num_rows, output)
    return scores


def golden_lines(raw: pa.RecordBatch, scores: npt.NDArray[np.float64]) -> bytes:
    """Golden records as admission reads them: JSON lines `{"inputs": {name: value}, "score": number}`."""
    rows = zip(raw.to_pylist(), scores.tolist(), strict=True)
    lines = (json.dumps({"inputs": inputs, "score": score}, ensure_ascii=False) for inputs, score in rows)
    return "".join(f"{line}\n" for line in lines).encode()
