"""`make bench-features`: 10, 100 and 1,000 windowed features, beside pandas; writes benchmarks/FEATURES.md.

    python -m benchmarks.many_features --events 50000
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
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
JOB, PANDAS = "halflife features", "pandas"
RATES = ["events/s", "events per CPU s", "values per CPU s"]
HEADER = ["features", "way", "events", "wall s", "CPU s", *RATES, "peak MiB"]
METHOD = """\
Each row is one process over the same JSON lines, from its start to its end: reading, decoding, windows, Parquet.
Events are made up: 30 days, 5 columns of numbers, 4 keys (2,000, 300, 30 and 5 values). The 1,000 features are every
combination of the keys, the columns, ten aggregates and five windows from 10 minutes to 7 days, all every 10 minutes;
100 and 10 of them are evenly spread. Features of equal keys and columns share their tiles, and those of equal windows
the search for them: what each costs more is its answer. Wall time has what else the machine does in it, and these rows
were measured beside other work; the time of the processors has not.

**pandas** (`benchmarks/peers/pandas_features.py`) computes the same features point in time, as one writes them in a
notebook: a `groupby` and `rolling` for each key and size, whose windows leave out their end, of times rounded down to
the step. Its columns are the job's, but for the last digits (a test compares them): its sums are floats that enter and
leave a running total. It has the whole input in memory and keeps no tiles and no state, so that an event more, a late
one or a stream need the whole run again; and it checks nothing: no id twice, no wrong type, no dead letter."""


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
    return _run("-m", "pipeline.cli", "features", "--job", str(work / "job.yaml"), "--out", str(work / str(number)))


def measured_peer(work: Path, number: int) -> Run:
    """The same features by pandas. Raises `CalledProcessError` if it fails."""
    (work / "features.json").write_text(json.dumps(features(number)))
    files = [str(work / name) for name in ("events.json", "features.json", f"pandas-{number}.parquet")]
    return _run("-m", "benchmarks.peers.pandas_features", *files)


def _run(*words: str) -> Run:
    began = time.monotonic()
    with subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return Run(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def compared(events: int, numbers: Sequence[int], work: Path) -> list[list[str]]:
    """Two rows for each number of features, the job's and the peer's."""
    write_events(work / "events.json", events)
    rows = []
    for number in numbers:
        for way, measure in ((JOB, measured), (PANDAS, measured_peer)):
            run = measure(work, number)
            rates = events / run.wall_s, events / run.cpu_s, events * number / run.cpu_s
            cells = [f"{run.wall_s:.1f}", f"{run.cpu_s:.1f}", *(f"{rate:,.0f}" for rate in rates)]
            rows.append([f"{number:,}", way, f"{events:,}", *cells, f"{run.peak_bytes / MIB:,.0f}"])
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
    versions = f"{machine()}, pandas {version('pandas')}"
    parts = ["# Many windowed features", written, versions, METHOD, markdown(HEADER, rows)]
    given.out.write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
