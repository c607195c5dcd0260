"""How many bytes drift, quality and pairs keep: of an answer, a label, and of a window of a day of flights."""

import numpy as np
import pyarrow as pa

from models.profiles import build_profile
from schemas import batches
from transforms.drift.drift_groups import DIGEST, ROLE, VERSION, count_windows
from transforms.drift.drift_sums import encode_counts
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.labels.label_join import labels_table
from transforms.quality.answers import ScoredBy, answers_of
from transforms.quality.joining import by_version, labelled_answers
from transforms.quality.let_go import LetGo, let_go
from transforms.quality.pairing import pairs_of
from transforms.quality.panes import Schedule
from transforms.quality.quality_forms import LET_GO_VERSION, BatchForm
from transforms.quality.sums.group_sums import sums_of
from transforms.quality.sums.pair_sums import sums_of_pairs
from transforms.quality.sums.sums_coder import encode_sums

EVENTS = 920
"""Flights of a day of 2013, in the mean."""
_DAY_US = 86_400_000_000
_CHAMPION = ScoredBy("v1", "champion", "d1", "probability", 0.5, "late")
_SHADOW = ScoredBy("v2", "shadow", "d2", "probability", 0.5, "late")


def sizes() -> dict[str, float]:
    """Bytes by what they are of."""
    random = np.random.default_rng(1)
    rows = _rows(random)
    given = [answers_of(_scored(rows, by, random), by, ["origin"]) for by in (_CHAMPION, _SHADOW)]
    labels = pa.RecordBatch.from_arrays(
        [rows.column(batches.EVENT_ID), pa.array(random.random(EVENTS) < 0.2), rows.column(batches.EVENT_TIME)],
        ["event_id", "label", "label_time"],
    )
    found = labelled_answers(by_version(given), labels_table([labels], pa.bool_()), None)
    pair, paired = next(pairs_of(found))
    profile = build_profile(rows, ["score", "dep_delay", "distance", "carrier"])
    drift = [encode_counts(each.counts) for each in count_windows(profile, rows, ["origin"], _DAY_US)]
    quality = sums_of(found.beside[_CHAMPION], _CHAMPION, _DAY_US)
    return {
        "an answer, until its window, lateness and horizon have passed": _each(given[0], answers=True),
        "a label, as long": _each(labels, answers=False),
        "an event that was answered, for one more horizon": len(_let_go(given)) / EVENTS,
        "drift of a day: one version in one role, four columns, four groups": sum(map(len, drift)) / len(drift),
        "quality of a day: one version in one role, four groups": len(encode_sums(quality)),
        "a pair of versions in a day, four groups": len(encode_sums(sums_of_pairs(paired, pair, _DAY_US))),
    }


def _let_go(given: list[pa.RecordBatch]) -> bytes:
    [known] = let_go(by_version(given), [0], Schedule(_DAY_US, 0, _DAY_US))
    return VersionedStateCoder("quality_let_go", LET_GO_VERSION, Plain(LetGo)).encode(known)


def _each(rows: pa.RecordBatch, *, answers: bool) -> float:
    return len(BatchForm(answers=answers).encode(rows)) / EVENTS


def _rows(random: np.random.Generator) -> pa.RecordBatch:
    times = pa.array(np.sort(random.integers(0, _DAY_US, EVENTS))).cast(batches.TIME_TYPE)
    return pa.RecordBatch.from_pydict(
        {
            batches.EVENT_ID: [f"2013-01-01-UA-{number}-EWR" for number in range(EVENTS)],
            batches.EVENT_TIME: times,
            "origin": random.choice(["EWR", "JFK", "LGA"], EVENTS).tolist(),
            "carrier": random.choice(["UA", "B6", "DL", "AA"], EVENTS).tolist(),
            "dep_delay": random.exponential(30, EVENTS) - 10,
            "distance": random.integers(80, 2600, EVENTS).astype(np.float64),
            "score": random.beta(1, 3, EVENTS),
            VERSION: ["v1"] * EVENTS, ROLE: ["champion"] * EVENTS, DIGEST: ["d1"] * EVENTS,
        }
    )  # fmt: skip


def _scored(rows: pa.RecordBatch, by: ScoredBy, random: np.random.Generator) -> pa.RecordBatch:
    scored = batches.with_column(rows, batches.SCORE, pa.array(random.beta(1, 3, EVENTS)))
    return scored.append_column(batches.LATENCY, pa.array([60] * EVENTS, pa.int64()))
