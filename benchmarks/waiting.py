"""`make bench-waiting`: what a batch costs while few events wait and while many do; writes benchmarks/WAITING.md.

python -m benchmarks.waiting --rate 200
"""

import argparse
import inspect
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from apache_beam.utils.timestamp import Timestamp

from benchmarks.arguments import positive_whole
from benchmarks.table import machine, markdown
from benchmarks.workload import ROOT
from schemas import batches
from schemas.job import FeatureSpec, FeaturesSpec
from transforms.features import join_features, window_features
from transforms.features.key_plans import KEY, VALUE, plan_key
from transforms.flow.coders import encode_batch

SECOND_US, MINUTE_US = 1_000_000, 60_000_000
BATCH_ROWS, KEYS, LATE_SHARE = 100, 300, 0.2
MEASURED_S = 600
FEATURE = FeatureSpec("mean", KEY, "delay", "mean", 60 * MINUTE_US, 5 * MINUTE_US)
DISORDERS = {"250ms": 250_000, "1m": MINUTE_US, "30m": 30 * MINUTE_US}


class Bag:
    """A bag or a value of state, encoded as runners keep it."""

    def __init__(self, coder: Any, single: bool) -> None:
        self._coder, self._single, self._values = coder, single, []  # type: ignore[var-annotated]  # of bytes

    def add(self, value: Any) -> None:
        self._values.append(self._coder.encode(value))

    def write(self, value: Any) -> None:
        self._values = [self._coder.encode(value)]

    def read(self) -> Any:
        found = [self._coder.decode(value) for value in self._values]
        return (found[0] if found else None) if self._single else found

    def clear(self) -> None:
        self._values = []


class Timer:
    """A timer that keeps milliseconds."""

    def __init__(self, name: str, pending: dict[str, int]) -> None:
        self._name, self._pending = name, pending

    def set(self, at: Timestamp) -> None:
        self._pending[self._name] = at.micros // 1000 * 1000


class Shard:
    """One key of a stateful step: its cells by the names of its parameters, and its timers."""

    def __init__(self, fn: Any) -> None:
        self._fn = fn
        self._cells: dict[str, Any] = {}
        self._of_method: dict[str, list[Any]] = {}
        self._pending: dict[str, int] = {}

    def called(self, method: str, first: Any) -> list[pa.RecordBatch]:
        function = getattr(self._fn, method)
        if method not in self._of_method:
            parameters = list(inspect.signature(function).parameters.values())[1:]
            self._of_method[method] = [self._cells.setdefault(one.name, self._made(one)) for one in parameters]
        return [found.value for found in function(first, *self._of_method[method]) or ()]

    def _made(self, parameter: inspect.Parameter) -> Any:
        if parameter.name.endswith("_timer"):
            return Timer(parameter.name, self._pending)
        spec = parameter.default.state_spec
        return Bag(spec.coder, single=type(spec).__name__ == "ReadModifyWriteStateSpec")

    def reach(self, watermark_us: int) -> Iterator[pa.RecordBatch]:
        """Fires what is due."""
        methods = {"next_timer": "next_reached", "last_timer": "last_reached", "fold_timer": "fold_reached"}
        while due := [name for name, at_us in self._pending.items() if at_us <= watermark_us]:
            name = min(due, key=lambda one: self._pending[one])
            at = Timestamp(micros=self._pending.pop(name))
            yield from self.called(methods.get(name, "forget"), at)


class Line:
    """The steps in which events wait: windowed features of one key, and the join of features with events."""

    def __init__(self) -> None:
        plan, spec = plan_key((FEATURE,), KEY), FeaturesSpec((), (FEATURE,), 2 * 60 * MINUTE_US, 1, 16_384)
        lateness_us, limit = spec.allowed_lateness_us, spec.max_tile_values
        self._features = Shard(window_features._ArrivingFn(plan, lateness_us, limit, 1))
        self._join = Shard(join_features._ArrivingFn((FEATURE.name,), 2, (FEATURE.every_us,)))
        self.answered = 0

    def arrive(self, rows: pa.RecordBatch) -> None:
        self._joined(0, rows)
        for features in self._features.called("process", (0, rows)):
            self._joined(1, features)

    def reach(self, watermark_us: int) -> None:
        for features in self._features.reach(watermark_us):
            self._joined(1, features)

    def _joined(self, part: int, rows: pa.RecordBatch) -> None:
        ready = self._join.called("process", (0, (part, encode_batch(rows))))
        self.answered += sum(batch.num_rows for batch in ready)


def observed(first: int, now_us: int, disorder_us: int, random: Random) -> pa.RecordBatch:
    """A batch of events, most of them at `now_us`, some earlier by up to the disorder."""
    late = [int(random.random() * disorder_us) if random.random() < LATE_SHARE else 0 for _ in range(BATCH_ROWS)]
    numbers = range(first, first + BATCH_ROWS)
    times = pa.array([now_us - by for by in late], pa.int64()).cast(batches.TIME_TYPE)
    keys, delays = [f"k{random.randrange(KEYS)}" for _ in numbers], [random.gauss(10, 30) for _ in numbers]
    names = [batches.EVENT_ID, batches.EVENT_TIME, batches.ROW, KEY, VALUE + "delay"]
    columns = [pa.array([f"e{number}" for number in numbers]), times, pa.array(numbers), pa.array(keys)]
    return pa.RecordBatch.from_arrays([*columns, pa.array(delays)], names=names)


def measured(disorder_us: int, rate: int) -> list[str]:
    """The most rows that waited, then the milliseconds that a batch took: median, mean, 99th percentile, worst."""
    line, random = Line(), Random(1)
    took: list[float] = []
    waiting: list[int] = []
    step_us = BATCH_ROWS * SECOND_US // rate
    warm = (disorder_us + FEATURE.every_us) // step_us
    for number in range(warm + MEASURED_S * SECOND_US // step_us):
        now_us = number * step_us
        rows = observed(number * BATCH_ROWS, now_us, disorder_us, random)
        began = time.perf_counter()
        line.arrive(rows)
        line.reach(now_us - disorder_us)
        if number >= warm:
            took.append((time.perf_counter() - began) * 1000)
            waiting.append((number + 1) * BATCH_ROWS - line.answered)
    p99, worst = statistics.quantiles(took, n=100)[98], max(took)
    return [f"{max(waiting):,}", *(f"{ms:.1f}" for ms in (statistics.median(took), statistics.fmean(took), p99, worst))]


HEADER = ["max_out_of_orderness", "events waiting, at most", "median, ms", "mean, ms", "p99, ms", "worst, ms"]
METHOD = f"""\
Windowed features of one key and the join of features with events are called directly, as a runner would call them:
state is kept encoded, timers are in milliseconds. Batches of {BATCH_ROWS} events arrive at a steady pace; the watermark
is behind the newest event by `max_out_of_orderness`, and {LATE_SHARE:.0%} of the events arrive late by up to as much.
The feature is the mean of an hour every five minutes, so all events of five minutes are due at once: that batch is the
slowest one, and its time is spent on their features. The measurement covers {MEASURED_S // 60} minutes of event time
after the first events were due."""


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", allow_abbrev=False)
    parser.add_argument("--rate", type=positive_whole, default=200, help="events a second of event time (default 200)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "WAITING.md")
    given = parser.parse_args()
    rows = [[name, *measured(disorder_us, given.rate)] for name, disorder_us in DISORDERS.items()]
    title = "# What a batch costs while events wait"
    written = "Written by `python -m benchmarks.waiting`."
    text = "\n\n".join([title, written, machine(), METHOD, markdown(HEADER, rows)]) + "\n"
    given.out.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
