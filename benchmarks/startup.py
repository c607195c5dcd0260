"""`make bench-startup`: what a start costs with and without bytecode; writes benchmarks/STARTUP.md.

    python -m benchmarks.startup --rounds 3
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.arguments import positive_whole
from benchmarks.table import machine, markdown
from benchmarks.workload import ROOT
from models.store.store import ModelStore

_EVENTS = 4_000
COMMANDS: Mapping[str, Sequence[str]] = {
    "import apache_beam": ("-c", "import apache_beam"),
    "halflife --help": ("-m", "pipeline.cli", "--help"),
    "halflife models --help": ("-m", "pipeline.cli", "models", "--help"),
    "python -m pipeline --help": ("-m", "pipeline", "--help"),
}
MANIFEST: Mapping[str, Any] = {
    "scorer": "linear",
    "version": "1",
    "inputs": [{"name": "delay", "type": "integer", "nullable": True, "default": 0}],
    "output": {"kind": "probability"},
    "linear": {"intercept": -1.0, "coefficients": {"delay": 0.1}, "means": {}, "scales": {}, "categories": {}},
    "training": {"trained_at": "2025-12-01T00:00:00Z"},
    "created_by": "benchmarks",
}


class Cost(NamedTuple):
    """Of one process: seconds of wall time and of processor time."""

    wall_s: float
    cpu_s: float


def measured(words: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """One process from its start to its end. Raises `CalledProcessError` if it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=dict(environment), check=True, capture_output=True)
    wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def small_job(work: Path) -> Path:
    """The spec of a job over a few events; its linear model is published and released."""
    started = datetime(2026, 1, 1, tzinfo=UTC)
    with (work / "events.json").open("w") as lines:
        for number in range(_EVENTS):
            at = (started + timedelta(seconds=number)).isoformat()
            lines.write(json.dumps({"id": f"e{number}", "at": at, "delay": number % 90}) + "\n")
    (work / "payload").mkdir()
    store = ModelStore(str(work / "store"), "m")
    store.publish(work / "payload", MANIFEST)
    store.append_release(champion="1", effective_from_us=0, by="benchmarks")
    spec = {
        "job": "small",
        "events": {"uri": str(work / "events.json"), "format": "json", "event_id": "id", "event_time": "at"},
        "features": ["delay"],
        "model": {"name": "m", "store": str(work / "store")},
        "sinks": {name: str(work / name) for name in ("scores", "audit", "dead_letters")},
    }
    (work / "job.yaml").write_text(json.dumps(spec))  # JSON is YAML
    return work / "job.yaml"


def compared(rounds: int, work: Path) -> list[list[str]]:
    """A row for each command; with and without are measured in turn, and the medians shown."""
    whole_run = ("-m", "pipeline", "--job", str(small_job(work)))
    commands = {**COMMANDS, f"python -m pipeline, {_EVENTS:,} events": whole_run}
    written = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    none = written | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(work / "empty")}
    rows = []
    for name, words in commands.items():
        measured(words, written)  # writes what is not written yet
        pairs = [(measured(words, written), measured(words, none)) for _ in range(rounds)]
        medians = [
            statistics.median(cost[quantity] for cost in side)
            for side in zip(*pairs, strict=True)
            for quantity in (0, 1)
        ]
        rows.append([name, *(f"{value:.1f}" for value in medians), f"{medians[3] / medians[1]:.1f} ×"])
    return rows


HEADER = ["command", "with, wall s", "CPU s", "without, wall s", "CPU s", "CPU, without / with"]
METHOD = """\
Each command is a fresh process, with and without bytecode in turn; the figures are medians. "Without" is what a process
pays where `PYTHONDONTWRITEBYTECODE` is set and nothing was compiled when the environment was made: Python finds an
empty folder instead of the bytecode, that of the standard library included."""


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", allow_abbrev=False)
    parser.add_argument("--rounds", type=positive_whole, default=3, help="of each command, each way (default 3)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "STARTUP.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="halflife-startup-") as work:
        rows = compared(given.rounds, Path(work))
    parts = [
        "# What a start costs, with bytecode and without",
        "Written by `python -m benchmarks.startup`.",
        machine(),
        METHOD,
        markdown(HEADER, rows),
    ]
    given.out.write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
