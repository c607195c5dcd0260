"""What dependent events are worth, measured as a job does, by the code of `transforms.quality`."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.quality.answers import ScoredBy, paired_by
from transforms.quality.clusters import filled, subject_parts
from transforms.quality.measuring.pair_records import pair_records
from transforms.quality.measuring.quality_records import QualityOrigin, quality_records
from transforms.quality.sums.group_sums import Beside, sums_of
from transforms.quality.sums.pair_sums import Paired, sums_of_pairs

Floats = npt.NDArray[np.float64]
_OWN, _OTHER = ScoredBy("v2", "shadow", "2", "regression"), ScoredBy("v1", "champion", "1", "regression")
_BASE = 100.0  # the champion's loss, which no difference is greater than


class Events(NamedTuple):
    """Losses, or differences of losses, and subjects (None: the job states none) by window and event, the events evenly
    in windows of this width in microseconds."""

    values: Floats
    subjects: npt.NDArray[np.int64] | None
    window_us: int


def worth_of_arm(events: Events) -> Floats:
    """How many independent events those of each window are worth; all of them where that is not known."""
    origin = QualityOrigin(events.window_us, 0, "simulated")
    return _worth(
        events,
        quality_records(sums_of(_beside(events, events.values), _OTHER, events.window_us), _OTHER, origin),
        "error",
    )


def worth_of_pairs(events: Events) -> Floats:
    """The same of pairs."""
    by, origin = paired_by(_OWN, _OTHER), QualityOrigin(events.window_us, 0, "simulated")
    own, other = (_beside(events, each) for each in (events.values + _BASE, np.full_like(events.values, _BASE)))
    return _worth(
        events, pair_records(sums_of_pairs(Paired(own, other), by, events.window_us), by, origin), "loss_difference"
    )


def _beside(events: Events, scores: Floats) -> Beside:
    """Answers that are their losses, since all labels are 0."""
    windows, n = scores.shape
    times = (np.arange(windows * n) * (events.window_us / n)).astype(np.int64)
    clusters = None
    if events.subjects is not None:
        parts = subject_parts(pa.array(events.subjects.ravel()).cast(pa.string()), times, events.window_us)
        clusters = filled(parts, pa.nulls(len(times), pa.string()))
    return Beside(times, scores.ravel(), pa.array(np.zeros(len(times))), {}, clusters=clusters)


def _worth(events: Events, records: pa.RecordBatch, metric: str) -> Floats:
    rows = [each for each in records.to_pylist() if each["metric"] == metric]
    n = events.values.shape[1]
    return np.array([each["n_effective"] or n for each in rows], np.float64)
