"""The results as a markdown page: machine, measurements, ratios, agreement of outputs, what is compared."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.measure import JOB, Measured

PACKAGES = ("apache-beam", "pyarrow", "scikit-learn", "numpy", "fastavro", "pyruhvro", "backports.zstd")
TITLES = {
    JOB: "this job",
    "runinference": "RunInference, documented way",
    "runinference_expert": "RunInference, hour in the key",
    "bare": "bare loop without Beam",
}
MIB = 1024**2
_Row = TypeVar("_Row")
METHOD = """\
Each run is a fresh process, one after another; several runs of a way are given as their medians. Steady
state lasts from when the first event is about to be processed until all outputs are written; start-up is
the rest of the process's life (interpreter, imports, construction, model load and exit; bytecode is already
compiled). Memory is the process's peak resident set; its growth compares the two inputs given. CPU over
wall time shows threads: none of the ways is confined to one core.

All ways read the same Avro files, compute the same twelve inputs (three columns; count, mean and maximum of
the departure delay in the hour before the event's own, by origin, destination and carrier), score with the
same scikit-learn pipeline and write the same `Score` and `Receipt` records into zstandard Avro containers.

- **RunInference, documented way**: per-record dictionaries, hourly `FixedWindows`, one `CombinePerKey` for
  all keys, joined as a windowed side input (2.6 times as fast as `CoGroupByKey` for each key), default
  batch sizes (raising them, or batching across windows, gained nothing: scoring is not what costs),
  `FnApiRunner` directly, so that no time goes into an attempt to start Prism.
  Its time grows faster than its input: a month (26,475 events) took 43 s of steady state, half a year (161,266) 589 s.
- **RunInference, hour in the key**: the same without windows, the hour being part of the key. No
  documentation shows it; it is here to say what an expert gets from `RunInference` after profiling.
- **bare loop**: whole input in memory, one pass of numpy for the features, batches of 32,768 rows; it
  validates nothing, keeps no original bytes, knows one model and one release, and relies on tumbling
  windows.

Where meanings differ: hourly tumbling windows make the features of all ways equal to the definition
(aggregate over the key's events in [T − 1 h, T)). In the peer an hour without history is filled with the
input's default before scoring, as the manifest's `default` does in the job. The peer's receipts have
`latency_us` 0, because `RunInference` tells latencies only to a metric; both the peer and the bare loop
have no late data, dead letters, timeline of releases or counts that must add up.
"""


def page(
    runs: Sequence[Measured], smaller: Sequence[Measured], agreement: Sequence[Mapping[str, Any]]
) -> str:
    """The whole page. `smaller` holds runs of the same ways on fewer months, for memory growth."""
    parts = [
        "# Benchmark results",
        "Written by `python -m benchmarks`.",
        machine(),
        "## Speed and memory",
        _measurements(runs, smaller),
        "## Ratios",
        _ratios(runs),
        "## Agreement of the outputs",
        _agreement(agreement),
        "## What is compared",
        METHOD,
    ]
    return "\n\n".join(part for part in parts if part)


def thinned(rows: Sequence[_Row], most: int) -> list[_Row]:
    """About `most` of the rows, evenly spread, with the first and the last among them."""
    shown = list(rows[:: max(len(rows) // (most - 1), 1)])
    return shown if shown[-1] is rows[-1] else [*shown, rows[-1]]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table whose columns are aligned in plain text too; all but the first are right-aligned."""
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(cells)]
        for cells in (list(zip(row, widths, strict=True)) for row in (header, rule, *rows))
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _measurements(runs: Sequence[Measured], smaller: Sequence[Measured]) -> str:
    header = [
        "way", "months", "events", "runs", "wall s", "start-up s", "steady s", "events/s steady",
        "events/s whole", "CPU s", "peak MiB", "MiB per million more events",
    ]  # fmt: skip
    small = {one.way: one for one in smaller}
    rows = [
        [
            TITLES[run.way],
            str(run.months),
            f"{run.events:,}",
            str(run.runs),
            f"{run.wall_s:.1f}",
            f"{run.startup_s:.1f}",
            f"{run.steady_s:.1f}",
            f"{run.events_per_second:,.0f}",
            f"{run.events_per_second_whole:,.0f}",
            f"{run.cpu_s:.1f}",
            f"{run.peak_bytes / MIB:,.0f}",
            _growth(run, small.get(run.way)),
        ]
        for run in runs
    ]
    return markdown(header, rows)


def _growth(run: Measured, small: Measured | None) -> str:
    if small is None or small.events == run.events:
        return "not measured"
    growth = (run.peak_bytes - small.peak_bytes) / (run.events - small.events)
    return f"{growth * 1e6 / MIB:,.0f} (from {small.months} to {run.months} months)"


def _ratios(runs: Sequence[Measured]) -> str:
    by_way = {run.way: run for run in runs}
    job = by_way.get(JOB)
    if job is None:
        return "This job was not measured."
    rows = []
    for way, aim in (("runinference", "30 ×"), ("runinference_expert", "none"), ("bare", "0.5 ×")):
        if other := by_way.get(way):
            steady = job.events_per_second / other.events_per_second
            whole = job.events_per_second_whole / other.events_per_second_whole
            rows.append([f"this job / {TITLES[way]}", f"{steady:.2f} ×", f"{whole:.2f} ×", aim])
    return markdown(["events per second", "steady state", "with start-up", "aim (steady)"], rows)


def _agreement(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return ""
    header = ["against the bare loop", "events", "same ids", "score difference", "feature difference"]
    rows = [
        [
            TITLES[str(one["name"])],
            f"{one['events']:,}",
            "yes" if one["same_ids"] else f"no: {one['in_both']:,} of {one['events_other']:,} in both",
            f"{one['score']:.1e}",
            f"{one['features']:.1e}",
        ]
        for one in results
    ]
    table = markdown(header, rows)
    return f"{table}\n\nDifferences are the greatest absolute ones; 1e-9 is allowed."


def machine() -> str:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return "\n".join(
        (
            f"- date: {time.strftime('%Y-%m-%d', time.gmtime())}",
            f"- machine: {cores} cores, {memory:.0f} GiB, {_processor()}, {platform.machine()}",
            f"- versions: Python {platform.python_version()}, {versions}",
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
