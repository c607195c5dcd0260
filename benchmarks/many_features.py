"""`make bench-features`: a training set of 10, 100 and 1,000 windowed features; writes benchmarks/FEATURES.md.

    python -m benchmarks.many_features --events 50000
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from benchmarks.arguments import positive_whole
from benchmarks.table import MIB, machine, markdown
from benchmarks.workload import ROOT

NUMBERS = (10, 100, 1_000)
KEYS = {"card": 2_000, "merchant": 300, "country": 30, "device": 5}
COLUMNS = ("amount", "fee", "distance", "age", "items")
AGGREGATES = ("count", "sum", "mean", "min", "max", "std", "last", "first", "rate", "time_since_last")
SIZES = ("10m", "1h", "6h", "1d", "7d")
START_US, SPAN_US = 1_767_225_600_000_000, 30 * 86_400_000_000
HEADER = ["features", "events", "wall s", "CPU s", "events/s", "events per CPU s", "values per CPU s", "peak MiB"]
METHOD = """\
Each row is one process of `halflife features` over the same JSON lines, from its start to its end: reading, decoding,
windows, Parquet. Events are made up: 30 days, 5 columns of numbers, 4 keys (2,000, 300, 30 and 5 values). The 1,000
features are every combination of the keys, the columns, ten aggregates and five windows from 10 minutes to 7 days, all
every 10 minutes; 100 and 10 of them are evenly spread. Features of equal keys and columns share their tiles: what each
costs more is its query. Wall time has what else the machine does in it; the time of the processors has not."""


class Run(NamedTuple):
    """Of one process: seconds of wall time and of processor time, and its peak memory."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def features(number: int) -> list[dict[str, Any]]:
    """So many windowed features, evenly spread over all."""
    combined = list(itertools.product(KEYS, COLUMNS, AGGREGATES, SIZES))
    return [
        {"name": f"{key}_{column}_{aggregate}_{size}", "key": key, "column": column, "aggregate": aggregate}
        | {"size": size, "every": "10m"}
        for key, column, aggregate, size in combined[:: len(combined) // number]
    ]


def write_events(path: Path, number: int) -> None:
    """So many events as JSON lines, in order of time."""
    random = Random(1)
    with path.open("w") as lines:
        for index in range(number):
            event = {"id": f"e{index}", "at": START_US + SPAN_US * index // number}
            event |= {key: f"{key}-{random.randrange(values)}" for key, values in KEYS.items()}
            event |= {column: round(random.lognormvariate(3, 1), 2) for column in COLUMNS}
            lines.write(json.dumps(event) + "\n")


def measured(work: Path, number: int) -> Run:
    """One training set in a process of its own. Raises `CalledProcessError` if it fails."""
    spec = {
        "job": "many-features",
        "events": {"uri": str(work / "events.json"), "format": "json", "event_id": "id", "event_time": "at"},
        "features": features(number),
        "model": {"name": "m", "store": str(work / "store")},
        "sinks": {},
    }
    (work / "job.yaml").write_text(json.dumps(spec))  # JSON is YAML
    words = ["-m", "pipeline.cli", "features", "--job", str(work / "job.yaml"), "--out", str(work / str(number))]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall_s, cpu_s, after.ru_maxrss * 1024)  # the greatest of all so far: numbers are measured in order


def compared(events: int, numbers: Sequence[int], work: Path) -> list[list[str]]:
    """A row for each number of features, smallest first."""
    write_events(work / "events.json", events)
    rows = []
    for number in numbers:
        run = measured(work, number)
        rates = events / run.wall_s, events / run.cpu_s, events * number / run.cpu_s
        cells = [f"{run.wall_s:.1f}", f"{run.cpu_s:.1f}", *(f"{rate:,.0f}" for rate in rates)]
        rows.append([f"{number:,}", f"{events:,}", *cells, f"{run.peak_bytes / MIB:,.0f}"])
    return rows


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_features", allow_abbrev=False)
    parser.add_argument("--events", type=positive_whole, default=50_000, help="in the input (default 50000)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "FEATURES.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="halflife-features-") as work:
        rows = compared(given.events, NUMBERS, Path(work))
    written = "Written by `python -m benchmarks.many_features`."
    parts = ["# Many windowed features", written, machine(), METHOD, markdown(HEADER, rows)]
    given.out.write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
