"""`python -m benchmarks.watching.first_intervals`: how often the interval of a window's first pane holds the value of
its last one, over the days of a year of flights whose labels come as they came, or later.

Answers are those of a linear model of `dep_delay`. A pane of a day is due when the job's stream would emit it: the
first two hours after the day, the last when all of the horizon has passed. No randomness but the delays, whose seed is
fixed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.table import markdown
from benchmarks.workload import ROOT
from schemas import batches
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from transforms.labels.label_join import LABEL, LABEL_OF, LABEL_TIME
from transforms.quality.answers import ScoredBy, answers_of
from transforms.quality.joining import known_by, labelled_answers
from transforms.quality.measuring.quality_records import QualityOrigin, quality_records
from transforms.quality.panes import PANES, Schedule
from transforms.quality.sums.group_sums import sums_of

HOUR_US = 3_600_000_000
SCHEDULE = Schedule(24 * HOUR_US, 2 * HOUR_US, 24 * HOUR_US)
LATE_MINUTES = 15
CHAMPION = ScoredBy("v1", "champion", "d1", "probability", 0.5, "late")
METRICS = ("error", "auc", "brier", "calibration_error", "accuracy", "precision", "recall", "f1")
Hours = npt.NDArray[np.float64]
Delays = Callable[[npt.NDArray[np.bool_], np.random.Generator], Hours]


def _as_they_came(late: npt.NDArray[np.bool_], random: np.random.Generator) -> Hours:
    return np.zeros(len(late))


def _some_later(late: npt.NDArray[np.bool_], random: np.random.Generator) -> Hours:
    """As many as there are late arrivals, whichever."""
    return np.where(random.random(len(late)) < late.mean(), random.exponential(6.0, len(late)), 0.0)


def _late_ones_later(late: npt.NDArray[np.bool_], random: np.random.Generator) -> Hours:
    return np.where(late, random.exponential(6.0, len(late)), 0.0)


WAYS: dict[str, Delays] = {
    "when the flight lands": _as_they_came,
    "of a quarter, drawn by lot, 6 h later in the mean": _some_later,
    "of late flights 6 h later in the mean": _late_ones_later,
}


class Value(NamedTuple):
    """A metric of a day in a pane, null where it has none."""

    value: float | None
    low: float | None
    high: float | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching.first_intervals", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of departures- and arrivals-*.avro")
    given = parser.parse_args(arguments)
    answers, landed = _answers(given.data), _labels(given.data)
    heads = ["labels come", "labelled in the first pane", *METRICS]
    rows = []
    for name, delays in WAYS.items():
        late = landed[LABEL].to_numpy()
        hours = delays(late, np.random.default_rng(19))
        rows.append([name, *_row(answers, _delayed(landed, hours))])
    print(markdown(heads, rows))
    return 0


def _read(paths: Sequence[Path], columns: Sequence[str]) -> pa.Table:
    found: list[pa.RecordBatch] = []
    for path in paths:
        with path.open("rb") as stream:
            blocks = (decode_block(each.data, each.datums, each.schema).rows for each in read_blocks(stream))
            found.extend(rows.select(list(columns)) for rows in blocks)
    return pa.Table.from_batches(found).combine_chunks()


def _answers(data: Path) -> pa.RecordBatch:
    """The answers in order of time."""
    events = _read(sorted(data.glob("departures-*.avro")), ("id", "departed_at", "dep_delay")).sort_by("departed_at")
    delay = pc.fill_null(events["dep_delay"].cast(pa.float64()), 0.0).to_numpy()
    columns: dict[str, Any] = {
        batches.EVENT_ID: events["id"].combine_chunks(),
        batches.EVENT_TIME: events["departed_at"].combine_chunks().cast(batches.TIME_TYPE),
        batches.SCORE: 1 / (1 + np.exp(1.8 - 0.06 * delay)),
        batches.LATENCY: pa.nulls(len(events), pa.int64()),
    }
    return answers_of(pa.RecordBatch.from_pydict(columns), CHAMPION, [])


def _labels(data: Path) -> pa.Table:
    arrivals = _read(sorted(data.glob("arrivals-*.avro")), ("id", "landed_at", "arr_delay"))
    known = arrivals.filter(arrivals["arr_delay"].is_valid())
    late = pc.greater(known["arr_delay"], LATE_MINUTES)
    return pa.table({LABEL_OF: known["id"], LABEL: late, LABEL_TIME: known["landed_at"].cast(batches.TIME_TYPE)})


def _delayed(labels: pa.Table, hours: Hours) -> pa.Table:
    """The labels as much later, in order of time."""
    times = labels[LABEL_TIME].cast(pa.int64()).to_numpy() + (hours * HOUR_US).astype(np.int64)
    at = labels.schema.get_field_index(LABEL_TIME)
    return labels.set_column(at, LABEL_TIME, pa.array(times).cast(batches.TIME_TYPE)).sort_by(LABEL_TIME)


def _row(answers: pa.RecordBatch, labels: pa.Table) -> list[str]:
    """The mean label coverage of first panes, and of each metric the share of days whose first interval holds the
    last value."""
    held: dict[str, list[bool]] = {name: [] for name in METRICS}
    coverage = []
    for first, last, covered in _days(answers, labels):
        coverage.append(covered)
        for name in METRICS:
            one, other = first[name], last[name]
            if one.low is not None and one.high is not None and other.value is not None:
                held[name].append(one.low <= other.value <= one.high)
    return [f"{np.mean(coverage):.1%}", *(f"{np.mean(held[name]):.1%}" for name in METRICS)]


def _days(answers: pa.RecordBatch, labels: pa.Table) -> Iterator[tuple[dict[str, Value], dict[str, Value], float]]:
    times, known = batches.times_us(answers), labels[LABEL_TIME].cast(pa.int64()).to_numpy()
    for start in np.unique(SCHEDULE.window_of(times)).tolist():
        begin, end = np.searchsorted(times, [start, start + SCHEDULE.window_us])
        own = answers.slice(begin, end - begin)
        due = [SCHEDULE.due_us(start, pane) for pane in (0, PANES - 1)]
        near = labels.slice(*_span(known, start, due[-1]))
        first, last = (_measured(own, known_by(near, at), start, pane) for pane, at in enumerate(due))
        yield first[0], last[0], first[1]


def _span(times: npt.NDArray[np.int64], begin_us: int, end_us: int) -> tuple[int, int]:
    """Offset and length of the times from one until another, both included."""
    first, end = np.searchsorted(times, begin_us, "left"), np.searchsorted(times, end_us, "right")
    return int(first), int(end - first)


def _measured(rows: pa.RecordBatch, labels: pa.Table, start: int, pane: int) -> tuple[dict[str, Value], float]:
    """Each metric of a day, and how many of its events have a label."""
    found = labelled_answers({CHAMPION: rows}, labels, SCHEDULE.horizon_us)
    sums = sums_of(found.beside[CHAMPION], CHAMPION, SCHEDULE.window_us)
    records = quality_records(sums, CHAMPION, QualityOrigin(SCHEDULE.window_us, pane, "flights")).to_pylist()
    values = {row["metric"]: Value(row["value"], row["low"], row["high"]) for row in records}
    return values, found.joined.counts().get("labelled", 0) / rows.num_rows


if __name__ == "__main__":
    sys.exit(main())
