"""How often the drift of a model's score is a false alarm: it is judged by windows of the training data alone.

Days differ by nature: each has a level of its own. A profile knows some days of them, and further days of the same
process are judged. Nothing of the code that a job runs is left out but Beam.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.drift.simulate import Floats, autoregression
from models.profiles import Profile, build_profile, with_training_windows
from schemas.job import DriftSpec
from transforms.drift.drift_groups import count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records

DAY_US = 86_400_000_000
SPEC = DriftSpec(DAY_US, 0, (), psi_threshold=1e-9, ks_threshold=1e-9)
_RngOf = Callable[[np.random.Generator, int], Floats]
LEVELS: Mapping[str, _RngOf] = {
    "independent normal": lambda rng, days: rng.normal(size=days),
    "autoregression of 0.5": lambda rng, days: autoregression(rng, 0.5, days, 1)[:, 0],
    "skewed (exponential)": lambda rng, days: rng.exponential(size=days),
    "skewed, falling": lambda rng, days: -rng.exponential(size=days),
    "heavy tails (t, 5)": lambda rng, days: rng.standard_t(5, size=days),
    "all days alike": lambda rng, days: np.zeros(days),
}
"""How the level of a day is drawn, in standard deviations of the score within a day."""


class Judged(NamedTuple):
    """Shares of windows in which the score drifted: by the rule of the code, and where it would be enough to be further
    than the 99th percentile of the training windows' PSI or KS."""

    drifted: float
    percentile: float


def _days(rng: np.random.Generator, level: _RngOf, days: int, rows: int, first: int, moved: float) -> pa.RecordBatch:
    times = first * DAY_US + np.arange(days * rows) * DAY_US // rows
    score = np.repeat(level(rng, days) + moved, rows) + rng.normal(size=days * rows)
    return pa.record_batch({"event_time": pa.array(times, pa.timestamp("us", "UTC")), "score": score})


def _records(profile: Profile, rows: pa.RecordBatch) -> pa.RecordBatch:
    batch = rows.append_column("__event_time", rows["event_time"])
    batch = batch.append_column("__role", pa.repeat(pa.scalar("champion"), rows.num_rows))
    panes = [
        Pane(piece.counts, DriftOrigin(piece.window_start_us, piece.window_start_us + DAY_US, 0, "m", "1"))
        for piece in count_windows(profile, batch, (), DAY_US)
    ]
    return drift_records(profile, panes, SPEC)


def judged(level: str, days: int, runs: int, rows: int = 64, moved: float = 0.0, seed: int = 20130102) -> Judged:
    """Of `runs` profiles of `days` training days each, twenty further days."""
    rng = np.random.default_rng(seed)
    drifted, beyond = [], []
    for _ in range(runs):
        training = _days(rng, LEVELS[level], days, rows, 0, 0.0)
        profile = with_training_windows(build_profile(training, ["score"]), training)
        found = _records(profile, _days(rng, LEVELS[level], 20, rows, days, moved))
        usual = next(each.usual["score"] for each in profile.windows if each.length == "1d")
        limits = {name: usual[name][0] for name in ("psi", "ks")}
        statistics, values = found["statistic"].to_pylist(), found["value"].to_pylist()
        above = [value > limits[name] for name, value in zip(statistics, values, strict=True)]
        starts = found["window_start"].cast(pa.int64()).to_numpy()
        drifted.append(_windows(starts, found["drifted"].to_numpy(zero_copy_only=False)))
        beyond.append(_windows(starts, np.array(above)))
    return Judged(float(np.mean(drifted)) / 20, float(np.mean(beyond)) / 20)


def _windows(starts: Floats, mask: Floats) -> int:
    return len(np.unique(starts[mask]))


def false_alarms_of_scores(runs: int) -> Iterator[str]:
    """A Markdown table: share of windows in which the score drifted, by how days differ and how many were known; in
    brackets that which is further than the 99th percentile."""
    sizes = (20, 48, 100)
    yield "| level of a day | " + " | ".join(f"{days} days" for days in sizes) + " |"
    yield "|---" * (len(sizes) + 1) + "|"
    for level in LEVELS:
        found = [judged(level, days, runs) for days in sizes]
        cells = [f"{100 * one.drifted:.1f} % ({100 * one.percentile:.1f} %)" for one in found]
        yield f"| {level} | " + " | ".join(cells) + " |"


def main() -> None:
    """Prints the table (minutes)."""
    for line in false_alarms_of_scores(100):
        print(line, flush=True)


if __name__ == "__main__":
    main()
