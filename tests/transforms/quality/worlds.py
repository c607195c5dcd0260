"""Invented answers and labels, and what their quality is when all of them are looked at together."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from transforms.labels.label_join import labels_table
from transforms.quality.answers import ScoredBy, answers_of, stamped_with
from transforms.quality.held import sums_by
from transforms.quality.joining import by_version, labelled_answers
from transforms.quality.measuring.quality_records import QualityOrigin
from transforms.quality.merge_panes import counted_records
from transforms.quality.pairing import pairs_of
from transforms.quality.panes import Schedule
from transforms.quality.protected import FairnessRules
from transforms.quality.sums.pair_sums import PairSums, sums_of_pairs
from transforms.quality.sums.sums_coder import added_any

SECOND = 1_000_000
SCHEDULE = Schedule(window_us=100 * SECOND, lateness_us=20 * SECOND, horizon_us=80 * SECOND)
CHAMPION = ScoredBy("v1", "champion", "d1", "probability", 0.5, "late", quality=(("auc", 0.7),))
SHADOW = ScoredBy("v2", "shadow", "d2", "probability", 0.4, "late")
CHALLENGER = ScoredBy("v4", "challenger", "d4", "probability", 0.6, "late")
NUMBERS = ScoredBy("v3", "champion", "d3", "regression")


def answers(
    by: ScoredBy, ids: Sequence[str], times_us: Sequence[int], scores: Any, origin: Any = None, latency: Any = None
) -> pa.RecordBatch:
    """Answers with the segment `origin`, by which they are also in teams."""
    rows = pa.RecordBatch.from_pydict(
        {
            batches.EVENT_ID: pa.array(ids, pa.string()),
            batches.EVENT_TIME: pa.array(times_us, pa.int64()).cast(batches.TIME_TYPE),
            batches.SCORE: pa.array(scores, pa.float64()),
            "origin": pa.array(["a"] * len(ids) if origin is None else origin, pa.string()),
            batches.LATENCY: pa.array([None] * len(ids) if latency is None else latency, pa.int64()),
        }
    )
    protected = {"team": pc.binary_join_element_wise("team", rows.column("origin"), "=")}
    return stamped_with(answers_of(rows, by, ["origin"], protected=protected), by)


def labels(ids: Sequence[str], times_us: Sequence[int], values: Sequence[Any], kind: Any = None) -> pa.RecordBatch:
    """Labels as `DecodeLabels` makes them."""
    columns = [
        pa.array(ids, pa.string()),
        pa.array(values, kind),
        pa.array(times_us, pa.int64()).cast(batches.TIME_TYPE),
    ]
    return pa.RecordBatch.from_arrays(columns, ["event_id", "label", "label_time"])


def world(seed: int, events: int = 400) -> tuple[list[pa.RecordBatch], pa.RecordBatch]:
    """Events of five windows, answered by a champion and a shadow, and their labels: some late or too late, repeated,
    contradicting, null, before their event, of no event."""
    rng = random.Random(seed)
    ids = [f"e{number}" for number in range(events)]
    times = [rng.randrange(500 * SECOND) for _ in ids]
    of = [rng.randrange(events + 20) for _ in range(events)]
    known = [(times[each] if each < events else 0) + rng.randrange(-5 * SECOND, 100 * SECOND) for each in of]
    values = [rng.choice([True, False, None, True, False]) for _ in of]
    origin = [rng.choice(["a", "b", None]) for _ in ids]
    given = [answers(by, ids, times, [rng.choice([rng.random(), 0.25, 0.5]) for _ in ids], origin)
             for by in (CHAMPION, SHADOW)]  # fmt: skip
    return given, labels([f"e{each}" for each in of], known, values, pa.bool_())


def records_of(
    given: Sequence[pa.RecordBatch],
    known: pa.RecordBatch,
    schedule: Schedule = SCHEDULE,
    fairness: FairnessRules | None = None,
) -> list[Any]:
    """The records of all windows by all labels, with the join that is made of whole inputs."""
    kind = known.schema.field("label").type
    found = labelled_answers(by_version(given), labels_table([known], kind), schedule.horizon_us)
    sums = [sums_by(beside, by, schedule.window_us, fairness) for by, beside in found.beside.items()]
    alone = [row for by, own in sums for row in counted_records(own, by, origin(schedule)).to_pylist()]
    parts: dict[Any, list[PairSums]] = {}
    for pair, paired in pairs_of(found):
        parts.setdefault(pair, []).append(sums_of_pairs(paired, pair, schedule.window_us))
    return alone + [row for pair, sums in parts.items() for row in put_together(sums, pair)]


def origin(schedule: Schedule = SCHEDULE, pane: int = 0) -> QualityOrigin:
    return QualityOrigin(schedule.window_us, pane, "m", "r")


def put_together(parts: Sequence[Any], by: Any) -> list[Any]:
    """The records of sums of several shards, of a version or a pair."""
    rows: list[Any] = counted_records(added_any(parts), by, origin()).to_pylist()
    return rows


def key(row: Any) -> tuple[Any, ...]:
    return row["version"], row["role"], row["against"] or "", row["window_start"], row["segment"], row["metric"]


def cut(rng: random.Random, batch: pa.RecordBatch, parts: int) -> list[pa.RecordBatch]:
    """The rows in a random order, in so many batches."""
    order = np.array(rng.sample(range(batch.num_rows), batch.num_rows))
    return [batches.take_rows(batch, part) for part in np.array_split(order, parts)]
